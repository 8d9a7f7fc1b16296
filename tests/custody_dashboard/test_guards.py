"""What stands before every endpoint: whom the page is for, where a request comes from, and the headers of safety."""

import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from custody_dashboard.dashboard_server import is_loopback
from custody_dashboard.web.guards import HEADERS, Guards, host_name
from tests.custody_dashboard.conftest import Desk

HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


def app(answer: Callable[[], None] | None = None) -> Guards:
    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        if answer is not None:
            answer()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"in"})

    return Guards(endpoint, HOSTS)


async def ask(method: str = "GET", **headers: str) -> httpx.Response:
    return await ask_of(app(), method, **headers)


async def ask_of(guarded: Guards, method: str = "GET", **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(guarded)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:4280") as client:
        return await client.request(method, "/", headers=named)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:4280", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1", 200),
        ("127.0.0.1:9", 200),
        ("[::1]:4280", 200),
        ("evil.example", 421),
        ("evil.example:4280", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.nip.io", 421),
        ("localhost@evil.example", 421),
        ("evil.example/localhost", 421),
        ("evil.example#localhost", 421),
        ("192.168.1.2", 421),
        ("[::1", 421),
        ("", 421),
        (" ", 421),
    ],
)
async def test_a_page_that_is_for_this_machine_is_asked_under_its_names_only(host: str, status: int) -> None:
    answer = await ask(host=host)
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["error"]["code"] == "wrong_host"
        assert "--allow-host" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://localhost:4280"}, 200),
        ({"origin": "http://LOCALHOST:4280"}, 200),
        ({"origin": "http://localhost:4280", "sec_fetch_site": "same-origin"}, 200),
        ({"sec_fetch_site": "none"}, 200),
        ({"origin": "http://localhost:4281"}, 403),
        ({"origin": "http://localhost"}, 403),
        ({"origin": "http://127.0.0.1:4280"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://localhost:4280.evil.example"}, 403),
        ({"origin": "http://localhost:4280@evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "file://"}, 403),
        ({"origin": "http://[::1"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"sec_fetch_site": ""}, 403),
        ({"origin": "http://localhost:4280", "sec_fetch_site": "cross-site"}, 403),
    ],
)
async def test_what_changes_something_comes_from_the_page_itself(headers: dict[str, str], status: int) -> None:
    answer = await ask("POST", **headers)
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["error"]["code"] == "foreign_origin"
    assert (await ask("GET", **headers)).status_code == 200, "reading is safe: its answer is for this origin only"


@pytest.mark.parametrize(
    ("path", "site", "mode", "status"),
    [
        ("/api/postmortem", "cross-site", "no-cors", 403),
        ("/api/stream", "same-site", "cors", 403),
        ("/api/postmortem", "cross-site", "navigate", 200),
        ("/api/stream", "same-origin", "cors", 200),
        ("/api/stream", "none", "navigate", 200),
        ("/", "cross-site", "navigate", 200),
    ],
)
async def test_another_page_cannot_make_the_dashboard_work(path: str, site: str, mode: str, status: int) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app()), base_url="http://localhost") as client:
        answer = await client.get(path, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode})
    assert answer.status_code == status


async def test_behind_a_proxy_that_ends_tls_the_origin_is_still_the_host() -> None:
    for host, status in (("localhost", 200), ("localhost:443", 200), ("localhost:80", 403)):
        assert (await ask("POST", host=host, origin="https://localhost")).status_code == status


def test_a_hosts_name_is_found_without_its_port() -> None:
    assert [host_name(each) for each in ("a", "A:1", "[::1]:2", "a:b", "a\\b", "a?b")] == ["a", "a", "::1", "a", "", ""]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *((each, True) for each in ("127.0.0.1", "localhost", "::1", "127.1.2.3")),
        *((each, False) for each in ("0.0.0.0", "::", "192.168.1.2", "127.evil.example", "", "localhost.evil.example")),  # noqa: S104 - cases
    ],
)
def test_which_addresses_only_this_machine_reaches(host: str, loopback: bool) -> None:  # noqa: FBT001 - a case
    assert is_loopback(host) is loopback


async def test_a_failure_inside_is_told_without_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("/a/secret/path")

    with caplog.at_level(logging.ERROR):
        answer = await ask_of(app(fail))
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal"
    assert "secret" not in answer.text
    assert "/a/secret/path" in caplog.text


async def test_every_answer_has_the_headers_of_safety(desk: Desk) -> None:
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/", {}),
        ("GET", "/static/index.html", {}),
        ("GET", "/static/none.js", {}),
        ("GET", "/api/session", {}),
        ("GET", "/api/none", {}),
        ("GET", "/api/tasks?limit=x", {}),
        ("POST", "/api/act", {}),
        ("PUT", "/api/session", {}),
        ("GET", "/", {"host": "evil.example"}),
    ]
    for method, path, headers in asked:
        answer = await desk.http.request(method, path, headers=headers)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, (path, name)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none';"), path
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        if path.startswith("/api"):
            assert answer.headers["cache-control"] == "no-store", path
