"""Settings: which source wins, what is refused and how, what falls back."""

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from domain.policies.lease import LeaseMode
from domain.rules import Rules
from infra.cli.framework.attribute_docs import attribute_doc
from infra.settings.contradictions import contradictions
from infra.settings.loading import load_settings
from infra.settings.rule_settings import LEASE_FIELDS, RETRY_FIELDS, RULE_FIELDS, STEAL_FIELDS
from infra.settings.settings import FORGIVING, GROUPS, Settings
from infra.settings.sources import SettingsError
from projections.postmortem.causes import RULES, Cause
from tests.support.checkout import ROOT


@pytest.fixture(autouse=True)
def directory(empty_directory: Path) -> Path:
    return empty_directory


def test_the_defaults_are_the_rules_own() -> None:
    assert Settings().rules() == Rules()


def test_every_rule_has_a_setting() -> None:
    rules = set(Rules.model_fields) - {"lease", "retry", "steal"}
    assert set(RULE_FIELDS.values()) == rules
    assert set(LEASE_FIELDS.values()) == set(type(Rules().lease).model_fields)
    assert set(RETRY_FIELDS.values()) == set(type(Rules().retry).model_fields)
    assert set(STEAL_FIELDS.values()) == set(vars(type(Rules().steal))["__dataclass_fields__"])


def test_every_setting_belongs_to_a_group_and_says_what_it_is() -> None:
    grouped = {name for group in GROUPS for name in group.model_fields}
    assert grouped | {"config"} == set(Settings.model_fields)
    assert all(attribute_doc(Settings, name) for name in Settings.model_fields)


