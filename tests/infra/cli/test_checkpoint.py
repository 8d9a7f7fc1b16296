"""A signed checkpoint shows that a log was rewritten, however well its chain was forged."""

import gzip
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from handlers.ports import StoredMessage
from infra.serving import PoolServer
from projections.verification import HASH_HEADER, chain_hash
from tests.infra.cli.conftest import Run

CHECK = ("--checkpoint", "point.json", "--key", "key")


@pytest.fixture
async def signed(ask: Run, service: PoolServer) -> Run:
    """A checkpoint at position 3 in `point.json`, then one event more."""
    await ask("submit", "T1", "--title", "Honest")
    told = (await ask("checkpoint", "--key", "key", "--output", "point.json")).out
    assert told.startswith("checkpoint of pool ")
    assert " at position 3, hash " in told
    await ask("submit", "T2")
    return ask


def text_of(name: str) -> str:
    return Path(name).read_text(encoding="utf-8")


def write(name: str, text: str) -> None:
    Path(name).write_text(text, encoding="utf-8")


def mode_of(name: str) -> int:
    return stat.S_IMODE(Path(name).stat().st_mode)


def forge(change: Any) -> None:
    """Write `forged.gz`: the export changed, with a proper chain and no word of it in the header."""
    header, *lines = [json.loads(line) for line in gzip.decompress(Path("log.gz").read_bytes()).splitlines()]
    change(lines)
    tail = "0" * 64
    for line in lines:
        tail = chain_hash(tail, StoredMessage(line["position"], line["subject"], line["body"].encode()))
        line["headers"][HASH_HEADER] = tail
    whole = "".join(json.dumps(line) + "\n" for line in [header, *lines])
    Path("forged.gz").write_bytes(gzip.compress(whole.encode()))


async def test_a_log_that_only_grew_is_in_order(signed: Run) -> None:
    report = (await signed("verify", *CHECK, "--json")).json
    assert (report["ok"], report["checkpoint"]["position"], report["rewritten"]) == (True, 3, None)
    assert mode_of("key") == 0o600
    await signed("export", "log.gz")
    assert (await signed("verify", "--file", "log.gz", *CHECK)).lines[0] == "log.gz: in order"


async def test_a_rewritten_log_is_found_out(signed: Run, run: Run) -> None:
    def retitle(lines: list[dict[str, Any]]) -> None:
        lines[2]["body"] = lines[2]["body"].replace("Honest", "Forged")

    await signed("export", "log.gz")
    forge(retitle)
    result = await run("verify", "--file", "forged.gz", *CHECK)
    assert (result.status, result.lines[0]) == (1, "forged.gz: NOT in order")
    assert "rewritten since 20" in result.out
    forge(lambda lines: lines.__delitem__(slice(2, None)))
    assert "position 3 of the checkpoint is not in the log, which ends at 2" in (
        await run("verify", "--file", "forged.gz", *CHECK)
    ).out  # fmt: skip


async def test_without_an_output_it_is_printed(signed: Run) -> None:
    printed = (await signed("checkpoint", "--key", "key")).json
    assert (printed["format"], printed["version"], printed["position"]) == ("custody-checkpoint", 1, 4)
    assert len(printed["signature"]) == 64


async def test_bad_input_is_one_line(signed: Run, run: Run) -> None:
    point = text_of("point.json")
    document = json.loads(point)
    cases = [
        (json.dumps({**document, "position": 2}), "the signature of point.json is wrong: it was changed"),
        (json.dumps({**document, "hash": "0" * 64}), "the signature of point.json is wrong: it was changed"),
        (json.dumps({**document, "version": 2}), "point.json has format version 2; this software reads 1"),
        (json.dumps({**document, "hash": None}), "point.json is no checkpoint: it is incomplete"),
        ("junk", "point.json is no checkpoint"),
    ]
    for text, said in cases:
        write("point.json", text)
        result = await run("verify", *CHECK)
        assert (result.status, result.out, result.err) == (1, "", f"custody: {said}\n")
    write("point.json", point)
    write("other", "ab" * 32)
    write("odd", "no key")
    for options, said in (
        (("--checkpoint", "point.json", "--key", "other"), "is wrong: another key signed it"),
        (("--checkpoint", "point.json", "--key", "odd"), "odd is no key: 64 or more hexadecimal digits"),
        (("--checkpoint", "none.json", "--key", "key"), "cannot read none.json: No such file or directory"),
        ((*CHECK, "--pool", "other"), "not of other"),
    ):
        result = await run("verify", *options)
        assert (result.status, result.out) == (1, ""), options
        assert said in result.err
    assert (await run("verify", "--checkpoint", "point.json")).status == 2
    assert "cannot write nowhere/key" in (await run("checkpoint", "--key", "nowhere/key")).err
