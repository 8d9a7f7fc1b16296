"""The live views of a pool in a key-value bucket: `lease.<task>`, `workload.<agent>`, and `position`: the watermark.

A bucket is a stream. Every write is one atomic batch that ends with the watermark and expects the stream's last
sequence, so documents and watermark change together and two projectors cannot interleave their writes. Documents that
end get a deletion marker, which watchers see; the markers expire after an hour.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from nats.nuid import NUID

from domain.limits import MAX_INT64
from domain.timestamps import format_timestamp, parse_timestamp
from handlers.ports import (
    MAX_BATCH_MESSAGES,
    AppendConflictError,
    AppendForbiddenError,
    AppendRejectedError,
    LogError,
    LogMissingError,
    LogUnavailableError,
    NewMessage,
)
from handlers.projector.read_model import (
    OutdatedError,
    ReadModelError,
    ReadModelUnavailableError,
    Watermark,
    WatermarkMovedError,
)
from infra.nats import wire_format
from infra.nats.appends import append
from infra.nats.buckets import ensure_bucket, views_bucket
from infra.nats.exchange import Exchange
from infra.nats.filtered_reader import read_matching
from infra.nats.jetstream_errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.nats.api import JetStreamApi
    from projections.read_models.document_projection import DocumentChanges

_LOG = logging.getLogger(__name__)
POSITION = "position"
DELETED = {"KV-Operation": "DEL", "Nats-TTL": "1h"}
_VERSION = 1
_TIMEOUT_S = 5.0
_NO_LIMIT = 2**62


class _Mark(msgspec.Struct):
    """The document of the key `position`."""

    position: Annotated[int, msgspec.Meta(ge=0, le=MAX_INT64)]
    skipped: Annotated[int, msgspec.Meta(ge=0, le=MAX_INT64)]
    hash: str | None
    log_id: str | None
    time: str | None


_read_mark = msgspec.json.Decoder(_Mark).decode


def read_watermark(body: bytes) -> Watermark:
    """Return the watermark in the document of the key `position`; raises ValueError."""
    try:
        mark = _read_mark(body)
        time = parse_timestamp(mark.time) if mark.time is not None else None
    except (RecursionError, OverflowError) as error:
        raise ValueError(str(error)) from None
    return Watermark(mark.position, mark.hash, mark.log_id, time, mark.skipped)


class KvReadModel:
    """The `ReadModel` of one pool in a bucket. `rebuild`: whether to correct it, whatever log it was made from."""

    def __init__(self, api: JetStreamApi, pool: str, *, rebuild: bool = False) -> None:
        self._api = api
        self._pool = pool
        self._bucket = views_bucket(pool)
        self._stream = self._bucket.stream
        self._prefix = self._bucket.prefix
        self._rebuild = rebuild
        self._sequence: int | None = None
        """The stream's last sequence as far as this writer knows; None if it has to be read."""
        self._batch_ids = NUID()
        self._exchange: Exchange | None = None
        self._warned = False
        """Whether it was said that the mark is damaged."""
        self.name = f"bucket {self._bucket.name}"

    async def watermark(self) -> Watermark:
        """Return how far the read model is; creates the bucket if it is missing."""
        try:
            await self._ensure()
            # Read the sequence first: a write by another projector in between then makes our next write conflict.
            self._sequence = int((await self._api.stream_state(self._stream))["last_seq"])
            stored = await self._stored_watermark()
        except LogUnavailableError as error:
            raise ReadModelUnavailableError(str(error)) from error
        return Watermark() if self._rebuild else stored

    async def _stored_watermark(self) -> Watermark:
        stored = await self._api.stored_in_log(self._stream, {"last_by_subj": self._prefix + POSITION})
        if stored is None:
            return Watermark()
        try:
            return read_watermark(stored.body)
        except ValueError as error:
            # A start compares every document with the fold, so nothing more is needed than to begin anew.
            text = f"{self.name}: its key {POSITION} is damaged or deleted, so it is filled anew: {error}"
            if not self._warned:
                _LOG.warning("%s", text)
            self._warned = True
            return Watermark()

    async def write(self, changes: DocumentChanges, before: Watermark, after: Watermark) -> None:
        """Write documents and the watermark, in several batches if need be; the watermark is in the last one."""
        if self._sequence is None and not (stored := await self.watermark()).same_position(before):
            raise self._destroyed() if not stored.position and not self._rebuild else WatermarkMovedError
        try:
            documents = await self._differing(changes) if changes.replace_all else changes.documents
        except LogUnavailableError as error:
            raise ReadModelUnavailableError(str(error)) from error
        if not documents and before == after:
            return
        writes = [(f"{self._prefix}{key}", document) for key, document in sorted(documents.items())]
        writes.append((self._prefix + POSITION, self._position_document(after)))
        for start in range(0, len(writes), MAX_BATCH_MESSAGES):
            await self._append(writes[start : start + MAX_BATCH_MESSAGES])
        self._rebuild = False

    async def ensure_kept(self) -> None:
        """Check that the bucket has its key `position`, which nothing here deletes.

        Raises OutdatedError, ReadModelUnavailableError.
        """
        if self._rebuild:
            return
        try:
            kept = await self._api.stored_in_log(self._stream, {"last_by_subj": self._prefix + POSITION})
        except LogMissingError:
            raise self._destroyed() from None
        except LogUnavailableError as error:
            raise ReadModelUnavailableError(str(error)) from error
        if kept is None or not kept.body:
            raise self._destroyed()

    def _destroyed(self) -> OutdatedError:
        return OutdatedError(f"{self.name} was emptied or deleted")

    async def finish_catch_up(self, *, outdated: Watermark | None = None) -> Watermark | None:  # noqa: ARG002 # the port
        """Return None: readers need nothing more."""
        return None

    async def _differing(self, changes: DocumentChanges) -> dict[str, bytes | None]:
        """Return the writes after which the bucket holds exactly these documents; None deletes."""
        kept = dict[str, bytes]()
        everything = read_matching(self._api, self._stream, f"{self._prefix}>", after=0, until=_NO_LIMIT)
        async for chunk in everything:
            for message in chunk:
                kept[message.subject.removeprefix(self._prefix)] = message.body
        wrong: dict[str, bytes | None] = {
            key: document for key, document in changes.documents.items() if kept.get(key) != document
        }
        wrong.update({key: None for key, body in kept.items() if body and key not in {POSITION, *changes.documents}})
        return wrong

    def _position_document(self, watermark: Watermark) -> bytes:
        document = {"pool": self._pool, "version": _VERSION, **watermark._asdict()}
        document["time"] = format_timestamp(watermark.time) if watermark.time is not None else None
        return json.dumps(document, separators=(",", ":")).encode()

    async def _append(self, writes: Sequence[tuple[str, bytes | None]]) -> None:
        """Append all or nothing right after the last known sequence."""
        expected, self._sequence = self._sequence, None
        messages = [NewMessage(subject, document or b"") for subject, document in writes]
        controls = [wire_format.header_lines(DELETED if document is None else {}) for _, document in writes]
        controls[0] += wire_format.header_lines({wire_format.EXPECTED_LAST_SEQUENCE: str(expected)})
        batch_id = self._batch_ids.next().decode() if len(writes) > 1 else ""
        try:
            if self._exchange is None:
                self._exchange = await Exchange.open(self._api.connection)
            self._sequence = await append(
                self._exchange, self._stream, messages, controls, batch_id=batch_id, timeout_s=_TIMEOUT_S
            )
        except AppendConflictError:
            raise WatermarkMovedError from None
        except AppendForbiddenError as error:
            raise ReadModelError(f"{self.name}: the broker does not allow this user to write to it") from error
        except AppendRejectedError as error:
            raise ReadModelError(f"{self.name}: {error}") from error
        except LogError as error:
            raise ReadModelUnavailableError(f"{self.name}: {error}") from error

    async def _ensure(self) -> None:
        """Create the bucket unless it exists. Raises ReadModelError if it has an unsuitable configuration."""
        about = f"Leases and workloads of the Custody pool {self._pool}: made from its log, safe to delete"
        try:
            wanted, found = await ensure_bucket(
                self._api, self._pool, self._bucket, {"description": about, **_SETTINGS}
            )
        except ApiError as error:
            raise ReadModelError(f"{self.name}: {error}") from error
        other = [name for name in _NEEDED if found.get(name) != wanted[name]]
        if other:
            raise ReadModelError(f"{self.name} has another {other[0]} than it needs: delete it")


_SETTINGS: dict[str, Any] = {
    "discard": "new",
    "max_msgs_per_subject": 1,
    "allow_rollup_hdrs": True,
    "deny_delete": True,
    # Clients send direct gets where a stream allows them, and readers have no right to these.
    "allow_direct": False,
    "allow_atomic": True,
    "allow_msg_ttl": True,
}
_NEEDED = ("subjects", "max_msgs_per_subject", "allow_atomic", "allow_msg_ttl")
