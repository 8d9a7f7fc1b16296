"""Every decoder of bytes from outside takes anything: it answers, or raises the error that its callers catch."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from eventsourcing.persistence import InternalError, MapperDeserialisationError, StoredEvent
from pydantic import ValidationError

from custody_eventsourcing import records
from custody_eventsourcing.pool_events import PoolMapper
from domain.commands.agent_commands import AGENT_COMMANDS
from domain.commands.operator_commands import OPS_COMMANDS
from domain.rules import Rules
from domain.untrusted_json import parse_json, parse_json_object
from handlers import log_end
from handlers.memory import snapshots
from handlers.memory.memory import Memory
from handlers.notifier.message import Message
from handlers.notifier.outbox import OutboxUnavailableError
from handlers.ports import LogError, StoredMessage, UnreadableEventError
from handlers.projector.read_model import ReadModelError
from infra.broker.data_dir import DataDir, DataDirError
from infra.cli.framework import options
from infra.codec import CloudEventsCodec
from infra.export.export_error import ExportFileError
from infra.export.export_file import ExportReader, ExportWriter
from infra.nats import appends, wire_format
from infra.nats.api import stored_message
from infra.nats.contract_client import CustodyClient, CustodyError
from infra.nats.exchange import Answer
from infra.nats.import_mark import unfinished_import
from infra.nats.jetstream_errors import ApiError, append_error
from infra.nats.kv_read_model import read_watermark
from infra.nats.snapshot_store import read_manifest
from infra.notify.notify_config import NotifyConfigError, load_config
from infra.notify.outbox_desk import OutboxDesk
from infra.notify.sqlite_outbox import SqliteOutbox
from infra.notify.state_file import StateFile
from infra.notify.webhook_secrets import access_of
from infra.reports.whatif_policies import read_policies
from infra.settings.loading import load_settings
from infra.settings.sources import SettingsError
from infra.sql.generations import read_watermark as register_watermark
from projections.queries.questions import QUERIES
from projections.state.state_image import SnapshotError
from tests.support.cases import case
from tests.support.checkout import PACKAGES, ROOT
from tests.support.hostile_bytes import hostile
from tests.support.scenario import OPS, START, Scenario
from tests.support.secret_files import write_secret
from tests.support.virtual_clock import VirtualClock

POOL = "default"
CODEC = CloudEventsCodec(POOL)
SCENARIO = Scenario()
SCENARIO.given(OPS, "submit", task_id="T1", title="First", payload={"a": [1, 2.5, None]})
SCENARIO.given("a1", "register", capabilities=["x"], labels=["y"])
SCENARIO.given("a1", "claim")
MESSAGES = list(SCENARIO.messages)
EVENT = next(each for each in MESSAGES if each.subject.endswith("submitted"))


def _memory() -> Memory:
    return Memory(POOL, Rules(), CODEC, outcomes=10)


def _folded() -> Memory:
    memory = _memory()
    memory.fold(MESSAGES)
    return memory


_SNAPSHOT = snapshots.encode(snapshots.image_of(_folded()), "b")
_HEAD, _, _PACKED = _SNAPSHOT.partition(b"\n")
_LINES = {line.partition(b" ")[0].decode(): line.partition(b" ")[2] for line in zlib.decompress(_PACKED).splitlines()}


def _adopted(document: bytes) -> None:
    """Decode a snapshot and use it: a memory that refuses it is unchanged."""
    memory = _memory()
    try:
        snapshots.adopt(memory, snapshots.decode(document, build="b", pool_id=POOL))
    except SnapshotError:
        assert memory.state.position == 0
        memory.fold(MESSAGES)
        raise


def _snapshot_of(kind: str) -> Callable[[bytes], None]:
    """Return a decoder of a whole and signed snapshot that has other bytes in its line of a kind."""

    def decode(value: bytes) -> None:
        lines = {**_LINES, kind: value}
        raw = b"".join(name.encode() + b" " + each + b"\n" for name, each in lines.items())
        packed = zlib.compress(raw, 1)
        header = {**json.loads(_HEAD), "raw_bytes": len(raw), "sha256": hashlib.sha256(packed).hexdigest()}
        _adopted(json.dumps(header).encode() + b"\n" + packed)

    return decode


def _export(path: Path) -> bytes:
    writer = ExportWriter(path)
    writer.write(MESSAGES)
    writer.finish(pool=POOL, exported_at="2026-11-21T11:48:27.435708Z", software="test")
    writer.close()
    return gzip.decompress(path.read_bytes())


def _read_export(path: Path) -> None:
    reader = ExportReader(path)
    list(reader.messages())
    reader.check()


def _request(models: Any) -> Callable[[bytes], None]:
    def decode(body: bytes) -> None:
        for model in models.values():
            with case(model.__name__):
                try:
                    model.model_validate_json(body)
                except ValidationError as error:
                    error.errors(include_url=False, include_input=False, include_context=False)

    return decode


def _acknowledged(body: bytes) -> None:
    appends.acknowledged(Answer(b"", body), "CUSTODY_default", "", 1, 8)


def _client_reply(body: bytes) -> None:
    CustodyClient(None, POOL)._parsed("subject", body)  # type: ignore[arg-type] # noqa: SLF001 # the decoder alone


def _five(value: Any) -> list[Any]:
    """Return the values of the register's five columns."""
    return [*(value if isinstance(value, list) else [value]), *[None] * 5][:5]


