"""A real PostgreSQL for tests, from the machine's own packages.

The server refuses to run as root; where the tests do, it gets another user's rights.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from tests.support.ports import free_port
from tests.support.requirements import missing

READY_S = 60
POLL_S = 0.02
QUICK = ("fsync=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=20")
UNPRIVILEGED = ("postgres", "nobody")


def binaries() -> Path | None:
    """Return the directory of PostgreSQL's programs: on PATH, or where Debian has them; the newest version."""
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: float(each.parent.name), reverse=True
    )
    found = shutil.which("initdb")
    for directory in (*installed, *([Path(found).resolve().parent] if found else [])):
        if (directory / "initdb").exists() and (directory / "postgres").exists():
            return directory
    return None


def require_binaries() -> Path:
    """Return the directory. Without one the test is skipped or fails; see `missing`."""
    directory = binaries()
    if directory is None:
        reason = "no PostgreSQL server is installed: neither initdb on PATH nor /usr/lib/postgresql/*/bin"
        missing(reason, "CUSTODY_REQUIRE_POSTGRES")
    return directory


class Postgres:
    """A private cluster on a port of the loopback interface, that lets the user `custody` in without a password."""

    def __init__(self, directory: Path, options: tuple[str, ...] = QUICK) -> None:
        self._programs = require_binaries()
        self._directory = directory
        self._options = options
        self._identity: dict[str, Any] = {}
        if os.name == "posix" and os.geteuid() == 0:
            self._identity = _unprivileged()
            os.chown(directory, self._identity["user"], self._identity["group"])
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def initialise(self) -> None:
        """Make the cluster's files."""
        subprocess.run(
            [
                self._programs / "initdb",
                *("-D", self._directory / "data", "-U", "custody", "-A", "trust"),
                *("-E", "UTF8", "--locale", "C", "--no-sync"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._directory,
            **self._identity,
        )

    def start(self) -> None:
        """Start the server; returns when it takes connections."""
        options = [each for name in self._options for each in ("-c", name)]
        where = ("-D", self._directory / "data", "-k", self._directory, "-h", "127.0.0.1", "-p", str(self.port))
        log = self._directory / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [self._programs / "postgres", *where, *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._directory,
                **self._identity,
            )
        deadline = time.monotonic() + READY_S
        while not self._answers():
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(POLL_S)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Stop the server at once, as a crash of it would."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()

    def url(self, schema: str | None = None, user: str = "custody") -> str:
        """Return the URL of the server's database, with this schema if one is given."""
        options = f"?options=-csearch_path%3D{schema}" if schema else ""
        return f"postgresql://{user}@127.0.0.1:{self.port}/postgres{options}"

    def execute(self, *statements: LiteralString) -> None:
        """Run statements as the cluster's owner."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            for each in statements:
                connection.execute(each)


def _unprivileged() -> dict[str, Any]:
    """Return a user that the server may run as, the way `subprocess` takes it."""
    import pwd  # noqa: PLC0415 # there is none on Windows

    known = {each.pw_name: each for each in pwd.getpwall()}
    user = next(known[each] for each in UNPRIVILEGED if each in known)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Run a private cluster within this context."""
    require_binaries()
    directory = Path(tempfile.mkdtemp(prefix="custody-postgres-"))
    try:
        server = Postgres(directory)
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
