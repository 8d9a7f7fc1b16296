"""A pool's log as a file: gzip, one JSON line for the header, then one for each message.

The header tells what the file holds and by which digests to know it. It is written last and stands first, as a gzip
member of its own, so `zcat` shows the whole file.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import shutil
import zlib
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from handlers.ports import StoredMessage
from projections.verification import GENESIS_HASH, HASH_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FORMAT = "custody-export"
VERSION = 1
_LONGEST_HEADER = 64 * 1024
_LONGEST_LINE = 8 * 1024 * 1024
_LEVEL = 6


class ExportFileError(Exception):
    """The file is no whole export; one line says why."""


class Header(NamedTuple):
    """What an export says of itself."""

    pool: str
    first: int
    last: int
    events: int
    root: str
    """The last message's `Custody-Hash`, which the whole chain leads to."""
    sha256: str
    """Of the lines that follow the header."""
    exported_at: str
    software: str


class ExportWriter:
    """Writes the messages of one log, then the header in front of them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = path.with_name(f"{path.name}.lines")
        self._file = gzip.GzipFile(self._lines, "wb", compresslevel=_LEVEL, mtime=0)
        self._digest = hashlib.sha256()
        self._first = 0
        self._last = 0
        self._count = 0
        self._root = GENESIS_HASH

    def write(self, messages: Sequence[StoredMessage]) -> None:
        """Append some messages."""
        lines = b"".join(map(_line, messages))
        self._digest.update(lines)
        self._file.write(lines)
        self._first = self._first or messages[0].position
        self._last = messages[-1].position
        self._count += len(messages)
        self._root = messages[-1].headers.get(HASH_HEADER, GENESIS_HASH)

    def finish(self, *, pool: str, exported_at: str, software: str) -> Header:
        """Put the file together; return its header."""
        self._file.close()
        header = Header(
            pool, self._first, self._last, self._count, self._root, self._digest.hexdigest(), exported_at, software
        )
        line = json.dumps({"format": FORMAT, "version": VERSION, **header._asdict()}).encode() + b"\n"
        with self._path.open("wb") as whole, self._lines.open("rb") as lines:
            whole.write(gzip.compress(line, mtime=0))
            shutil.copyfileobj(lines, whole)
        return header

    def close(self) -> None:
        """Leave nothing behind but the file."""
        self._file.close()
        self._lines.unlink(missing_ok=True)


class ExportReader:
    """Reads an export from its beginning; `differences` says, at the end, where the header is wrong about it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.differences: list[str] = []
        with self._opened() as file:
            self.header = self._header(file)

    def messages(self) -> Iterator[StoredMessage]:
        """Every message, in the file's order.

        Raises:
            ExportFileError: the file ends early, or holds something else.
        """
        digest, count, first, last, root = hashlib.sha256(), 0, 0, 0, GENESIS_HASH
        with self._opened() as file:
            file.readline(_LONGEST_HEADER)
            while line := self._read(file, count):
                digest.update(line)
                message = self._message(line, count)
                count += 1
                first = first or message.position
                last, root = message.position, message.headers.get(HASH_HEADER, GENESIS_HASH)
                yield message
        found = {"first": first, "last": last, "events": count, "root": root, "sha256": digest.hexdigest()}
        said = self.header._asdict()
        self.differences = [
            f"its header says {name} {said[name]}, and it is {value}"
            for name, value in found.items()
            if said[name] != value
        ]

    @contextlib.contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        try:
            with gzip.open(self.path, "rb") as file:
                yield file  # type: ignore[misc]
        except gzip.BadGzipFile as error:
            raise ExportFileError(f"{self.path} is no export of a log: {error}") from None
        except OSError as error:
            raise ExportFileError(f"cannot read {self.path}: {error.strerror or error}") from None

    def _header(self, file: IO[bytes]) -> Header:
        try:
            found: Any = json.loads(file.readline(_LONGEST_HEADER))
        except (ValueError, EOFError, zlib.error):
            found = None
        if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
            raise ExportFileError(f"{self.path} is no export of a log")
        version = found.pop("version", None)
        if version != VERSION:
            raise ExportFileError(f"{self.path} has format version {version}; this software reads {VERSION}")
        with contextlib.suppress(TypeError):
            header = Header(**found)
            kinds = {"first": int, "last": int, "events": int}
            if all(isinstance(value, kinds.get(name, str)) for name, value in header._asdict().items()):
                return header
        raise ExportFileError(f"{self.path} is no export of a log: its header is incomplete")

    def _read(self, file: IO[bytes], count: int) -> bytes:
        try:
            line = file.readline(_LONGEST_LINE)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise self._cut_short(count) from None
        if line and not line.endswith(b"\n"):
            raise self._cut_short(count)
        return line

    def _cut_short(self, count: int) -> ExportFileError:
        return ExportFileError(f"{self.path} is damaged or cut short: {count} of {self.header.events} events are there")

    def _message(self, line: bytes, count: int) -> StoredMessage:
        try:
            found: dict[str, Any] = json.loads(line)
            text, coded, headers = found.get("body"), found.get("body64"), found["headers"]
            body = base64.b64decode(coded or "", validate=True) if text is None else text.encode()
            position, subject = found["position"], found["subject"]
            texts = [subject, *headers, *headers.values()]
        except (ValueError, KeyError, TypeError, AttributeError):
            texts, position, subject, body, headers = [None], 0, "", b"", {}
        if not isinstance(position, int) or not all(isinstance(each, str) for each in texts):
            raise ExportFileError(f"{self.path}: line {count + 2} is no message of a log")
        return StoredMessage(position, subject, body, headers)


def _line(message: StoredMessage) -> bytes:
    record: dict[str, Any] = {
        "position": message.position,
        "subject": message.subject,
        "headers": dict(message.headers),
    }
    try:
        record["body"] = message.body.decode()
    except UnicodeDecodeError:
        record["body64"] = base64.b64encode(message.body).decode()
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
