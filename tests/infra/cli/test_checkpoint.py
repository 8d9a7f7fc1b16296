"""A signed checkpoint shows that a log was rewritten, however well its chain was forged."""

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.broker.embedded import EmbeddedBroker
from infra.export.export_file import ExportReader, ExportWriter
from infra.service.serving import PoolServer
from tests.infra.cli.conftest import Run, invoke
from tests.infra.cli.test_verify_tampering import Log, rechained, renumbered
from tests.support.broker import Connect
from tests.support.secret_files import write_secret

CHECK = ("--checkpoint", "point.json", "--public-key", "key.pub")


@pytest.fixture
async def signed(ask: Run, service: PoolServer) -> Run:
    """A checkpoint at position 3 in `point.json`, then one event more."""
    await ask("checkpoint", "keygen", "key")
    await ask("submit", "T1", "--title", "Honest")
    told = (await ask("checkpoint", "sign", "--key", "key", "--output", "point.json")).out
    assert told.startswith("checkpoint of pool ")
    assert " at position 3, hash " in told
    await ask("submit", "T2")
    return ask


def text_of(name: str) -> str:
    return Path(name).read_text(encoding="utf-8")


def write(name: str, text: str) -> None:
    write_secret(Path(name), text)


def mode_of(name: str) -> int:
    return stat.S_IMODE(Path(name).stat().st_mode)


def forge(change: Callable[[Log], None], how: Callable[[Log], Log] = rechained) -> None:
    """Write `forged.gz`: the export `log.gz` changed, with a proper chain and digests that fit."""
    reader = ExportReader(Path("log.gz"))
    log = list(reader.messages())
    change(log)
    writer = ExportWriter(Path("forged.gz"))
    writer.write(how(log))
    writer.finish(pool=reader.header.pool, exported_at=reader.header.exported_at, software=reader.header.software)
    writer.close()


def retitled(log: Log) -> None:
    log[2] = log[2]._replace(body=log[2].body.replace(b"Honest", b"Forged"))


def cut_short(log: Log) -> None:
    del log[2:]


def shifted(log: Log) -> None:
    """The first two events were never there."""
    del log[:2]


async def test_a_log_that_only_grew_is_as_it_was_signed(signed: Run) -> None:
    report = (await signed("verify", *CHECK, "--json")).json
    assert (report["ok"], report["checkpoints"][0]["position"], report["rewritten"]) == (True, 3, None)
    await signed("export", "log.gz")
    result = await signed("verify", "--file", "log.gz", *CHECK)
    assert result.lines[0] == "log.gz: in order"
    assert result.lines[-1].endswith(": position 3 is as it was signed")


@pytest.mark.parametrize(
    ("change", "how", "said"),
    [
        (retitled, rechained, "at or before position 3: the hash there was "),
        (cut_short, rechained, "at or before position 3: it is not there any more, and the log ends at 2"),
        (shifted, renumbered, "at or before position 3: it is not there any more, and the log ends at 2"),
    ],
)
async def test_a_rewritten_log_that_seems_in_order_is_found_out(
    signed: Run, run: Run, change: Callable[[Log], None], how: Callable[[Log], Log], said: str
) -> None:
    await signed("export", "log.gz")
    forge(change, how)
    assert (await run("verify", "--file", "forged.gz")).status == 0
    result = await run("verify", "--file", "forged.gz", *CHECK)
    assert (result.status, result.lines[0]) == (1, "forged.gz: NOT in order")
    assert "rewritten since 20" in result.out
    assert said in result.out
    assert said in (await run("verify", "--file", "forged.gz", *CHECK, "--json")).json["rewritten"]


