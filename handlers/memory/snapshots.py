"""Snapshots of a pool's memory: a cache of the fold, never a source of truth.

A snapshot is used only if everything about it holds: format, pool, build, checksum, and that the log's message at its
position carries the hash that the snapshot ends with. Else the log is folded instead, and a warning says why.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import zlib
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import msgspec

from domain.untrusted_json import parse_json, parse_json_object
from handlers.memory.catch_up import age_objects, without_gc
from handlers.memory.memory import Memory, Unreadable
from handlers.ports import LogUnavailableError
from projections.state.state_image import (
    DAMAGE,
    ImageReader,
    SnapshotError,
    StateImage,
    capture,
    directives_of,
    last_heard_of,
    lines,
    restored,
    statistics_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from domain.task import Task
    from handlers.memory.outcomes import OutcomeKey
    from handlers.ports import ReadableLog

_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)
FORMAT = "custody-snapshot"
VERSION = 2
MAX_BYTES = 4 * 1024**3
"""Bytes of an unpacked snapshot, at most."""
LARGE_BYTES = 256 * 1024
"""A snapshot beyond it, of some 3,000 live tasks, is read in a thread."""
_COMPRESSION_LEVEL = 1
_OUTCOMES_A_LINE = 500
_read_outcomes = msgspec.json.Decoder(list[tuple[tuple[str, str, str], tuple[int, ...]]]).decode
_TRIED = 3


class SnapshotStore(Protocol):
    """Keeps snapshots of one pool by position; may lose any of them."""

    async def positions(self, until: int) -> list[int]:
        """The positions at or before `until` of which there is a snapshot, the latest first.

        Raises LogUnavailableError.
        """
        ...

    async def get(self, position: int) -> bytes:
        """The snapshot at a position. Raises SnapshotError if it is incomplete, LogUnavailableError."""
        ...

    async def put(self, position: int, document: bytes) -> None:
        """Keep a snapshot. Raises SnapshotError if that is refused, LogUnavailableError."""
        ...


class Snapshots(NamedTuple):
    """Where a service keeps its snapshots, and how often it makes one."""

    store: SnapshotStore
    build: str
    """Digest of the code that folds: a snapshot of another build is not used."""
    every: int = 100_000
    """Events between two of them."""


class MemoryImage(NamedTuple):
    """All that a memory holds at one acknowledged position."""

    pool_id: str
    tail_hash: str | None
    state: StateImage
    outcomes: Mapping[OutcomeKey, tuple[int, ...]]
    outcomes_capacity: int
    unreadable_count: int
    unreadable: list[Unreadable]


class GradualImage:
    """The image of a memory that is acknowledged as a whole when it begins, and goes on while the tasks are copied."""

    def __init__(self, memory: Memory) -> None:
        self._state = memory.state
        self._capture = memory.state.begin_capture()
        self._rest = image_of(memory, tasks=())

    async def finished(self) -> MemoryImage:
        """Return the image, after many turns of the event loop. Raises SnapshotError if it cannot be finished."""
        try:
            for _ in self._capture.pieces():
                await asyncio.sleep(0)
            if self._capture.broken:
                raise SnapshotError("the state was rebuilt meanwhile")
            return self._rest._replace(state=self._rest.state._replace(tasks=self._capture.tasks()))
        finally:
            self._state.end_capture()


def image_of(memory: Memory, tasks: Sequence[Task] | None = None) -> MemoryImage:
    """Return the image of a memory that is acknowledged as a whole; costs a shallow copy.

    `tasks`: instead of the live ones, which are most of the copy.
    """
    return MemoryImage(
        memory.pool_id,
        memory.tail_hash,
        capture(memory.state, memory.statistics, memory.directives, memory.last_heard, tasks),
        memory.outcomes.dump(),
        memory.outcomes.capacity,
        memory.unreadable_count,
        list(memory.unreadable),
    )


def encode(image: MemoryImage, build: str) -> bytes:
    """Return the snapshot: a header line, then the compressed lines that its checksum covers. Takes a while."""
    packer = zlib.compressobj(_COMPRESSION_LEVEL)
    packed = bytearray()
    raw_bytes = 0
    for line in _lines(image):
        raw_bytes += len(line) + 1
        packed += packer.compress(line + b"\n")
    packed += packer.flush()
    header = {
        "format": FORMAT,
        "version": VERSION,
        "build": build,
        "pool": image.pool_id,
        "position": image.state.position,
        "tail_hash": image.tail_hash,
        "raw_bytes": raw_bytes,
        "sha256": hashlib.sha256(packed).hexdigest(),
    }
    return json.dumps(header).encode() + b"\n" + packed


def _lines(image: MemoryImage) -> Iterable[bytes]:
    yield from lines(image.state)
    outcomes = iter(image.outcomes.items())
    while part := list(islice(outcomes, _OUTCOMES_A_LINE)):
        yield b"outcome " + msgspec.json.encode(part)
    rest = {
        "outcomes_capacity": image.outcomes_capacity,
        "unreadable_count": image.unreadable_count,
        "unreadable": image.unreadable,
    }
    yield b"memory " + json.dumps(rest).encode()


def decode(document: bytes, *, build: str, pool_id: str, outcomes: bool = True) -> MemoryImage:
    """Return the image of a snapshot; its outcomes are most of its work, and can be left out.

    Raises:
        SnapshotError: it is none, or of another version, build or pool, or damaged.
    """
    head, _, packed = document.partition(b"\n")
    header = _header(head)
    for name, expected in (("format", FORMAT), ("version", VERSION), ("pool", pool_id), ("build", build)):
        if header.get(name) != expected:
            raise SnapshotError(f"its {name} is {header.get(name)!r}, not {expected!r}")
    if header.get("sha256") != hashlib.sha256(packed).hexdigest():
        raise SnapshotError("its checksum does not match its content")
    try:
        return _image(header, packed, with_outcomes=outcomes)
    except SnapshotError:
        raise
    except (*DAMAGE, zlib.error) as error:
        raise SnapshotError(f"{type(error).__name__}: {error}") from error


def _image(header: dict[str, Any], packed: bytes, *, with_outcomes: bool) -> MemoryImage:
    reader, outcomes, rest = ImageReader(), dict["OutcomeKey", tuple[int, ...]](), dict[str, Any]()
    for line in _unpacked(packed, int(header["raw_bytes"])).splitlines():
        kind, _, value = line.partition(b" ")
        if reader.take(kind.decode(), value):
            continue
        if kind == b"outcome" and with_outcomes:
            outcomes.update(_read_outcomes(value))
        elif kind == b"memory":
            rest = parse_json(value)
    image = reader.image()
    if image.position != header["position"]:
        raise SnapshotError("its header names another position than its content")
    return MemoryImage(
        header["pool"],
        header["tail_hash"],
        image,
        outcomes,
        int(rest["outcomes_capacity"]),
        int(rest["unreadable_count"]),
        [Unreadable(*each) for each in rest["unreadable"]],
    )


def _header(head: bytes) -> dict[str, Any]:
    try:
        return parse_json_object(head)
    except ValueError:
        raise SnapshotError("it has no header") from None


def _unpacked(packed: bytes, raw_bytes: int) -> bytes:
    if not 0 < raw_bytes <= MAX_BYTES:
        raise SnapshotError(f"it would unpack to {raw_bytes} bytes")
    unpacker = zlib.decompressobj()
    raw = unpacker.decompress(packed, raw_bytes)
    if len(raw) != raw_bytes or not unpacker.eof:
        raise SnapshotError("it unpacks to another size than its header says")
    return raw


def adopt(memory: Memory, image: MemoryImage) -> None:
    """Bring the memory to the state of an image.

    Raises:
        SnapshotError: the image cannot be used; the memory is unchanged.
    """
    wanted = memory.outcomes.capacity
    if wanted > image.outcomes_capacity and len(image.outcomes) >= image.outcomes_capacity:
        raise SnapshotError(f"it remembers {image.outcomes_capacity} outcomes, and {wanted} are wanted")
    memory.adopt(
        restored(image.state, memory.rules),
        statistics_of(image.state),
        directives_of(image.state),
        last_heard_of(image.state),
        image.tail_hash,
        (image.unreadable_count, image.unreadable),
    )
    memory.outcomes.load(image.outcomes)


async def restore_nearest(memory: Memory, store: SnapshotStore, log: ReadableLog, *, build: str, until: int) -> int:
    """Bring a memory to the nearest usable snapshot at or before `until`; return its position, 0 without one.

    Raises nothing: what goes wrong is a warning, and the log is folded.
    """
    try:
        positions = await store.positions(until)
    except (LogUnavailableError, SnapshotError) as error:
        _LOG.warning("snapshots cannot be looked at, so the log is folded: %s", error)
        return 0
    if not positions and until:
        _LOG.info("there is no snapshot that this version made, so the log is folded")
    for position in positions[:_TRIED]:
        if position <= memory.state.position:
            break
        try:
            with without_gc():
                image, large = await _usable(memory, store, log, build, position)
                await _run(adopt, memory, image, in_a_thread=large)
                age_objects()
        except (SnapshotError, LogUnavailableError) as error:
            _LOG.warning("the snapshot at position %d is ignored: %s", position, error)
            continue
        return position
    return 0


async def _usable(
    memory: Memory, store: SnapshotStore, log: ReadableLog, build: str, position: int
) -> tuple[MemoryImage, bool]:
    """Return the image of the snapshot at a position, if it is one of this very log, and whether it is a large one.

    Raises SnapshotError, LogUnavailableError.
    """
    document = await store.get(position)
    large = len(document) > LARGE_BYTES
    reading = partial(decode, build=build, pool_id=memory.pool_id, outcomes=memory.outcomes.capacity > 0)
    image = await _run(reading, document, in_a_thread=large)
    if image.state.position != position:
        raise SnapshotError(f"it is of position {image.state.position}")
    stored = await log.get(position)
    if stored is None or memory.codec.hash_of(stored) != image.tail_hash:
        raise SnapshotError("it belongs to another log: the hash at its position differs")
    return image, large


async def _run(compute: Callable[..., _T], *given: object, in_a_thread: bool) -> _T:
    """Return what `compute` returns; in a thread, so that the event loop goes on, if that is worth its cost."""
    return await asyncio.to_thread(compute, *given) if in_a_thread else compute(*given)
