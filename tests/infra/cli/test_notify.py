"""`custody notify`: what it shows, what it refuses, and what it sends beside a real service."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from infra.notify import state_file
from tests.infra.cli.conftest import Run
from tests.support.checkout import ROOT
from tests.support.webhook_receiver import WebhookReceiver, answered

SECRET = f"whsec_{base64.b64encode(b's' * 24).decode()}"


@pytest.fixture
async def receiver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WebhookReceiver]:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    async with WebhookReceiver() as running:
        yield running


def configured(directory: Path, receiver: WebhookReceiver, wants: str = 'events = ["task.*"]', **more: str) -> str:
    """Write a configuration; return its name."""
    others = "".join(f'\n[[endpoint]]\nname = "{name}"\n{text}\n' for name, text in more.items())
    text = f'[[endpoint]]\nname = "hook"\nurl = "{receiver.url}"\nsecret_env = "HOOK_SECRET"\n{wants}\n{others}'
    (directory / "notify.toml").write_text(text)
    return "notify.toml"


async def test_a_dry_run_prints_what_would_be_sent_and_sends_nothing(
    ask: Run, receiver: WebhookReceiver, directory: Path
) -> None:
    config = configured(directory, receiver, 'events = ["task.submitted"]\nneeds = ["unworkable"]')
    await ask("submit", "T1", "--title", "First", "--required-capability", "gpu")
    await ask("submit", "T2")
    first = await ask("notify", "--config", config, "--dry-run", "--json")
    lines = [json.loads(line) for line in first.lines]
    assert {json.loads(each["body"])["data"]["kind"] for each in lines} == {"unworkable"}
    whole = await ask("notify", "--config", config, "--dry-run", "--after", "0", "--json")
    bodies = [json.loads(json.loads(line)["body"]) for line in whole.lines]
    assert [each["data"]["task_id"] for each in bodies if each["data"]["kind"] == "task.submitted"] == ["T1", "T2"]
    plain = await ask("notify", "--config", config, "--dry-run", "--after", "3")
    assert plain.lines[0].startswith("hook  msg_")
    assert not receiver.got
    assert not (directory / "custody-notify.db").exists()


async def test_a_test_message_is_signed(run: Run, receiver: WebhookReceiver, directory: Path) -> None:
    result = await run("notify", "--config", configured(directory, receiver), "--test", "hook")
    assert result.status == 0, result.err
    (request,) = receiver.got
    assert Webhook(SECRET).verify(request.body, request.headers)["type"] == "custody.test"


async def test_a_test_message_that_is_not_taken_is_an_error(
    run: Run, receiver: WebhookReceiver, directory: Path
) -> None:
    receiver.answer = lambda _: answered(403, body="go away")
    result = await run("notify", "--config", configured(directory, receiver), "--test", "hook")
    assert (result.status, result.err) == (1, "custody: endpoint hook: HTTP 403 Status: go away\n")
    unknown = await run("notify", "--config", configured(directory, receiver), "--test", "hok")
    assert (unknown.status, unknown.err) == (1, "custody: there is no endpoint hok; there are hook\n")


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (("--dry-run", "--status"), 2, "give one of them"),
        (("--after", "1"), 2, "only with --dry-run"),
        (("--status",), 1, "custody-notify.db yet: the notifier has not run"),
    ],
)
async def test_what_is_refused(
    run: Run, receiver: WebhookReceiver, directory: Path, options: Sequence[str], status: int, said: str
) -> None:
    result = await run("notify", "--config", configured(directory, receiver), *options)
    assert result.status == status
    assert said in result.err


async def test_a_fault_in_the_configuration_is_wrong_usage(
    run: Run, receiver: WebhookReceiver, directory: Path
) -> None:
    result = await run("notify", "--config", configured(directory, receiver, 'events = ["task.complete"]'))
    assert (result.status, result.err) == (
        2,
        (
            "custody: notify.toml: endpoint 1 (hook): events: no kind of event fits 'task.complete'; "
            "did you mean task.completed?\n"
        ),
    )


async def test_a_position_past_the_end_is_refused(
    ask: Run, run: Run, receiver: WebhookReceiver, directory: Path
) -> None:
    result = await run("notify", "--config", configured(directory, receiver), "--dry-run", "--after", "99")
    assert result.status == 1
    assert "position 99 is past the end of the log" in result.err


@contextlib.asynccontextmanager
async def notifying(directory: Path, config: str, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the notifier in a process of its own; it must end well when it is asked to."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from infra.cli.main import main; main()", "notify", "--config", config, *options),
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        while b"following pool" not in (line := await process.stdout.readline()):
            assert json.loads(line)["message"], "a record, where these are asked for"
        yield process
        process.send_signal(signal.SIGTERM)
        said = await process.stdout.read()
        assert await process.wait() == 0, said
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def told(receiver: WebhookReceiver) -> list[Any]:
    return [each.json["data"]["task_id"] for each in receiver.got]


async def test_it_sends_keeps_dead_letters_and_sends_them_again(
    ask: Run, run: Run, receiver: WebhookReceiver, directory: Path
) -> None:
    config = configured(directory, receiver, 'events = ["task.submitted"]')
    await ask("submit", "before")
    async with notifying(directory, config):
        await ask("submit", "T1")
        await receiver.until(1)
        second = await run("notify", "--config", config)
        assert (second.status, second.err) == (
            1,
            f"custody: {directory / 'custody-notify.db'} is in use by another notifier\n",
        )
    Webhook(SECRET).verify(receiver.got[0].body, receiver.got[0].headers)
    receiver.answer = lambda _: answered(410)
    await ask("submit", "T2")
    async with notifying(directory, config):
        await receiver.until(2)
    status = await ask("notify", "--config", config, "--status", "--json")
    assert (status.json["dead"], status.json["disabled"]) == (1, "HTTP 410 Status")
    letters = await ask("notify", "--config", config, "--dead-letters", "--json")
    assert (letters.json["data"]["task_id"], letters.json["endpoint"]) == ("T2", "hook")
    plain = await ask("notify", "--config", config, "--dead-letters")
    assert "the endpoint is disabled: HTTP 410 Status" in plain.out
    receiver.answer = lambda _: answered(200)
    assert "is in use" in (await ask("notify", "--config", config, "--enable", "hook")).out
    assert (await ask("notify", "--config", config, "--retry-dead")).out == "1 queued again; the notifier sends them\n"
    async with notifying(directory, config):
        await receiver.until(3)
    assert told(receiver) == ["T1", "T2", "T2"]
    assert receiver.got[1].headers["webhook-id"] == receiver.got[2].headers["webhook-id"]
    assert (await ask("notify", "--config", config, "--dead-letters")).out == "no dead letters\n"


async def test_it_logs_as_the_service_does(ask: Run, run: Run, receiver: WebhookReceiver, directory: Path) -> None:
    config = configured(directory, receiver, 'events = ["task.submitted"]')
    answers = iter([answered(503, body="hostile \x1b[31m text")])
    receiver.answer = lambda _: next(answers, answered(204))
    async with notifying(directory, config, "--log-format", "json") as notifier:
        await ask("submit", "T1")
        assert notifier.stdout is not None
        lines: list[dict[str, str]] = []
        while len(lines) < 2:
            record = json.loads(await notifier.stdout.readline())
            lines += [record] if record["logger"] == "custody.notify" else []
    assert [each["message"] for each in lines] == [
        "endpoint hook: HTTP 503 Status: hostile \\x1b[31m text; trying again",
        "endpoint hook: it works again",
    ]
    assert {each["level"] for each in lines} == {"warning"}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUSTODY_LOG_FORMAT": "json"}
    wrong = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from infra.cli.main import main; main()", "notify", "--config", "none.toml"),
        cwd=directory,
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await wrong.communicate()
    assert wrong.returncode == 2
    assert json.loads(said)["message"] == "cannot read none.toml: No such file or directory"


async def test_a_state_file_that_cannot_be_written_now_is_said(
    ask: Run, run: Run, receiver: WebhookReceiver, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(directory, receiver)
    async with notifying(directory, config):
        await ask("submit", "T1")
        await receiver.until(1)
    monkeypatch.setattr(state_file, "_LOCK_WAIT_S", 0.01)
    with contextlib.closing(sqlite3.connect(directory / "custody-notify.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for option in ((), ("--retry-dead",)):
            result = await run("notify", "--config", config, *option)
            assert (result.status, result.err.splitlines()[-1]) == (
                1,
                f"custody: {directory / 'custody-notify.db'}: database is locked",
            )