class Decoder(NamedTuple):
    """One decoder: the file that it is in, something valid, and the errors that its callers catch."""

    file: str
    decode: Callable[[bytes], Any]
    valid: bytes = b""
    errors: tuple[type[Exception], ...] = (ValueError,)


def _answer(decode: Callable[[Any], Any]) -> Callable[[bytes], Any]:
    """Return a decoder of the API's answers, which are objects."""
    return lambda body: decode(parse_json_object(body))


ACK = json.dumps({"stream": "CUSTODY_default", "seq": 8}).encode()
API_ERROR = json.dumps({"code": 400, "err_code": 10071, "description": "wrong last sequence: 3"}).encode()
STORED = json.dumps({"message": {"seq": 3, "subject": "a.b", "data": "eA==", "hdrs": "TkFUUy8xLjANCg0K"}}).encode()
INFO = {"config": {"name": "S", "metadata": {"custody-import-last": "9"}}, "state": {"last_seq": 3, "messages": 3}}
MARK = {"position": 3, "hash": "a", "log_id": "b", "time": "2026-11-21T11:48:27.435708Z", "skipped": 0}
REFUSED = {"ok": False, "error": {"code": "c", "message": "m", "details": {"a": 1}}, "position": 3}
DECODERS: dict[str, Decoder] = {
    "any JSON": Decoder("domain/untrusted_json.py", parse_json, b'{"a": [1]}'),
    "an event": Decoder(
        "infra/codec.py", lambda body: CODEC.decode(EVENT._replace(body=body)), EVENT.body, (UnreadableEventError,)
    ),
    "an agent's command": Decoder("handlers/service/routes.py", _request(AGENT_COMMANDS), b'{"task_id": "T1"}', ()),
    "an operator's command": Decoder("handlers/service/routes.py", _request(OPS_COMMANDS), b'{"task_id": "T1"}', ()),
    "a question": Decoder("handlers/service/command_service.py", _request(QUERIES), b'{"after": "x"}', ()),
    "a snapshot": Decoder("handlers/memory/snapshots.py", _adopted, _SNAPSHOT, (SnapshotError,)),
    **{
        f"a snapshot's {kind}": Decoder("projections/state/state_image.py", _snapshot_of(kind), value, (SnapshotError,))
        for kind, value in _LINES.items()
    },
    "a snapshot's manifest": Decoder(
        "infra/nats/snapshot_store.py", read_manifest, b'{"parts": 3, "bytes": 9}', (SnapshotError,)
    ),
    "a bucket's watermark": Decoder("infra/nats/kv_read_model.py", read_watermark, json.dumps(MARK).encode()),
    "a remembered end of a log": Decoder(
        "handlers/log_end.py",
        lambda document: log_end.decode(document, POOL),
        log_end.encode(log_end.LogEnd("a", 3, "b", 4), POOL),
    ),
    "a database's watermark": Decoder(
        "infra/sql/generations.py", lambda body: register_watermark(_five(parse_json(body))), b'[3, "a", "b", null, 0]'
    ),
    "an append's answer": Decoder("infra/nats/appends.py", _acknowledged, ACK, (LogError,)),
    "an append's refusal": Decoder("infra/nats/appends.py", _acknowledged, b'{"error": %b}' % API_ERROR, (LogError,)),
    "the API's error": Decoder(
        "infra/nats/jetstream_errors.py", lambda body: append_error(ApiError("v", parse_json(body))), API_ERROR
    ),
    "a stored message": Decoder("infra/nats/api.py", _answer(stored_message), STORED),
    "a stream's metadata": Decoder(
        "infra/nats/import_mark.py",
        lambda body: unfinished_import({**INFO, "config": {"name": "S", "metadata": parse_json(body)}}, "url"),
        b'{"custody-import-last": "9"}',
    ),
    "a service's reply": Decoder(
        "infra/nats/contract_client.py", _client_reply, json.dumps(REFUSED).encode(), (CustodyError,)
    ),
    "a message's headers": Decoder(
        "infra/nats/wire_format.py", wire_format.all_headers, b"NATS/1.0\r\nA: b\r\n\r\n", ()
    ),
    "a status": Decoder("infra/nats/wire_format.py", wire_format.status_of, b"NATS/1.0 503\r\n\r\n", ()),
    "a heartbeat": Decoder("infra/nats/wire_format.py", wire_format.stalled_reply, b"NATS/1.0 100\r\nA: b\r\n\r\n", ()),
    "a delivery's subject": Decoder(
        "infra/nats/wire_format.py",
        lambda reply: wire_format.delivered(reply.decode("utf-8", "replace")),
        b"$JS.ACK.S.C.1.7.7.1732184907435708000.0",
        (ValueError, IndexError),
    ),
    "a direct get's answer": Decoder(
        "infra/nats/wire_format.py",
        lambda head: wire_format.republished(head, b""),
        b"NATS/1.0\r\nNats-Sequence: 7\r\nNats-Subject: a\r\n\r\n",
        (KeyError, ValueError),
    ),
    "a stored event of the library": Decoder(
        "custody_eventsourcing/pool_events.py",
        lambda state: PoolMapper(None).to_domain_event(StoredEvent("task/T1", 1, "t", state)),  # type: ignore[arg-type] # no transcoder
        EVENT.body,
        (MapperDeserialisationError,),
    ),
    "a tracking of the library": Decoder(
        "custody_eventsourcing/records.py",
        lambda body: records.tracking_id(StoredMessage(1, "s", body)),
        b"7",
        (InternalError,),
    ),
    "an option of the command line": Decoder(
        "infra/cli/framework/options.py",
        lambda text: options._parsed_json(text.decode("utf-8", "replace").lstrip("-@"), "--payload"),  # noqa: SLF001 # the decoder alone
        b'{"a": 1}',
        (typer.BadParameter,),
    ),
}


