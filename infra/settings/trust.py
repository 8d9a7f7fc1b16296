"""Which secrets may go to which address: none to an address from a less trusted source than its own.

A working directory can be another person's: a checkout, an unpacked archive. What lies in it may name a broker, but
must not make this program send that broker a password that is kept elsewhere.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from infra.settings.loading import Origin


class Trust(IntEnum):
    """How surely the person who runs the program meant a value; a higher one is more certain."""

    FOUND_DATA = 0
    """`broker.json` and `credentials.json` in the data directory, where no setting names one."""
    FOUND_FILE = 1
    """`custody.toml`, found in the working directory."""
    CHOSEN = 2
    """An option or a variable of the environment, and a configuration file or data directory that one names; and the
    program's own defaults. Who can set the one can set the other."""


ROUTE: Final = ("nats", "nats_ca", "nats_plaintext")
"""The settings that say where a secret goes, and who may read it on the way."""


def may_go(secret: Trust, address: Trust) -> bool:
    """Return whether a secret from one source may be sent to an address from another."""
    return address >= secret


def trust_of(name: str, origins: Mapping[str, Origin]) -> Trust:
    """Return the trust in a setting's source; a file is trusted as what names it, and no more if none does."""
    if name not in origins or origins[name].kind != "file":
        return Trust.CHOSEN
    named = "config" in origins and origins["config"].kind != "default"
    return Trust.CHOSEN if named else Trust.FOUND_FILE


def trust_of_data_dir(origins: Mapping[str, Origin]) -> Trust:
    """Return the trust in what the data directory holds; the default one is found in the working directory."""
    found = "data_dir" in origins and origins["data_dir"].kind == "default"
    return Trust.FOUND_DATA if found else trust_of("data_dir", origins)


def misrouted(secrets: Iterable[str], address: Trust, origins: Mapping[str, Origin]) -> str | None:
    """Return why secrets may not be sent to an address, as one line; None if they may."""
    route = {"nats": address, **{name: trust_of(name, origins) for name in ROUTE[1:]}}
    for secret in secrets:
        for name, trust in route.items():
            if not may_go(trust_of(secret, origins), trust):
                source = str(origins[name]) if name in origins and origins[name].kind != "default" else "broker.json"
                return (
                    f"{secret} from {origins[secret]} is not used with {name} from {source}, which another person may"
                    f" have put into the directory: {_ADVICE[name]}"
                )
    return None


_ADVICE: Final = {
    "nats": "name the broker with --nats or CUSTODY_NATS, or the file with --config or CUSTODY_CONFIG",
    "nats_ca": "name it with --nats-ca or CUSTODY_NATS_CA",
    "nats_plaintext": "say so with --nats-plaintext or CUSTODY_NATS_PLAINTEXT",
}