async def test_a_rewritten_log_at_the_broker_is_found_out(
    signed: Run, run: Run, service: PoolServer, at_broker: EmbeddedBroker, pool: str, connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    await signed("export", "log.gz")
    await service.stop()
    forge(retitled)
    await (await connect("admin")).jetstream().delete_stream(f"CUSTODY_{pool}")
    monkeypatch.setenv("CUSTODY_WRITER_PASSWORD", at_broker.credentials("writer")["password"])
    await signed("import", "forged.gz")
    await signed("verify")
    result = await run("verify", *CHECK)
    assert (result.status, result.lines[0]) == (1, f"CUSTODY_{pool}: NOT in order")
    assert "rewritten since 20" in result.out


async def test_several_checkpoints_narrow_down_where(signed: Run, run: Run) -> None:
    def restated(log: Log) -> None:
        log[3] = log[3]._replace(body=log[3].body.replace(b'"priority"', b' "priority"'))

    await signed("checkpoint", "sign", "--key", "key", "--output", "later.json")
    await signed("export", "log.gz")
    both = ("--checkpoint", "later.json", *CHECK)
    await signed("verify", "--file", "log.gz", *both)
    forge(restated)
    result = await run("verify", "--file", "forged.gz", *both)
    assert result.status == 1
    assert (
        "at or before position 4 and after position 3, which another checkpoint confirms: the hash there was "
        in result.out
    )


async def test_without_an_output_it_is_printed(signed: Run, pool: str) -> None:
    printed = (await signed("checkpoint", "sign", "--key", "key")).json
    assert (printed["format"], printed["version"], printed["pool"]) == ("custody-checkpoint", 1, pool)
    assert (printed["stream"], printed["position"], printed["events"]) == (f"CUSTODY_{pool}", 4, 4)


async def test_a_bad_checkpoint_or_key_is_one_line(signed: Run, run: Run) -> None:
    point = text_of("point.json")
    document = json.loads(point)
    wrong = "the signature of point.json is wrong: "
    cases: list[tuple[str, str]] = [
        (json.dumps({**document, "position": 2}), wrong + "it was changed"),
        (json.dumps({**document, "hash": "0" * 64}), wrong + "it was changed"),
        (json.dumps({**document, "more": 1}), wrong + "it was changed"),
        (json.dumps({**document, "signature": "AAAA"}), wrong + "it was changed"),
        (json.dumps({**document, "signature": "?"}), wrong + "it was changed"),
        (json.dumps({**document, "version": 2}), "point.json has format version 2; this software reads 1"),
        (json.dumps({**document, "hash": None}), "point.json is no checkpoint: it is incomplete"),
        (json.dumps({**document, "position": True}), "point.json is no checkpoint: it is incomplete"),
        ("junk", "point.json is no checkpoint"),
        ("[" * 60_000, "point.json is no checkpoint"),
    ]
    for text, said in cases:
        write("point.json", text)
        result = await run("verify", *CHECK)
        assert (result.status, result.out, result.err) == (1, "", f"custody: {said}\n")
    write("point.json", json.dumps(document))
    await signed("verify", *CHECK)
    await signed("checkpoint", "keygen", "other")
    for options, said in (
        (("--checkpoint", "point.json", "--public-key", "other.pub"), "is wrong: another key signed it"),
        (("--checkpoint", "point.json", "--public-key", "key"), "cannot use key: it is no public key (PEM, Ed25519)"),
        (("--checkpoint", "none.json", "--public-key", "key.pub"), "cannot read none.json: No such file or directory"),
        (("--checkpoint", "point.json", "--public-key", "none"), "cannot read none: No such file or directory"),
        ((*CHECK, "--pool", "other"), "not of other"),
    ):
        result = await run("verify", *options)
        assert (result.status, result.out) == (1, ""), options
        assert said in result.err
    assert (await run("verify", "--checkpoint", "point.json")).status == 2
    assert (await run("verify", "--public-key", "key.pub")).status == 2


def test_the_private_key_is_for_its_owners_eyes_only() -> None:
    told = invoke("checkpoint", "keygen", "key")
    assert told.out.endswith(": private in key, public in key.pub\n")
    assert (mode_of("key"), mode_of("key.pub")) == (0o600, 0o644 & ~umask())
    assert text_of("key.pub").startswith("-----BEGIN PUBLIC KEY-----")


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_key_is_never_overwritten() -> None:
    invoke("checkpoint", "keygen", "key")
    before = text_of("key")
    for arguments, said in (
        (("key",), "key is there already, and a key is never overwritten"),
        (("new", "--public-key", "key.pub"), "key.pub is there already, and a key is never overwritten"),
        (("nowhere/key",), "cannot write nowhere/key: No such file or directory"),
        (("new", "--public-key", "nowhere/pub"), "cannot write nowhere/pub: No such file or directory"),
    ):
        result = invoke("checkpoint", "keygen", *arguments)
        assert (result.status, result.out, result.err) == (1, "", f"custody: {said}\n")
    assert text_of("key") == before
    assert not Path("new").exists()


def test_a_key_that_cannot_be_written_leaves_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_self: Path, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert invoke("checkpoint", "keygen", "key").err == "custody: cannot write key: No space left on device\n"
    assert not Path("key").exists()


async def test_a_passphrase_protects_the_private_key(signed: Run, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write("phrase", "correct horse\n")
    write("wrong", "battery staple\n")
    write("empty", "\n")
    await signed("checkpoint", "keygen", "locked", "--passphrase-file", "phrase")
    assert "ENCRYPTED" in text_of("locked")
    sign = ("checkpoint", "sign", "--key", "locked")
    printed = await signed(*sign, "--passphrase-file", "phrase")
    write("point.json", printed.out)
    await signed("verify", "--checkpoint", "point.json", "--public-key", "locked.pub")
    for options, said in (
        ((), "locked is protected by a passphrase, and none was given"),
        (("--passphrase-file", "wrong"), "cannot use locked: the passphrase does not open it"),
        (("--passphrase-file", "empty"), "empty holds no passphrase: its first line is empty"),
        (("--passphrase-file", "none"), "cannot read none: No such file or directory"),
    ):
        result = await run(*sign, *options)
        assert (result.status, result.out, result.err) == (1, "", f"custody: {said}\n")
    monkeypatch.setenv("CUSTODY_KEY_PASSPHRASE", "correct horse")
    await signed(*sign)
    await signed("checkpoint", "sign", "--key", "key")


async def test_what_is_no_private_key_is_one_line(signed: Run, run: Run) -> None:
    write("odd", "no key")
    for name, said in (
        ("odd", "cannot use odd: it is no private key (PEM, Ed25519)"),
        ("key.pub", "cannot use key.pub: it is no private key (PEM, Ed25519)"),
        ("none", "cannot read none: No such file or directory"),
    ):
        result = await run("checkpoint", "sign", "--key", name)
        assert (result.status, result.out, result.err) == (1, "", f"custody: {said}\n")
    assert "cannot write nowhere/p" in (await run("checkpoint", "sign", "--key", "key", "--output", "nowhere/p")).err


@pytest.fixture
def _readable_key(signed: Run) -> None:
    Path("key").chmod(0o640)


@pytest.mark.usefixtures("_readable_key")
async def test_a_private_key_that_others_can_read_is_not_used(run: Run) -> None:
    result = await run("checkpoint", "sign", "--key", "key")
    said = "custody: key is not used: other users may read or write it: chmod 600 key\n"
    assert (result.status, result.out, result.err) == (1, "", said)


async def test_an_empty_pool_has_nothing_to_sign(run: Run, at_broker: EmbeddedBroker, pool: str) -> None:
    await run("checkpoint", "keygen", "key")
    result = await run("checkpoint", "sign", "--key", "key")
    assert (result.status, result.err) == (1, f"custody: pool {pool} has no log at {at_broker.url}\n")
