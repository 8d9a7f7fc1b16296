"""Our overrides of the client library, each beside the library's fault that it removes; and the parsing of frames."""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from nats.aio.client import Client as LibraryClient
from nats.aio.transport import TcpTransport
from nats.errors import Error as NatsError
from nats.errors import ProtocolError

from handlers.ports import ACTOR_HEADER
from infra.nats.library_client import Client, Frame, LargeReadTransport, PlaintextError, unsubscribe_frames
from tests.support.cases import case
from tests.support.fake_broker import info

ONE = b"HMSG in.1 7 $JS.ACK.1 14 18\r\nNATS/1.0\r\n\r\n\r\nbody\r\n"
TWO = b"HMSG in.1 7 $JS.ACK.2 12 12\r\nNATS/1.0\r\n\r\n\r\n"
PLAIN = b"MSG in.1 7 4\r\n\r\n\r\n\r\n" + b"MSG in.1 7 re 2\r\nab\r\n" + b"HMSG in.1 7 12 13\r\nNATS/1.0\r\n\r\nc\r\n"
OTHERS = b"HMSG x 8 r 12 15\r\nNATS/1.0\r\n\r\nabc\r\nMSG x 8 2\r\nde\r\n"
STREAM = ONE + b"PING\r\n" + TWO + ONE + OTHERS + ONE + PLAIN + b"+OK\r\n" + TWO
TAKEN = [
    ("$JS.ACK.1", b"body"),
    ("$JS.ACK.2", b""),
    ("$JS.ACK.1", b"body"),
    ("$JS.ACK.1", b"body"),
    ("", b"\r\n\r\n"),
    ("re", b"ab"),
    ("", b"c"),
    ("$JS.ACK.2", b""),
]


class Recording(Client):
    """A client without a connection that records what the parser hands over."""

    def __init__(self) -> None:
        super().__init__()
        self.pings = 0
        self.others: list[bytes] = []
        self.taken: list[tuple[str, bytes]] = []
        self.frame_handlers[7] = self.take

    def take(self, frames: Sequence[Frame]) -> None:
        self.taken += [(reply, body) for _, reply, _, body in frames]

    async def _process_ping(self) -> None:
        self.pings += 1

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        if sid in self.frame_handlers:
            await super()._process_msg(sid, subject, reply, data, headers)
        else:
            self.others.append(data)


async def subscribed(client: LibraryClient) -> asyncio.Queue[Any]:
    """Give a client without a connection subscription 1; return the queue of its messages."""
    client._flush_queue = asyncio.Queue()
    client._error_cb = _raised
    subscription = await client.subscribe("in.>")
    assert subscription._id == 1
    return subscription._pending_queue


async def _raised(error: Exception) -> None:
    raise error


@asynccontextmanager
async def broker(*, silent: bool = False) -> AsyncIterator[tuple[str, asyncio.Queue[bytes]]]:
    """A broker without TLS that answers the first ping; returns its address and the lines that it reads.

    With `silent` it reads nothing more after that.
    """
    lines: asyncio.Queue[bytes] = asyncio.Queue()
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(info(auth_required=True))
        while line := await reader.readline():
            lines.put_nowait(line)
            if line == b"PING\r\n":
                writer.write(b"PONG\r\n")
                if silent:
                    writer.transport.pause_reading()  # type: ignore[attr-defined] # of a stream's transport
                    return

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}", lines
    server.close()
    for each in writers:
        each.transport.abort()


# What goes wrong without each override.


@pytest.mark.parametrize("subject", [b"in.a\x0bb", b"in.a\x0cb"], ids=repr)
async def test_without_our_control_lines_a_blank_of_the_librarys_in_a_subject_breaks_the_connection(
    subject: bytes,
) -> None:
    frame = b"MSG %b 1 2\r\nok\r\n" % subject
    with pytest.raises(ProtocolError):
        await LibraryClient()._ps.parse(frame)

    client = Client()
    messages = await subscribed(client)
    await client._ps.parse(frame)
    assert messages.get_nowait().subject == subject.decode()


