"""`custody project --sql`: what it says, what it refuses, and how it ends."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from nats.js.errors import KeyNotFoundError

from infra.broker.embedded import EmbeddedBroker
from infra.host.optional_libraries import install_hint
from infra.service.serving import PoolServer
from tests.infra.cli.conftest import Run
from tests.support.broker import Connect
from tests.support.postgres import Postgres

PASSWORD = "not-to-be-seen"


@pytest.fixture
async def busy(ask: Run) -> Run:
    """Seven events: `T1` in progress, `T2` queued."""
    await ask("agent", "register", "a1", "--capability", "git")
    await ask("submit", "T1", "--title", "First")
    await ask("agent", "claim", "a1")
    await ask("agent", "start", "a1", "T1", "--token", "5")
    await ask("submit", "T2")
    return ask


def rows(path: Path, query: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(query).fetchall()


async def test_it_catches_up_and_says_so(busy: Run, tmp_path: Path) -> None:
    first = await busy("project", "--sql", "sqlite:///pool.db", "--once")
    assert first.out.startswith("stopped at position 7, 0 events behind; 7 events written in ")
    assert rows(tmp_path / "pool.db", "SELECT task_id, status FROM tasks ORDER BY 1") == [
        ("T1", "in_progress"),
        ("T2", "queued"),
    ]
    await busy("submit", "T3")
    again = await busy("project", "--sql", "sqlite:///pool.db", "--once", "--json")
    told = json.loads(again.out)
    assert (told["status"], told["position"], told["behind"], told["written"]) == ("stopped", 8, 0, 1)
    await busy("project", "--sql", "sqlite:///pool.db", "--once", "--rebuild")
    assert rows(tmp_path / "pool.db", "SELECT generation, position FROM custody_position") == [(2, 8)]


async def test_postgresql_takes_the_same(busy: Run, postgres_url: str) -> None:
    result = await busy("project", "--sql", postgres_url, "--once")
    assert "7 events written" in result.out
    with psycopg.connect(postgres_url) as connection:
        found = connection.execute("SELECT token, status, granted_at = lag FROM leases, now() lag").fetchall()
        body = connection.execute("SELECT body->'data'->>'title' FROM events WHERE event = 'submitted'").fetchone()
    assert found == [(5, "active", False)]
    assert body == ("First",)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "the address is no database's URL: give sqlite:///FILE or postgresql://USER@HOST/DATABASE"),
        (f"mysql://me:{PASSWORD}@host/db", "mysql is none of the databases that are supported: give sqlite:///FILE"),
        ("sqlite://", "SQLite needs a file: sqlite:///pool.db, or sqlite:////var/pool.db from the root"),
        ("sqlite:////nowhere/pool.db", "sqlite:////nowhere/pool.db: unable to open database file"),
        (f"postgresql://me:{PASSWORD}@127.0.0.1:1/db", "postgresql database db at 127.0.0.1:1: "),
        (f"postgresql://me:{PASSWORD}@[::1/db", "the address is no database's URL"),
    ],
)
async def test_what_cannot_be_used_is_one_line(run: Run, service: PoolServer, url: str, said: str) -> None:
    result = await run("project", "--sql", url)
    assert result.status == 1
    assert result.err.startswith(f"custody: {said}")
    assert result.err.count("\n") == 1
    assert PASSWORD not in result.err + result.out


async def test_no_target_is_wrong_usage(run: Run) -> None:
    result = await run("project")
    assert (result.status, result.out) == (2, "")


async def test_missing_rights_are_one_line(run: Run, service: PoolServer, postgres: Postgres) -> None:
    postgres.execute("DROP ROLE IF EXISTS guest", f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'")
    url = postgres.url(user=f"guest:{PASSWORD}")
    result = await run("project", "--sql", url)
    assert result.status == 1
    assert result.err.endswith("permission denied for schema public; grant this user CREATE and USAGE on the schema\n")
    assert PASSWORD not in result.err
    nobody = await run("project", "--sql", postgres.url(user=f"nobody:{PASSWORD}"))
    assert nobody.err.endswith('role "nobody" does not exist\n')


async def test_a_database_that_cannot_hold_any_text_is_refused(
    run: Run, service: PoolServer, postgres: Postgres
) -> None:
    postgres.execute(
        "DROP DATABASE IF EXISTS plain",
        "CREATE DATABASE plain TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    result = await run("project", "--sql", postgres.url().replace("/postgres", "/plain"))
    assert result.err.endswith("the database is encoded in SQL_ASCII: make one with ENCODING 'UTF8'\n")


async def test_a_missing_library_is_one_line(run: Run, service: PoolServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "infra.sql.database", None)
    result = await run("project", "--sql", "sqlite:///pool.db")
    assert (result.status, result.err) == (
        1,
        f"custody: {install_hint('tables need the SQLAlchemy library', 'sqlalchemy')}\n",
    )


async def test_a_missing_driver_is_one_line(run: Run, service: PoolServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    result = await run("project", "--sql", "postgresql://me@127.0.0.1:1/db")
    assert (result.status, result.err) == (
        1,
        f"custody: {install_hint('PostgreSQL needs the psycopg library', 'psycopg[binary]')}\n",
    )


async def test_a_file_that_is_no_database_is_one_line(run: Run, service: PoolServer, tmp_path: Path) -> None:
    (tmp_path / "pool.db").write_text("something else, and long enough for that to be seen " * 20)
    result = await run("project", "--sql", "sqlite:///pool.db")
    assert (result.status, result.err) == (1, "custody: sqlite:///pool.db: file is not a database\n")


async def test_tables_of_another_pool_are_refused(busy: Run, run: Run, tmp_path: Path) -> None:
    await busy("project", "--sql", "sqlite:///pool.db", "--once")
    rows(tmp_path / "pool.db", "UPDATE custody_generations SET pool = 'other' RETURNING 1")
    result = await run("project", "--sql", "sqlite:///pool.db")
    assert result.status == 1
    assert "pool other is kept there, not " in result.err


async def test_tables_of_a_log_that_was_rewritten_are_refused_until_a_rebuild(
    busy: Run, run: Run, tmp_path: Path
) -> None:
    await busy("project", "--sql", "sqlite:///pool.db", "--once")
    rows(tmp_path / "pool.db", "UPDATE custody_generations SET hash = 'other' RETURNING 1")
    result = await run("project", "--sql", "sqlite:///pool.db")
    assert result.status == 1
    assert result.err == (
        "custody: sqlite:///pool.db: the log was rewritten: at position 7 it holds another event than was read; "
        "--rebuild makes it anew from the log\n"
    )
    await busy("project", "--sql", "sqlite:///pool.db", "--once", "--rebuild")
    assert rows(tmp_path / "pool.db", "SELECT position FROM custody_position") == [(7,)]


@pytest.fixture
def as_writer(at_broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names the broker's user that may write."""
    monkeypatch.setenv("CUSTODY_WRITER_PASSWORD", at_broker.credentials("writer")["password"])


