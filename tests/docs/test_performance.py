"""The page on performance: its tables are made from a run of `tests.benchmarks.peers`, its prose is not."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from tests.benchmarks.peers import page
from tests.benchmarks.peers.aims import AIMS, Aim, rows
from tests.benchmarks.peers.catalogue import BY_NAME
from tests.benchmarks.peers.comparisons import COMPARISONS
from tests.benchmarks.peers.plot import OTHER_BAR, OWN_BAR, OWN_TINT, svg
from tests.benchmarks.peers.report import lines
from tests.benchmarks.peers.results import Outcome, Run, Series
from tests.support.cases import case

RENEWALS = next(each for each in COMPARISONS if each.name == "renewals")
OFFERED = next(each for each in COMPARISONS if each.name == "offered")
LONG_LOG = next(each for each in COMPARISONS if each.name == "long_log")
LIFE = next(each for each in COMPARISONS if each.name == "life")
MACHINE = {
    "at": "2026-11-29T10:00:00+00:00",
    "system": "Linux",
    "cores": 2,
    "python": "3.11",
    "load": 0.1,
    "fsync_ms": 0.4,
}


def a_run() -> Run:
    """Custody at half of PostgreSQL's speed with 1 caller and twice with 64; half as quick from submit to done."""

    def series(contender: str, where: str, **figures: list[float]) -> Series:
        return Series(contender, where, figures)

    renewals = Outcome(
        "renewals",
        [
            series("custody", "1 caller", per_s=[400.0, 500.0, 450.0], p50_ms=[2.0], p99_ms=[5.0]),
            series("postgres", "1 caller", per_s=[800.0, 1000.0, 910.0], p50_ms=[1.0], p99_ms=[4.0]),
            series("custody", "64 callers", per_s=[4000.0]),
            series("postgres", "64 callers", per_s=[2000.0]),
            Series("redis", "64 callers", error="it ended"),
        ],
    )
    offered = Outcome(
        "offered",
        [series("custody", "64 workers", p50_ms=[60.0]), series("postgres", "64 workers", p50_ms=[30.0])],
    )
    return Run(MACHINE, [renewals, offered], {"etcd": "etcd is not installed: apt-get install etcd-server"})


def test_the_page_has_a_place_for_every_comparison_and_no_other() -> None:
    marks = [match[2] for match in page.BLOCK.finditer(page.PAGE.read_text(encoding="utf-8"))]
    assert sorted(marks) == sorted([*(each.name for each in COMPARISONS), "aims", "answer", "machine", "set-up"])


def test_every_contender_of_a_comparison_is_in_the_catalogue() -> None:
    for comparison in COMPARISONS:
        with case(comparison.name):
            assert set(comparison.contenders) <= BY_NAME.keys()
            assert comparison.own in comparison.contenders


def test_a_cell_has_the_medians_and_custodys_speed_as_a_multiple() -> None:
    run = a_run()
    assert page.table(RENEWALS, run.outcomes[0]) == [
        "| | 1 caller | 64 callers |",
        "|---|---|---|",
        "| Custody | 450, 2, 5 | 4,000 |",
        "| PostgreSQL | 910, 1, 4 (0.50 ×) | 2,000 (2.00 ×) |",
        "| Redis | – | – |",
    ]


def test_where_less_is_better_a_longer_time_is_a_lower_speed() -> None:
    assert page.table(OFFERED, a_run().outcomes[1])[-1] == "| PostgreSQL | 30 (0.50 ×) |"


def test_the_answer_says_where_custody_is_slower() -> None:
    assert page.answer(a_run())[2:] == [
        "| PostgreSQL | renewals: 1 caller 0.50 ×; submit to done: 64 workers 0.50 × |  | renewals: 64 callers 2.00 × |"
    ]


def test_the_answer_says_from_where_to_where_if_several_cases_in_a_row_come_to_the_same() -> None:
    cases = [each.label for each in LIFE.cases]
    own = [Series("custody", label, {"per_s": [rate]}) for label, rate in zip(cases, (10, 20, 30, 90), strict=True)]
    other = [Series("postgres", label, {"per_s": [50.0]}) for label in cases]
    assert page.answer(Run(MACHINE, [Outcome("life", [*own, *other])], {}))[2:] == [
        "| PostgreSQL | tasks: 1 worker to 64 workers 0.20 to 0.60 × |  | tasks: 256 workers 1.80 × |"
    ]


