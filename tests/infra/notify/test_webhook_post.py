"""Posting over HTTP to a real server on this machine."""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from handlers.notifier.message import Message
from handlers.notifier.retry_rules import Outcome, Verdict
from infra.host.clock import SystemClock
from infra.notify.notify_config import EndpointConfig, NotifyConfig
from infra.notify.webhook_post import WebhookPost
from infra.notify.webhook_secrets import Access
from tests.support.credentials import Authority
from tests.support.virtual_clock import VirtualClock
from tests.support.webhook_receiver import WebhookReceiver, answered

OLD, NEW = b"o" * 24, b"n" * 32
MESSAGE = Message(
    "e",
    "msg_7",
    7,
    "custody.task.failed.v1",
    datetime(2026, 11, 21, 8, tzinfo=UTC),
    {"pool": "p", "position": 7, "kind": "task.failed", "task_id": "T1", "text": "task T1: failed – 日本"},
)


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with WebhookReceiver() as running:
        yield running


async def post(url: str, *, secrets: tuple[bytes, ...] = (OLD,), **options: Any) -> Outcome:
    endpoint = EndpointConfig(name="e", url_env="HOOK", secret_env="SECRET", events=("*",), **options)
    config = NotifyConfig(endpoint=(endpoint,))
    async with WebhookPost(config, endpoint, Access(url, secrets), SystemClock()) as poster:
        return await poster(MESSAGE)


def encoded(secret: bytes) -> str:
    return f"whsec_{base64.b64encode(secret).decode()}"


async def test_the_official_library_verifies_what_is_posted(receiver: WebhookReceiver) -> None:
    assert await post(receiver.url) == Outcome(Verdict.DELIVERED)
    (request,) = receiver.got
    assert (request.method, request.path) == ("POST", "/hook/s3cret-path")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == "msg_7"
    verified = Webhook(encoded(OLD)).verify(request.body, request.headers)
    assert verified["data"]["text"] == "task T1: failed – 日本"


async def test_a_repeat_has_the_same_id_and_body_and_is_signed_with_the_time_of_its_own_attempt(
    receiver: WebhookReceiver,
) -> None:
    clock = VirtualClock()
    endpoint = EndpointConfig(name="e", url_env="HOOK", secret_env="SECRET", events=("*",))
    async with WebhookPost(NotifyConfig(endpoint=(endpoint,)), endpoint, Access(receiver.url, (OLD,)), clock) as poster:
        await poster(MESSAGE)
        await clock.advance(86_400)
        await poster(MESSAGE)
    first, second = receiver.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "msg_7"
    assert first.body == second.body
    # A receiver refuses a timestamp that is minutes old: https://github.com/standard-webhooks/standard-webhooks
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 86_400
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


async def test_each_of_several_secrets_verifies_it(receiver: WebhookReceiver) -> None:
    await post(receiver.url, secrets=(NEW, OLD))
    (request,) = receiver.got
    for secret in (OLD, NEW):
        Webhook(encoded(secret)).verify(request.body, request.headers)
    assert request.headers["webhook-signature"].count("v1,") == 2


async def test_without_a_secret_nothing_is_signed(receiver: WebhookReceiver) -> None:
    await post(receiver.url, secrets=())
    assert "webhook-signature" not in receiver.got[0].headers


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (answered(200, body="ok"), Outcome(Verdict.DELIVERED)),
        (answered(400, body="bad\nbody \x1b[1m"), Outcome(Verdict.REFUSED, "HTTP 400 Status: bad body \\x1b[1m")),
        (answered(500), Outcome(Verdict.FAILED, "HTTP 500 Status")),
        (answered(410), Outcome(Verdict.GONE, "HTTP 410 Status")),
        (answered(429, "retry-after: 120"), Outcome(Verdict.FAILED, "HTTP 429 Status", 120.0)),
        (answered(503, "retry-after: soon"), Outcome(Verdict.FAILED, "HTTP 503 Status")),
        (answered(404, body="no /hook/s3cret-path here"), Outcome(Verdict.FAILED, "HTTP 404 Status: no … here")),
        (b"nonsense\r\n\r\n", None),
        (b"", None),
    ],
)  # fmt: skip
async def test_what_an_answer_comes_to(receiver: WebhookReceiver, answer: bytes, outcome: Outcome | None) -> None:
    receiver.answer = lambda _: answer
    found = await post(receiver.url)
    if outcome is not None:
        assert found == outcome
    else:
        assert found.verdict is Verdict.FAILED
        assert found.reason


async def test_retry_after_may_be_a_date(receiver: WebhookReceiver) -> None:
    at = datetime.now(UTC) + timedelta(minutes=10)
    receiver.answer = lambda _: answered(503, f"retry-after: {format_datetime(at, usegmt=True)}")
    found = await post(receiver.url)
    assert found.retry_after_s is not None
    assert 500 < found.retry_after_s <= 600


async def test_redirects_are_not_followed(receiver: WebhookReceiver) -> None:
    async with WebhookReceiver() as other:
        receiver.answer = lambda _: answered(307, f"location: {other.url}")
        found = await post(receiver.url)
        assert not other.got
    assert found == Outcome(Verdict.FAILED, "HTTP 307 Status, and redirects are not followed")


async def test_an_address_that_is_none_fails_alone() -> None:
    found = await post("https://1.2.3.400/hook")
    assert found.verdict is Verdict.FAILED


async def test_no_answer_is_waited_for_no_longer_than_allowed(receiver: WebhookReceiver) -> None:
    receiver.answer = lambda _: None
    assert await post(receiver.url, timeout_s=0.2) == Outcome(Verdict.FAILED, "no answer within 0.2 s")


async def test_an_answer_that_does_not_end_is_left(receiver: WebhookReceiver) -> None:
    receiver.answer = lambda _: b"HTTP/1.1 500 Status\r\n\r\n" + b"x" * 10_000_000
    found = await post(receiver.url)
    assert found.reason == f"HTTP 500 Status: {'x' * 100}"


async def test_no_server_is_a_failure_that_names_no_address() -> None:
    async with WebhookReceiver() as gone:
        url = gone.url
    found = await post(url)
    assert found.verdict is Verdict.FAILED
    assert "s3cret" not in found.reason


async def test_proxies_and_passwords_are_not_taken_from_the_environment(
    receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password pw\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert (await post(receiver.url)).verdict is Verdict.DELIVERED
    assert "authorization" not in receiver.got[0].headers


async def test_tls_is_verified(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.signs("receiver")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with WebhookReceiver(tls) as receiver:
        found = await post(receiver.url)
        assert found.verdict is Verdict.FAILED
        assert "certificate" in found.reason.lower()
        assert not receiver.got
        assert (await post(receiver.url, ca_file=authority.file)).verdict is Verdict.DELIVERED
