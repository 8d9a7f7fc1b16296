"""`custody checkpoint keygen` and `custody checkpoint sign`: keys, and signed checkpoints of a log."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from domain.timestamps import format_timestamp
from infra.cli.session.command_error import CommandError
from infra.cli.session.session import Session
from infra.cli.terminal.output import print_error
from infra.host.atomic_file import FileWriteError, atomic_file
from infra.host.shell import EXIT_FAILED
from infra.host.small_files import read_secret

if TYPE_CHECKING:
    from infra.proof.checkpoint import Checkpoint

PASSPHRASE_VARIABLE = "CUSTODY_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable

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
        print_error(str(error))
        raise typer.Exit(EXIT_FAILED) from None
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
    checkpoint = await _checkpoint_now(session)
    document = checkpoint.signed(private)
    if output is None:
        session.out.json(document)
        return
    try:
        with atomic_file(output) as path:
            path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except FileWriteError as error:
        raise CommandError(str(error)) from None
    if session.out.as_json:
        session.out.json(document)
    else:
        where = f"pool {checkpoint.pool} at position {checkpoint.position}"
        session.out.line(
            f"checkpoint of {where}, hash {checkpoint.hash}, signed by key {document['key_id']}, in {output}"
        )


async def _checkpoint_now(session: Session) -> Checkpoint:
    """Return a checkpoint at the log's end."""
    from domain.hash_chain import HASH_HEADER
    from handlers.memory.positions import time_at
    from infra.cli.session.log_opening import open_broker_log
    from infra.nats.stream import stream_name
    from infra.proof.checkpoint import Checkpoint

    pool = session.settings.pool
    async with open_broker_log(session) as log:
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
    found = read_secret(file, CommandError).partition(b"\n")[0].rstrip(b"\r\n")
    if not found:
        raise CommandError(f"{file} holds no passphrase: its first line is empty")
    return found
