"""A pool's log as a file: gzip, one JSON line for the header, then one for each message.

The header has the range of positions and the digests. It is written last and is the first gzip member of the file, so
`zcat` shows the whole file.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import re
import shutil
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import from_json

from domain.hash_chain import GENESIS_HASH, hash_in
from domain.names import is_name
from domain.untrusted_json import parse_json_object
from handlers.ports import StoredMessage, evt_prefix
from infra.export.export_error import ExportFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

FORMAT = "custody-export"
VERSION = 1
_LONGEST_HEADER = 64 * 1024
_LONGEST_LINE = 96 * 1024 * 1024
"""A message of 64 MiB, the most that a broker takes by default at any setting of its `max_payload`, in base64."""
_SHORT_LINE = 64 * 1024
_LEVEL = 6
_HEAD = re.compile(rb'\{"position":([0-9]{1,19}),"subject":"([!#-\[\]-~]*)",')


class Header(NamedTuple):
    """The header of an export."""

    pool: str
    first: int
    last: int
    events: int
    root: str
    """The last message's `Custody-Hash`, the end of the hash chain."""
    sha256: str
    """Digest of the lines after the header."""
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
        self._root = hash_in(messages[-1].headers)

    def finish(self, *, pool: str, exported_at: str, software: str) -> Header:
        """Write the header and the lines to the file; return the header."""
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
        """Delete the temporary file of lines."""
        try:
            self._file.close()
        finally:
            self._lines.unlink(missing_ok=True)


class ExportReader:
    """Reads an export, from its beginning each time; keeps nothing but the header."""

    def __init__(self, path: Path) -> None:
        """Read the header. Raises ExportFileError."""
        self.path = path
        self.differences: list[str] = []
        """The differences between header and content, known once everything was read."""
        self.longest_line_bytes = 0
        """The length of the longest line, known after `check`."""
        with self._opened() as file:
            self.header = self._header(file)

    def messages(
        self, *, after: int = 0, wanted: Callable[[str], bool] | None = None
    ) -> Generator[StoredMessage, None, None]:
        """Every message after a position, in the file's order; `wanted` filters by subject.

        Raises:
            ExportFileError: the file ends early, or a line is not a message.
        """
        skipped = max(0, after - self.header.first + 1)
        for count, line in enumerate(self._lines()):
            if count >= skipped and (wanted is None or wanted(self._head(line, count)[1])):
                yield self._message(line, count)

    def check(self, show: Callable[[int], None] = lambda _: None) -> StoredMessage:
        """Check everything; return the last message. `show` is called with each position.

        Raises:
            ExportFileError: it is not what was exported, or contains messages of another log.
        """
        expected, prefix = self.header.first, evt_prefix(self.header.pool)
        line = b""
        for count, line in enumerate(self._lines()):
            position, subject = self._head(line, count)
            if position != expected:
                raise ExportFileError(f"{self.path}: position {expected} is expected, and {position} found")
            if not subject.startswith(prefix):
                raise ExportFileError(f"{self.path}: position {expected} is on {subject}, not below {prefix}")
            show(position)
            expected += 1
            self.longest_line_bytes = max(self.longest_line_bytes, len(line))
        if self.differences:
            raise ExportFileError(f"{self.path} is not what was exported: {self.differences[0]}")
        if not line:
            raise ExportFileError(f"{self.path} holds no events")
        return self._message(line, expected - self.header.first - 1)

    def _lines(self) -> Generator[bytes, None, None]:
        """Every line after the header; sets `differences` at the end."""
        digest, count, opening, line = hashlib.sha256(), 0, b"", b""
        with self._opened() as file:
            file.readline(_LONGEST_HEADER)
            while following := self._read(file, count):
                line = following
                opening = opening or line
                digest.update(line)
                yield line
                count += 1
        found: dict[str, Any] = {"first": 0, "last": 0, "events": count, "root": GENESIS_HASH}
        if count:
            last = self._message(line, count - 1)
            root = hash_in(last.headers)
            found |= {"first": self._head(opening, 0)[0], "last": last.position, "root": root}
        said = self.header._asdict()
        self.differences = [
            f"its header says {name} {said[name]}, and it is {value}"
            for name, value in {**found, "sha256": digest.hexdigest()}.items()
            if said[name] != value
        ]

    @contextlib.contextmanager
    def _opened(self) -> Iterator[gzip.GzipFile]:
        try:
            with gzip.open(self.path, "rb") as file:
                yield file
        except gzip.BadGzipFile as error:
            raise ExportFileError(f"{self.path} is no export of a log: {error}") from None
        except OSError as error:
            raise ExportFileError(f"cannot read {self.path}: {error.strerror or error}") from None

    def _header(self, file: gzip.GzipFile) -> Header:
        try:
            found = parse_json_object(file.readline(_LONGEST_HEADER))
        except (ValueError, EOFError, zlib.error):
            found = {}
        if found.pop("format", None) != FORMAT:
            raise ExportFileError(f"{self.path} is no export of a log")
        version = found.pop("version", None)
        if version != VERSION:
            raise ExportFileError(f"{self.path} has format version {version}; this software reads {VERSION}")
        with contextlib.suppress(TypeError):
            header = Header(**found)
            kinds = {"first": int, "last": int, "events": int}
            well_typed = all(type(value) is kinds.get(name, str) for name, value in header._asdict().items())
            if well_typed and is_name(header.pool):
                return header
        raise ExportFileError(f"{self.path} is no export of a log: its header is incomplete")

    def _read(self, file: gzip.GzipFile, count: int) -> bytes:
        try:
            line = file.readline(_LONGEST_LINE)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise self._cut_short(count) from None
        if line and not line.endswith(b"\n"):
            raise self._cut_short(count)
        return line

    def _cut_short(self, count: int) -> ExportFileError:
        return ExportFileError(f"{self.path} is damaged or cut short: {count} of {self.header.events} events are there")

    def _head(self, line: bytes, count: int) -> tuple[int, str]:
        """Return a line's position and subject; one that begins as `ExportWriter` writes it is not parsed further."""
        found = _HEAD.match(line)
        return (int(found[1]), found[2].decode("ascii")) if found else self._message(line, count)[:2]

    def _message(self, line: bytes, count: int) -> StoredMessage:
        try:
            found: dict[str, Any] = from_json(line)
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
    with contextlib.suppress(UnicodeDecodeError):
        line = _json_line({**record, "body": message.body.decode()})
        # Control characters take six bytes each.
        if len(line) <= max(_SHORT_LINE, 2 * len(message.body)):
            return line
    return _json_line({**record, "body64": base64.b64encode(message.body).decode()})


def _json_line(record: dict[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
