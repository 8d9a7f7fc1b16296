"""A command made of a function that takes the settings: each setting that it uses is an option of it."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.framework.options import options_from_model
from infra.cli.framework.typer_command import set_parameters
from infra.cli.terminal.output import print_error
from infra.host.shell import EXIT_USAGE
from infra.settings.loading import load_settings
from infra.settings.settings import GROUPS, BrokerSettings, Settings
from infra.settings.sources import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_FIRST = frozenset({"config", "pool", "nats", "data_dir", "broker_port", "dashboard_port", "log_level"})
"""The settings that `--help` shows; each of the others belongs to the topic of its group."""
_OF_CLIENTS = frozenset(
    name for name in BrokerSettings.model_fields if name.startswith("nats") or name.endswith("_password")
)
_UNUSED = {
    "serve": frozenset(name for name in BrokerSettings.model_fields if name.startswith("broker_")) | {"dashboard_port"},
    "up": _OF_CLIENTS,
    "demo": _OF_CLIENTS | {"broker_port", "broker_strict_inboxes", "dashboard_port"},
}
"""Settings that a command does not use, so that they are no options of it: the broker runs already, or is its own."""
NewLogOption = Annotated[
    bool,
    typer.Option(
        "--new-log", help="Open a new log, or serve the one that is there, though another one was served before."
    ),
]
AcceptLossOption = Annotated[
    bool,
    typer.Option(
        "--accept-loss",
        help="Serve, once, a log that lost its tail or is an older copy: its lost positions are filled, so that no "
        "token comes twice.",
    ),
]


def settings_command(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command's function for a function that takes the loaded settings, with an option for each that it uses.

    What it does not use may still be in the environment and in the configuration file, which commands share.
    """
    own = [each for each in inspect.signature(function, eval_str=True).parameters.values() if each.name != "loaded"]
    specs = [spec for spec in options_from_model(Settings, as_named=True) if spec.parameter == "config"]
    for group in GROUPS:
        specs += options_from_model(group, panel=(group.__doc__ or "").removesuffix("."), as_named=True)

    unused = _UNUSED.get(function.__name__, frozenset[str]())
    specs = [
        replace(spec, panel=None) if spec.parameter in _FIRST else spec
        for spec in specs
        if spec.parameter not in unused
    ]

    def command(**values: Any) -> None:
        flags = {spec.parameter: values.pop(spec.parameter) for spec in specs}
        try:
            loaded = load_settings(flags)
        except SettingsError as error:
            for line in str(error).splitlines():
                print_error(line)
            raise typer.Exit(EXIT_USAGE) from None
        function(loaded, **values)

    keyword_only = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
    set_parameters(command, [*keyword_only, *(spec.to_parameter() for spec in specs)])
    command.__doc__ = function.__doc__
    return command


def run_to_end(work: Coroutine[Any, Any, int]) -> int:
    """Run a service to its end, on uvloop where it is installed; return its exit status."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
