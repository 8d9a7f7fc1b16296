"""The configuration of `custody notify`: one TOML file, checked whole, with errors that say what is wrong and where."""

from __future__ import annotations

import difflib
import ipaddress
import re
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from domain.events import EVENT_TYPES
from domain.json_values import plain_message
from domain.limits import NAME_PATTERN
from handlers.notifier.subscription import fits
from infra.host.small_files import check_owner
from projections.live.attention import KINDS as NEEDS

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = tuple(f"{each.entity.value}.{each.name}" for each in EVENT_TYPES.values())
"""The kinds of event, such as `task.completed`."""
_LONGEST_FILE_BYTES = 1024 * 1024
LEAST_BODY_BYTES = 4096
"""Enough for what names a message in the form `standard`, whatever is escaped in it."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class NotifyConfigError(Exception):
    """The configuration cannot be used. Each line of the message names one fault, and where it is."""


class Form(StrEnum):
    """The form in which an endpoint takes messages."""

    STANDARD = "standard"
    """JSON, signed as Standard Webhooks says: for programs."""
    SLACK = "slack"
    DISCORD = "discord"
    TEAMS = "teams"
    """An adaptive card, as the webhooks of Microsoft Teams take it."""


def _known_kinds(patterns: tuple[str, ...]) -> tuple[str, ...]:
    return _known(patterns, KINDS, "kind of event")


def _known_needs(patterns: tuple[str, ...]) -> tuple[str, ...]:
    return _known(patterns, NEEDS, "kind of need")


def _known(patterns: tuple[str, ...], known: Sequence[str], what: str) -> tuple[str, ...]:
    for pattern in patterns:
        if not any(fits((pattern,), each) for each in known):
            close = difflib.get_close_matches(pattern, known, n=1)
            raise ValueError(f"no {what} fits {pattern!r}{f'; did you mean {close[0]}?' if close else ''}")
    return patterns


def _variable(name: str) -> str:
    if _VARIABLE.fullmatch(name) is None:
        raise ValueError("must be the name of a variable of the environment")
    if name.upper().startswith("CUSTODY_"):
        raise ValueError("must not begin with CUSTODY_, as settings do")
    return name


def _web_address(url: str) -> str:
    check_url(url)
    return url


_Patterns = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=128)], ...], Field(max_length=100)]
_Variable = Annotated[str, AfterValidator(_variable)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class EndpointConfig(_Section):
    """One endpoint."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    """Its name: its place in the queue is kept by it."""
    url: str | None = None
    """Its address; `url_env` or `url_file` where the address is a secret, as that of a chat tool is."""
    url_env: _Variable | None = None
    """The variable of the environment with its address."""
    url_file: Path | None = None
    """The file with its address."""
    form: Form = Form.STANDARD
    """`standard`, `slack`, `discord` or `teams`."""
    secret_env: _Variable | None = None
    """The variable of the environment with the secrets that sign, separated by blanks: each `whsec_` and base64."""
    secret_file: Path | None = None
    """The file with the secrets that sign, one a line; with several, each signs, so that one can be replaced."""
    events: Annotated[_Patterns, AfterValidator(_known_kinds)] = ()
    """Kinds of event, such as `task.quarantined` or `agent.*`."""
    needs: Annotated[_Patterns, AfterValidator(_known_needs)] = ()
    """Kinds of need, such as `blocked`, or `*`."""
    resolved: bool = False
    """Tell the end of a need, too."""
    settle_s: Annotated[float, Field(ge=0, le=86_400)] = 5.0
    """Tell a need only after it was open for so long, and its end only after it was over for so long."""
    labels: _Patterns = ()
    """Only what concerns a task with such a label."""
    agents: _Patterns = ()
    """Only what concerns such an agent."""
    parallel: Annotated[int, Field(ge=1, le=16)] = 1
    """Posts at a time; with more than one, messages may overtake each other."""
    rate_per_s: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Posts begun in a second, at most; absent: 10, and 1 for chat tools."""
    timeout_s: Annotated[float, Field(ge=0.1, le=120)] = 15.0
    """How long a post may take."""
    max_age_s: Annotated[float, Field(ge=1, le=30 * 86_400)] = 86_400.0
    """What happened longer ago is not sent any more: it becomes a dead letter."""
    max_body_bytes: Annotated[int, Field(ge=LEAST_BODY_BYTES, le=1024 * 1024)] = 64 * 1024
    """Form standard: a larger message leaves the event's own fields out."""
    allow_http: bool = False
    """Send without TLS to another machine, too."""
    ca_file: Path | None = None
    """Certificates of the authorities that are believed, instead of the system's."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if sum(each is not None for each in (self.url, self.url_env, self.url_file)) != 1:
            raise ValueError("needs its address: one of url, url_env and url_file")
        if self.url is not None:
            check_url(self.url, allow_http=self.allow_http)
        if self.secret_env is not None and self.secret_file is not None:
            raise ValueError("has secret_env and secret_file: give one of them")
        if self.form is Form.STANDARD and self.secret_env is None and self.secret_file is None:
            raise ValueError("needs secret_env or secret_file: messages of the form standard are signed")
        if not self.events and not self.needs:
            raise ValueError("wants nothing: give events or needs")
        return self

    @property
    def rate(self) -> float:
        """Posts begun in a second, at most."""
        if self.rate_per_s is not None:
            return self.rate_per_s
        return 10.0 if self.form is Form.STANDARD else 1.0


class NotifyConfig(_Section):
    """The whole file. A relative path in it begins at its directory."""

    state_file: Path = Path("custody-notify.db")
    """Where the queue, the positions and the dead letters are kept."""
    dashboard_url: Annotated[str, AfterValidator(_web_address)] | None = None
    """The dashboard's address: messages link to it."""
    proxy: Annotated[str, AfterValidator(_web_address)] | None = None
    """An HTTP proxy for all posts; none is taken from the environment."""
    endpoint: Annotated[tuple[EndpointConfig, ...], Field(max_length=100)] = ()
    """The endpoints."""

    @model_validator(mode="after")
    def _endpoints_differ(self) -> Self:
        if not self.endpoint:
            raise ValueError("no endpoint: give at least one [[endpoint]]")
        names = [each.name for each in self.endpoint]
        twice = next((each for each in names if names.count(each) > 1), None)
        if twice is not None:
            raise ValueError(f"two endpoints are called {twice}")
        return self


