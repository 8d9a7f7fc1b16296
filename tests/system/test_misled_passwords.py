"""A broker that a file in the working directory names, and that waits for passwords, as real processes meet it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.fake_broker import info

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.system

SECRET = "the-operators-own-secret"
CUSTODY = Path(sys.executable).parent / "custody"


class Thief:
    """Greets as a broker, and keeps all that it is sent."""

    def __init__(self) -> None:
        self.port = 0
        self.heard = b""
        self.says = b""
        """An error that follows each answer to a ping."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(info(auth_required=True))
        while data := await reader.read(65_536):
            self.heard += data
            if b"PING" in data:
                writer.write(b"PONG\r\n" + self.says)
        writer.close()


@asynccontextmanager
async def thief() -> AsyncIterator[Thief]:
    found = Thief()
    async with await asyncio.start_server(found.serve, "0.0.0.0", 0) as server:  # noqa: S104 - one address here is no loopback one
        found.port = server.sockets[0].getsockname()[1]
        yield found


async def custody(directory: Path, *words: str, **environment: str) -> tuple[int, str]:
    """Run a command there; return its status and what it wrote on standard error."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
    process = await asyncio.create_subprocess_exec(
        CUSTODY,
        *words,
        cwd=directory,
        env={**kept, **environment},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, errors.decode()


def put_file(directory: Path, url: str) -> None:
    (directory / "custody.toml").write_text(f'nats = "{url}"\n')


def put_record(directory: Path, url: str) -> None:
    (directory / ".custody").mkdir()
    record = {"url": url, "pid": os.getpid(), "users": True}
    (directory / ".custody" / "broker.json").write_text(json.dumps(record))


ASK = ("query", "health", "--timeout", "15")
REFUSED = b"-ERR 'Authorization Violation'\r\n"
"""Ends the command; without it, that waits for its answer until its time is over."""
SECRETS = {
    "the operator's password": {"CUSTODY_OPERATOR_PASSWORD": SECRET},
    "a user's password": {"CUSTODY_NATS_USER": "me", "CUSTODY_NATS_PASSWORD": SECRET},
    "a token": {"CUSTODY_NATS_TOKEN": SECRET},
}


@pytest.mark.parametrize("put", [put_file, put_record], ids=["custody.toml", "broker.json"])
@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
async def test_a_file_that_lies_about_gets_no_secret_of_the_environment(
    tmp_path: Path, put: object, secret: dict[str, str]
) -> None:
    async with thief() as broker:
        assert callable(put)
        put(tmp_path, f"nats://127.0.0.1:{broker.port}")
        status, errors = await custody(tmp_path, *ASK, **secret)
        assert status == 2
        assert "is not used with nats from" in errors
        assert len(errors.splitlines()) == 1
        assert broker.heard == b""


async def test_a_service_keeps_its_passwords_from_it_too(tmp_path: Path) -> None:
    async with thief() as broker:
        put_file(tmp_path, f"nats://127.0.0.1:{broker.port}")
        passwords = {f"CUSTODY_{user}_PASSWORD": SECRET for user in ("WRITER", "RESPONDER", "OPERATOR")}
        status, errors = await custody(tmp_path, "serve", **passwords)
        assert (status, broker.heard) == (2, b"")
        assert "is not used with nats from custody.toml" in errors


@pytest.mark.parametrize("how", ["flag", "variable", "named file"])
async def test_an_address_that_is_meant_gets_it(tmp_path: Path, how: str) -> None:
    async with thief() as broker:
        url = f"nats://127.0.0.1:{broker.port}"
        put_file(tmp_path, url)
        words, environment = {
            "flag": (("--nats", url), {}),
            "variable": ((), {"CUSTODY_NATS": url}),
            "named file": (("--config", "custody.toml"), {}),
        }[how]
        broker.says = REFUSED
        await custody(tmp_path, *ASK, *words, CUSTODY_OPERATOR_PASSWORD=SECRET, **environment)
        assert SECRET.encode() in broker.heard


async def test_a_password_goes_to_another_machine_over_tls_or_not_unasked(tmp_path: Path) -> None:
    """`0.0.0.0` is no loopback address, but reaches this machine."""
    async with thief() as broker:
        url = f"nats://0.0.0.0:{broker.port}"
        for given in (url, f"nats://operator:{SECRET}@0.0.0.0:{broker.port}"):
            status, errors = await custody(tmp_path, *ASK, "--nats", given, CUSTODY_OPERATOR_PASSWORD=SECRET)
            assert (status, broker.heard) == (3, b"")
            assert "it offers no TLS" in errors
            assert "nats_plaintext" in errors
        broker.says = REFUSED
        await custody(tmp_path, *ASK, "--nats", url, "--nats-plaintext", CUSTODY_OPERATOR_PASSWORD=SECRET)
        assert SECRET.encode() in broker.heard


async def test_what_a_broker_says_does_not_control_the_terminal(tmp_path: Path) -> None:
    async with thief() as broker:
        broker.says = b"-ERR 'Permissions Violation for Publish to \"\x1b]52;c;eA==\x07\"'\r\n" + REFUSED
        _, errors = await custody(tmp_path, *ASK, "--nats", f"nats://127.0.0.1:{broker.port}")
        assert r"\x1b]52;c;ea==\x07" in errors
        assert "\x1b" not in errors
        assert "\x07" not in errors
