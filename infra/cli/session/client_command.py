"""A client command made of an async function: its options, its session, and its errors as exit statuses."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.framework.typer_command import set_parameters
from infra.cli.session.command_error import CommandError, RefusedError
from infra.cli.session.session import Session
from infra.cli.terminal.output import Output, print_error
from infra.host.printable import printable
from infra.host.shell import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_NO_SERVICE, EXIT_USAGE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

_SLACK_S = 2.0
_PANEL = "Connection"
_CONNECTION = (
    "nats", "pool", "config", "data_dir", "nats_user", "nats_password", "nats_token", "nats_creds", "nats_nkey",
    "nats_ca", "nats_cert", "nats_key", "nats_plaintext", "nats_inbox_prefix",
)  # fmt: skip
"""The settings that every client command takes as options."""

_FILE = inspect.Parameter(
    "file",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[
        Path | None,
        typer.Option("--file", help="Read this export instead of the log at the broker.", show_default=False),
    ],
)


def client_command(
    function: Callable[..., Awaitable[None]],
    *,
    reads_exports: bool = False,
    own_config: bool = False,
    more_settings: Sequence[str] = (),
) -> Callable[..., None]:
    """Return a command's function for an async function that takes a `session`, with the connection's options added.

    `reads_exports`: `--file` is added, too, to read an exported log instead of the one at the broker. `own_config`: the
    command's `--config` is a file of its own, and the settings' file is named by CUSTODY_CONFIG alone. `more_settings`
    are options, too.
    """
    connection = tuple(name for name in _CONNECTION if name != "config" or not own_config)
    own = [each for each in inspect.signature(function, eval_str=True).parameters.values() if each.name != "session"]

    def command(**values: Any) -> None:
        flags = {name: values.pop(name) for name in (*connection, *more_settings)}
        as_json, timeout_s = values.pop("json_"), values.pop("timeout")
        file = values.pop("file") if reads_exports else None

        async def run() -> None:
            from infra.settings.loading import load_settings

            settings, origins = load_settings(flags)
            wait_s = timeout_s if timeout_s is not None else settings.reply_timeout_s + _SLACK_S
            session = Session(settings, Output(as_json=as_json, now=datetime.now(UTC)), wait_s, origins)
            if file is not None:
                from infra.cli.session.export_option import read_export

                read_export(session, file, flags)
            await function(session, **values)

        _run(run, as_json=as_json)

    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
    if reads_exports:
        parameters.append(_FILE)
    if more_settings:
        parameters += _setting_parameters(more_settings)
    set_parameters(command, [*parameters, *_connection_parameters(connection)])
    command.__doc__ = function.__doc__
    return command


def _connection_parameters(names: Sequence[str]) -> list[inspect.Parameter]:
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
        *_setting_parameters(names, panel=_PANEL),
        inspect.Parameter("timeout", kind, default=None, annotation=Annotated[float | None, timeout_option]),
    ]


def _setting_parameters(names: Sequence[str], *, panel: str | None = None) -> list[inspect.Parameter]:
    """Return the options of settings."""
    from infra.cli.framework.options import options_from_model
    from infra.settings.settings import Settings

    specs = {spec.parameter: spec for spec in options_from_model(Settings, panel=panel, as_named=True)}
    return [specs[name].to_parameter() for name in names]


def _print_warnings_safely() -> None:
    """Have warnings, such as of what a broker says, printed as errors are."""
    if logging.lastResort is not None:
        logging.lastResort.addFilter(_make_printable)


def _make_printable(record: logging.LogRecord) -> bool:
    record.msg, record.args = printable(record.getMessage()), ()
    return True


def _run(run: Callable[[], Coroutine[Any, Any, None]], *, as_json: bool) -> None:
    """Run a command to its end; turn an error into one line on standard error and an exit status."""
    from handlers.ports import LogError
    from infra.broker.data_dir import DataDirError
    from infra.export.export_error import ExportFileError
    from infra.nats.broker_errors import BrokerError, BrokerUnavailableError, CredentialsRefusedError
    from infra.nats.contract_client import NoReplyError, NoServiceError
    from infra.settings.sources import SettingsError

    _print_warnings_safely()
    try:
        asyncio.run(run())
    except RefusedError as refused:
        if as_json:
            print(json.dumps(refused.reply), flush=True)
        print_error(str(refused))
        raise typer.Exit(EXIT_FAILED) from None
    except SettingsError as error:
        for line in str(error).splitlines():
            print_error(line)
        raise typer.Exit(EXIT_USAGE) from None
    except (NoServiceError, NoReplyError, LogError, CredentialsRefusedError) as error:
        print_error(str(error))
        raise typer.Exit(EXIT_NO_SERVICE) from None
    except BrokerUnavailableError as error:
        print_error(f"{error}; start one with `custody up`, or name one with --nats")
        raise typer.Exit(EXIT_NO_SERVICE) from None
    except (CommandError, BrokerError, DataDirError, ExportFileError) as error:
        print_error(str(error))
        raise typer.Exit(EXIT_FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except BrokenPipeError:
        # The reader closed the pipe, as `head` does. What is still buffered is dropped.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