async def test_the_live_views_are_kept_in_a_bucket(busy: Run, as_writer: None, connect: Connect, pool: str) -> None:
    told = await busy("project", "--kv", "--once")
    assert told.out.startswith("stopped at position 7, 0 events behind; 7 events written in ")
    bucket = await (await connect()).jetstream().key_value(f"CUSTODY_VIEWS_{pool}")
    lease = json.loads((await bucket.get("lease.T1")).value or b"")
    workload = json.loads((await bucket.get("workload.a1")).value or b"")
    assert (lease["agent_id"], lease["token"], lease["task_status"]) == ("a1", 5, "in_progress")
    assert (workload["tasks"], workload["room"], workload["takes_grants"]) == (1, 0, False)
    await busy("agent", "complete", "a1", "T1", "--token", "5")
    await busy("project", "--kv", "--once", "--rebuild")
    with pytest.raises(KeyNotFoundError):
        await bucket.get("lease.T1")
    assert json.loads((await bucket.get("workload.a1")).value or b"")["tasks"] == 0


async def test_who_may_not_write_to_the_bucket_is_told(
    busy: Run, run: Run, at_broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch, pool: str
) -> None:
    monkeypatch.setenv("CUSTODY_WRITER_PASSWORD", at_broker.credentials("writer")["password"])
    await busy("project", "--kv", "--once")
    monkeypatch.setenv("CUSTODY_NATS_USER", "operator")
    monkeypatch.setenv("CUSTODY_NATS_PASSWORD", at_broker.credentials("operator")["password"])
    result = await run("project", "--kv", "--once", "--timeout", "2")
    assert result.status == 1
    assert result.err.splitlines()[0] == f"custody: not allowed: publish $js.api.stream.create.kv_custody_views_{pool}"
    assert "no answer to STREAM.CREATE.KV_CUSTODY_VIEWS_" in result.err.splitlines()[1]


async def test_one_target_at_a_time(run: Run) -> None:
    result = await run("project", "--kv", "--sql", "sqlite:///pool.db")
    assert (result.status, "one of them" in result.err) == (2, True)


@pytest.mark.parametrize(
    "mark",
    [b"", b'{"position": Infinity}', b"[" * 300_000, b'{"position": -1, "hash": 1}', b"\xff", b'{"position": null}'],
    ids=lambda mark: repr(mark[:20]),
)
async def test_a_damaged_mark_of_the_bucket_is_a_warning_and_everything_is_filled_anew(
    busy: Run, as_writer: None, connect: Connect, pool: str, mark: bytes
) -> None:
    await busy("project", "--kv", "--once")
    bucket = await (await connect("admin")).jetstream().key_value(f"CUSTODY_VIEWS_{pool}")
    good = json.loads((await bucket.get("position")).value or b"")
    for rebuild in ([], ["--rebuild"]):
        await (bucket.put("position", mark) if mark else bucket.delete("position"))
        await bucket.delete("lease.T1")
        told = await busy("project", "--kv", "--once", *rebuild)
        assert told.out.startswith("stopped at position 7, 0 events behind; ")
        assert f"bucket CUSTODY_VIEWS_{pool}: its key position is damaged or deleted, so it is filled anew" in told.err
        assert json.loads((await bucket.get("position")).value or b"") == good
        assert json.loads((await bucket.get("lease.T1")).value or b"")["token"] == 5


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("position", "'x'"),
        ("position", "-1"),
        ("time", "'never'"),
        ("hash", "7"),
        ("skipped", "0.5"),
        ("version", "99"),
    ],
)
async def test_a_damaged_register_is_one_line_until_a_rebuild(
    busy: Run, run: Run, tmp_path: Path, column: str, value: str
) -> None:
    await busy("project", "--sql", "sqlite:///pool.db", "--once")
    rows(tmp_path / "pool.db", f"UPDATE custody_generations SET {column} = {value} RETURNING 1")  # noqa: S608 # the test's
    result = await run("project", "--sql", "sqlite:///pool.db", "--once")
    assert (result.status, result.err.count("\n")) == (1, 1)
    assert result.err.endswith("; --rebuild makes it anew from the log\n")
    await busy("project", "--sql", "sqlite:///pool.db", "--once", "--rebuild")
    assert rows(tmp_path / "pool.db", "SELECT generation, position FROM custody_position") == [(2, 7)]