def test_flags_win_over_the_environment_over_the_file(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "custody.toml").write_text('pool = "file"\nlease_s = 11\nlease_max_s = 1111\n')
    monkeypatch.setenv("CUSTODY_POOL", "environment")
    monkeypatch.setenv("CUSTODY_LEASE_S", "22")
    settings, origins = load_settings({"pool": "flag", "nats": None})
    assert (settings.pool, settings.lease_s, settings.lease_max_s) == ("flag", 22, 1111)
    assert [str(origins[name]) for name in ("pool", "lease_s", "lease_max_s", "nats")] == [
        "--pool",
        "CUSTODY_LEASE_S",
        "custody.toml",
        "default",
    ]


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("CUSTODY_LEASE", "; did you mean CUSTODY_LEASE_S?"),
        ("CUSTODY_POOLS", "; did you mean CUSTODY_POOL?"),
        ("CUSTODY_OPERATOR_PASWORD", "; did you mean CUSTODY_OPERATOR_PASSWORD?"),
        ("CUSTODY_KEY_PASSFRASE", "; did you mean CUSTODY_KEY_PASSPHRASE?"),
        ("CUSTODY_XYZZY", ""),
    ],
)
def test_an_unknown_variable_is_an_error(variable: str, nearest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert str(refused.value) == f"{variable}: unknown setting{nearest}"


def test_variables_of_the_tests_the_broker_and_kubernetes_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    read_by_others = set()
    read = r"(?:environ\W+(?:get\W+)?|\$\{?)(CUSTODY_[A-Z0-9_]+)|(CUSTODY_REQUIRE_[A-Z]+)"
    places = dict.fromkeys(("tests", "infra/broker/custody.conf", ".ci/run", "bootstrap.py", "examples"), read)
    places |= {"docker-compose.yml": read, "client": r"\"(CUSTODY_[A-Z_]+)\""}
    for path, names in places.items():
        files = [ROOT / path] if (ROOT / path).is_file() else (ROOT / path).rglob("*.py")
        for file in files:
            if file != Path(__file__):
                text = file.read_text(encoding="utf-8")
                read_by_others |= {
                    each[0] for each in re.finditer(r"CUSTODY_\w+", " ".join(map(str, re.findall(names, text))))
                }
    assert {"CUSTODY_NATS_IMAGE", "CUSTODY_REQUIRE_POSTGRES", "CUSTODY_BROKER_STORE"} <= read_by_others
    assert {"CUSTODY_CREDENTIALS", "CUSTODY_TASK_ID", "CUSTODY_MCP_TOKEN"} <= read_by_others
    of_kubernetes = {"CUSTODY_PORT", "CUSTODY_SERVICE_HOST", "CUSTODY_NATS_SERVICE_PORT_CLIENT", "CUSTODY_SERVICE_PORT"}
    of_kubernetes |= {"CUSTODY_NATS_PORT_4222_TCP_ADDR", "CUSTODY_PORT_4222_TCP"}
    for variable in (read_by_others | of_kubernetes) - {f"CUSTODY_{name.upper()}" for name in Settings.model_fields}:
        monkeypatch.setenv(variable, "1")
    load_settings()


def test_another_file_can_be_named(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (directory / "custody.toml").write_text('pool = "here"\n')
    (directory / "other.toml").write_text('pool = "other"\n')
    assert load_settings({"config": directory / "other.toml"}).settings.pool == "other"
    monkeypatch.setenv("CUSTODY_CONFIG", "other.toml")
    assert Settings().pool == "other"


def test_settings_reach_the_rules() -> None:
    settings = load_settings(
        {"lease_mode": "fixed", "lease_s": "30", "lease_grace_s": 5, "steal_enabled": "no", "lease_warning_s": 7}
        | {"retry_delay_s": 5}
    ).settings
    rules = settings.rules()
    assert (rules.lease.mode, rules.lease.lease_s, rules.lease.grace_s) == (LeaseMode.FIXED, 30, 5)
    assert not rules.steal.enabled
    assert rules.warning_s == 7
    assert rules.retry.delay_s == 5


@pytest.mark.parametrize("name", sorted(FORGIVING))
@pytest.mark.parametrize("value", ["abc", "0", "-5", "nan", "inf", "1e99", "true", "12 s"])
def test_an_unusable_sweeper_setting_is_the_default_with_a_warning(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    variable = f"CUSTODY_{name.upper()}"
    monkeypatch.setenv(variable, value)
    with caplog.at_level(logging.WARNING):
        settings = Settings()
    assert getattr(settings, name) == Settings.model_fields[name].default
    assert variable in caplog.text
    assert str(load_settings().origins[name]) == f"default ({variable} is unusable)"


def test_a_usable_sweeper_setting_is_read_at_construction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTODY_SWEEPER_INTERVAL_S", "12.5")
    monkeypatch.setenv("CUSTODY_STUCK_THRESHOLD_S", "25")
    settings = Settings()
    assert (settings.sweeper_interval_s, settings.stuck_threshold_s) == (12.5, 25)
    assert settings.rules().stuck_threshold_s == 25


def test_a_boolean_in_the_file_is_no_number_of_seconds(directory: Path) -> None:
    (directory / "custody.toml").write_text("sweeper_interval_s = true\n")
    assert Settings().sweeper_interval_s == 300


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("CUSTODY_LEASE_S", "soon", "lease_s from CUSTODY_LEASE_S: 'soon' should be a valid number"),
        ("CUSTODY_LEASE_S", "0", "lease_s from CUSTODY_LEASE_S: '0' should be greater than or equal to 0.1"),
        ("CUSTODY_STEAL_MAX_BATCH", "0", "steal_max_batch from CUSTODY_STEAL_MAX_BATCH: '0': must be from 1 to 200"),
        ("CUSTODY_POOL", "a.b", "pool from CUSTODY_POOL: 'a.b' should be 1 to 64 letters, digits, _ or -"),
        ("CUSTODY_LEASE_MODE", "odd", "lease_mode from CUSTODY_LEASE_MODE: 'odd' should be 'adaptive', 'estimated'"),
        ("CUSTODY_LOG_LEVEL", "loud", "log_level from CUSTODY_LOG_LEVEL: 'loud' should be 'debug', 'info'"),
        ("CUSTODY_STREAM_REPLICAS", "9", "stream_replicas from CUSTODY_STREAM_REPLICAS: '9' should be less than"),
        ("CUSTODY_WORKTREE_TEMPLATE", "/w/{task}", "not {task} (worktree_template from CUSTODY_WORKTREE_TEMPLATE)"),
        ("CUSTODY_WORKTREE_PROBE_ENABLED", "yes", "worktree_probe_enabled needs worktree_template"),
        ("CUSTODY_HEARTBEAT_RECORD_S", "600", "heartbeat_record_s must be below agent_lost_after_s, 600"),
        ("CUSTODY_RETRY_DELAY_S", "301", "retry_max_delay_s must be at least retry_delay_s, 301"),
        ("CUSTODY_RETRY_BACKOFF", "0.5", "retry_backoff"),
        ("CUSTODY_REARM_MAX_S", "5", "rearm_jitter_s must be at most rearm_max_s, 5 (rearm_max_s from CUSTODY_REARM"),
        ("CUSTODY_STEAL_SHARE", "1.5", "steal_share from CUSTODY_STEAL_SHARE: '1.5': must be from 0.01 to 1.0"),
        (
            "CUSTODY_STEAL_POLICY",
            "even",
            "steal_policy from CUSTODY_STEAL_POLICY: 'even' should be 'balance' or 'threshold'",
        ),
        ("CUSTODY_STEAL_COOLDOWN_S", "3", "steal_cooldown_s must be 0 or at least steal_interval_s, 10"),
        ("CUSTODY_LEASE_MIN_HOURS", "30", "lease_max_hours must be at least lease_min_hours, 30"),
        ("CUSTODY_NATS", "http://me:hush@host", "nats should be HOST:PORT or nats://HOST:PORT, or such with tls, ws"),
        ("CUSTODY_NATS", "host:99999", "nats should be HOST:PORT or nats://HOST:PORT"),
        ("CUSTODY_NATS", "one:4222,,two:4222", "nats should be HOST:PORT or nats://HOST:PORT"),
        ("CUSTODY_CONFIG", "absent.toml", "config: there is no file absent.toml"),
    ],
)
def test_a_bad_value_is_one_line_with_setting_source_and_what_is_allowed(
    variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    "address", ["localhost", "host:4222", "nats://a:4222, nats://b", "tls://u:p@broker.example", "ws://[::1]:80"]
)
def test_addresses_of_brokers(address: str) -> None:
    assert Settings(nats=address).nats == address


def test_a_zero_turns_reprieve_and_cooldown_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTODY_REARM_MAX_S", "0")
    monkeypatch.setenv("CUSTODY_STEAL_COOLDOWN_S", "0")
    assert Settings().rules().rearm_max_s == 0


def test_bounds_of_hours_are_held_against_each_other_not_against_the_defaults() -> None:
    assert load_settings({"lease_min_hours": 0.1, "lease_max_hours": 0.5}).settings.rules().lease.max_hours == 0.5


def test_compression_and_replicas_exclude_each_other() -> None:
    with pytest.raises(SettingsError, match="stream_compression must be off"):
        load_settings({"stream_compression": True, "stream_replicas": 3})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "stuck_treshold_s = 5",
            "stuck_treshold_s from custody.toml: unknown setting; did you mean stuck_threshold_s?",
        ),
        ("[lease]\nlease_s = 5", "lease from custody.toml: settings are not in tables; write each by its whole name"),
        ("lease_s = true", "lease_s from custody.toml: True should be a number"),
        (
            "steal_overloaded_above_tasks = true",
            "steal_overloaded_above_tasks from custody.toml: True should be a number",
        ),
        ("default_deadline_s = false", "default_deadline_s from custody.toml: False should be a number"),
        ("pool = 5", "pool from custody.toml: 5 should be a valid string"),
        ("pool", "custody.toml: not TOML"),
        ('config = "x"', "config from custody.toml: not allowed in the file itself"),
    ],
)
def test_a_mistake_in_the_file_is_an_error(text: str, said: str, directory: Path) -> None:
    (directory / "custody.toml").write_text(text)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert said in str(refused.value)


