"""`custody whatif` on a real log."""

import asyncio
import csv
import io
import json
import os
import re
import sys
from pathlib import Path

import pytest

from infra.settings.settings import Settings
from tests.infra.cli.conftest import Run
from tests.support.broker import Connect
from tests.support.cases import case
from tests.system.caller import Caller

SILENT = ("--lease-mode", "fixed", "--lease-s", "0.1", "--lease-grace-s", "0")


@pytest.fixture
async def worked(ask: Run) -> Run:
    """a1 was granted T1 on the usual terms, reported and completed it; its lease of a tenth of a second on T2 ran out
    while it was silent."""
    await ask("agent", "register", "a1", "--capacity", "5")
    await ask("submit", "T1")
    await ask("agent", "claim", "a1")
    await ask("agent", "progress", "a1", "T1", "--token", "5", "--percent", "30")
    await ask("agent", "complete", "a1", "T1", "--token", "5")
    await ask("submit", "T2", *SILENT)
    await ask("agent", "claim", "a1", "--wait-s", "1")
    await ask("tail", "--after", "0", "--event", "expired", "--count", "1")
    return ask


async def test_policies_stand_beside_what_was_recorded(worked: Run, directory: Path) -> None:
    (directory / "new.toml").write_text('lease_mode = "fixed"\nlease_s = 50\n')
    found = (await worked("whatif", "--policy", "new.toml", "--every-task", "--json")).json
    assert [each["policy"] for each in found["rows"]] == ["recorded", "replayed", "new"]
    assert [each["recoveries"] for each in found["rows"]] == [1, 1, 1]
    assert found["agreement"]["whole"] is True
    assert found["leases"] == 2
    held_s = [each["held_s"] for each in found["rows"]]
    assert held_s[1] == pytest.approx(0.1)
    # A policy's grace is the recorded one where it is not named.
    assert held_s[2] == pytest.approx(50)


async def test_a_grid_shows_the_trade_off_and_its_front(worked: Run) -> None:
    plain = await worked("whatif", "--grid", "lease_mode=fixed", "--grid", "lease_s=10,20", "--every-task")
    lines = plain.out.split("TRADE-OFF\n")[1].splitlines()
    assert lines[0].split()[:3] == ["lease_mode", "lease_s", "false"]
    assert [line.split()[:2] for line in lines[1:4]] == [["replayed", "0"], ["fixed", "10"], ["fixed", "20"]]
    assert [line.endswith("front") for line in lines[1:4]] == [True, False, False]
    assert "the 1 recorded recoveries and no other" in plain.out