class FileDecoder(NamedTuple):
    """One decoder of a file: how it is read, a valid one, and the errors that its callers catch."""

    file: str
    read: Callable[[Path], Any]
    write: Callable[[Path, bytes], Any]
    valid: Callable[[Path], bytes]
    errors: tuple[type[Exception], ...]


def _settings(path: Path) -> None:
    load_settings({"config": str(path)})


def _policies(path: Path) -> None:
    read_policies([path], (), load_settings({}).settings)


NOTIFY = """
[[endpoint]]
name = "e"
url = "https://hooks.example/x"
secret_file = "file.toml"
events = ["task.*"]
"""


def _notify_secrets(path: Path) -> bytes:
    (path.parent / "notify.toml").write_text(NOTIFY)
    return b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"


def _outbox(path: Path) -> bytes:
    file = StateFile(path, POOL)
    outbox = SqliteOutbox(file, VirtualClock())
    outbox.register({"e": "address"}, 3)
    told = Message("e", "msg_1", 7, "custody.task.failed.v1", START, {"text": "failed"})
    outbox.tell_needs("e", {"blocked:T1": told}, {})
    file.close()
    return path.read_bytes()


def _read_outbox(path: Path) -> None:
    file = StateFile(path, POOL)
    try:
        desk, outbox = OutboxDesk(file), SqliteOutbox(file, VirtualClock())
        desk.statuses()
        desk.dead_letters()
        desk.pending("e")
        outbox.known_needs("e")
        outbox.take("e", START, ())
    finally:
        file.close()