@pytest.mark.parametrize("frame", [b"MSG in.\xff 1 2\r\nok\r\n", b"MSG in.a 1 \xff 2\r\nok\r\n"], ids=repr)
async def test_without_our_messages_a_subject_of_any_bytes_ends_the_reader(frame: bytes) -> None:
    plain = LibraryClient()
    await subscribed(plain)
    with pytest.raises(UnicodeDecodeError):
        await plain._ps.parse(frame)

    client = Client()
    messages = await subscribed(client)
    await client._ps.parse(frame)
    message = messages.get_nowait()
    assert "\ufffd" in message.subject + message.reply


@pytest.mark.parametrize("block", [b"NATS/1.0", b"NATS/1.0 \xff\xff\xff\r\n\r\n"], ids=repr)
async def test_without_our_headers_a_broken_header_block_ends_the_reader(block: bytes) -> None:
    frame = b"HMSG in.a 1 %d %d\r\n%bok\r\n" % (len(block), len(block) + 2, block)
    plain = LibraryClient()
    await subscribed(plain)
    with pytest.raises((ValueError, LookupError)):
        await plain._ps.parse(frame)

    client = Client()
    messages = await subscribed(client)
    await client._ps.parse(frame)
    assert messages.get_nowait().headers == {ACTOR_HEADER: "\ufffd"}


@pytest.mark.parametrize("data", [ONE[:5], ONE, OTHERS], ids=repr)
async def test_without_our_count_a_broker_that_sends_is_given_up_for_pings_that_it_has_not_answered(
    data: bytes,
) -> None:
    for client, left in ((LibraryClient(), 2), (Recording(), 0)):
        client._pings_outstanding = 2
        await client._ps.parse(data)
        assert client._pings_outstanding == left


async def test_nothing_that_came_in_says_nothing_of_the_broker() -> None:
    client = Recording()
    client._pings_outstanding = 2
    await client._ps.parse(b"")
    assert client._pings_outstanding == 2


async def test_without_frame_handlers_each_message_takes_a_turn_of_the_event_loop() -> None:
    got: list[str] = []

    async def plain(message: Any) -> None:
        got.append(message.subject)

    def handle(frames: Sequence[Frame]) -> None:
        got.extend(frame[0] for frame in frames)

    library, client = LibraryClient(), Client()
    for each in (library, client):
        await subscribed(each)
    await library.subscribe("in.>", cb=plain)
    await client.subscribe_frames("in.>", handle)
    frames = b"MSG in.a 2 2\r\nok\r\n" * 3
    await library._ps.parse(frames)
    assert got == []
    await client._ps.parse(frames)
    assert got == ["in.a"] * 3


async def test_without_our_transport_no_read_takes_more_than_32_kib() -> None:
    for transport, taken in ((TcpTransport(), 32_768), (LargeReadTransport(), 131_072)):  # type: ignore[no-untyped-call] # the library's
        reader = asyncio.StreamReader()
        reader.feed_data(bytes(200_000))
        transport._io_reader = reader
        assert len(await transport.read(32_768)) == taken


async def test_our_client_connects_with_our_transport() -> None:
    async with broker() as (url, _):
        client = Client()
        await client.connect(url)
        assert type(client._transport) is LargeReadTransport
        await client.close()


async def test_without_our_connect_command_a_password_goes_in_the_clear() -> None:
    user: dict[str, Any] = {"user": "ann", "password": "hush"}
    options = {**user, "tls": ssl.create_default_context(), "allow_reconnect": False}
    async with broker() as (url, lines):
        plain = LibraryClient()
        await plain.connect(url, **options)
        assert b'"pass": "hush"' in await lines.get()
        await plain.close()
    async with broker() as (url, lines):
        client = Client(requires_tls=True)
        with pytest.raises(PlaintextError):
            await client.connect(url, **options)
        await client.close()
        assert lines.empty()


