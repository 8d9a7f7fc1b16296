"""Hearing that a task was taken from its holder: from the feed at once, else from the answers to beats."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from custody_client.beating import Beating
from custody_client.calls import Calls
from custody_client.errors import LOST, CustodyError, HandOver, lease_lost
from custody_client.holding import Holding
from custody_client.wire import Directive, subject_token

TAKING = ("cancelled", "revoked", "stolen", "expired", "blocked", "failed")
"""Events that take a task from its holder. `completed` is left out: there are many, and few by others than holders."""
ASK_S = 3.0
"""For how long it is asked who has a task that was lost."""
PAUSE_S = 0.25


class TakenTasks:
    """Stops the handlers of tasks that were taken, for one life; used in the beats' event loop."""

    def __init__(
        self,
        life: Beating,
        calls: Calls,
        *,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        beat_now: Callable[[], None],
    ) -> None:
        """`spawn`: runs something in the background. `beat_now`: has the next beat sent at once."""
        self._life = life
        self._calls = calls
        self._spawn = spawn
        self._beat_now = beat_now

    async def listen(self) -> None:
        """Hear at once what takes a task from its holder, if this user may listen to the feed; else beats tell it."""
        link = self._calls.link

        async def take(message: Msg) -> None:
            token = message.subject.split(".")[-2]
            for holding in self._life.holdings.all():
                if subject_token(holding.lease.task_id) == token and holding.lost is None:
                    self._spawn(self._lose(holding, "it was taken from its holder"))

        async def beat(_: Msg) -> None:
            self._beat_now()

        feed = f"custody.{self._life.pool}.feed"
        while True:
            try:
                async with AsyncExitStack() as subscriptions:
                    for name in TAKING:
                        await subscriptions.enter_async_context(link.subscribed(f"{feed}.task.*.{name}", take))
                    await subscriptions.enter_async_context(link.subscribed(f"{feed}.agent.{self._life.name}.*", beat))
                    # What happened before, while there was no connection, only a beat tells.
                    self._beat_now()
                    await link.until_gone()
            except (NatsError, OSError):
                await asyncio.sleep(PAUSE_S)  # the connection went while this was done

    def obey(self, directives: Sequence[Directive], vouched: Sequence[Holding]) -> None:
        """Do what the answer to a beat asks, which vouched for these; what it does not ask any more is over."""
        asked = {each.task_id for each in directives if each.do == "hand_over"}
        for holding in vouched:
            if holding.lease.task_id not in asked:
                holding.asked = None
        for directive in directives:
            self._obey(directive)

    def _obey(self, directive: Directive) -> None:
        holdings = self._life.holdings
        if directive.token is None:
            holding = holdings.of_task(directive.task_id)
        else:
            holding = holdings.get((directive.task_id, directive.token))
        if holding is None or holding.ended or holding.ending:
            return
        if directive.do == "hand_over":
            holding.asked = HandOver(directive.reason)
        elif directive.do == "stop" and holding.lost is None:
            self._spawn(self._lose(holding, directive.reason))

    async def _lose(self, holding: Holding, reason: str) -> None:
        """Find out who has the task now, and stop the handler. A directive may be older than the lease."""
        try:
            body = {**holding.fields(), "session": self._life.session}
            await self._calls.command(f"agent.{self._life.name}.lease", body, limit_s=ASK_S)
        except LOST as refused:
            holding.stop(lease_lost(*holding.key, refused))
        except CustodyError:
            holding.lose(reason)
