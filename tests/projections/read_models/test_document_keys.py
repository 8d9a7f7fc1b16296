"""Keys of the live views: one for each task, of characters that clients take."""

import re

from hypothesis import given
from hypothesis import strategies as st

from domain.limits import TASK_ID_PATTERN
from projections.read_models.document_projection import lease_key

IDS = st.from_regex(re.compile(TASK_ID_PATTERN.replace("$", r"\Z")))
CLIENTS_TAKE = re.compile(r"[-/_=.a-zA-Z0-9]+")


def test_a_name_is_in_its_key_as_it_is() -> None:
    assert lease_key("T-1_a") == "lease.T-1_a"
    assert lease_key("owner/repo#12") == "lease.owner=2Frepo=2312"


@given(IDS, IDS)
def test_each_task_has_a_key_of_its_own_that_clients_take(one: str, other: str) -> None:
    assert CLIENTS_TAKE.fullmatch(lease_key(one))
    assert (lease_key(one) == lease_key(other)) == (one == other)
