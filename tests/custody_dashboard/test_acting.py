"""What a person does from the page: recorded under their name, refused without rights, and said in words."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from custody_dashboard.watch import hub as hub_module
from custody_dashboard.web import people as people_module
from custody_dashboard.web.people import TokenHolders
from custody_dashboard.web.request_body import MAX_BODY_BYTES
from domain.commands.operator_commands import OPS_COMMANDS
from infra.cli.watching.acts import VERBS
from tests.custody_dashboard.conftest import Desk, closed, frames_of, take
from tests.support.cases import case
from tests.support.pool_harness import PoolHarness

ANN, BOB = "ann-token-0123456789-abc", "bob-token-0123456789-abc"
NewDesk = Callable[..., Awaitable[Desk]]


def token_file(directory: Path, *, bob: str = "viewer") -> Path:
    """Write the file of tokens."""
    file = directory / "tokens"
    file.write_text(f"ann:operator:{ANN}\nbob:{bob}:{BOB}\n")
    file.chmod(0o600)
    return file


async def rest_of(frames: AsyncIterator[bytes]) -> list[tuple[str, Any]]:
    """The last frames of a stream that ends."""
    return [found async for raw in frames for found in frames_of(raw)]


async def acted(desk: Desk, **body: Any) -> dict[str, Any]:
    answer = await desk.act(**{"reason": "a test", **body})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["ok"] is True
    return found


async def test_each_verb_does_what_it_says_under_the_persons_name(desk: Desk, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1", "T2", "T3", "T4")
    await pool.register("a2")
    done: list[tuple[dict[str, Any], str]] = [
        ({"verb": "cancel", "task_id": "T1", "reason": "not needed"}, "T1 is cancelled"),
        ({"verb": "revoke", "task_id": "T2", "reason": "hangs"}, "T2 was taken from its holder"),
        ({"verb": "retry", "task_id": "T1", "reason": "after all"}, "T1 was submitted again, as T1-r1"),
        (
            {"verb": "steal", "from": "a1", "to": "a2", "task_ids": ["T3"], "reason": "idle"},
            "tasks moved from a1 to a2",
        ),
        ({"verb": "drain", "agent_id": "a1", "reason": "update"}, "a1 is asked to hand over"),
        ({"verb": "resume", "agent_id": "a1"}, "a1 gets tasks again"),
        ({"verb": "pause", "agent_id": "a1", "reason": "hot"}, "a1 gets no more tasks"),
        ({"verb": "pause", "reason": "all of it"}, "the pool grants no more tasks"),
        ({"verb": "resume"}, "the pool grants tasks again"),
        ({"verb": "drain"}, "every agent is asked to hand over"),
    ]
    for body, said in done:
        with case(str(body)):
            found = await acted(desk, **body)
            assert said in found["said"]
            assert f"on record at position {found['events'][-1]['position']}" in found["said"]
            record = pool.records(found["events"][0]["position"] - 1)[0]
            assert (record.actor, record.causation_id) == ("ops/ann", found["command_id"])
            reason = body.get("reason", "a test")
            assert getattr(record.event, "reason", reason) == reason


async def test_a_blocked_task_is_answered_and_a_quarantined_one_requeued(desk: Desk, pool: PoolHarness) -> None:
    token = await pool.holds("a1", "T1")
    await pool.given("agent.a1.block", task_id="T1", token=token, reason="which licence?", question="MIT or Apache?")
    assert "in the queue again" in (await acted(desk, verb="unblock", task_id="T1", answer="MIT"))["said"]
    assert pool.task("T1").answer == "MIT"
    await pool.submit("T2", budgets={"failures": 1, "expiries": 1, "releases": 1})
    second = await pool.assign("a1", "T2")
    await pool.given("agent.a1.release", task_id="T2", token=second, reason="cannot")
    assert pool.task("T2").status.value == "quarantined"
    assert "in the queue again" in (await acted(desk, verb="requeue", task_id="T2", reason="try again"))["said"]


def test_every_verb_is_one_of_operators() -> None:
    assert VERBS.keys() <= OPS_COMMANDS.keys()
    assert VERBS.keys() == {"cancel", "requeue", "revoke", "unblock", "retry", "steal", "drain", "pause", "resume"}
    for verb, entry in VERBS.items():
        names = {field.alias or name for name, field in OPS_COMMANDS[verb].model_fields.items()}
        assert entry.fields <= names, verb


async def test_the_same_command_id_is_answered_with_the_first_outcome(desk: Desk, pool: PoolHarness) -> None:
    await pool.submit("T1")
    first = await acted(desk, verb="cancel", task_id="T1", command_id="c1")
    position = pool.position
    assert (await acted(desk, verb="cancel", task_id="T1", command_id="c1"))["events"] == first["events"]
    assert pool.position == position


async def test_what_changes_nothing_says_so(desk: Desk, pool: PoolHarness) -> None:
    await pool.register("a1")
    await acted(desk, verb="pause", agent_id="a1")
    assert (await acted(desk, verb="pause", agent_id="a1"))[
        "said"
    ] == "pause: nothing to change, so nothing was recorded"


async def test_what_the_pool_refuses_is_told_in_its_words(desk: Desk, pool: PoolHarness) -> None:
    await pool.submit("T1")
    for body, code in (
        ({"verb": "cancel", "task_id": "none"}, "unknown_task"),
        ({"verb": "revoke", "task_id": "T1"}, "illegal_transition"),
        ({"verb": "drain", "agent_id": "none"}, "unknown_agent"),
    ):
        answer = await desk.act(reason="a test", **body)
        assert (answer.status_code, answer.json()["ok"], answer.json()["error"]["code"]) == (409, False, code)
        assert answer.json()["error"]["message"].startswith(code)


async def test_without_a_service_and_without_an_answer_it_says_what_to_do(desk: Desk, pool: PoolHarness) -> None:
    await pool.submit("T1")
    desk.connection.client.silent = True
    answer = await desk.act(verb="cancel", task_id="T1", command_id="c1", reason="a test")
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "unknown_outcome")
    assert "command_id c1" in answer.json()["error"]["message"]
    desk.connection.client.silent = False
    await pool.kill()
    answer = await desk.act(verb="cancel", task_id="T1", reason="a test")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    await pool.start()
    desk.connection.is_connected = False
    answer = await desk.act(verb="cancel", task_id="T1", reason="a test")
    assert answer.status_code == 503
    assert "the broker is not reached now" in answer.json()["error"]["message"]
    assert pool.task("T1").status.value == "queued"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "verb should be one of cancel, requeue"),
        ({"verb": "submit", "task_id": "T1"}, "verb should be one of"),
        ({"verb": ["cancel"]}, "verb should be one of"),
        ({"verb": "cancel"}, "cancel needs task_id"),
        ({"verb": "cancel", "task_id": ""}, "cancel needs task_id"),
        ({"verb": "cancel", "label": "all", "task_id": "T1"}, "cancel takes no 'label'"),
        ({"verb": "cancel", "status": "queued"}, "cancel takes no 'status'"),
        ({"verb": "cancel", "task_id": 7}, "task_id: "),
        ({"verb": "cancel", "task_id": "a b"}, "task_id: "),
        ({"verb": "cancel", "task_id": "T1", "reason": "x" * 1025}, "reason: "),
        ({"verb": "cancel", "task_id": "T1", "reason": "a\0"}, "reason: must not contain the NUL character"),
        ({"verb": "cancel", "task_id": "T1", "command_id": "x" * 129}, "command_id: "),
        ({"verb": "steal", "from": "a1"}, "steal needs to"),
        ({"verb": "steal", "from": "a1", "to": "a1"}, "from and to must differ"),
        ({"verb": "drain", "deadline_s": 5}, "deadline_s goes with agent_id"),
        ({"verb": "drain", "agent_id": "a1", "deadline_s": -1}, "deadline_s: "),
        ({"verb": "unblock", "task_id": "T1", "answer": {}}, "answer: "),
        ({"verb": "cancel", "task_id": "T1", "reason": None}, "reason should say why"),
        ({"verb": "cancel", "task_id": "T1", "reason": ""}, "reason should say why"),
        ({"verb": "resume", "reason": " \n"}, "reason should say why"),
        ({"verb": "pause", "reason": ["x"]}, "reason should say why"),
    ],
)
async def test_a_command_that_cannot_be_meant_is_refused_before_it_is_sent(
    desk: Desk, pool: PoolHarness, body: dict[str, Any], said: str
) -> None:
    position = pool.position
    answer = await desk.act(**{"reason": "a test", **body})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert said in answer.json()["error"]["message"]
    assert pool.position == position


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"verb": "cancel", "verb": "retry"}', "application/json", 400),
        (b'{"a": NaN}', "application/json", 400),
        (b"[" * 100_000, "application/json", 413),
        (b"[" * 50_000, "application/json", 400),
        (b"x" * (MAX_BODY_BYTES + 1), "application/json", 413),
        (b'{"verb": "cancel"}', "text/plain", 415),
        (b"verb=cancel", "application/x-www-form-urlencoded", 415),
        (b'{"verb": "cancel"}', "", 415),
    ],
)
async def test_a_body_that_is_no_json_object_of_some_size(desk: Desk, content: bytes, kind: str, status: int) -> None:
    csrf = (await desk.get("/api/session"))["csrf"]
    headers = {"X-CSRF-Token": csrf, "Content-Type": kind}
    answer = await desk.http.post("/api/act", content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]


async def test_without_the_pages_own_token_nothing_is_done(desk: Desk, pool: PoolHarness) -> None:
    await pool.submit("T1")
    body = {"verb": "cancel", "task_id": "T1"}
    csrf = (await desk.get("/api/session"))["csrf"]
    offered: list[dict[bytes, bytes]] = [
        {},
        *({b"X-CSRF-Token": each} for each in (b"", csrf[:-1].encode(), "é".encode())),
    ]
    for each in offered:
        answer = await desk.http.post("/api/act", json=body, headers=each)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "csrf")
    headers = {"X-CSRF-Token": csrf, "Origin": "https://evil.example"}
    answer = await desk.http.post("/api/act", json=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "foreign_origin")
    assert (await desk.http.get("/api/act")).status_code == 405
    assert pool.task("T1").status.value == "queued"


async def test_read_only_shows_everything_and_does_nothing(new_desk: NewDesk, pool: PoolHarness) -> None:
    desk = await new_desk(read_only=True)
    await pool.submit("T1")
    session = await desk.get("/api/session")
    assert (session["can_act"], session["why_not"]) == (False, "this dashboard was started with --read-only")
    answer = await desk.act(verb="cancel", task_id="T1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_allowed")
    assert pool.task("T1").status.value == "queued"


async def test_without_the_brokers_permission_there_are_no_buttons(desk: Desk) -> None:
    desk.watch.may_operate = False
    session = await desk.get("/api/session")
    assert session["can_act"] is False
    assert "the broker does not let" in session["why_not"]
    assert (await desk.act(verb="pause")).status_code == 403


async def test_until_the_brokers_permission_is_known_there_are_no_buttons_and_then_the_page_is_told(
    desk: Desk, pool: PoolHarness
) -> None:
    desk.watch.may_operate = None
    session = await desk.get("/api/session")
    assert (session["can_act"], session["by_token"]) == (False, False)
    assert "it is not known yet whether the broker lets" in session["why_not"]
    answer = await desk.act(verb="pause", reason="a test")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_allowed")
    async with closed(
        desk.watch.hub.frames(None, desk.context.rights(Request({"type": "http", "headers": []})))
    ) as frames:
        await take(frames, 2)
        desk.watch.may_operate = True
        await pool.advance(1.2)
        assert "session" in {name for name, _ in await take(frames, 2)}
    assert (await desk.get("/api/session"))["can_act"] is True


async def test_a_stream_ends_with_the_session_that_it_was_opened_with(
    new_desk: NewDesk, pool: PoolHarness, tmp_path: Path
) -> None:
    file = token_file(tmp_path)
    people = TokenHolders(file)
    desk = await new_desk(people)
    cookies = {name: people.login(token) for name, token in (("ann", ANN), ("bob", BOB))}

    def frames_for(name: str) -> Any:
        cookie = f"{desk.context.cookie}={cookies[name]}"
        request = Request({"type": "http", "headers": [(b"cookie", cookie.encode())]})
        return desk.watch.hub.frames(None, desk.context.rights(request), name)

    async with closed(frames_for("ann")) as anns, closed(frames_for("bob")) as bobs:
        for each in (anns, bobs):
            await take(each, 2)
        token_file(tmp_path, bob="operator")
        await pool.advance(1.2)
        assert "session" in {name for name, _ in await take(bobs, 2)}, "another role is told"
        file.write_text(f"bob:operator:{BOB}\n")
        await pool.submit("T1")
        await pool.advance(1.2)
        assert [name for name, _ in await rest_of(anns)][-1:] != ["beat"]
        assert len(desk.watch.hub) == 1, "ann's token was revoked"
        people.logout(cookies["bob"])
        await pool.advance(1.2)
        await rest_of(bobs)
        assert len(desk.watch.hub) == 0


async def test_a_stream_that_is_refused_says_why_in_the_session(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await desk.get("/api/session"))["why_no_stream"] is None
    monkeypatch.setattr(hub_module, "MAX_BROWSERS", 0)
    status, code, said = await desk.refused("/api/stream")
    assert (status, code) == (503, "busy")
    assert (await desk.get("/api/session"))["why_no_stream"] == said


async def test_a_session_in_use_goes_on_and_ends_with_the_logout(
    new_desk: NewDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = await new_desk(TokenHolders(token_file(tmp_path)))
    logged = await desk.http.post("/api/login", json={"token": ANN})
    assert f"Max-Age={12 * 3600}" in logged.headers["set-cookie"]
    session = await desk.http.get("/api/session")
    assert session.json()["by_token"] is True
    assert "set-cookie" not in session.headers
    monkeypatch.setattr(people_module, "RENEW_S", 0)
    session = await desk.http.get("/api/session")
    assert "Max-Age=" in session.headers["set-cookie"]
    copy = dict(desk.http.cookies)
    assert (await desk.http.post("/api/logout")).status_code == 200
    async with desk.browser() as thief:
        thief.cookies.update(copy)
        assert (await thief.get("/api/session")).status_code == 401


async def test_a_token_is_needed_where_a_file_names_people(
    new_desk: NewDesk, pool: PoolHarness, tmp_path: Path
) -> None:
    file = token_file(tmp_path)
    desk = await new_desk(TokenHolders(file))
    await pool.submit("T1")
    for path in (
        "/api/session",
        "/api/tasks",
        "/api/task?id=T1",
        "/api/stream",
        "/api/at?position=1",
        "/api/postmortem",
    ):
        answer = await desk.http.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "login_needed"), path
    assert (await desk.http.post("/api/act", json={"verb": "pause"})).status_code == 401
    assert (await desk.http.get("/")).status_code == 200
    for token, status in (("wrong" * 5, 403), ("", 400), (7, 400), ("x" * 513, 400)):
        assert (await desk.http.post("/api/login", json={"token": token})).status_code == status
    logged = await desk.http.post("/api/login", json={"token": BOB})
    cookie = logged.headers["set-cookie"]
    assert all(each in cookie for each in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age="))
    assert BOB not in cookie
    session = await desk.get("/api/session")
    assert (session["person"], session["can_act"], session["why_not"]) == ("bob", False, "the role of bob is viewer")
    assert (await desk.act(verb="pause")).status_code == 403
    bobs = session["csrf"]
    await desk.http.post("/api/login", json={"token": ANN})
    assert (await desk.get("/api/session"))["can_act"] is True
    assert (await desk.http.post("/api/act", json={"verb": "pause"}, headers={"X-CSRF-Token": bobs})).status_code == 403
    found = await acted(desk, verb="cancel", task_id="T1")
    assert pool.records(found["events"][0]["position"] - 1)[0].actor == "ops/ann"
    assert (await desk.http.post("/api/logout")).status_code == 200
    assert (await desk.http.get("/api/session")).status_code == 401
    file.unlink()
    assert (await desk.http.get("/api/session")).status_code == 503


async def test_the_cookie_is_for_encrypted_connections_where_there_is_one(new_desk: NewDesk, tmp_path: Path) -> None:
    file = token_file(tmp_path)
    desk = await new_desk(TokenHolders(file))
    for base, secure in (("http://localhost", False), ("https://localhost", True)):
        async with desk.browser(base) as browser:
            answer = await browser.post(
                "/api/login", content=json.dumps({"token": ANN}).encode(), headers={"Content-Type": "application/json"}
            )
            assert ("Secure" in answer.headers["set-cookie"]) is secure
