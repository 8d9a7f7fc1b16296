"""Signed checkpoints, compared with a log as it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.hash_chain import HASH_HEADER
from infra.cli.session.command_error import CommandError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from handlers.ports import StoredMessage
    from infra.proof.checkpoint import Checkpoint


class SignedCheckpoints:
    """The checkpoints of one pool, and what the log has at their positions."""

    def __init__(self, pool: str, files: Sequence[Path], public_key: Path | None) -> None:
        """Raises CommandError: a file is not a checkpoint of the pool signed by the key."""
        self._signed: list[Checkpoint] = []
        self._events = 0
        self._last = 0
        self._found: dict[int, tuple[str | None, int]] = {}
        if public_key is not None:
            self._signed = sorted(_read(files, public_key), key=lambda each: each.position)
        self._positions = {each.position for each in self._signed}
        for each in self._signed:
            if each.pool != pool:
                raise CommandError(f"the checkpoint at position {each.position} is of pool {each.pool}, not of {pool}")

    def take(self, message: StoredMessage) -> None:
        """Follow the next message."""
        self._events += 1
        self._last = message.position
        if message.position in self._positions:
            self._found[message.position] = (message.headers.get(HASH_HEADER), self._events)

    def facts(self) -> dict[str, Any]:
        """Return what was compared, for JSON."""
        if not self._signed:
            return {}
        return {"checkpoints": [each._asdict() for each in self._signed], "rewritten": self.rewritten()}

    def rewritten(self) -> str | None:
        """Return how the log differs from the first checkpoint that it contradicts, or None."""
        holds = 0
        for each in self._signed:
            difference = self._difference(each)
            if difference is not None:
                after = f" and after position {holds}, which another checkpoint confirms" if holds else ""
                return f"rewritten since {each.made_at}, at or before position {each.position}{after}: {difference}"
            holds = each.position
        return None

    def lines(self) -> list[str]:
        """Return a line for each checkpoint that the log confirms."""
        return [
            f"checkpoint of {each.made_at}: position {each.position} is as it was signed"
            for each in self._signed
            if self._difference(each) is None
        ]

    def _difference(self, signed: Checkpoint) -> str | None:
        if signed.position not in self._found:
            return f"it is not there any more, and the log ends at {self._last}"
        found, events = self._found[signed.position]
        if found != signed.hash:
            return f"the hash there was {signed.hash}, and is {found}"
        return None if events == signed.events else f"{signed.events} events were there, and {events} are"


def _read(files: Sequence[Path], public_key: Path) -> list[Checkpoint]:
    from infra.proof.checkpoint import CheckpointError, read_checkpoint
    from infra.proof.signing import KeyFileError, read_public_key

    try:
        key = read_public_key(public_key)
        return [read_checkpoint(file, key) for file in files]
    except (CheckpointError, KeyFileError) as error:
        raise CommandError(str(error)) from None
