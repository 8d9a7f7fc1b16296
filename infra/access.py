"""Which credentials the service and its tools connect with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.nats import Auth

if TYPE_CHECKING:
    from infra.settings import Settings


def auth_for(settings: Settings, user: str) -> Auth:
    """Return the credentials for a purpose: `writer`, `responder` or `operator`.

    What the settings say of one user, a token or a file goes for everything; else the purpose's own password; else
    nothing, for a broker that lets anyone in.
    """
    if settings.nats_user is not None:
        password = settings.nats_password.get_secret_value() if settings.nats_password else None
        return Auth(user=settings.nats_user, password=password)
    if settings.nats_token is not None:
        return Auth(token=settings.nats_token.get_secret_value())
    if settings.nats_creds is not None:
        return Auth(creds=settings.nats_creds)
    own = {
        "writer": settings.writer_password,
        "responder": settings.responder_password,
        "operator": settings.operator_password,
    }[user]
    return Auth(user=user, password=own.get_secret_value()) if own is not None else Auth()


def anonymous(settings: Settings, url: str) -> bool:
    """Return whether neither the settings nor the address hold any credentials."""
    return auth_for(settings, "writer") == Auth() and "@" not in url