def test_every_mistake_has_its_line() -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({"lease_s": "x", "queue_length": 0})
    assert [line.partition(" ")[0] for line in str(refused.value).splitlines()] == ["lease_s", "queue_length"]


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUSTODY_NATS", "")
    assert str(load_settings().origins["nats"]) == "default"


def test_secrets_are_masked() -> None:
    loaded = load_settings({"nats": "nats://me:hush@host:4222", "nats_password": "hush", "operator_password": "hush"})
    assert loaded.shown()["nats"] == "nats://********@host:4222"
    assert "hush" not in str(loaded.shown())
    assert "hush" not in repr(loaded.settings.nats_password)


def said(**chosen: object) -> str:
    return "\n".join(contradictions(load_settings(chosen).settings))


def test_the_defaults_and_settings_that_fit_have_nothing_to_say() -> None:
    assert said() == ""
    assert said(stuck_threshold_s=300.0) == ""
    assert said(lease_mode="fixed", lease_s=1000.0, stuck_threshold_s=600.0, agent_lost_after_s=2000.0) == ""


def test_a_staleness_threshold_that_no_lease_lives_to_reach_is_named() -> None:
    assert "stuck_threshold_s, 450, never takes effect" in said(stuck_threshold_s=450.0)
    assert "stuck_threshold_s, 700," in said(lease_mode="fixed", lease_s=640.0, stuck_threshold_s=700.0)
    assert "stuck_threshold_s has no effect" in said(stuck_threshold_s=60.0, sweeper_enabled=False)