async def test_a_narrow_terminal_is_told_which_measures_it_has_no_room_for(
    worked: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = ("--grid", "lease_s=10,20", "--grid", "renewal_worth=0,1", "--grid", "steal_move_cost_s=1,60")
    for width, left_out in ((100, None), (80, "stuck"), (72, "stuck, redone"), (56, "stuck, redone, renewals, of all")):
        monkeypatch.setenv("COLUMNS", str(width))
        shown = re.sub(r"\x1b\[[0-9;]*m", "", (await worked("whatif", *grid, "--every-task", terminal=True)).out)
        table = shown.split("TRADE-OFF\n")[1].split("\n\n")[0]
        with case(str(width)):
            assert "renewal_" in table, "no word is broken"
            said = re.findall(r"left out for want of room: (.*); --format csv has all", table)
            assert said == ([left_out] if left_out else [])


async def test_a_grid_of_steal_settings_shows_what_was_stolen(
    ask: Run, run: Run, directory: Path, connect: Connect, pool: str
) -> None:
    for agent in ("a1", "a2"):
        await ask("agent", "register", agent, "--capacity", "20")
    # It is given nothing before its claim waits, however long that takes; so it gets one task, as the claim asks.
    await ask("pause", "--agent-id", "a2")
    for number in range(9):
        await ask("submit", f"T{number}")
        await ask("assign", f"T{number}", "--agent-id", "a1")
    claimed = asyncio.ensure_future(ask("agent", "claim", "a2", "--wait-s", "30"))
    operator = Caller(await connect("operator"), pool)
    while not (await operator.done("query.health"))["waiting_claims"]:
        pass
    await operator.done("ops.resume", agent_id="a2")
    assert (await claimed).lines[0] == "claim: while it waited, the stealer moved to the agent:"
    grid = ("--grid", "steal_enabled=true,false", "--grid", "steal_policy=balance,threshold")
    shown = await run("whatif", *grid, "--plot", "a.svg")
    names, *rows = shown.out.split("TRADE-OFF\n")[1].splitlines()[:6]
    stolen = {" ".join(row.split()[:2]): row[names.index("stolen") :].split()[0] for row in rows}
    assert stolen["replayed 0"] == stolen["true balance"] == "1"
    assert stolen["false balance"] == stolen["false threshold"] == "0"
    assert (directory / "a.svg").stat().st_size > 0
    assert "caution" not in shown.out

    (directory / "custody.toml").write_text("steal_move_cost_s = 3600\n")
    assert "caution: recorded are 1 tasks stolen, replayed 0: " in (await run("whatif")).out


async def test_a_comparison_as_csv(worked: Run) -> None:
    rows = list(
        csv.DictReader(io.StringIO((await worked("whatif", "--grid", "renewal_worth=0,1", "--format", "csv")).out))
    )
    assert [each["policy"] for each in rows] == ["recorded", "replayed", "renewal_worth=0", "renewal_worth=1"]
    assert json.loads(rows[2]["settings"]) == {"renewal_worth": 0}
    assert {each["recoveries"] for each in rows} == {"1"}


async def test_a_terminal_gets_policies_across_and_measures_down(worked: Run, directory: Path) -> None:
    names = ("one", "another", "a-policy-with-a-long-name", "and-one-that-does-not-fit-in-the-first-table")
    for name in names:
        (directory / f"{name}.toml").write_text("renewal_worth = 0.2\n")
    files = [part for name in names for part in ("--policy", f"{name}.toml")]
    shown = await worked("whatif", *files, terminal=True)
    lines = [line for line in re.sub(r"\x1b\[[0-9;]*m", "", shown.out).splitlines() if not line.startswith("check")]
    assert [line for line in lines if len(line) > 100] == []
    assert sum(line.startswith("recoveries") for line in lines) == 2


async def test_leases_can_be_bounded(worked: Run, run: Run) -> None:
    assert (await worked("whatif", "--from", "6", "--json")).json["leases"] == 1
    assert (await worked("whatif", "--to", "7", "--json")).json["leases"] == 1
    nothing = await run("whatif", "--to", "3")
    assert (nothing.status, nothing.err) == (1, "custody: no lease was granted there: there is nothing to replay\n")
    reversed_ = await run("whatif", "--from", "6", "--to", "3")
    assert (reversed_.status, reversed_.err) == (
        1,
        "custody: no event lies there: it would begin at position 6 and end at 3\n",
    )


async def test_a_setting_that_did_nothing_is_named(worked: Run) -> None:
    shown = await worked("whatif", "--grid", "lease_default_hours=1,2")
    assert (
        "2 policies without effect: default_hours goes with mode estimated, not adaptive; add lease_mode" in shown.out
    )


async def test_a_changed_setting_in_force_that_does_nothing_is_named_behind_the_comparison(
    worked: Run, directory: Path
) -> None:
    plain = await worked("whatif", "--grid", "renewal_worth=0,0.2")
    assert plain.err == ""
    default = Settings().lease_renewal_hours
    (directory / "custody.toml").write_text(f"lease_s = 60\nlease_renewal_hours = {default}\n")
    shown = await worked("whatif", "--grid", "renewal_worth=0,0.2")
    assert shown.out == plain.out
    assert shown.err == "settings: lease_s has no effect with lease_mode adaptive; it goes with fixed\n"


async def test_bad_input_is_one_line(run: Run, directory: Path) -> None:
    (directory / "bad.toml").write_text("lease_sss = 5\n")
    bad = await run("whatif", "--policy", "bad.toml")
    assert (bad.status, len(bad.err.splitlines())) == (2, 1)
    assert "lease_sss from bad.toml" in bad.err
    missing = await run("whatif")
    assert (missing.status, len(missing.err.splitlines())) == (1, 1)


async def test_a_picture_is_drawn_whole_or_not_at_all(worked: Run, run: Run, directory: Path) -> None:
    (directory / "new.toml").write_text("renewal_worth = 0.2\n")
    for name, start in (("a.png", b"\x89PNG"), ("b.svg", b"<?xml")):
        await worked("whatif", "--policy", "new.toml", "--grid", "stuck_threshold_s=60,600", "--plot", name)
        assert (directory / name).read_bytes().startswith(start)
    found = {each.name for each in os.scandir(directory)}
    assert found == {"new.toml", "a.png", "b.svg"}
    for name, line in (
        ("c.pdf", "--plot c.pdf: name a file that ends in .svg or .png"),
        ("no/c.png", "cannot write no/c.png: there is no directory no"),
    ):
        bad = await run("whatif", "--plot", name)
        assert (bad.status, bad.err) == (1, f"custody: {line}\n")


async def test_a_missing_library_is_told_before_the_work(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    bad = await run("whatif", "--plot", "a.png")
    assert bad.status == 1
    assert bad.err == f"custody: plots need the matplotlib library: {sys.executable} -m pip install matplotlib\n"
