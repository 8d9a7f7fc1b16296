"""What docs/proof.md shows is what happens: its forgery fits together, and its checkpoint finds it out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from infra.export.export_file import ExportWriter
from infra.proof.checkpoint import Checkpoint, canonical, read_checkpoint
from infra.proof.signing import key_id
from projections.reports.verification import Rule
from tests.docs.pages import blocks
from tests.infra.cli.conftest import invoke
from tests.support.checkout import ROOT
from tests.support.scenario import Scenario

PAGE = (ROOT / "docs" / "proof.md").read_text(encoding="utf-8")


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scenario:
    """The history of one task in `log.gz`, and a checkpoint of its end in `monday.json`."""
    monkeypatch.chdir(tmp_path)
    s = Scenario()
    token = s.holds("ben", "T001")
    s.at(1).given("ben", "progress", task_id="T001", token=token, percent=17, message="step 1 of 6")
    writer = ExportWriter(Path("log.gz"))
    writer.write(s.messages)
    writer.finish(pool="default", exported_at="2026-11-21T14:17:37.521206Z", software="custody")
    writer.close()
    key = Ed25519PrivateKey.generate()
    end = len(s.messages)
    made = Checkpoint("default", "CUSTODY_default", end, end, s.tail_hash, "", "2026-11-21T14:17:34.922915Z")
    Path("monday.json").write_text(json.dumps(made.signed(key)))
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    Path("audit.key.pub").write_bytes(pem)
    return s


def test_the_forgery_fits_together_and_the_checkpoint_finds_it_out(exported: Scenario) -> None:
    (forge,) = blocks(PAGE, "forge.py")
    subprocess.run([sys.executable, "-c", forge.text, "log.gz", "forged.gz"], check=True)
    assert invoke("verify", "--file", "forged.gz").lines[0] == "forged.gz: in order"
    check = ("--checkpoint", "monday.json", "--public-key", "audit.key.pub")
    assert invoke("verify", "--file", "log.gz", *check).status == 0
    found = invoke("verify", "--file", "forged.gz", *check)
    assert found.status == 1
    end = len(exported.messages)
    assert f"rewritten since 2026-11-21T14:17:34.922915Z, at or before position {end}: the hash there was " in found.out


def test_the_table_has_every_rule() -> None:
    assert [line.split("`")[1] for line in PAGE.splitlines() if line.startswith("| `")] == list(Rule)


def test_the_checkpoint_shown_has_every_field_and_a_signature_over_what_the_page_says(exported: Scenario) -> None:
    shown = json.loads(PAGE.partition("```json\n")[2].partition("```")[0])
    made = json.loads(Path("monday.json").read_text())
    assert shown.keys() == made.keys()
    said = {name: value for name, value in made.items() if name != "signature"}
    assert canonical(said) == json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    key = serialization.load_pem_public_key(Path("audit.key.pub").read_bytes())
    assert isinstance(key, Ed25519PublicKey)
    assert read_checkpoint(Path("monday.json"), key).pool == "default"
    assert made["key_id"] == key_id(key)
