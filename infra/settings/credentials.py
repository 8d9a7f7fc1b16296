"""The credentials that the service and its tools connect with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from infra.nats.auth import Auth, Tls

if TYPE_CHECKING:
    from infra.settings.settings import Settings

_PLACE = "{user}"


def auth_for(settings: Settings, user: str) -> Auth:
    """Return the credentials for a purpose: `writer`, `responder` or `operator`.

    A user, a token or a file in the settings is used for every purpose; else the purpose's own password; else no
    credentials, for a broker that needs none. A file whose name contains `{user}` is one for each purpose.
    """
    tls, prefix = _tls(settings, user), _inbox_prefix(settings, user)
    if settings.nats_user is not None:
        password = settings.nats_password.get_secret_value() if settings.nats_password else None
        return Auth(user=settings.nats_user, password=password, tls=tls, inbox_prefix=prefix)
    if settings.nats_token is not None:
        return Auth(token=settings.nats_token.get_secret_value(), tls=tls, inbox_prefix=prefix)
    if settings.nats_creds is not None:
        return Auth(creds=_file_of(settings.nats_creds, user), tls=tls, inbox_prefix=prefix)
    if settings.nats_nkey is not None:
        return Auth(nkey=_file_of(settings.nats_nkey, user), tls=tls, inbox_prefix=prefix)
    own = {
        "writer": settings.writer_password,
        "responder": settings.responder_password,
        "operator": settings.operator_password,
    }[user]
    if own is None:
        return Auth(tls=tls, inbox_prefix=prefix)
    return Auth(user=user, password=own.get_secret_value(), tls=tls, inbox_prefix=prefix)


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
