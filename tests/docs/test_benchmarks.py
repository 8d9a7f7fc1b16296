"""The commands of the benchmarks: what the pages show starts, and a wrong argument is one line and status 2."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import bench_steal
from tests.benchmarks.bench_steal import CONTENDERS, Result, median_seed, table, usual_contenders, usual_seeds
from tests.benchmarks.peers import options, stealing
from tests.benchmarks.peers import runner as runners
from tests.benchmarks.peers.comparisons import COMPARISONS
from tests.benchmarks.peers.results import Run
from tests.benchmarks.steal_loads import KINDS
from tests.benchmarks.steal_plot import Series, utilisation_svg
from tests.benchmarks.steal_simulation import Span
from tests.docs.pages import read
from tests.support.cases import case
from tests.support.checkout import ROOT

HERE = "tests.benchmarks"
FILES = sorted((ROOT / "tests" / "benchmarks").glob("bench_*.py"))
BENCHMARKS = [
    *(f"{HERE}.{file.stem}" for file in FILES),
    f"{HERE}.long_log",
    f"{HERE}.peers.__main__",
    "tests.custody_eventsourcing.bench",
]
WRONG = {
    "bench_at": ["x", "10"],
    "bench_commands": ["--callers 1,x", "--seconds 0"],
    "bench_long": ["/nowhere"],
    "bench_rebuild": ["--rounds 0"],
    "bench_service": ["nosuch /nowhere"],
    "bench_steal": [
        "--kinds nosuch",
        "--contenders nosuch",
        "--seeds 0",
        "--agents x",
        "--agents 3",
        "--dask /nowhere/python",
        "--json /nowhere/x.json",
    ],
    "bench_sweep": ["--live 10 --due 10"],
    "long_log": ["/nowhere 10 --snapshots x"],
    "peers.__main__": ["--read /nowhere/x.json", "--json /nowhere/x.json", "--rounds 0"],
}
PAGES = ("docs/performance.md", "docs/performance-parts.md", "docs/stealing.md")
COMMAND = re.compile(r"(?P<python>[\w./]*python) -m (?P<module>tests\.[\w.]+)(?P<options>(?: -?[\w./'-]+)*)")
SET_UP = "python3 bootstrap.py setup --dev"

Ended = Callable[..., tuple[Any, str, str]]


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ended:
    """Calls a program that ends by itself; returns its status, what it printed and the last line of its errors."""

    def call(program: Callable[[], object], *arguments: str) -> tuple[Any, str, str]:
        monkeypatch.setattr(sys, "argv", ["bench", *arguments])
        with pytest.raises(SystemExit) as end:
            program()
        out, err = capsys.readouterr()
        return end.value.code, out, (err.splitlines() or [""])[-1]

    return call


def peers(*arguments: str) -> Callable[[], options.Options]:
    return lambda: options.parse(arguments)


@pytest.mark.skipif(os.name == "nt", reason="some of them need a terminal of POSIX")
def test_every_benchmark_has_help_and_refuses_an_unknown_option(ended: Ended) -> None:
    for name in BENCHMARKS:
        with case(name):
            main = import_module(name).main
            status, out, _ = ended(main, "--help")
            assert (status, out[:6]) == (0, "usage:")
            assert ended(main, "--nosuch")[0] == 2


@pytest.mark.skipif(os.name == "nt", reason="as above")
def test_a_wrong_argument_of_a_benchmark_is_one_line_and_status_2(ended: Ended) -> None:
    for name, lines in WRONG.items():
        for line in lines:
            with case(f"{name} {line}"):
                status, _, told = ended(import_module(f"{HERE}.{name}").main, *line.split())
                assert status == 2
                assert "error: " in told


def test_an_unknown_name_is_told_with_what_there_is(ended: Ended) -> None:
    for arguments, there_is in (
        (["--only", "nosuch"], "unknown: nosuch; there are: renewals, relaxed, life"),
        (["--contenders", "custody,nosuch"], "unknown: nosuch; there are: custody, custody_client, bare"),
        (["--only", "due", "--cases", "1 caller"], "unknown: 1 caller; there are: 1,000 due; 1,000 due, 1,000 alive"),
        (["--only", "life", "--contenders", "etcd"], "etcd has no part in what is chosen, only in: renewals"),
        (["--only", "due", "--quick"], "due has nothing that --quick measures"),
        (["--contenders", "etcd", "--cases", "1 worker"], "nothing to measure"),
    ):
        with case(arguments):
            status, _, told = ended(peers(*arguments))
            assert status == 2
            assert there_is in told


def test_the_help_of_the_peers_lists_contenders_and_cases(ended: Ended) -> None:
    _, out, _ = ended(peers("-h"))
    assert "custody_client" in out
    assert "due       1,000 due; 1,000 due, 1,000 alive;" in out


def test_a_contender_may_be_named_by_its_label() -> None:
    for text, names in (
        ("Custody", ["custody"]),
        ("celery, redis", ["celery"]),
        ("celery,redis", ["celery", "redis"]),
        ("CUSTODY, client library,postgres, BullMQ", ["custody_client", "postgres", "bullmq"]),
    ):
        with case(text):
            assert options.contenders(text) == names


def test_what_is_named_is_measured_and_nothing_else() -> None:
    given = options.parse(["--only", "Renewals", "--cases", "64 Callers", "--contenders", "custody"])
    (chosen,) = given.chosen
    assert (chosen.comparison.name, [each.label for each in chosen.cases]) == ("renewals", ["64 callers"])
    assert (chosen.contenders, given.stealing) == (["custody"], False)
    assert options.parse([]).stealing
    assert [each.comparison for each in options.parse(["--long"]).chosen] == list(COMPARISONS)


def test_the_command_of_the_page_for_each_benchmark_is_right() -> None:
    for page in PAGES:
        text = read(page)
        commands = list(COMMAND.finditer(text))
        assert commands
        assert SET_UP in text[: commands[0].start()]
        for found in commands:
            with case(f"{page}: {found[0]}"):
                assert found["python"] == ".venv/bin/python"
                module = found["module"]
                assert {module, f"{module}.__main__"} & set(BENCHMARKS)
                if module == f"{HERE}.peers":
                    options.parse(shlex.split(found["options"]))


def test_the_usual_run_of_stealing_is_what_the_page_has() -> None:
    rows = [line.split(" | ") for line in read("docs/stealing.md").splitlines() if line.startswith("| ")]
    by_title = {row[0].removeprefix("| "): row[1:-1] for row in rows}
    for kind, load in KINDS.items():
        with case(kind):
            measured = [cell != "–" for cell in by_title[load.title]]
            assert measured == [key in usual_contenders(kind) for key in CONTENDERS]
    assert {kind: usual_seeds(kind) for kind in KINDS} == dict.fromkeys(KINDS, 3) | {"unknown": 8}


def test_a_table_of_stealing_may_lack_a_contender_and_has_none_of_dask() -> None:
    one = [Result(1.5, 1, 2, 2)]
    assert table({"uniform": {"threshold": one, bench_steal.DASK: one}}, 20).splitlines() == [
        "| 20 agents, 200 tasks | threshold, default | moves ÷ tasks done elsewhere |",
        "|---|---|---|",
        "| uniform, 30 to 90 s | 1.50 (1.50–1.50) | – |",
    ]


def test_the_picture_of_stealing_is_of_the_median_load_and_names_its_axis() -> None:
    assert median_seed([Result(ratio, 0, 0, 0) for ratio in (2.0, 1.0, 1.5)]) == 2
    assert median_seed([Result(ratio, 0, 0, 0) for ratio in (2.0, 1.0)]) == 1
    assert ">agents at work</text>" in utilisation_svg("", [Series("none", [Span(0, 0.0, 1.0)])], 1, 1.0)


def test_the_process_that_measures_stealing_ends_with_the_one_that_started_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminated: list[Any] = []

    class Recorded(subprocess.Popen[str]):
        def terminate(self) -> None:
            terminated.append(self)
            super().terminate()

    def end_at_once(_: str) -> None:
        sys.exit(1)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    with pytest.raises(SystemExit):
        stealing.run(end_at_once, tmp_path, quick=True, write_docs=False)
    (process,) = terminated
    assert process.returncode not in {None, 0}
    assert process.args[3:-1] == [*stealing.QUICK, "--json"]


def test_what_starts_when_the_run_is_ended_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[object] = []

    class Team:
        def __init__(self, contender: object) -> None:
            self.contender = contender

        def start(self) -> None:
            sys.exit(1)

        def stop(self) -> None:
            stopped.append(self.contender)

    monkeypatch.setattr(runners, "Team", Team)
    runner = runners.Runner(Run({}), print)
    with pytest.raises(SystemExit):
        runner.compare(COMPARISONS[0], COMPARISONS[0].cases, ["custody"], 1, 1.0)
    runner.stop()
    assert stopped
