"""Keys of documents: names as they are, and anything else that a log may hold as hex."""

from __future__ import annotations

import pytest

from projections.read_models.document_projection import lease_key


@pytest.mark.parametrize(
    ("name", "key"),
    [("T-1_a", "lease.T-1_a"), ("T 1", "lease.T=201"), ("T\n", "lease.T=0A"), ("", "lease.="), ("é", "lease.=C3=A9")],
)
def test_what_clients_do_not_take_in_a_key_is_escaped(name: str, key: str) -> None:
    assert lease_key(name) == key
