"""What makes two commands the same: digests of their bodies, which do not depend on how a body was written down.

A body is normalised before it is hashed: the order of keys and of sets does not matter, and a default that is spelled
out counts as left out. Fields that later versions add therefore change no digest of a command that does without them.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import msgspec
from pydantic import BaseModel

from domain.commands.agent_commands import Claim
from domain.commands.submit import Submit, SubmitMany, request_digest_source

if TYPE_CHECKING:
    from domain.commands.command import Command

BODY_DIGEST_BYTES = 8
"""Of the digest that events carry: enough to distinguish the few bodies that one command id was ever sent with."""

_POOL_DEFAULTS = ("lease", "retry")
"""Fields whose absent parts are as in the pool's rules."""

_write = msgspec.json.Encoder(order="sorted").encode


def body_digest(command: Command) -> str:
    """Return the short digest by which a `command_id` that comes again with another body is noticed, as hex.

    How long a claim waits is no part of it: a client that asks again may wait for the rest of its time only.
    """
    body = _normalised(command)
    if isinstance(command, Claim):
        body.pop("wait_s", None)
    return hashlib.blake2b(_write(body), digest_size=BODY_DIGEST_BYTES).hexdigest()


def definition_digest(command: Submit) -> str:
    """Return the SHA-256 of a submit's normalised fields: what makes it the same request."""
    return hashlib.sha256(_write(_normalised(command))).hexdigest()


def definition_digest_as_sent(command: Submit) -> str:
    """Return the SHA-256 of a submit's fields as sent, with its lists as they came: as older logs have it."""
    source = json.dumps(request_digest_source(command), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(source.encode()).hexdigest()


def _normalised(command: Command) -> dict[str, Any]:
    """Return the body without what says nothing: the idempotency key, and fields that have their default.

    Lease and retry fields stay as sent: what is absent there is as in the pool's policy, which may be another than the
    default.
    """
    body = command.model_dump(mode="json", exclude_defaults=True, exclude={"command_id", *_POOL_DEFAULTS})
    if isinstance(command, SubmitMany):
        body["tasks"] = [_normalised(each) for each in command.tasks]
    if "required_capabilities" in body:
        body["required_capabilities"] = sorted(set(body["required_capabilities"]))
    if "capabilities" in body:
        body["capabilities"] = sorted(set(body["capabilities"]))
    for name in _POOL_DEFAULTS:
        policy = getattr(command, name, None)
        if isinstance(policy, BaseModel):
            said = policy.model_dump(mode="json", exclude_unset=True)
            if said:
                body[name] = said
    return body