def test_only_what_the_run_measured_is_made_anew() -> None:
    kept = "<!-- peers: end -->\n<!-- peers: life -->\nold\n<!-- peers: end -->\nMore.\n"
    new = page.filled(f"Prose.\n<!-- peers: renewals -->\nold\n{kept}", a_run())
    assert new.startswith("Prose.\n<!-- peers: renewals -->\n\n| | 1 caller | 64 callers |")
    assert new.endswith(kept)
    assert page.filled(new, a_run()) == new


def test_an_aim_that_was_missed_is_told_with_what_bounds_it() -> None:
    aims = (
        Aim("renewals", "1 caller", "per_s", 0.7, "six hops", to="postgres"),
        Aim("renewals", "64 callers", "per_s", 1.0, "flushes", to="postgres"),
        Aim("offered", "64 workers", "p50_ms", 50.0, "queueing", at_most=True),
        Aim("life", "1 worker", "per_s", 1.0, "not measured", to="postgres"),
    )
    assert [row[1:] for row in rows(a_run(), aims)] == [
        ["0.5", "missed: six hops"],
        ["2", "met"],
        ["60", "missed: queueing"],
    ]


def test_an_aim_may_be_about_custody_in_another_case() -> None:
    aim = Aim("renewals", "64 callers", "per_s", 8, "size", to_case="1 caller")
    assert aim.says() == "renewals, 64 callers: at least 8 × the rate with 1 caller"
    assert [row[1:] for row in rows(a_run(), (aim,))] == [["10", "met"]]


def test_every_aim_is_about_a_case_that_is_measured() -> None:
    measured = {
        (each.name, where.label, contender)
        for each in COMPARISONS
        for where in each.cases
        for contender in each.contenders
    }
    for aim in AIMS:
        with case(aim.says()):
            other = (aim.comparison, aim.to_case or aim.case, aim.to or aim.own)
            assert {(aim.comparison, aim.case, aim.own), other} <= measured


def test_the_machine_and_what_was_missing_are_said() -> None:
    told = " ".join(page.machine(a_run()))
    assert told.startswith("Measured 2026-11-29 on 2 cores (Linux), Python 3.11.")
    assert told.endswith("Not there: etcd.")


def test_a_plot_is_an_image_with_every_contender_that_has_figures() -> None:
    drawn = ET.fromstring(svg(RENEWALS, a_run().outcomes[0]))  # noqa: S314 - our own
    texts = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("Custody") == texts.count("PostgreSQL") == 2
    assert "Redis" not in texts


def test_a_plot_says_what_it_draws_and_how_often_that_was_measured() -> None:
    figures = {"per_s": [114.0], "start_s": [0.5]}
    once = svg(LONG_LOG, Outcome("long_log", [Series("custody", "64 callers", figures)]))
    assert ">Renewals on a long log, a second</text>" in once
    assert ">more is better; one round</text>" in once
    assert ">114</text>" in once
    assert ">450 (400 to 500)</text>" in svg(RENEWALS, a_run().outcomes[0])


def test_custody_in_another_form_has_a_tint_of_its_colour() -> None:
    contenders = ("custody", "custody_client", "postgres")
    drawn = svg(LIFE, Outcome("life", [Series(each, "1 worker", {"per_s": [9.0]}) for each in contenders]))
    assert re.findall(r'height="16" fill="(.*?)"', drawn) == [OWN_BAR, OWN_TINT, OTHER_BAR]


def test_a_terminal_gets_the_spread_and_the_ratio_of_rounds_side_by_side() -> None:
    told = lines(RENEWALS, a_run().outcomes[0])
    postgres = "    PostgreSQL             910 (800 to 1,000) a second;  1 ms, p50;  4 ms, p99"
    assert told[3] == f"{postgres}   Custody is 0.50 × (0.49 to 0.50)"
    assert told[-1] == "    Redis                  failed"


def test_one_round_has_no_spread() -> None:
    once = [Series("custody", "1 caller", {"per_s": [50.0]}), Series("postgres", "1 caller", {"per_s": [100.0]})]
    told = lines(RENEWALS, Outcome("renewals", once))[-1]
    assert told == "    PostgreSQL             100 a second   Custody is 0.50 ×"


def test_a_run_is_kept_as_json(tmp_path: Path) -> None:
    a_run().write(tmp_path / "run.json")
    assert Run.read(tmp_path / "run.json") == a_run()
