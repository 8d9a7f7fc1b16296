"""Whatever is asked, the answer is JSON with a sentence, and never a failure inside."""

import asyncio
import json
from typing import Any
from urllib.parse import quote

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.custody_dashboard.conftest import Desk
from tests.support.pool_harness import PoolHarness

PATHS = (
    "/api/session", "/api/tasks", "/api/task", "/api/task/T1", "/api/agent", "/api/agent/a1", "/api/steals",
    "/api/statistics", "/api/at", "/api/diff", "/api/timeline", "/api/morning", "/api/act", "/api/login", "/api/none",
)  # fmt: skip
NAMES = (
    "id", "position", "status", "label", "agent", "q", "sort", "desc", "offset", "limit", "at", "from", "to", "since",
    "task", "x",
)  # fmt: skip
VALUES = st.one_of(
    st.text(max_size=40),
    st.integers(min_value=-(10**20), max_value=10**20).map(str),
    st.sampled_from(
        ["", "1", "0", "3", "T1", "a1", "queued", "live", "title", "2026-11-21T08:00:00Z", "0001-01-01T00:00:00+14:00",
         "9999-12-31T23:59:59-14:00", "٣", "²", "1_0", "+1", "\x00", "\ud7ff", "a" * 300]
    ),
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("verb", "task_id", "agent_id", "reason", "command_id", "answer", "from", "to", "task_ids", "count", "new_id")


def check(answer: httpx.Response) -> None:
    """What every answer keeps to."""
    assert answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    if answer.status_code >= 400:
        assert document["error"]["code"]
        assert document["error"]["message"]
        assert "Traceback" not in answer.text


async def test_any_query_is_answered(desk: Desk, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1")
    await pool.advance(1)
    loop = asyncio.get_running_loop()

    @settings(max_examples=150, suppress_health_check=[*HealthCheck])
    @given(st.sampled_from(PATHS), st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=4))
    def ask(path: str, parameters: list[tuple[str, str]]) -> None:
        query = "&".join(f"{name}={quote(value)}" for name, value in parameters)
        check(asyncio.run_coroutine_threadsafe(desk.http.get(f"{path}?{query}"), loop).result(30))

    await asyncio.to_thread(ask)


async def test_any_command_is_answered(desk: Desk, pool: PoolHarness) -> None:
    await pool.holds("a1", "T1")
    await pool.advance(1)
    loop = asyncio.get_running_loop()
    csrf = (await desk.get("/api/session"))["csrf"]
    verbs = st.sampled_from(["cancel", "requeue", "unblock", "steal", "drain", "pause", "resume", "retry"])

    @settings(max_examples=100, suppress_health_check=[*HealthCheck])
    @given(
        st.dictionaries(st.sampled_from(FIELDS), JSON | st.sampled_from(["T1", "a1", "none"]), max_size=5),
        verbs | st.none(),
        st.booleans(),
    )
    def act(body: dict[str, Any], verb: str | None, with_token: bool) -> None:  # noqa: FBT001 - Hypothesis gives it
        content = json.dumps(body | ({} if verb is None else {"verb": verb})).encode()
        headers = {"Content-Type": "application/json"} | ({"X-CSRF-Token": csrf} if with_token else {})
        for path in ("/api/act", "/api/login"):
            asking = desk.http.post(path, content=content, headers=headers)
            check(asyncio.run_coroutine_threadsafe(asking, loop).result(30))

    await asyncio.to_thread(act)


async def test_any_method_is_answered(desk: Desk) -> None:
    for method in ("HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "POST"):
        for path in (*PATHS, "/", "/static/index.html"):
            answer = await desk.http.request(method, path, content=b"" if method == "POST" else None)
            assert answer.status_code < 500, (method, path, answer.text)
