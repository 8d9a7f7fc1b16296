"""The queries of docs/read-models.md run as they stand."""

import asyncio
import contextlib
import re
import sqlite3
from pathlib import Path

import pytest

from tests.infra.sql.conftest import Site, history_of
from tests.support.checkout import ROOT

PAGE = ROOT / "docs" / "read-models.md"
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of a log in which everything happened to tasks."""
    path = tmp_path_factory.mktemp("tables") / "pool.db"

    async def fill() -> None:
        site = Site(f"sqlite:///{path}", history_of("tasks"))
        await site.catch_up()
        await site.close()

    asyncio.run(fill())
    return path


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.split()[1].strip(","))
def test_the_query_runs(tables: Path, query: str) -> None:
    with contextlib.closing(sqlite3.connect(tables)) as connection:
        found = connection.execute(query.replace("'dan'", "'a1'")).fetchall()
    assert found


def test_there_are_queries() -> None:
    assert len(QUERIES) >= 6
