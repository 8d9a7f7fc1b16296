"""One run of a command: its settings, its connection, its output, and what its errors mean to a shell."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.framework.making import takes
from infra.cli.terminal.output import Output, complain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from infra.export.export_file import ExportReader
    from infra.nats import NatsConnection, NatsEventLog
    from infra.nats.contract_client import CustodyClient
    from infra.settings.settings import Settings

EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_NO_SERVICE = 3
EXIT_INTERRUPTED = 130
_SLACK_S = 2.0
_PANEL = "Connection"
CONNECTION = (
    "nats", "pool", "config", "data_dir", "nats_user", "nats_password", "nats_token", "nats_creds", "nats_nkey",
    "nats_ca", "nats_cert", "nats_key",
)  # fmt: skip
"""The settings that every client command takes as flags."""


class CommandError(Exception):
    """A command cannot do what it was asked; one line says why. The exit status is 1."""


@dataclass(slots=True)
class Session:
    """What a command works with."""

    settings: Settings
    out: Output
    timeout_s: float
    export: ExportReader | None = None
    """The file to read instead of the log at the broker; the settings name its pool."""

    @contextlib.asynccontextmanager
    async def connected(self, inbox_prefix: str = "_INBOX", user: str = "operator") -> AsyncIterator[NatsConnection]:
        """A connection to the broker, as its operator, or as its `user`, unless the settings name somebody else.

        Raises:
            CredentialsError: a file with credentials cannot be used.
            BrokerUnavailableError: no broker, or it refuses the credentials.
        """
        from infra.cli.session.broker_access import find_access, refuses
        from infra.nats import BrokerUnavailableError, connect, without_password

        access = find_access(self.settings, user)
        access.auth.check()
        if await refuses(access.url):
            looked = f" (none runs on {self.settings.data_dir})" if access.guessed else ""
            address = without_password(access.url)
            raise BrokerUnavailableError(f"cannot use the broker at {address}: connection refused{looked}")
        connection = await connect(
            access.url, name="custody-cli", auth=access.auth, inbox_prefix=inbox_prefix, deadline_s=self.timeout_s
        )
        connection.violated.add(lambda violation: complain(f"not allowed: {violation.operation} {violation.subject}"))
        try:
            yield connection
        finally:
            await connection.close()

    @contextlib.asynccontextmanager
    async def reading(self, user: str = "operator") -> AsyncIterator[NatsConnection]:
        """As `connected`, to read a log: a data directory that nobody serves gets a broker while this lasts."""
        async with self._unserved(user, empty=False) as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def restoring(self) -> AsyncIterator[NatsConnection]:
        """As `reading`, for who brings a log back: an empty data directory gets a broker, too."""
        async with self._unserved("writer", empty=True) as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def _unserved(self, user: str, *, empty: bool) -> AsyncIterator[NatsConnection]:
        from infra.cli.session.unserved import UnservedError, broker_on_unserved

        try:
            async with broker_on_unserved(self.settings, empty=empty), self.connected(user=user) as connection:
                yield connection
        except UnservedError as error:
            raise CommandError(str(error)) from None

    @contextlib.asynccontextmanager
    async def client(self, agent: str | None = None) -> AsyncIterator[CustodyClient]:
        """A client of the pool; with an agent's name, one that the agent's own credentials allow."""
        from infra.nats.contract_client import CustodyClient

        async with self.connected(f"_INBOX.{agent}" if agent else "_INBOX") as connection:
            yield CustodyClient(connection.client, self.settings.pool)

    @contextlib.asynccontextmanager
    async def log(self, *, live: bool = False) -> AsyncIterator[NatsEventLog]:
        """The pool's log, for reading; `live`: only where it can still grow.

        Raises:
            CommandError: the pool has none.
        """
        from infra.nats import NatsEventLog

        async with self.connected() if live else self.reading() as connection:
            await stream_info(connection, self.settings.pool)
            log = await NatsEventLog.open(connection, self.settings.pool, request_timeout_s=self.timeout_s)
            try:
                yield log
            finally:
                await log.close()


async def stream_info(connection: NatsConnection, pool: str) -> dict[str, Any]:
    """Return what the broker says of the pool's stream.

    Raises:
        CommandError: there is no such stream.
    """
    from infra.nats import stream_name
    from infra.nats.api import JetStreamApi
    from infra.nats.jetstream_errors import ApiError

    try:
        info = await JetStreamApi(connection).stream_info(stream_name(pool))
    except ApiError as error:
        raise CommandError(str(error)) from None
    if info is None:
        raise CommandError(f"pool {pool} has no log at {connection.url}")
    return info


def connected(function: Callable[..., Awaitable[None]], *, reads_files: bool = False) -> Callable[..., None]:
    """Make a command of an async function that takes a `session`: it gets the connection's options as well.

    `reads_files`: and the option to read a file that was exported instead of the log at the broker.
    """
    from infra.cli.session.files import file_option, read_from

    own = [each for each in inspect.signature(function, eval_str=True).parameters.values() if each.name != "session"]

    def command(**values: Any) -> None:
        given = {name: values.pop(name) for name in CONNECTION}
        as_json, timeout_s = values.pop("json_"), values.pop("timeout")
        file = values.pop("file") if reads_files else None

        async def run() -> None:
            settings = load(given)
            wait_s = timeout_s if timeout_s is not None else settings.reply_timeout_s + _SLACK_S
            session = Session(settings, Output(as_json=as_json, now=datetime.now(UTC)), wait_s)
            if file is not None:
                read_from(session, file, given)
            await function(session, **values)

        run_command(run, as_json=as_json)

    keyword_only = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
    takes(command, [*keyword_only, *([file_option()] if reads_files else []), *_common()])
    command.__doc__ = function.__doc__
    return command


def _common() -> list[inspect.Parameter]:
    from infra.cli.framework.options import options_of
    from infra.settings.settings import Settings

    specs = {spec.parameter: spec for spec in options_of(Settings, panel=_PANEL)}
    json_option = typer.Option("--json", help="Print JSON: the exact reply, or one line for each event.")
    timeout_option = typer.Option(
        "--timeout",
        min=0.1,
        max=3600,
        help="Seconds to wait for the broker and for a reply. Default: 2 more than reply_timeout_s",
        show_default=False,
        rich_help_panel=_PANEL,
    )
    kind = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter("json_", kind, default=False, annotation=Annotated[bool, json_option]),
        *(specs[name].to_parameter() for name in CONNECTION),
        inspect.Parameter("timeout", kind, default=None, annotation=Annotated[float | None, timeout_option]),
    ]


def load(flags: dict[str, Any]) -> Settings:
    """Return the settings; raises SettingsError."""
    from infra.settings.loading import load_settings

    return load_settings(flags).settings


def run_command(run: Callable[[], Awaitable[None]], *, as_json: bool = False) -> None:
    """Run a command to its end and turn what went wrong into one line and an exit status.

    1: refused, or wrong input; 2: wrong usage or settings; 3: no service or no broker.
    """
    from handlers.ports import LogError
    from infra.broker.data_dir import DataDirError
    from infra.export.export_file import ExportFileError
    from infra.nats.broker_errors import BrokerError, BrokerUnavailableError, TurnedAwayError
    from infra.nats.contract_client import CustodyRefusedError, NoReplyError, NoServiceError
    from infra.settings.sources import SettingsError

    try:
        asyncio.run(_awaited(run))
    except CustodyRefusedError as refused:
        if as_json:
            print(json.dumps(refused.reply), flush=True)
        complain(f"{refused.code}: {refused.message}{_fields(refused.code, refused.details)}")
        raise typer.Exit(EXIT_REFUSED) from None
    except SettingsError as error:
        for line in str(error).splitlines():
            complain(line)
        raise typer.Exit(EXIT_USAGE) from None
    except (NoServiceError, NoReplyError, LogError) as error:
        complain(str(error))
        raise typer.Exit(EXIT_NO_SERVICE) from None
    except BrokerUnavailableError as error:
        advice = "" if isinstance(error, TurnedAwayError) else "; start one with `custody up`, or name one with --nats"
        complain(f"{error}{advice}")
        raise typer.Exit(EXIT_NO_SERVICE) from None
    except (CommandError, BrokerError, DataDirError, ExportFileError) as error:
        complain(str(error))
        raise typer.Exit(EXIT_REFUSED) from None
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        # The reader went, as `head` does. What is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None


async def _awaited(run: Callable[[], Awaitable[None]]) -> None:
    await run()


def _fields(code: str, details: dict[str, Any]) -> str:
    """Return a refusal's details for the end of its line; those of an invalid command are in its message."""
    if not details or code == "invalid_command":
        return ""
    shown = (f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in details.items())
    return f" ({', '.join(shown)})"
