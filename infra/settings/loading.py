"""Loading the settings: the values in force, the source of each, and errors in plain words."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import SecretStr, ValidationError

from domain.json_values import plain_message
from infra.settings.rule_settings import check_rule
from infra.settings.settings import FORGIVING, Settings
from infra.settings.sources import (
    CONFIG_FILE,
    ENV_PREFIX,
    SettingsError,
    environment_source,
    file_source,
    unknown_variables,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_MASK = "********"
_ALLOWED = "Input should be "
_WORD = re.compile(r"\w+")
_USERINFO = re.compile(r"(?<=//)[^/@,]*@")
_SECRETS = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)} | {"nats"}


class Origin(NamedTuple):
    """Where a setting's value came from."""

    kind: str
    """`flag`, `environment`, `file` or `default`."""
    name: str
    """The flag, the variable or the file; empty for a default."""
    unusable: bool = False
    """The source's value is unusable, so the default is in force."""

    def __str__(self) -> str:
        if self.kind == "default":
            return "default"
        return f"default ({self.name} is unusable)" if self.unusable else self.name


class LoadedSettings(NamedTuple):
    """The settings in force and the origin of each."""

    settings: Settings
    origins: dict[str, Origin]

    def shown(self) -> dict[str, Any]:
        """Return every setting's value as JSON has it; secrets are masked."""
        dumped = self.settings.model_dump(mode="json")
        if self.settings.nats is not None:
            dumped["nats"] = _USERINFO.sub(f"{_MASK}@", self.settings.nats)
        return {name: _MASK if isinstance(getattr(self.settings, name), SecretStr) else dumped[name] for name in dumped}


def load_settings(flags: Mapping[str, Any] | None = None) -> LoadedSettings:
    """Read the settings: `flags` (those that are not None), the environment, the configuration file, the defaults.

    Raises:
        SettingsError: one is unusable or unknown, or two contradict each other.
    """
    unknown = unknown_variables(Settings.model_fields.keys())
    if unknown:
        raise SettingsError("\n".join(unknown))
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    origins: dict[str, Origin] = {}
    raw: dict[str, Any] = {}
    for layer, values in reversed(_layers(given)):
        raw.update(values)
        origins.update({name: _origin(layer, name) for name in values})
    try:
        settings = Settings(**given)
    except ValidationError as error:
        raise SettingsError("\n".join(_message_of(each, origins) for each in error.errors())) from None
    for name in FORGIVING & raw.keys():
        if not _took_effect(raw[name], getattr(settings, name)):
            origins[name] = origins[name]._replace(unusable=True)
    default = Origin("default", "")
    return LoadedSettings(settings, {name: origins.get(name, default) for name in Settings.model_fields})


def with_changes(settings: Settings, changes: Mapping[str, Any], source: str) -> Settings:
    """Return the settings with some of them changed and all of them checked; an unusable value is always an error.

    `source` names the origin of the changes.

    Raises:
        SettingsError: one is unusable or unknown, or two contradict each other.
    """
    origins = dict.fromkeys(changes, Origin("file", source))
    problems = []
    for name in FORGIVING & changes.keys():
        try:
            check_rule(name, changes[name])
        except ValueError as error:
            problems.append(f"{name} from {source}: {changes[name]!r}: {error}")
    if problems:
        raise SettingsError("\n".join(problems))
    kept = {name: getattr(settings, name) for name in Settings.model_fields}
    try:
        return Settings(**{**kept, **changes})
    except ValidationError as error:
        raise SettingsError("\n".join(_message_of(each, origins) for each in error.errors())) from None


def _layers(given: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the sources' raw values, in descending priority."""
    environment = environment_source(Settings)()
    file = file_source(Settings, given, environment)
    return [("", given), (ENV_PREFIX, environment), (str(file.toml_file_path or CONFIG_FILE), file())]


def _origin(layer: str, name: str) -> Origin:
    if not layer:
        return Origin("flag", f"--{name.replace('_', '-')}")
    return Origin("environment", f"{ENV_PREFIX}{name.upper()}") if layer == ENV_PREFIX else Origin("file", layer)


def _took_effect(raw: Any, value: float) -> bool:
    try:
        return not isinstance(raw, bool) and float(raw) == value
    except (TypeError, ValueError):
        return False


def _message_of(error: Any, origins: Mapping[str, Origin]) -> str:
    message = plain_message(str(error["msg"]))
    if not error["loc"]:
        named = [f"{name} from {origins[name]}" for name in dict.fromkeys(_WORD.findall(message)) if name in origins]
        return f"{message} ({', '.join(named)})" if named else message
    name = str(error["loc"][0])
    origin = origins.get(name, "default")
    if error["type"] == "extra_forbidden" and isinstance(error["input"], dict):
        return f"{name} from {origin}: settings are not in tables; write each by its whole name, such as lease_s = 60"
    if error["type"] == "extra_forbidden":
        close = difflib.get_close_matches(name, Settings.model_fields, n=1)
        return f"{name} from {origin}: unknown setting{f'; did you mean {close[0]}?' if close else ''}"
    if error["type"] == "string_pattern_mismatch" and name == "pool":
        message = "Input should be 1 to 64 letters, digits, _ or -"
    value = "it" if name in _SECRETS else repr(error["input"])
    if message.startswith(_ALLOWED):
        return f"{name} from {origin}: {value} should be {message.removeprefix(_ALLOWED)}"
    return f"{name} from {origin}: {value}: {message}"
