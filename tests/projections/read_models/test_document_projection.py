"""Keys of documents: names as they are, and anything else that a log may hold as hex."""

from __future__ import annotations

import pytest

from projections.read_models.document_projection import lease_key


@pytest.mark.parametrize(
    ("name", "key"),
    [("T-1_a", "lease.T-1_a"), ("T 1", "lease.=542031"), ("T\n", "lease.=540a"), ("", "lease.="), ("é", "lease.=c3a9")],
)
def test_what_the_contract_does_not_allow_as_a_name_is_hex(name: str, key: str) -> None:
    assert lease_key(name) == key
