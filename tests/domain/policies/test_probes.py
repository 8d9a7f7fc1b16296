"""What a worktree's status says for a silent agent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.policies.probes import UNRESOLVED, conflicted_paths

LETTERS = st.sampled_from(" MTADU?!")
PATHS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("porcelain", "expect"),
    [
        pytest.param(b"", (), id="a clean worktree"),
        pytest.param(b" M src/a.py\0?? new.txt\0!! out\0", (), id="changed, untracked, ignored: no conflict"),
        pytest.param(b"A  staged.py\0D  gone.py\0", (), id="added or deleted on one side only: no conflict"),
        pytest.param(b"UU src/a.py\0", ("src/a.py",), id="both modified"),
        pytest.param(b"M  ok.py\0AA b.py\0DU c.py\0", ("b.py", "c.py"), id="several, in git's order"),
        pytest.param(b"UU with space and\nnewline\0", ("with space and\nnewline",), id="a path as it is"),
        pytest.param(b"R  new.py\0UU old.py\0UU real.py\0", ("real.py",), id="a rename's former path is no entry"),
        pytest.param(b" C copy.py\0AA origin.py\0", (), id="a copy's origin is no entry"),
        pytest.param(b"UU \xff.txt\0", ("\\xff.txt",), id="bytes that are not UTF-8 are escaped"),
        pytest.param("UU \u00e4.txt\0", ("\u00e4.txt",), id="text as well as bytes"),
        pytest.param(b"UU cut.py", ("cut.py",), id="a last entry that was cut off still counts"),
        pytest.param(b"UU\0U\0\0R  new.py", (), id="entries without a path are passed over"),
    ],
)
def test_conflicted_paths(porcelain: bytes | str, expect: tuple[str, ...]) -> None:
    assert conflicted_paths(porcelain) == expect


@pytest.mark.parametrize("state", sorted(UNRESOLVED))
def test_every_unmerged_state_is_a_conflict(state: str) -> None:
    assert conflicted_paths(f"{state} a.py\0") == ("a.py",)


@given(entries=st.lists(st.tuples(LETTERS, LETTERS, PATHS)))
def test_exactly_the_unmerged_paths_are_found(entries: list[tuple[str, str, str]]) -> None:
    porcelain = "".join(f"{ours}{theirs} {path}\0" for ours, theirs, path in entries)
    found = tuple(path for ours, theirs, path in entries if ours + theirs in UNRESOLVED)
    assert conflicted_paths(porcelain) == conflicted_paths(porcelain.encode()) == found


@given(noise=st.binary(max_size=64))
def test_any_answer_can_be_read(noise: bytes) -> None:
    for path in conflicted_paths(noise):
        path.encode()
