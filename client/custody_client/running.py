"""Running a handler on a held task, and saying what came of it."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import traceback
from typing import Any

from custody_client.errors import CustodyError, HandOver, LeaseLost, NotRetryable, Stopped, TooLargeError
from custody_client.handlers import Handler
from custody_client.held import Held
from custody_client.holding import Holding
from custody_client.log_context import WorkingOn, set_working_on
from custody_client.stopping import TaskStopper
from custody_client.sync_held import held_by_thread
from custody_client.tracing import handler_span

_log = logging.getLogger("custody_client")


async def work_on(handler: Handler, held: Held[Any], holding: Holding, agent: str) -> None:
    """Call the handler, and complete, fail or give back the task by what it does."""
    holding.progress_within_s = handler.progress_within_s
    set_working_on(WorkingOn(held.task_id, held.token, held.attempt, agent))
    attributes = {"custody.task_id": held.task_id, "custody.token": held.token, "custody.attempt": held.attempt}
    try:
        try:
            with handler_span(handler.kind or "any", attributes, held.lease.traceparent):
                result = await (_in_task if handler.is_async else _in_thread)(handler, held, holding)
        finally:
            holding.on_stop(None)
            await held.children_ended()
        if held.outcome is None:
            await held.complete(result)
            _log.info("completed")
    except LeaseLost as lost:
        _log.warning("%s", lost)
        await _give_back_if_held(held, holding)
    except HandOver as wish:
        await _hand_over(held, wish)
    except (Stopped, asyncio.CancelledError) as stopped:
        if isinstance(holding.stop_reason, HandOver):
            await _hand_over(held, holding.stop_reason)
        elif holding.stop_reason is not None:
            _log.warning("stopped: %s", holding.stop_reason)
            await _give_back_if_held(held, holding)
        elif isinstance(stopped, asyncio.CancelledError):
            raise
        else:
            await _fail(handler, held, stopped)
    except Exception as error:  # noqa: BLE001 - whatever a handler raises is a failure of its task
        await _fail(handler, held, error)


async def _in_task(handler: Handler, held: Held[Any], holding: Holding) -> Any:
    held.take_checkpoint(handler.checkpoint(held.checkpoint))
    task = asyncio.ensure_future(handler.function(*handler.arguments(held)))
    stopper = TaskStopper(task)
    held.stopper = stopper
    holding.on_stop(stopper.stop)
    return await task


async def _in_thread(handler: Handler, held: Held[Any], holding: Holding) -> Any:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Any] = loop.create_future()
    held.take_checkpoint(handler.checkpoint(held.checkpoint))

    def work() -> None:
        result, error = None, None
        try:
            sync_held, stopper = held_by_thread(held, loop)
            try:
                holding.on_stop(stopper.stop)
                result = handler.function(*handler.arguments(sync_held))
            finally:
                stopper.finish()
        except BaseException as raised:  # noqa: BLE001 - it is raised again in the worker
            error = raised
        loop.call_soon_threadsafe(settle, result, error)

    def settle(result: Any, error: BaseException | None) -> None:
        if ended.done():
            return
        if error is None:
            ended.set_result(result)
        else:
            # A future takes no StopIteration, and a SystemExit in a thread is no end of the process.
            plain = isinstance(error, (StopIteration, SystemExit, KeyboardInterrupt))
            ended.set_exception(RuntimeError(repr(error)) if plain else error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work,), name=f"custody {held.task_id}", daemon=True).start()
    return await ended


async def _hand_over(held: Held[Any], wish: HandOver) -> None:
    """Release the task with its last checkpoint."""
    if held.outcome is not None:
        return
    try:
        await held.release(wish.reason, delay_s=wish.delay_s)
    except LeaseLost as lost:
        _log.warning("%s", lost)
    else:
        _log.info("handed over: %s", wish.reason)


async def _give_back_if_held(held: Held[Any], holding: Holding) -> None:
    """Release a task whose lease ran out here alone: the service may think that it is held, and nobody works on it."""
    if holding.lost is not None and not holding.lost.certain:
        await held.give_back()


async def _fail(handler: Handler, held: Held[Any], error: BaseException) -> None:
    """Say that the attempt failed."""
    if held.outcome is not None:
        _log.error("the handler failed after the task had ended: %s", error, exc_info=error)
        return
    retryable = not isinstance(error, (NotRetryable, TooLargeError))
    failures = held.lease.failures + 1
    delay_s = None
    if retryable and handler.retry is not None:
        retryable = failures < handler.retry.attempts
        delay_s = handler.retry.delay_after_s(failures)
    _log.warning("failed: %s", error, exc_info=None if isinstance(error, CustodyError) else error)
    try:
        await held.fail(_in_words(error), retryable=retryable, delay_s=delay_s)
    except LeaseLost as lost:
        _log.warning("%s", lost)


def _in_words(error: BaseException) -> str:
    """Return an exception as the record of a failure has it: what, and where it was raised."""
    said = str(error)
    name = type(error).__name__
    if isinstance(error, CustodyError):
        return said or name
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].name}, {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno})" if frames else ""
    return f"{name}: {said}{where}" if said else f"{name}{where}"
