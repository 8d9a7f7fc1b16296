"""Options are made from the models: nothing is left out, nothing can differ."""

import io
import re
from pathlib import Path

import pytest
import typer
from pydantic import BaseModel

from domain.commands.agent_commands import AGENT_COMMANDS, Claim, Fail, Heartbeat, Progress
from domain.commands.operator_commands import OPS_COMMANDS, Drain, Forget, StealTasks
from domain.commands.submit import Submit
from infra.cli.framework.options import OptionSpec, body_from_options, flag_for, options_from_model
from infra.settings.settings import Settings
from projections.queries.questions import QUERIES, TasksQuery
from tests.support.cases import case

MODELS: dict[str, type[BaseModel]] = {**AGENT_COMMANDS, **OPS_COMMANDS, **QUERIES, "settings": Settings}


def by_flag(model: type[BaseModel]) -> dict[str, OptionSpec]:
    return {flag: spec for spec in options_from_model(model) for flag in (spec.flag, *spec.also)}


def test_every_field_has_one_option_of_its_own() -> None:
    for verb, model in MODELS.items():
        with case(verb):
            specs = options_from_model(model)
            fields = {field.alias or name for name, field in model.model_fields.items()}
            assert {spec.path[0] for spec in specs} == fields
            assert len({spec.flag for spec in specs}) == len({spec.parameter for spec in specs}) == len(specs)


@pytest.mark.parametrize(
    ("model", "flags"),
    [
        (Submit, {"--task-id", "--label", "--required-capability", "--lease-mode", "--lease-s", "--budget-failures"}),
        (StealTasks, {"--from", "--to", "--task-id", "--count", "--reason"}),
        (Heartbeat, {"--load-cpu", "--load-memory", "--tasks", "--alive"}),
        (TasksQuery, {"--status", "--priority", "--label", "--limit", "--after"}),
    ],
)
def test_names_are_natural(model: type[BaseModel], flags: set[str]) -> None:
    assert flags <= set(by_flag(model))


def ends(text: str | None, tail: str) -> bool:
    return text is not None and text.endswith(tail) and len(text) > len(tail)


def test_limits_and_defaults_are_the_models_own() -> None:
    assert ends(by_flag(Progress)["--percent"].help, "0 to 100")
    assert ends(by_flag(Claim)["--max"].help, "1 to 100. Default: 1")
    assert ends(by_flag(Claim)["--wait-s"].help, "0 to 30. Default: 0")
    assert ends(by_flag(Submit)["--title"].help, "At most 256 characters")
    assert ends(by_flag(Submit)["--estimated-hours"].help, "Above 0 to 10000")
    assert by_flag(Submit)["--estimated-hours"].metavar == "HOURS"
    assert ends(by_flag(Submit)["--label"].help, "At most 32. May be repeated")
    assert by_flag(Submit)["--priority"].metavar == "low|medium|high|critical"
    assert by_flag(Submit)["--priority"].choices == ("low", "medium", "high", "critical")
    assert by_flag(Submit)["--deadline"].metavar == "TIME|DURATION"
    assert by_flag(Submit)["--stall"].metavar == "DURATION"
    assert ends(by_flag(Fail)["--retryable"].help, "Default: yes")
    assert by_flag(Progress)["--token"].required
    assert not by_flag(Progress)["--message"].required


def test_an_option_that_takes_times_as_people_write_them_does_not_speak_of_seconds() -> None:
    for verb, model in MODELS.items():
        with case(verb):
            times = [each for each in options_from_model(model) if "DURATION" in (each.metavar or "")]
            assert [each.flag for each in times if re.search(r"\bseconds\b", each.help, re.IGNORECASE)] == []
    told = by_flag(Drain)["--deadline"].help
    assert told.startswith("When the agent is no longer asked: what it still holds is taken from it. ")


def test_only_what_was_given_is_sent_in_its_place() -> None:
    values = {
        "title": "t",
        "labels": ["a", "b"],
        "required_capabilities": [],
        "payload": '{"n": [1]}',
        "lease_mode": "fixed",
        "lease_lease_s": 30.0,
        "budgets_failures": 1,
        "priority": None,
    }
    assert body_from_options(options_from_model(Submit), values) == {
        "title": "t",
        "labels": ["a", "b"],
        "payload": {"n": [1]},
        "lease": {"mode": "fixed", "lease_s": 30.0},
        "budgets": {"failures": 1},
    }
    assert body_from_options(options_from_model(StealTasks), {"from_agent": "a", "to_agent": "b"}) == {
        "from": "a",
        "to": "b",
    }


