"""The end of a pool's log in a bucket of its own: it outlives the log's stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from handlers.log_end import LogEndStoreError
from handlers.ports import LogUnavailableError
from infra.nats.buckets import ensure_bucket, log_end_bucket
from infra.nats.jetstream_errors import STREAM_NOT_FOUND, ApiError

if TYPE_CHECKING:
    from infra.nats.api import JetStreamApi

_TIMEOUT_S = 2.0
_KEY = "end"
_SETTINGS: dict[str, Any] = {
    "description": "Where the log of a Custody pool ended: kept to notice when it is gone",
    "discard": "old",
    "max_msgs_per_subject": 1,
    "allow_direct": True,
}


class LogEndBucket:
    """The `LogEndStore` of one pool at its broker; with as many copies as the log has."""

    def __init__(self, api: JetStreamApi, pool: str) -> None:
        self._api = api
        self._pool = pool
        self._bucket = log_end_bucket(pool)
        self._subject = f"{self._bucket.prefix}{_KEY}"
        self._exists = False
        self.name = f"bucket {self._bucket.name}"

    async def read(self) -> bytes | None:
        """Return what was stored last, None if nothing was. Raises LogEndStoreError."""
        try:
            stored = await self._api.stored(self._bucket.stream, {"last_by_subj": self._subject})
        except ApiError as error:
            if error.err_code == STREAM_NOT_FOUND:
                return None
            raise LogEndStoreError(f"{self.name}: {error}") from error
        except LogUnavailableError as error:
            raise LogEndStoreError(f"{self.name}: {error}") from error
        return None if stored is None else stored.body

    async def write(self, document: bytes) -> None:
        """Replace what is stored. Raises LogEndStoreError."""
        try:
            if not self._exists:
                await ensure_bucket(self._api, self._pool, self._bucket, _SETTINGS)
                self._exists = True
            await self._api.publish(self._subject, document, timeout_s=_TIMEOUT_S)
        except (ApiError, LogUnavailableError) as error:
            self._exists = False
            raise LogEndStoreError(str(error)) from error
