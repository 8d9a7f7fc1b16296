"""The page on `custody notify` says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from handlers.notifier.retry_rules import LONGEST_PAUSE_S, REFUSED_ATTEMPTS, Verdict, verdict_of
from infra.notify.notify_config import EndpointConfig, NotifyConfig, load_config
from infra.notify.sqlite_outbox import MAX_DEAD, MAX_PENDING
from projections.live.attention import KINDS
from tests.docs.pages import blocks, read

PAGE = read("docs/notify.md")


def test_the_configuration_shown_can_be_used(tmp_path: Path) -> None:
    (shown,) = [block.text for block in blocks(PAGE) if block.kind == "toml"]
    path = tmp_path / "notify.toml"
    path.write_text(shown)
    config = load_config(path)
    assert [each.name for each in config.endpoint] == ["oncall", "chat"]
    assert config.state_file == tmp_path / NotifyConfig.model_fields["state_file"].default


def test_every_key_is_listed_with_its_default() -> None:
    table = PAGE.partition("| key of an endpoint |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| `")]
    named = {name: row[2].strip() for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert named.keys() == EndpointConfig.model_fields.keys()
    for name in ("parallel", "timeout_s", "max_body_bytes", "settle_s"):
        assert float(named[name]) == EndpointConfig.model_fields[name].default
    assert all(f"`{name}`" in PAGE for name in NotifyConfig.model_fields if name != "endpoint")
    needs = next(row[1] for row in rows if "`needs`" in row[0])
    assert set(re.findall(r"`(\w+)`", needs)) == set(KINDS)


def test_what_is_said_of_answers_is_so() -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith("| 400, ")]
    refused = [status for status in range(100, 600) if verdict_of(status) is Verdict.REFUSED]
    assert [int(each) for each in re.findall(r"\d{3}", row)] == refused
    assert "tried three times" in row
    assert REFUSED_ATTEMPTS == 3
    assert "up to 5 minutes" in PAGE
    assert LONGEST_PAUSE_S == 300
    assert PAGE.count(f"{MAX_PENDING:,}") >= 2
    assert MAX_DEAD == MAX_PENDING