async def test_without_our_abort_a_frozen_broker_is_not_left() -> None:
    left: list[bool] = []
    # What is left for ever need not be waited for long; what is not must be left whatever the machine does meanwhile.
    for client, patience_s in ((LibraryClient(), 1), (Client(), 30)):
        async with broker(silent=True) as (url, _):
            lost = asyncio.Event()

            async def on_disconnected(lost: asyncio.Event = lost) -> None:
                lost.set()

            options: dict[str, Any] = {"ping_interval": 0.01, "max_outstanding_pings": 2, "pending_size": 0}
            await client.connect(url, disconnected_cb=on_disconnected, **options)
            frame = b"PUB x 1000000\r\n" + bytes(1_000_000) + b"\r\n"
            await client._send_command(frame * 20)
            await client._flush_pending()
            with suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await lost.wait()
            left.append(lost.is_set())
        with suppress(OSError):
            await client._close(LibraryClient.CLOSED, do_cbs=False)
    assert left == [False, True]


class EndlessReadError(Exception):
    """The file was read beyond its end again and again."""


class Damaged(io.BytesIO):
    """A file without a JWT that raises EndlessReadError."""

    reads_beyond_end = 0

    def readline(self, size: int | None = -1) -> bytes:
        line = super().readline(size)
        self.reads_beyond_end += not line
        if self.reads_beyond_end > 3:
            raise EndlessReadError
        return line


