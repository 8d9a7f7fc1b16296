"""The sources of settings besides the flags: the environment and one file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic_settings import EnvSettingsSource, InitSettingsSource, TomlConfigSettingsSource

from infra.host.small_files import check_owner

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings

ENV_PREFIX: Final = "CUSTODY_"
CONFIG_FILE: Final = Path("custody.toml")


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
            SettingsError: it names a configuration file.
        """
        found: dict[str, Any] = super().__call__()
        if "config" in found:
            raise SettingsError(f"config from {self.toml_file_path}: not allowed in the file itself")
        return found


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
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None
