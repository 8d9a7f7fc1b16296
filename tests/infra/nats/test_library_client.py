"""What is tapped arrives in order however the bytes are cut up, and the rest of the protocol goes on beside it."""

import asyncio
from collections.abc import Sequence

import pytest

from infra.nats.library_client import Client, Frame
from tests.support.cases import case

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
    """A client without a connection that notes what the parser gives it."""

    def __init__(self) -> None:
        super().__init__()
        self.pings = 0
        self.others: list[bytes] = []
        self.taken: list[tuple[str, bytes]] = []
        self.taps[7] = self.take

    def take(self, frames: Sequence[Frame]) -> None:
        self.taken += [(reply, body) for _, reply, _, body in frames]

    async def _process_ping(self) -> None:
        self.pings += 1

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        if sid in self.taps:
            await super()._process_msg(sid, subject, reply, data, headers)
        else:
            self.others.append(data)


async def test_frames_are_taken_in_order_whatever_comes_between_and_wherever_the_bytes_are_cut() -> None:
    for size in range(1, len(STREAM) + 1):
        with case(f"{size} bytes at once"):
            client = Recording()
            for start in range(0, len(STREAM), size):
                await client._ps.parse(STREAM[start : start + size])

            assert client.taken == TAKEN
            assert client.others == [b"abc", b"de"]
            assert client.pings == 1
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
    assert not client._ps.buf


async def test_a_large_frame_is_not_copied_for_every_piece_of_it() -> None:
    client = Recording()
    body = bytes(1_000_000)
    frame = b"HMSG in.1 7 r 12 %d\r\nNATS/1.0\r\n\r\n%b\r\n" % (12 + len(body), body)
    async with asyncio.timeout(1):
        for start in range(0, len(frame), 100):
            await client._ps.parse(frame[start : start + 100])

    assert client.taken == [("r", body)]


async def test_who_taps_no_more_is_given_no_more() -> None:
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


@pytest.mark.parametrize(("data", "left"), [(ONE[:5], 0), (ONE, 0), (OTHERS, 0), (b"", 2)])
async def test_a_broker_that_sends_is_not_given_up_for_pings_that_it_has_not_answered(data: bytes, left: int) -> None:
    client = Recording()
    client._pings_outstanding = 2
    await client._ps.parse(data)

    assert client._pings_outstanding == left
