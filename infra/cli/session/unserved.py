"""A broker for as long as a command works with a data directory that nobody serves."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from infra.broker.data_dir import DataDir
from infra.cli.session.broker_access import find_access, refuses

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from infra.settings.settings import Settings


class UnservedError(Exception):
    """The broker for reading does not come up; one line says why."""


@contextlib.asynccontextmanager
async def broker_on_unserved(settings: Settings, *, empty: bool = False) -> AsyncIterator[None]:
    """Run a broker on the data directory while this lasts, if it has a log and no broker is to be had otherwise.

    No service runs on it, so nothing is appended: the log is as it was left. `empty`: one without a log will do.

    Raises:
        DataDirError: another process has just taken the directory.
        UnservedError: the broker does not come up.
    """
    if not await _unserved(settings, empty=empty):
        yield
        return
    from infra.broker.binary import BrokerBinaryError
    from infra.broker.embedded import BrokerOptions, BrokerStartError, EmbeddedBroker

    broker = EmbeddedBroker(settings.data_dir, BrokerOptions(sync_interval=settings.broker_sync_interval))
    try:
        await broker.start()
    except (BrokerBinaryError, BrokerStartError) as error:
        raise UnservedError(str(error).splitlines()[0]) from None
    try:
        yield
    finally:
        await broker.stop()


async def _unserved(settings: Settings, *, empty: bool) -> bool:
    directory = DataDir.at(settings.data_dir)
    if settings.nats is not None or not (empty or (directory.broker / "jetstream").is_dir()):
        return False
    if directory.read_record() is None and settings.data_dir != type(settings).model_fields["data_dir"].default:
        # A directory that somebody names is meant, whatever listens on the usual port.
        return True
    return await refuses(find_access(settings).url)