def load_config(path: Path) -> NotifyConfig:
    """Return the configuration in a file, with its paths made absolute.

    Raises:
        NotifyConfigError: it cannot be read, is not TOML, or says something that cannot be used.
    """
    try:
        check_owner(path, path.stat(), NotifyConfigError)
        with path.open("rb") as file:
            content = file.read(_LONGEST_FILE_BYTES)
        values = tomllib.loads(content.decode())
    except OSError as error:
        raise NotifyConfigError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise NotifyConfigError(f"{path}: not TOML: {error}") from None
    try:
        config = NotifyConfig.model_validate(values)
    except ValidationError as error:
        faults = [_fault(each, values) for each in error.errors(include_url=False)]
        raise NotifyConfigError("\n".join(f"{path}: {each}" for each in faults)) from None
    return _with_absolute_paths(config, path.absolute().parent)


def check_url(url: str, *, allow_http: bool = True) -> None:
    """Raise ValueError unless a URL can be posted to: HTTPS, or HTTP to this machine or where that is allowed.

    The message does not repeat the URL, which may be a secret.
    """
    if not url.isprintable() or " " in url:
        raise ValueError("must be a URL without blanks and control characters")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"must be a URL: {str(error).replace(url, 'it')}") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError("must begin with https:// or http:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or password")
    if parts.fragment:
        raise ValueError("must not hold a fragment (#)")
    if parts.scheme == "http" and not allow_http and not _is_loopback(host):
        raise ValueError(
            "must begin with https://: without TLS only this machine is posted to, unless allow_http says so"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _with_absolute_paths(config: NotifyConfig, directory: Path) -> NotifyConfig:
    def absolute(path: Path | None) -> Path | None:
        return None if path is None else directory / path.expanduser()

    endpoints = tuple(
        each.model_copy(update={name: absolute(getattr(each, name)) for name in ("url_file", "secret_file", "ca_file")})
        for each in config.endpoint
    )
    return config.model_copy(update={"state_file": absolute(config.state_file), "endpoint": endpoints})


def _fault(error: Any, values: dict[str, Any]) -> str:
    """Return one fault in words: where it is, and what."""
    where, model = _where(error["loc"], values)
    if error["type"] == "extra_forbidden":
        name = str(error["loc"][-1])
        close = difflib.get_close_matches(name, model.model_fields, n=1)
        return f"{where}: unknown key{f'; did you mean {close[0]}?' if close else ''}"
    message = plain_message(error["msg"])
    return f"{where}: {message}" if where else message


def _where(loc: tuple[Any, ...], values: dict[str, Any]) -> tuple[str, type[BaseModel]]:
    """Return a fault's place, such as `endpoint 2 (oncall): url`, and the model of its section."""
    if len(loc) > 1 and loc[0] == "endpoint" and isinstance(loc[1], int):
        found = values["endpoint"][loc[1]]
        name = found.get("name") if isinstance(found, dict) else None
        named = f" ({name})" if isinstance(name, str) else ""
        rest = ".".join(str(each) for each in loc[2:])
        return f"endpoint {loc[1] + 1}{named}{f': {rest}' if rest else ''}", EndpointConfig
    return ".".join(str(each) for each in loc), NotifyConfig
