"""Ids as tokens of subjects: they come back, no two are the same, and names are as they were."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.limits import NAME_PATTERN, TASK_ID_PATTERN
from domain.subjects import id_of_token, subject_token

IDS = st.from_regex(re.compile(TASK_ID_PATTERN.replace("$", r"\Z")))
NAMES = st.from_regex(re.compile(NAME_PATTERN.replace("$", r"\Z")))


@given(IDS)
@example("owner/repo#12")
@example("..")
@example("*")
@example(">")
@example("%2F")
@example('"\\')
def test_an_id_comes_back_from_its_token(task_id: str) -> None:
    token = subject_token(task_id)
    assert id_of_token(token) == task_id
    assert re.fullmatch(r"[A-Za-z0-9_%-]+", token)


@given(IDS, IDS)
def test_no_two_ids_have_the_same_token(one: str, other: str) -> None:
    assert (subject_token(one) == subject_token(other)) == (one == other)


@given(NAMES)
def test_a_name_is_its_own_token(name: str) -> None:
    assert subject_token(name) == name


def test_how_it_is_written() -> None:
    assert subject_token("owner/repo#12") == "owner%2Frepo%2312"
    assert subject_token("a.b%c") == "a%2Eb%25c"


@pytest.mark.parametrize("token", ["", "%", "%2", "%2f", "%41", "a.b", "a b", "a*", "%zz"])
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(ValueError, match="is no token of an id"):
        id_of_token(token)