def test_settings_that_defeat_each_other_are_named() -> None:
    assert "agent_lost_after_s, 100, is below the first term of a lease, 180" in said(agent_lost_after_s=100.0)
    assert "stall_s, 90000, never takes effect: lease_max_s" in said(stall_s=90_000.0)
    assert "stall_s has no effect" in said(stall_s=90.0, sweeper_enabled=False)
    assert "default_deadline_s fails no task that is held" in said(default_deadline_s=90.0, sweeper_enabled=False)
    assert "lease_max_s, 100, cuts the first term" in said(lease_max_s=100.0)
    assert "lease_warning_s, 400, is no shorter than any term" in said(lease_warning_s=400.0)
    assert "rearm_jitter_s has no effect" in said(rearm_max_s=0.0, rearm_jitter_s=5.0)
    assert "steal_interval_s has no effect" in said(steal_enabled=False, steal_interval_s=5.0)
    assert "steal_threshold has no effect with steal_policy balance" in said(steal_threshold=2)
    assert "steal_share has no effect with steal_policy threshold" in said(steal_policy="threshold", steal_share=0.7)


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        ({"steal_underloaded_below_tasks": 0}, "for steal_underloaded_below_tasks is 0, and so no agent receives"),
        ({"steal_underloaded_below_cpu": 0.0}, "for steal_underloaded_below_cpu is 0, and so no agent receives"),
        (
            {"steal_overloaded_above_tasks": 500, "steal_overloaded_above_cpu": 100.0},
            "no agent has more tasks than steal_overloaded_above_tasks, 500, or more cpu than",
        ),
        ({"steal_overloaded_above_tasks": 499, "steal_overloaded_above_cpu": 100.0}, None),
        ({"steal_overloaded_above_tasks": 500, "steal_overloaded_above_cpu": 99.0}, None),
    ],
    ids=str,
)
def test_limits_that_let_the_policy_threshold_move_nothing(limits: dict[str, Any], problem: str | None) -> None:
    found = said(steal_policy="threshold", **limits)
    assert problem in found if problem else not found
    assert not said(**limits), "the policy balance does not ask for them"


def test_what_never_stalls_has_no_use_for_on_stall() -> None:
    assert "on_stall has no effect on tasks without a stall_s of their own" in said(on_stall="requeue", stall_s=0.0)
    fixed = {"lease_mode": "fixed", "on_stall": "requeue"}
    assert "on_stall has no effect" in said(**fixed)
    assert said(**fixed, stall_s=90.0) == said(on_stall="requeue") == ""


def test_settings_of_delays_that_never_begin_are_named() -> None:
    assert said(retry_delay_s=0.0, retry_backoff=3.0) == "retry_backoff has no effect, for retry_delay_s is 0"
    assert "retry_max_delay_s has no effect" in said(retry_delay_s=0.0, retry_max_delay_s=5.0)


def test_a_phase_that_never_comes_is_named() -> None:
    assert "lease_working_s is never set: lease_finishing_percent, 25, is not above lease_working_percent, 25" in said(
        lease_finishing_percent=25
    )
    estimated = {"lease_mode": "estimated", "agent_lost_after_s": 4000.0}
    assert "lease_renewal_half_hours is never set: lease_renewal_late_percent, 50, is not above" in said(
        **estimated, lease_renewal_late_percent=50
    )
    assert said(**estimated, lease_finishing_percent=25) == (
        "lease_finishing_percent has no effect with lease_mode estimated; it goes with adaptive"
    )


def test_hours_that_the_bounds_cut_are_named() -> None:
    estimated = {"lease_mode": "estimated", "agent_lost_after_s": 4000.0}
    assert said(**estimated, lease_renewal_late_hours=0.5) == (
        "lease_renewal_late_hours, 0.5, lies outside lease_min_hours to lease_max_hours, 1 to 24, which cut it"
    )
    assert "lease_renewal_hours, 30, lies outside" in said(**estimated, lease_renewal_hours=30.0)
    assert said(**estimated, lease_renewal_hours=5.0) == ""


def test_a_lease_setting_that_goes_with_another_mode_is_named() -> None:
    assert said(lease_s=60.0) == "lease_s has no effect with lease_mode adaptive; it goes with fixed"
    assert "lease_s has no effect with lease_mode estimated" in said(
        lease_s=60.0, lease_mode="estimated", agent_lost_after_s=4000.0
    )
    assert said(lease_s=200.0, lease_mode="fixed") == ""
    assert "lease_grace_s has no effect with lease_mode adaptive; it goes with estimated or fixed" in said(
        lease_grace_s=5.0
    )
    assert said(lease_first_s=100.0, lease_silence_multiplier=3.0) == ""
    assert "lease_first_s has no effect" in said(lease_first_s=100.0, lease_mode="fixed")
    assert "lease_epic_factor has no effect" in said(lease_epic_factor=4.0)


def test_the_adaptive_phases_and_every_factor_are_settings() -> None:
    rules = load_settings(
        {"lease_first_s": 33.0, "lease_working_percent": 50, "lease_epic_factor": 5.0, "lease_renewal_many_after": 9}
    ).settings.rules()
    assert (rules.lease.first_s, rules.lease.working_percent, rules.lease.epic_factor) == (33, 50, 5)
    assert rules.lease.renewal_many_after == 9
    with pytest.raises(SettingsError, match="lease_first_s"):
        load_settings({"lease_first_s": 0.0})


def test_the_rule_behind_an_overload_names_the_settings_that_it_follows() -> None:
    names = re.findall(r"`(\w+)`", RULES[Cause.OVERLOAD])
    assert [STEAL_FIELDS[name] for name in names] == ["overloaded_above_tasks", "overloaded_above_cpu"]
