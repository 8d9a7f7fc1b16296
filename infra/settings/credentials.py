"""The credentials that the service and its tools connect with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from infra.nats.auth import Auth, Tls
from infra.settings.sources import SettingsError
from infra.settings.trust import misrouted, trust_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import SecretStr

    from infra.settings.loading import Origin
    from infra.settings.settings import Settings

_PLACE = "{user}"
_PASSWORDS = {"writer": "writer_password", "responder": "responder_password", "operator": "operator_password"}


def auth_for(settings: Settings, user: str) -> Auth:
    """Return the credentials for a purpose: `writer`, `responder` or `operator`.

    A user, a token or a file in the settings is used for every purpose; else the purpose's own password; else no
    credentials, for a broker that needs none. A file whose name contains `{user}` is one for each purpose.
    """
    given = Auth(
        tls=_tls(settings, user), plaintext=settings.nats_plaintext, inbox_prefix=_inbox_prefix(settings, user)
    )
    if settings.nats_user is not None:
        password = settings.nats_password.get_secret_value() if settings.nats_password else None
        return replace(given, user=settings.nats_user, password=password)
    if settings.nats_token is not None:
        return replace(given, token=settings.nats_token.get_secret_value())
    if settings.nats_creds is not None:
        return replace(given, creds=_file_of(settings.nats_creds, user))
    if settings.nats_nkey is not None:
        return replace(given, nkey=_file_of(settings.nats_nkey, user))
    own: SecretStr | None = getattr(settings, _PASSWORDS[user])
    return given if own is None else replace(given, user=user, password=own.get_secret_value())


def secrets_for(settings: Settings, user: str) -> tuple[str, ...]:
    """Return the settings with the secrets that `auth_for` takes; keys are some: a signed nonce can be handed on."""
    if settings.nats_user is not None:
        return ("nats_password",) if settings.nats_password is not None else ()
    for name in ("nats_token", "nats_creds", "nats_nkey", _PASSWORDS[user]):
        if getattr(settings, name) is not None:
            return (name,)
    return ()


def check_route(settings: Settings, origins: Mapping[str, Origin], users: Iterable[str]) -> None:
    """Raise SettingsError if the users' secrets may not go to the broker that the settings name."""
    for user in users:
        why = misrouted(secrets_for(settings, user), trust_of("nats", origins), origins)
        if why is not None:
            raise SettingsError(why)


def anonymous(settings: Settings, url: str) -> bool:
    """Return whether neither the settings nor the address contain credentials."""
    return auth_for(settings, "writer").anonymous and "@" not in url


def _inbox_prefix(settings: Settings, user: str) -> str | None:
    """Return the prefix of the inboxes if the settings say it; a file for each purpose is of a user named for it."""
    if settings.nats_inbox_prefix is not None:
        return settings.nats_inbox_prefix.replace(_PLACE, user)
    files = (settings.nats_creds, settings.nats_nkey, settings.nats_cert)
    of_purpose = settings.nats_user is None and any(each is not None and _PLACE in str(each) for each in files)
    return f"_INBOX.{user}" if of_purpose else None


def _tls(settings: Settings, user: str) -> Tls | None:
    if settings.nats_ca is None and settings.nats_cert is None:
        return None
    return Tls(
        ca=_file_of(settings.nats_ca, user),
        cert=_file_of(settings.nats_cert, user),
        key=_file_of(settings.nats_key, user),
    )


def _file_of(path: Path | None, user: str) -> Path | None:
    return None if path is None else Path(str(path).replace(_PLACE, user)).expanduser()
