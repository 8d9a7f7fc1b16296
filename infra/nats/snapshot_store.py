"""Snapshots in a key-value bucket beside the log; the broker drops the oldest parts to make room for new ones.

A snapshot is split into parts. Its manifest is written last, so a snapshot without one is incomplete. Subjects are
`$KV.<bucket>.<build>.<position>.<part>`, because the broker's users may write and read these.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from domain.untrusted_json import parse_json_object
from infra.nats.buckets import ensure_bucket, snapshots_bucket
from infra.nats.jetstream_errors import ApiError
from projections.state.state_image import SnapshotError

if TYPE_CHECKING:
    from infra.nats.api import JetStreamApi

PART_BYTES = 512 * 1024
MAX_PARTS = 2_000
"""Most parts and manifests in the bucket; the oldest are dropped, which makes their snapshot incomplete."""
_MANIFEST = "manifest"
_POSITION = re.compile(r"[0-9]{1,19}", re.ASCII)
_PUT_TIMEOUT_S = 10.0


def read_manifest(body: bytes) -> int:
    """Return how many parts a manifest names; raises SnapshotError."""
    try:
        parts = parse_json_object(body)["parts"]
    except (ValueError, KeyError) as error:
        raise SnapshotError(f"its manifest cannot be read: {type(error).__name__} {error}") from error
    if type(parts) is not int or not 0 < parts < MAX_PARTS:
        raise SnapshotError(f"its manifest names {parts!r:.50} parts")
    return parts


class NatsSnapshots:
    """The `SnapshotStore` of one pool, for the snapshots of one build."""

    def __init__(self, api: JetStreamApi, pool: str, build: str) -> None:
        self._api = api
        self._pool = pool
        self._bucket = snapshots_bucket(pool)
        self._stream = self._bucket.stream
        self._prefix = f"{self._bucket.prefix}{build}."

    async def positions(self, until: int) -> list[int]:
        """Return the positions of the snapshots up to `until`, the latest first."""
        request = {"subjects_filter": f"{self._prefix}*.{_MANIFEST}"}
        try:
            info = await self._api.stream_info(self._stream, request)
        except ApiError as error:
            raise SnapshotError(str(error)) from error
        subjects = [] if info is None else info["state"].get("subjects") or {}
        named = (subject.removeprefix(self._prefix).partition(".")[0] for subject in subjects)
        found = (int(name) for name in named if _POSITION.fullmatch(name))
        return sorted((position for position in found if position <= until), reverse=True)

    async def get(self, position: int) -> bytes:
        """Return the snapshot at a position. Raises SnapshotError if it is incomplete, LogUnavailableError."""
        parts = read_manifest(await self._part(position, _MANIFEST))
        return b"".join([await self._part(position, str(number)) for number in range(parts)])

    async def put(self, position: int, document: bytes) -> None:
        """Store a snapshot. Raises SnapshotError if it is refused, LogUnavailableError."""
        parts = [document[start : start + PART_BYTES] for start in range(0, len(document), PART_BYTES)]
        if len(parts) >= MAX_PARTS:
            raise SnapshotError(f"{len(document)} bytes are too many")
        await self._ensure()
        for number, part in enumerate(parts):
            await self._publish(f"{self._prefix}{position}.{number}", part)
        manifest = json.dumps({"parts": len(parts), "bytes": len(document)}).encode()
        await self._publish(f"{self._prefix}{position}.{_MANIFEST}", manifest)

    async def _publish(self, subject: str, body: bytes) -> None:
        try:
            await self._api.publish(subject, body, timeout_s=_PUT_TIMEOUT_S)
        except ApiError as error:
            raise SnapshotError(f"the broker refuses a part: {error}") from error

    async def _part(self, position: int, name: str) -> bytes:
        request = {"last_by_subj": f"{self._prefix}{position}.{name}"}
        try:
            part = await self._api.stored(self._stream, request)
        except ApiError as error:
            raise SnapshotError(str(error)) from error
        if part is None:
            raise SnapshotError(f"its part {name} is missing")
        return part.body

    async def _ensure(self) -> None:
        settings = {
            "description": f"Snapshots of the Custody pool {self._pool}: a cache, safe to delete",
            "discard": "old",
            "max_msgs": MAX_PARTS,
            "max_msgs_per_subject": 1,
            "allow_direct": True,
        }
        try:
            await ensure_bucket(self._api, self._pool, self._bucket, settings)
        except ApiError as error:
            raise SnapshotError(str(error)) from error
