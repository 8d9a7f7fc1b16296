"""Keys of the live documents: one for each entity, of characters that clients take."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.limits import TASK_ID_PATTERN
from projections.read_models.document_projection import lease_key, workload_key

IDS = st.from_regex(re.compile(TASK_ID_PATTERN.replace("$", r"\Z")))
CLIENTS_TAKE = re.compile(r"[-/_=.a-zA-Z0-9]+")


@pytest.mark.parametrize(
    ("entity_id", "token"),
    [
        ("T-1_a", "T-1_a"),
        ("owner/repo#12", "owner=2Frepo=2312"),
        # No writer of ours has such ids; a log may hold them.
        ("T 1", "T=201"),
        ("T\n", "T=0A"),
        ("", "="),
        ("é", "=C3=A9"),
    ],
)
def test_what_clients_do_not_take_in_a_key_is_escaped(entity_id: str, token: str) -> None:
    assert lease_key(entity_id) == f"lease.{token}"
    assert workload_key(entity_id) == f"workload.{token}"


@given(IDS, IDS)
def test_each_task_has_a_key_of_its_own_that_clients_take(one: str, other: str) -> None:
    assert CLIENTS_TAKE.fullmatch(lease_key(one))
    assert (lease_key(one) == lease_key(other)) == (one == other)
