"""The dashboard as a process: its socket, its server, the pool that it watches, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
import threading
from typing import TYPE_CHECKING, NamedTuple

import uvicorn

from custody_dashboard.app import new_app
from custody_dashboard.endpoints.context import Context
from custody_dashboard.watch.pool_watch import PoolWatch
from custody_dashboard.web.guards import LOOPBACK_NAMES
from custody_dashboard.web.limited_http import LimitedHttp
from custody_dashboard.web.people import AnyoneHere, TokenFileError, TokenHolders
from domain.limits import MAX_ACTOR_CHARS
from infra.cli.session.command_error import CommandError
from infra.cli.watching.pool_link import PoolLink
from infra.host.clock import SystemClock
from infra.host.log_output import configure_logging
from infra.host.stop_signals import stop_signal
from infra.host.user import user_name

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from custody_dashboard.web.people import People
    from infra.cli.session.session import Session

MAX_CONNECTIONS = 1_000
"""Connections and requests at once; more are told to come later."""
KEEP_ALIVE_S = 10
STOP_S = 2
"""How long requests may take once the dashboard is to end."""
FORGET_EVERY_S = 60.0
_LOG_FORMAT = "%(asctime)s %(levelname)s dashboard %(name)s: %(message)s"


class DashboardOptions(NamedTuple):
    """How a dashboard is run."""

    host: str
    port: int
    """0: a free one."""
    person: str | None
    """Who acts, without tokens; None: the user that runs it."""
    token_file: Path | None
    allowed_hosts: tuple[str, ...]
    read_only: bool
    with_parent: bool
    """End when standard input is closed."""


async def run_dashboard(session: Session, options: DashboardOptions, say: Callable[[str], None]) -> None:
    """Serve the page until SIGINT or SIGTERM. `say` is called with the page's address.

    Raises:
        CommandError: it cannot be served so: the port is taken, or who may see it is not said.
    """
    # As the service beside which it may run.
    configure_logging("warning", as_json=session.settings.log_format == "json", text_format=_LOG_FORMAT)
    stop = stop_signal()
    people = _people(options)
    watch = PoolWatch(session.settings, SystemClock())
    context = Context(watch, people, read_only=options.read_only)
    listening = _listening(options.host, options.port)
    server = _Server(
        uvicorn.Config(
            new_app(context, _hosts(options)),
            http=LimitedHttp,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            ws="none",
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=STOP_S,
        )
    )
    works = [
        asyncio.create_task(server.serve(sockets=[listening]), name="http server"),
        asyncio.create_task(PoolLink(session, watch).run(), name="pool link"),
        asyncio.create_task(watch.run(), name="ticks"),
        asyncio.create_task(_forget(context), name="idle states"),
        asyncio.create_task(_stopped(stop, with_parent=options.with_parent), name="stop"),
    ]
    say(address(listening))
    try:
        done, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
    finally:
        watch.hub.close()
        server.should_exit = True
        for each in works[1:]:
            each.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        listening.close()


def address(listening: socket.socket) -> str:
    """Return where the page is."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


class _Server(uvicorn.Server):
    """uvicorn's server without its handlers of signals: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _people(options: DashboardOptions) -> People:
    person = options.person
    if person is not None and not (0 < len(person) <= MAX_ACTOR_CHARS and person.isascii() and person.isprintable()):
        raise CommandError(f"--as should be 1 to {MAX_ACTOR_CHARS} printable characters of ASCII")
    if options.token_file is not None:
        if person is not None:
            raise CommandError("--as goes without --token-file: each token has a person's name")
        try:
            return TokenHolders(options.token_file)
        except TokenFileError as error:
            raise CommandError(str(error)) from None
    if not is_loopback(options.host):
        raise CommandError(
            f"--host {options.host} can be reached by others: name those who may with --token-file (lines of"
            " name:role:token), or leave it at 127.0.0.1"
        )
    return AnyoneHere((user_name() or "") if person is None else person)


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    try:
        return host.lower() in LOOPBACK_NAMES or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _hosts(options: DashboardOptions) -> frozenset[str] | None:
    """Return the names under which the page may be asked for.

    Without a name given, any where a token is needed: a stranger's page has no cookie of this one.
    """
    if options.token_file is not None and not options.allowed_hosts:
        return None if not is_loopback(options.host) else LOOPBACK_NAMES | {options.host}
    return LOOPBACK_NAMES | {options.host, *options.allowed_hosts}


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CommandError(f"--host {host}: {error.strerror}") from None
    try:
        if os.name != "nt":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise CommandError(f"cannot listen on {host}, port {port}: {error.strerror}; choose another --port") from None
    listening.setblocking(False)  # noqa: FBT003 - the library's signature
    return listening


async def _forget(context: Context) -> None:
    while True:
        await asyncio.sleep(FORGET_EVERY_S)
        context.forget_idle()


async def _stopped(stop: asyncio.Event, *, with_parent: bool) -> None:
    """Wait until the process is to end: by a signal, or with the program that started it."""
    if with_parent:
        _end_with_standard_input(stop)
    await stop.wait()


def _end_with_standard_input(stop: asyncio.Event) -> None:
    """Set the event once standard input is closed."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        # A loop that is closed by then needs no more telling.
        with contextlib.suppress(OSError, RuntimeError):
            while os.read(0, 1024):
                pass
            loop.call_soon_threadsafe(stop.set)

    # A thread, because a loop cannot wait for every kind of input on every system.
    threading.Thread(target=read, name="standard input", daemon=True).start()
