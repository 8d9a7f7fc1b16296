"""The key-value buckets beside a pool's log. A bucket is a stream; its name cannot be mistaken for that of a log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from infra.nats.stream import stream_name

if TYPE_CHECKING:
    from infra.nats.api import JetStreamApi


class Bucket(NamedTuple):
    """A key-value bucket."""

    name: str

    @property
    def stream(self) -> str:
        """The name of its stream."""
        return f"KV_{self.name}"

    @property
    def prefix(self) -> str:
        """What the subjects of its keys begin with."""
        return f"$KV.{self.name}."


def views_bucket(pool: str) -> Bucket:
    """Return the bucket of a pool's live views."""
    return Bucket(f"CUSTODY_VIEWS_{pool}")


def snapshots_bucket(pool: str) -> Bucket:
    """Return the bucket of a pool's snapshots."""
    return Bucket(f"CUSTODY_SNAPSHOTS_{pool}")


def log_end_bucket(pool: str) -> Bucket:
    """Return the bucket with the end of a pool's log."""
    return Bucket(f"CUSTODY_LOG_END_{pool}")


def reach_bucket(pool: str) -> Bucket:
    """Return the bucket that a pool's service writes to, to learn whether its node reaches the cluster."""
    return Bucket(f"CUSTODY_REACH_{pool}")


async def ensure_bucket(
    api: JetStreamApi, pool: str, bucket: Bucket, settings: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Create a bucket of the pool with as many replicas as its log has, unless it exists.

    Returns the configuration that was wanted and the one that it has. Raises as `JetStreamApi.call` does.
    """
    log = await api.call(f"STREAM.INFO.{stream_name(pool)}")
    wanted = {
        "name": bucket.stream,
        "subjects": [f"{bucket.prefix}>"],
        "storage": "file",
        "num_replicas": int(log["config"]["num_replicas"]),
        "retention": "limits",
        **settings,
    }
    return wanted, (await api.create_stream(wanted))["config"]