@pytest.mark.parametrize(
    ("model", "short", "long"),
    [
        (Submit, "--stall", "--stall-s"),
        (Submit, "--delay", "--delay-s"),
        (Submit, "--lease", "--lease-s"),
        (Submit, "--retry-max-delay", "--retry-max-delay-s"),
        (Claim, "--wait", "--wait-s"),
        (Forget, "--older-than", "--older-than-s"),
        (Drain, "--deadline", "--deadline-s"),
    ],
)
def test_a_length_of_time_has_a_short_name_and_keeps_its_long_one(
    model: type[BaseModel], short: str, long: str
) -> None:
    flags = by_flag(model)
    assert flags[short] is flags[long]


def test_settings_keep_their_names() -> None:
    flags = {flag for spec in options_from_model(Settings, as_named=True) for flag in (spec.flag, *spec.also)}
    assert flags == {f"--{name.replace('_', '-')}" for name in Settings.model_fields}


def test_a_deadline_is_a_moment_or_a_length() -> None:
    specs = options_from_model(Submit)
    read = by_flag(Submit)["--deadline"].parser
    assert read is not None
    assert body_from_options(specs, {"deadline": read("10m")}) == {"deadline_s": 600.0}
    assert body_from_options(specs, {"deadline": read("in 2h")}) == {"deadline_s": 7200.0}
    assert body_from_options(specs, {"deadline": read("2026-11-28T21:23:00Z")}) == {
        "deadline": "2026-11-28T21:23:00.000000Z"
    }
    assert body_from_options(specs, {"not_before": read("90")}) == {"delay_s": 90.0}
    (past,) = body_from_options(specs, {"deadline": read("10m ago")})
    assert past == "deadline"


def test_a_deadline_that_the_wire_has_as_a_length_may_be_a_moment() -> None:
    deadline = by_flag(Drain)["--deadline"]
    assert (deadline.metavar, deadline.also) == ("TIME|DURATION", ("--deadline-s",))
    assert deadline.parser is not None
    assert [deadline.parser(text) for text in ("10m", "90", "in 10m", "10m ago")] == [600.0, 90.0, 600.0, -600.0]
    assert 0 < deadline.parser("tomorrow 10:00") < 2 * 86_400
    with pytest.raises(typer.BadParameter, match=r"'someday' is no time, such as 10:00, .*'in 2h'$"):
        deadline.parser("someday")


def test_a_false_flag_and_a_zero_are_given() -> None:
    assert body_from_options(options_from_model(Fail), {"retryable": False}) == {"retryable": False}
    assert body_from_options(options_from_model(Progress), {"percent": 0}) == {"percent": 0}


def test_json_comes_as_text_from_a_file_or_from_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = options_from_model(Submit)
    (tmp_path / "p.json").write_text('{"from": "file"}')
    monkeypatch.setattr("sys.stdin", io.StringIO("[1, 2]"))
    assert body_from_options(specs, {"payload": f"@{tmp_path}/p.json"}) == {"payload": {"from": "file"}}
    assert body_from_options(specs, {"payload": "-"}) == {"payload": [1, 2]}
    assert body_from_options(specs, {"payload": "null"}) == {"payload": None}


@pytest.mark.parametrize("text", ["{x", "@/absent/file", "[" * 100_000])
def test_what_is_no_json_is_a_usage_error(text: str) -> None:
    with pytest.raises(typer.BadParameter) as refused:
        body_from_options(options_from_model(Submit), {"payload": text})
    assert refused.value.param_hint == "--payload"


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b'"\xe9"')
    for name, why in (("absent", "no such file or directory"), ("latin", "it is not UTF-8")):
        with pytest.raises(typer.BadParameter, match=f"^cannot read {tmp_path / name}: {why}$"):
            body_from_options(options_from_model(Submit), {"payload": f"@{tmp_path / name}"})


def test_a_validation_error_leads_back_to_its_option() -> None:
    specs = options_from_model(Submit)
    assert flag_for(specs, ("lease", "lease_s")) == "--lease"
    assert flag_for(specs, ("labels", 0)) == "--label"
    assert flag_for(specs, ()) == ""
