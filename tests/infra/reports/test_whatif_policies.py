"""Policy files and grids: what they may name, and the one line that says what is wrong."""

import re
from pathlib import Path

import pytest

from domain.policies.lease import LeaseMode
from infra.reports.whatif_policies import VARIABLE, read_policies
from infra.settings.settings import Settings
from infra.settings.sources import SettingsError
from projections.whatif.policy import Policy


@pytest.fixture(autouse=True)
def directory(empty_directory: Path) -> Path:
    return empty_directory


def policies(text: str | None = None, *grid: str) -> list[Policy]:
    files = []
    if text is not None:
        files.append(Path("new.toml"))
        files[0].write_text(text)
    return read_policies(files, grid, Settings())


def test_a_policy_changes_what_it_names_and_nothing_else() -> None:
    (policy,) = policies('lease_mode = "fixed"\nlease_s = 90\nstuck_threshold_s = 300\nsteal_threshold = 5\n')
    assert policy.name == "new"
    assert dict(policy.lease) == {"mode": LeaseMode.FIXED, "lease_s": 90.0}
    assert (policy.rules.stuck_threshold_s, policy.rules.steal.steal_threshold) == (300, 5)
    assert policy.rules.renewal_worth == Settings().renewal_worth
    assert not policy.rearms


def test_naming_the_reprieve_has_it_counted_anew() -> None:
    assert policies("rearm_max_s = 60\n")[0].rearms


def test_a_grid_has_a_cell_for_each_combination() -> None:
    found = policies(None, "lease_s=60,120.5", "lease_mode=fixed", "sweeper_enabled=true,false")
    assert [dict(each.cell) for each in found] == [
        {"lease_s": lease_s, "lease_mode": "fixed", "sweeper_enabled": enabled}
        for lease_s in (60, 120.5)
        for enabled in (True, False)
    ]
    assert found[0].name == "lease_s=60 lease_mode=fixed sweeper_enabled=true"


def test_a_grid_lies_over_every_file_and_may_stand_in_it() -> None:
    found = policies('lease_mode = "fixed"\n[grid]\nlease_s = [60, 120]\n', "lease_silence_multiplier=2,5")
    assert [each.name for each in found] == [
        "new",
        *(f"new lease_s={lease_s} lease_silence_multiplier={times}" for lease_s in (60, 120) for times in (2, 5)),
    ]
    assert found[-1].lease == {"mode": LeaseMode.FIXED, "lease_s": 120, "silence_multiplier": 5}


def test_every_setting_that_can_be_varied_is_a_setting() -> None:
    assert set(VARIABLE) <= set(Settings.model_fields)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("lease_ss = 60", r"lease_ss from new.toml: not a setting .*; did you mean lease_s\?"),
        ("[lease]\nsilence_multiplier = 3", r"lease from new.toml: not a setting .*did you mean lease_"),
        ("zebra = 1", r"zebra from new.toml: not a setting that a what-if can vary"),
        ("lease_warning_s = 5", r"lease_warning_s from new.toml: changes nothing that a what-if measures"),
        ("sweeper_interval_s = 5", r"sweeper_interval_s from new.toml: changes nothing"),
        ("lease_s = -1", r"lease_s from new.toml: -1 should be greater than or equal to 0.1"),
        ('lease_s = "long"', r"lease_s from new.toml: 'long'"),
        ("stuck_threshold_s = 0", r"stuck_threshold_s from new.toml: 0: .*greater than 0"),
        (
            'lease_mode = "adaptive"\nlease_s = 60',
            r"new.toml: lease_mode is adaptive, and lease_s goes with mode fixed",
        ),
        ("steal_interval_s = 100", r"steal_cooldown_s must be 0 or at least steal_interval_s, 100"),
        ("", r"new.toml: names no setting"),
        ("lease_s = ", r"new.toml: not TOML: "),
        ("grid = 5", r"new.toml: grid is a table of lists"),
        ("[grid]\nlease_s = 5", r"new.toml: grid.lease_s is a list of values"),
        ("[grid]\nleases = [5]", r"leases from new.toml: .*did you mean lease_s"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(text: str, line: str) -> None:
    with pytest.raises(SettingsError, match=f"^{line}") as raised:
        policies(text)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("grid", "line"),
    [
        (["lease_s"], "--grid lease_s: say NAME=VALUE,VALUE, such as lease_s=60,120,300"),
        (["lease_s="], "--grid lease_s=: say NAME=VALUE"),
        (["=5"], "--grid =5: say NAME=VALUE"),
        (["lease_s=2,2"], "two rows would be called lease_s=2: rename a file, or leave one out"),
        (["lease.s=1"], "lease.s from --grid: .*did you mean lease_s"),
        (["lease_s=1", "lease_s=2"], "--grid lease_s is given twice"),
        (["lease_s=1,,2"], "lease_s from --grid: ''"),
        (["lease_s=60,x"], "lease_s from --grid: 'x'"),
        (
            ["lease_s=" + ",".join(map(str, range(1, 52))), "steal_threshold=1,2"],
            "the grid of --grid has 102 cells; at most 100",
        ),
    ],
)
def test_what_is_wrong_with_a_grid_is_said_in_one_line(grid: list[str], line: str) -> None:
    with pytest.raises(SettingsError, match=f"^{line}"):
        policies(None, *grid)


def test_rows_have_names_of_their_own(directory: Path) -> None:
    (directory / "other").mkdir()
    for name in ("a.toml", "other/a.toml", "recorded.toml"):
        (directory / name).write_text("renewal_worth = 0.2\n")
    for names in (["a.toml", "other/a.toml"], ["recorded.toml"]):
        with pytest.raises(SettingsError, match=r"two rows would be called \w+: rename"):
            read_policies(map(Path, names), (), Settings())


def test_a_missing_file_is_named() -> None:
    with pytest.raises(SettingsError, match=re.escape("no.toml: cannot be read: No such file or directory")):
        read_policies([Path("no.toml")], (), Settings())
