"""Who may see the page and who may act: tokens in a file, and cookies that prove them."""

from pathlib import Path

import pytest

from custody_dashboard.web import people as people_module
from custody_dashboard.web.people import RENEW_S, SESSION_S, AnyoneHere, TokenFileError, TokenHolders
from tests.support.cases import case

ANN, BOB = "ann-token-0123456789-abc", "bob-token-0123456789-abc"
LINES = f"# who may see the pool\n\nann:operator:{ANN}\nbob:viewer:{BOB}\n"


class Time:
    now_s = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(LINES)
    path.chmod(0o600)
    return path


def test_a_token_gives_a_session_with_the_persons_name_and_role(file: Path) -> None:
    people = TokenHolders(file)
    for token, name, may_act in ((ANN, "ann", True), (BOB, "bob", False)):
        cookie = people.login(token)
        assert cookie is not None
        assert token not in cookie
        person = people.known_by(cookie)
        assert person is not None
        assert (person.name, person.may_act) == (name, may_act)


def test_what_is_no_token_gives_none(file: Path) -> None:
    people = TokenHolders(file)
    for token in ("", "x", ANN[:-1], ANN + "x", ANN.upper(), "ann", f"ann:operator:{ANN}", "ü" * 30, "\0"):
        with case(token):
            assert people.login(token) is None


def test_a_session_survives_a_restart_and_ends_with_its_time(file: Path) -> None:
    time = Time()
    cookie = TokenHolders(file, time).login(ANN)
    again = TokenHolders(file, time)
    person = again.known_by(cookie)
    assert person is not None
    time.now_s += SESSION_S - 1
    assert again.known_by(cookie) == person._replace(renews=True)
    time.now_s += 1
    assert again.known_by(cookie) is None


def test_a_token_that_leaves_the_file_ends_its_sessions(file: Path) -> None:
    people = TokenHolders(file)
    ann, bob = people.login(ANN), people.login(BOB)
    file.write_text(LINES.replace(f"ann:operator:{ANN}", f"ann:operator:{ANN}-new"))
    assert people.known_by(ann) is None
    assert people.known_by(bob) is not None


def test_a_cookie_that_was_changed_proves_nothing(file: Path) -> None:
    people = TokenHolders(file)
    cookie = people.login(BOB)
    assert cookie is not None
    name, number, end, mac = cookie.split(".")
    head = f"{name}.{number}"
    for changed in (
        None,
        "",
        "..",
        "...",
        f"ann.{number}.{end}.{mac}",
        f"{name}.{end}.{mac}",
        f"{name}.{number}0.{end}.{mac}",
        f"{head}.{int(end) + 1}.{mac}",
        f"{head}.{end}.",
        f"{head}.{end}.{mac}0",
        f"{head}.x.{mac}",
        f"{head}.{end}.{'0' * len(mac)}",
        cookie + "é",
        "9" * 10_000,
        f"{head}.{'9' * 5_000}.{mac}",
    ):
        with case(str(changed)[:60]):
            assert people.known_by(changed) is None


def test_each_session_has_a_csrf_token_of_its_own(file: Path) -> None:
    people = TokenHolders(file)
    found = set()
    for token in (ANN, BOB):
        for _ in range(2):
            person = people.known_by(people.login(token))
            assert person is not None
            found.add(person.csrf)
    assert len(found) == 4
    assert AnyoneHere("ann").known_by(None).csrf != AnyoneHere("ann").known_by(None).csrf


def test_a_session_in_use_is_renewed_and_keeps_its_csrf_token(file: Path) -> None:
    time = Time()
    people = TokenHolders(file, time)
    cookie = people.login(ANN)
    first = people.known_by(cookie)
    assert first is not None
    assert not first.renews
    for _ in range(10):
        time.now_s += RENEW_S
        person = people.known_by(cookie)
        assert person is not None
        assert (person.renews, person.csrf) == (True, first.csrf), "what a page acts with stays"
        before, cookie = cookie, people.renewed(cookie)
        assert cookie != before
        assert people.known_by(cookie) == first
    time.now_s += SESSION_S
    assert people.renewed(cookie) is None


def test_a_logout_ends_the_session_with_all_its_renewals_and_no_other(file: Path) -> None:
    time = Time()
    people = TokenHolders(file, time)
    cookie, other = people.login(ANN), people.login(ANN)
    time.now_s += RENEW_S
    later = people.renewed(cookie)
    people.logout(cookie)
    for each in (cookie, later):
        assert people.known_by(each) is None
        assert people.renewed(each) is None
    assert people.known_by(other) is not None
    people.logout("of.no.session.0")
    people.logout(None)


def test_what_is_remembered_of_logouts_is_bounded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people_module, "MAX_LOGGED_OUT", 10)
    time = Time()
    people = TokenHolders(file, time)
    cookies = [people.login(ANN) for _ in range(12)]
    for each in cookies:
        people.logout(each)
    assert [people.known_by(each) is None for each in cookies] == [False, False] + 10 * [True]
    time.now_s += SESSION_S + 2
    people.logout(people.login(ANN))
    assert len(people._logged_out) == 1  # noqa: SLF001 - what must not grow


def test_a_name_may_have_dots(file: Path) -> None:
    file.write_text(f"ann.smith@x.org:operator:{ANN}\n")
    people = TokenHolders(file)
    person = people.known_by(people.login(ANN))
    assert person is not None
    assert person.name == "ann.smith@x.org"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no person"),
        ("# no line\n", "names no person"),
        ("ann", "line 1: the role of ann should be one of viewer, operator"),
        (f":viewer:{ANN}", "line 1: a line is name:role:token"),
        (f"an n:viewer:{ANN}", "line 1: a line is name:role:token"),
        (f"ann:admin:{ANN}", "the role of ann should be one of viewer, operator"),
        ("ann:viewer:short", "the token of ann should have at least 20 printable characters"),
        ("ann:viewer:" + "a b" * 10, "and no blank"),
        (f"ann:viewer:{ANN}\nann:viewer:{BOB}", "line 2: ann has a line already"),
        (f"ann:viewer:{ANN}\nbob:viewer:{ANN}", "line 2: the token of bob is another person's, too"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(TokenFileError) as refused:
        TokenHolders(file)
    assert said in str(refused.value)
    assert ANN not in str(refused.value)


def test_a_file_that_others_may_write_or_that_is_not_there_is_refused(file: Path, tmp_path: Path) -> None:
    file.chmod(0o666)
    with pytest.raises(TokenFileError, match="other users may read or write it: chmod 600"):
        TokenHolders(file)
    with pytest.raises(TokenFileError, match=r"cannot read .*: No such file"):
        TokenHolders(tmp_path / "none")
    file.chmod(0o600)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(TokenFileError, match="UTF-8"):
        TokenHolders(file)


def test_a_file_that_became_unusable_lets_nobody_in(file: Path) -> None:
    people = TokenHolders(file)
    cookie = people.login(ANN)
    file.unlink()
    with pytest.raises(TokenFileError):
        people.known_by(cookie)
