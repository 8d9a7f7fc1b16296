"""Whatever goes wrong, in whatever order, and however the log grows meanwhile: the tables are the fold of the log."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.ports import NewMessage
from handlers.projector.read_model import ReadModelUnavailableError
from infra.sql.sql_read_model import SqlReadModel
from tests.infra.sql.conftest import Site, history_of

steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 20)),
        st.tuples(st.just("project"), st.integers(1, 9)),
        st.tuples(st.just("lose"), st.integers(1, 4)),
        st.tuples(st.just("refuse"), st.integers(1, 4)),
        st.tuples(st.just("crash"), st.integers(1, 4)),
        st.tuples(st.just("rebuild"), st.integers(1, 9)),
    ),
    min_size=3,
    max_size=9,
)


class _CrashError(Exception):
    """The process is gone."""


class Faulty(SqlReadModel):
    """Its n-th write meets a fault: it is not carried out, its answer is lost, or the process ends after it."""

    fault, countdown = "", 0

    async def write(self, *args: Any) -> None:
        self.countdown -= 1
        if self.countdown == 0 and self.fault == "refuse":
            raise ReadModelUnavailableError("no answer to BEGIN")
        await super().write(*args)
        if self.countdown == 0 and self.fault == "lose":
            raise ReadModelUnavailableError("no answer to COMMIT")
        if self.countdown == 0 and self.fault == "crash":
            raise _CrashError


LOG = history_of("agents")


@settings(max_examples=12)
@given(steps)
def test_the_tables_are_the_fold_of_the_log(script: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(_play(script, Site(f"sqlite:///{Path(directory)}/pool.db", [])))


async def _play(script: list[tuple[str, int]], site: Site) -> None:
    try:
        rest = list[NewMessage](LOG)
        database = site.database()
        for what, number in script:
            if what == "append":
                site.log.append_foreign(*rest[:number])
                del rest[:number]
                continue
            model = Faulty(database, "default", site.clock, rebuild=what == "rebuild")
            model.fault, model.countdown = what, number
            projector = site.projector(model, max_events=number if what in {"project", "rebuild"} else 3)
            try:
                await site.clock.finish(asyncio.ensure_future(projector.run(follow=False)))
            except _CrashError:
                assert what == "crash"
            else:
                assert await site.position() == len(site.log.messages)
            assert await site.contents() == site.expected(await site.position())
    finally:
        await site.close()
