"""Signed checkpoints: `custody checkpoint keygen`, `custody checkpoint sign`, and holding a log against them."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.timestamps import format_timestamp
from handlers.memory.positions import time_at
from infra.cli.session.opening import opened_at_broker
from infra.cli.session.session import EXIT_REFUSED, CommandError, Session
from infra.cli.terminal.output import complain
from infra.codec import HASH_HEADER
from infra.nats import stream_name
from infra.reports.audit_formats import FormatError, replacing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handlers.ports import StoredMessage
    from infra.proof.checkpoint import Checkpoint

PASSPHRASE_VARIABLE = "CUSTODY_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable
_OTHERS = stat.S_IRWXG | stat.S_IRWXO

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        help=f"File whose first line is the private key's passphrase. Default: what {PASSPHRASE_VARIABLE} holds",
        show_default=False,
    ),
]


def keygen(
    key: Annotated[Path, typer.Argument(metavar="FILE", help="Where the private key goes.")],
    public_key: Annotated[
        Path | None, typer.Option(help="Where the public key goes. Default: FILE.pub", show_default=False)
    ] = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make a pair of keys: the private one signs checkpoints, the public one checks them."""
    from infra.proof.signing import KeyFileError, make_keys

    public = public_key or key.with_name(f"{key.name}.pub")
    try:
        name = make_keys(key, public, _passphrase(passphrase_file))
    except (KeyFileError, CommandError) as error:
        complain(str(error))
        raise typer.Exit(EXIT_REFUSED) from None
    print(f"key {name}: private in {key}, public in {public}")


async def sign(
    session: Session,
    key: Annotated[Path, typer.Option(help="The private key to sign with; `keygen` makes one.")],
    output: Annotated[
        Path | None, typer.Option(help="Write it to this file instead of printing it.", show_default=False)
    ] = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Sign what the log's hash is now; `verify --checkpoint` shows later whether anything was rewritten."""
    from infra.proof.signing import KeyFileError, read_private_key

    try:
        private = read_private_key(key, _passphrase(passphrase_file))
    except KeyFileError as error:
        raise CommandError(str(error)) from None
    if os.name == "posix" and key.stat().st_mode & _OTHERS:
        complain(f"{key} can be read by others than its owner; chmod 600 {key}")
    made = await _now(session)
    document = made.signed(private)
    if output is None:
        session.out.json(document)
        return
    try:
        with replacing(output) as path:
            path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except FormatError as error:
        raise CommandError(str(error)) from None
    if session.out.as_json:
        session.out.json(document)
    else:
        where = f"pool {made.pool} at position {made.position}"
        session.out.line(f"checkpoint of {where}, hash {made.hash}, signed by key {document['key_id']}, in {output}")


async def _now(session: Session) -> Checkpoint:
    """Return what the pool's log has come to."""
    from infra.proof.checkpoint import Checkpoint

    pool = session.settings.pool
    async with opened_at_broker(session) as log:
        message = await log.log.get(log.last)
        if message is None:
            raise CommandError(f"pool {pool} has no events yet")
        if HASH_HEADER not in message.headers:
            raise CommandError(f"position {log.last} carries no {HASH_HEADER}: look with `custody verify` first")
        time = await time_at(log.log, log.codec, log.last, above=log.first - 1)
        return Checkpoint(
            pool=pool,
            stream=stream_name(pool),
            position=log.last,
            events=log.last - log.first + 1,
            hash=message.headers[HASH_HEADER],
            time=format_timestamp(time) if time is not None else "",
            made_at=format_timestamp(datetime.now(UTC)),
        )


def _passphrase(file: Path | None) -> bytes | None:
    """Return the passphrase, None if there is none; raises CommandError."""
    if file is None:
        return os.environ.get(PASSPHRASE_VARIABLE, "").encode() or None
    try:
        with file.open("rb") as lines:
            found = lines.readline().rstrip(b"\r\n")
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror}") from None
    if not found:
        raise CommandError(f"{file} holds no passphrase: its first line is empty")
    return found


class Checkpoints:
    """Signed checkpoints that a log is held against as it is read."""

    def __init__(self, pool: str, files: Sequence[Path], public_key: Path | None) -> None:
        """Raises CommandError: a file is no checkpoint of the pool that the key signed."""
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
        """Return what was compared, for machines."""
        if not self._signed:
            return {}
        return {"checkpoints": [each._asdict() for each in self._signed], "rewritten": self.rewritten()}

    def rewritten(self) -> str | None:
        """Return in what the log differs from the first checkpoint that does not hold, or None."""
        holds = 0
        for each in self._signed:
            difference = self._difference(each)
            if difference is not None:
                after = f" and after position {holds}, which another checkpoint confirms" if holds else ""
                return f"rewritten since {each.made_at}, at or before position {each.position}{after}: {difference}"
            holds = each.position
        return None

    def lines(self) -> list[str]:
        """Return the checkpoints that hold, for people."""
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
