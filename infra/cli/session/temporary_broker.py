"""A broker that runs while a command works with a data directory on which no broker runs."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from infra.broker.data_dir import DataDir
from infra.cli.session.broker_access import connection_refused, find_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from infra.settings.settings import Settings


class TemporaryBrokerError(Exception):
    """The temporary broker does not start; the message is one line."""


@contextlib.asynccontextmanager
async def temporary_broker(settings: Settings, *, allow_empty: bool = False) -> AsyncIterator[None]:
    """Run a broker on the data directory during the block, if it has a log and no broker is reachable otherwise.

    No service runs on it, so nothing is appended. `allow_empty`: a directory without a log gets a broker, too.

    Raises:
        DataDirError: another process has just taken the directory.
        TemporaryBrokerError: the broker does not start.
    """
    if not await _needed(settings, allow_empty=allow_empty):
        yield
        return
    from infra.broker.binary import BrokerBinaryError
    from infra.broker.embedded import BrokerOptions, BrokerStartError, EmbeddedBroker

    broker = EmbeddedBroker(settings.data_dir, BrokerOptions(sync_interval=settings.broker_sync_interval))
    try:
        await broker.start()
    except (BrokerBinaryError, BrokerStartError) as error:
        raise TemporaryBrokerError(str(error).splitlines()[0]) from None
    try:
        yield
    finally:
        await broker.stop()


async def _needed(settings: Settings, *, allow_empty: bool) -> bool:
    directory = DataDir.at(settings.data_dir)
    if settings.nats is not None or not (allow_empty or (directory.broker / "jetstream").is_dir()):
        return False
    if directory.read_record() is None and settings.data_dir != type(settings).model_fields["data_dir"].default:
        # A directory that was named is meant, whatever listens on the default port.
        return True
    return await connection_refused(find_url(settings))
