"""The sources of settings besides the flags: the environment and one file."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from pydantic import SecretStr
from pydantic_settings import EnvSettingsSource, InitSettingsSource, TomlConfigSettingsSource

from infra.host.small_files import check_owner, check_secret

if TYPE_CHECKING:
    from collections.abc import Collection

    from pydantic_settings import BaseSettings

ENV_PREFIX: Final = "CUSTODY_"
CONFIG_FILE: Final = Path("custody.toml")
OTHER_VARIABLES: Final = frozenset(
    {
        "CUSTODY_KEY_PASSPHRASE",  # `custody checkpoint` reads it
        "CUSTODY_BROKER_STORE", "CUSTODY_NATS_IMAGE",  # infra/broker/custody.conf and docker-compose.yml
        "CUSTODY_REQUIRE_BROWSER", "CUSTODY_REQUIRE_DOCKER", "CUSTODY_REQUIRE_NODE",  # the tests
        "CUSTODY_REQUIRE_POSTGRES",
        "CUSTODY_REQUIRE_PROMTOOL",
        "CUSTODY_MODEL_EXAMPLES", "CUSTODY_WRITER_EXAMPLES",
        # What workers read, and what `custody-worker exec` tells a program, which may call `custody` in turn.
        "CUSTODY_AGENT", "CUSTODY_CAPABILITIES", "CUSTODY_CREDENTIALS", "CUSTODY_MCP_TOKEN", "CUSTODY_SLOTS",
        "CUSTODY_ATTEMPT", "CUSTODY_CHECKPOINT", "CUSTODY_HANDOFF", "CUSTODY_PAYLOAD", "CUSTODY_TASK_FILE",
        "CUSTODY_TASK_ID", "CUSTODY_TITLE", "CUSTODY_TOKEN",
    }
)  # fmt: skip
"""Variables with the settings' prefix that are no settings."""
_OF_SERVICES: Final = re.compile(
    r"CUSTODY_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?)?)", re.ASCII
)
"""Variables that Kubernetes sets in every container beside a service whose name begins with `custody`."""


class SettingsError(Exception):
    """Settings are unusable. Each line of the message names one, its source and what is allowed."""


class FlagsSource(InitSettingsSource):
    """The constructor's arguments."""

    def __repr__(self) -> str:
        return "flags"


class FileSource(TomlConfigSettingsSource):
    """One TOML file. It cannot name another configuration file."""

    def __call__(self) -> dict[str, Any]:
        """Return the file's settings.

        Raises:
            SettingsError: it names a configuration file, or holds a password that other users can read.
        """
        found: dict[str, Any] = super().__call__()
        path = self.toml_file_path
        if "config" in found:
            raise SettingsError(f"config from {path}: not allowed in the file itself")
        if isinstance(path, Path) and any(_is_secret(self.settings_cls, name, found[name]) for name in found):
            check_secret(path, path.stat(), SettingsError)
        return found


def _is_secret(settings_class: type[BaseSettings], name: str, value: object) -> bool:
    """Return whether a setting is a password or a token, or an address that has one in it."""
    field = settings_class.model_fields.get(name)
    is_secret = field is not None and SecretStr in (field.annotation, *get_args(field.annotation))
    return is_secret or (name == "nats" and "@" in str(value))


def environment_source(settings_class: type[BaseSettings]) -> EnvSettingsSource:
    """The environment's `CUSTODY_*` variables; an empty one counts as not set."""
    return EnvSettingsSource(settings_class, env_prefix=ENV_PREFIX, env_ignore_empty=True)


def file_source(settings_class: type[BaseSettings], *above: dict[str, Any]) -> FileSource:
    """The configuration file that the sources before it name, else `custody.toml` in the working directory.

    Raises:
        SettingsError: the named file does not exist, or the file is not TOML or could be another user's.
    """
    named = next((layer["config"] for layer in above if layer.get("config")), None)
    path = CONFIG_FILE if named is None else Path(named).expanduser()
    if named is not None and not path.is_file():
        raise SettingsError(f"config: there is no file {path}")
    try:
        if path.is_file():
            check_owner(path, path.stat(), SettingsError)
        return FileSource(settings_class, toml_file=path)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: not TOML: {error}") from None


def unknown_variables(names: Collection[str]) -> list[str]:
    """Return a line for each variable of the environment that looks like a setting and is none of these names."""
    known = {f"{ENV_PREFIX}{name.upper()}" for name in names}
    problems = []
    for variable in sorted(os.environ):
        name = variable.upper()
        if not name.startswith(ENV_PREFIX) or name in known | OTHER_VARIABLES or _OF_SERVICES.fullmatch(name):
            continue
        # The prefix is alike in any case, and would make anything similar.
        tails = sorted(each.removeprefix(ENV_PREFIX) for each in known | OTHER_VARIABLES)
        close = difflib.get_close_matches(name.removeprefix(ENV_PREFIX), tails, n=1)
        problems.append(f"{variable}: unknown setting{f'; did you mean {ENV_PREFIX}{close[0]}?' if close else ''}")
    return problems