def test_without_our_credentials_a_damaged_file_is_read_for_ever(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    file = tmp_path / "damaged.creds"
    file.write_bytes(b"odd\n")
    with monkeypatch.context() as patch:
        patch.setattr("nats.aio.client.open", lambda *_: Damaged(b"odd\n"), raising=False)
        with pytest.raises(EndlessReadError):
            LibraryClient()._read_creds_user_jwt(str(file))
    with pytest.raises(NatsError):
        Client()._read_creds_user_jwt(str(file))


def test_without_our_credentials_a_missing_file_ends_the_reconnecting() -> None:
    """The library retries only after its own errors."""
    for client, error in ((LibraryClient(), OSError), (Client(), NatsError)):
        for read in (client._read_creds_user_jwt, client._read_creds_user_nkey):
            with pytest.raises(error) as caught:
                read("/none/such")
            assert isinstance(caught.value, NatsError) is (type(client) is Client)


async def test_abandoning_reports_no_disconnect() -> None:
    reported: list[str] = []

    async def on_disconnected() -> None:
        reported.append("disconnected")

    for name, client in (("close", Client()), ("abandon", Client())):
        async with broker() as (url, _):
            await client.connect(url, disconnected_cb=on_disconnected)
            await getattr(client, name)()
            assert client.is_closed
    assert reported == ["disconnected"]


async def test_frames_go_out_in_one_piece() -> None:
    client = Client()
    await subscribed(client)
    client._pending.clear()
    await client.send_frames(b"PUB a 0\r\n\r\nPUB b 0\r\n\r\n")
    client.send_frames_soon(b"PUB c 0\r\n\r\n")
    assert client._pending == [b"PUB a 0\r\n\r\nPUB b 0\r\n\r\n", b"PUB c 0\r\n\r\n"]


async def test_subscriptions_are_ended_by_number() -> None:
    client = Client()
    await subscribed(client)
    subscriptions = [await client.subscribe(subject) for subject in ("a", "b")]
    assert unsubscribe_frames(subscriptions) == b"UNSUB 2\r\nUNSUB 3\r\n"


# Parsing.


async def test_frames_are_taken_in_order_whatever_comes_between_and_wherever_the_bytes_are_cut() -> None:
    for size in range(1, len(STREAM) + 1):
        with case(size):
            client = Recording()
            for start in range(0, len(STREAM), size):
                await client._ps.parse(STREAM[start : start + size])

            assert client.taken == TAKEN
            assert client.others == [b"abc", b"de"]
            assert client.pings == 1
            assert not client._ps.unparsed
            assert not client._ps.buf


@pytest.mark.parametrize(
    ("frame", "reply"),
    [
        (b"MSG  in.1 7 4\r\nbody\r\n", ""),
        (b"MSG in.1  7 4\r\nbody\r\n", ""),
        (b"MSG in.1 7  4\r\nbody\r\n", ""),
        (b"MSG in.1 7 re  4\r\nbody\r\n", "re"),
        (b"HMSG  in.1 7 12 16\r\nNATS/1.0\r\n\r\nbody\r\n", ""),
        (b"HMSG in.1  7 re 12 16\r\nNATS/1.0\r\n\r\nbody\r\n", "re"),
        (b"HMSG\tin.1 7 re 12 16\r\nNATS/1.0\r\n\r\nbody\r\n", "re"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("before", [b"", ONE], ids=["alone", "behind another"])
async def test_more_blanks_than_a_broker_sends_are_no_matter(frame: bytes, reply: str, before: bytes) -> None:
    client = Recording()
    await client._ps.parse(before + frame + TWO)

    assert client.taken[-2:] == [(reply, b"body"), ("$JS.ACK.2", b"")]
    assert not client._ps.unparsed


@pytest.mark.parametrize(
    "line", [b"odd\r\n", b"\r\n", b"MSG in.1 7\r\n", b"x" * 5_000 + b"\r\n"], ids=lambda line: line[:9]
)
async def test_a_line_of_no_protocol_is_an_error(line: bytes) -> None:
    client = Recording()
    with pytest.raises(ProtocolError):
        await client._ps.parse(ONE + line)
    assert client.taken == TAKEN[:1]


async def test_a_long_line_is_waited_for() -> None:
    client = Recording()
    infos: list[dict[str, Any]] = []

    async def note(info: dict[str, Any]) -> None:
        infos.append(info)

    client._process_info = note  # type: ignore[method-assign,assignment] # seen from inside
    line = b'INFO {"x": "%b"}\r\n' % (b"x" * 10_000)
    for start in range(0, len(line), 3_000):
        await client._ps.parse(line[start : start + 3_000])
    await client._ps.parse(ONE)
    assert [len(info["x"]) for info in infos] == [10_000]
    assert client.taken == TAKEN[:1]


async def test_a_large_frame_is_not_copied_for_every_piece_of_it() -> None:
    client = Recording()
    body = bytes(1_000_000)
    frame = b"HMSG in.1 7 r 12 %d\r\nNATS/1.0\r\n\r\n%b\r\n" % (12 + len(body), body)
    async with asyncio.timeout(1):
        for start in range(0, len(frame), 100):
            await client._ps.parse(frame[start : start + 100])

    assert client.taken == [("r", body)]


async def test_an_ended_subscription_is_given_no_more_frames() -> None:
    client = Recording()
    await client._ps.parse(ONE)
    client._remove_sub(7)
    await client._ps.parse(OTHERS)

    assert client.taken == TAKEN[:1]
    assert client.others == [b"abc", b"de"]


async def test_half_a_frame_of_a_lost_connection_is_forgotten() -> None:
    client = Recording()
    await client._ps.parse(ONE[:30])
    client._ps.reset()
    await client._ps.parse(TWO)

    assert client.taken == [("$JS.ACK.2", b"")]


async def test_what_was_read_before_a_reset_is_not_handed_over_after_it() -> None:
    client = Recording()

    async def ping() -> None:
        client._ps.reset()

    client._process_ping = ping  # type: ignore[method-assign] # same
    await client._ps.parse(ONE + b"PING\r\n" + TWO)
    await client._ps.parse(ONE)

    assert client.taken == [TAKEN[0], TAKEN[0]]