PLAIN = Path.write_bytes
FILES: dict[str, FileDecoder] = {
    "an export": FileDecoder(
        "infra/export/export_file.py",
        _read_export,
        lambda path, content: path.write_bytes(gzip.compress(content, 1)),
        _export,
        (ExportFileError,),
    ),
    "an export's bytes": FileDecoder(
        "infra/export/export_file.py",
        _read_export,
        PLAIN,
        lambda path: _export(path) and path.read_bytes(),
        (ExportFileError,),
    ),
    "a broker's record": FileDecoder(
        "infra/broker/data_dir.py",
        lambda path: DataDir(path.parent).read_record(),
        lambda path, content: (path.parent / "broker.json").write_bytes(content),
        lambda _: b'{"url": "nats://127.0.0.1:1", "pid": 7, "users": true}',
        (),
    ),
    "a broker's passwords": FileDecoder(
        "infra/broker/data_dir.py",
        lambda path: DataDir(path.parent).read_passwords(),
        lambda path, content: write_secret(path.parent / "credentials.json", content),
        lambda _: b'{"writer": "x"}',
        (DataDirError,),
    ),
    "settings": FileDecoder(
        "infra/settings/sources.py", _settings, PLAIN, lambda _: b'pool = "p"\nlease_s = 7\n', (SettingsError,)
    ),
    "a notifier's configuration": FileDecoder(
        "infra/notify/notify_config.py", load_config, PLAIN, lambda _: NOTIFY.encode(), (NotifyConfigError,)
    ),
    "a notifier's secrets": FileDecoder(
        "infra/notify/webhook_secrets.py",
        lambda path: access_of(load_config(path.parent / "notify.toml").endpoint[0]),
        write_secret,
        _notify_secrets,
        (NotifyConfigError,),
    ),
    "a notifier's state": FileDecoder(
        "infra/notify/state_file.py",
        _read_outbox,
        PLAIN,
        _outbox,
        (ReadModelError, OutboxUnavailableError),
    ),
    "a what-if policy": FileDecoder(
        "infra/reports/whatif_policies.py",
        _policies,
        PLAIN,
        lambda _: b"lease_s = 7\n[grid]\nlease_grace_s = [1, 2]\n",
        (SettingsError,),
    ),
}
TOML = (b"a = " + b"[" * 100_000, b"a = " + b"9" * 5_000, b"a = nan\n", b"a = inf\n", b"a = " + b"{a=" * 100_000)


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_takes_anything(name: str) -> None:
    decoder = DECODERS[name]
    for what, content in [("as it should be", decoder.valid), *hostile(decoder.valid)]:
        with case(what):
            try:
                decoder.decode(content)
            except decoder.errors:
                continue


@pytest.mark.parametrize("name", FILES)
def test_a_file_may_hold_anything(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    decoder, path = FILES[name], tmp_path / "file.toml"
    valid = decoder.valid(path)
    decoder.write(path, valid)
    decoder.read(path)
    for what, content in [*hostile(valid), *((each[:10].decode(), each) for each in TOML)]:
        with case(what):
            decoder.write(path, content)
            try:
                decoder.read(path)
            except decoder.errors:
                continue


DECODES = re.compile(
    r"json\.loads\(|from_json\(|msgspec\.convert\(|json\.Decoder\(|validate_json\(|tomllib\.loads\(|toml_file=|b64decode\("
    r"|zlib\.decompress|parse_json(?:_object)?\("
)
NOT_FROM_OUTSIDE = {
    "custody_dashboard/web/request_body.py": "tests/custody_dashboard/test_bad_input.py",
    "projections/reports/agreement.py": "its own JSON, to compare",
    "infra/cli/commands/request_command.py": "its own JSON, to check it",
    "infra/cli/watching/acts.py": "its own JSON, to check it",
    "infra/proof/checkpoint.py": "tests/infra/cli/test_checkpoint.py",
}


def test_every_file_that_decodes_is_in_the_list() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for room in PACKAGES
        for path in (ROOT / room).rglob("*.py")
        if DECODES.search(path.read_text())
    }
    listed = {each.file for each in DECODERS.values()} | {each.file for each in FILES.values()}
    assert found - listed - NOT_FROM_OUTSIDE.keys() == set()
