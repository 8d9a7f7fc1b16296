"""How level each way of stealing makes a load: the makespan as a multiple of the lower bound, and the moves for it.

python -m tests.benchmarks.bench_steal [--agents 20,200] [--seeds 5] [--kinds labelled,uniform]
    [--contenders none,balance] [--dask PYTHON] [--json FILE] [--write-docs]

The tasks are given to 3 agents (of 200, to 4, for none holds more than 500), the others hold nothing and claim. Pools
are real ones in virtual time, so nothing depends on the machine. `--dask` names a Python that has the package
`distributed`: the same loads go to a cluster of it, in real time, so scaled down. `--json` adds the results to a file;
`--write-docs` puts what is there, and the picture, into docs/stealing.md.
"""

# ruff: noqa: T201 # prints what it measured

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from domain.policies.load_balancing import StealConfig, StealPolicy
from tests.benchmarks.steal_loads import KINDS, Load, Work, make_load
from tests.benchmarks.steal_plan_cost import plan_cost_ms
from tests.benchmarks.steal_plot import Series, utilisation_svg
from tests.benchmarks.steal_simulation import Course, simulate

DOCS = Path(__file__).parents[2] / "docs"
TASKS_PER_AGENT = 10
_DASK_BOUND_S = 8.0
"""The lower bound of a load on Dask, in real seconds."""
_DASK_LIMIT_S = 300.0


class Contender(NamedTuple):
    """A way to level a load."""

    name: str
    config: StealConfig
    given: bool = True
    """Whether the tasks are given to few agents; else they are queued, and all claim."""
    claim: bool = True
    """Whether idle agents claim."""


_TUNED = StealConfig(
    policy=StealPolicy.THRESHOLD, steal_threshold=1, max_steal_batch=50, interval_s=1.0, cooldown_s=0.0
)
CONTENDERS = {
    "none": Contender("no stealing", StealConfig(enabled=False)),
    "threshold": Contender("threshold, default", StealConfig(policy=StealPolicy.THRESHOLD)),
    "tuned": Contender("threshold, tuned", _TUNED),
    "balance": Contender("balance", StealConfig()),
    "beats": Contender("balance, idle agents only beat", StealConfig(), claim=False),
    "claims": Contender("queued, all claim", StealConfig(enabled=False), given=False),
}
DASK = "dask"


class Result(NamedTuple):
    """What a contender made of one load."""

    ratio: float
    steals: int
    moved: int
    elsewhere: int


Rows = dict[str, list[Result]]
"""By contender: one result for each seed."""
Found = dict[int, dict[str, Rows]]
"""By number of agents and kind of load."""


def _given_to(agents: int) -> int:
    return max(3, agents * TASKS_PER_AGENT // 500)


def _result(load: Load, course: Course) -> Result:
    return Result(course.makespan_s / load.lower_bound_s, course.steals, course.moved, course.elsewhere)


def run(contender: Contender, load: Load) -> Course:
    """Return what becomes of a load."""
    given_to = _given_to(len(load.paces)) if contender.given else 0
    return asyncio.run(simulate(load, contender.config, given_to=given_to, claim=contender.claim))


def run_dask(python: str, load: Load) -> Result:
    """Return what a cluster of Dask makes of a load, scaled down so that its lower bound takes some seconds."""

    def named(work: Work) -> tuple[str, float]:
        return (work.definition.get("labels") or ["task"])[0], work.takes_s

    asked = {
        "agents": len(load.paces),
        "given_to": _given_to(len(load.paces)),
        "scale": _DASK_BOUND_S / load.lower_bound_s,
        "before": list(map(named, load.before)),
        "tasks": list(map(named, load.tasks)),
    }
    command = [python, str(Path(__file__).with_name("steal_dask.py"))]
    done = subprocess.run(
        command, input=json.dumps(asked), capture_output=True, text=True, timeout=_DASK_LIMIT_S, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return Result(found["makespan_s"] / load.lower_bound_s, 0, 0, found["elsewhere"])


def compare(
    kinds: Sequence[str], agents: int, seeds: int, dask: str | None, contenders: Sequence[str]
) -> dict[str, Rows]:
    """Return the results by kind of load and contender, one for each seed; prints each row as it is there."""
    found: dict[str, Rows] = {}
    for kind in kinds:
        loads = [make_load(kind, agents, agents * TASKS_PER_AGENT, seed) for seed in range(seeds)]
        rows = found[kind] = {}
        print(f"\n{KINDS[kind].title}; {agents} agents, {agents * TASKS_PER_AGENT} tasks, {seeds} loads")
        for key in contenders:
            contender = CONTENDERS[key]
            begin = time.perf_counter()
            rows[key] = [_result(load, run(contender, load)) for load in loads]
            _print(contender.name, rows[key], time.perf_counter() - begin)
        if dask is not None and not any(pace != 1 for pace in loads[0].paces):
            begin = time.perf_counter()
            rows[DASK] = [run_dask(dask, load) for load in loads]
            _print("Dask", rows[DASK], time.perf_counter() - begin)
    return found


def _print(name: str, results: Sequence[Result], took_s: float) -> None:
    ratios = [each.ratio for each in results]
    moved, elsewhere = sum(each.moved for each in results), sum(each.elsewhere for each in results)
    print(
        f"  {name:32} {statistics.median(ratios):5.2f} ({min(ratios):.2f} to {max(ratios):.2f}) of the lower bound,"
        f" {moved / len(results):6.0f} moved in {sum(each.steals for each in results) / len(results):4.0f} steals,"
        f" {elsewhere / len(results):5.0f} done elsewhere   [{took_s:.0f} s]",
        flush=True,
    )


def table(found: dict[str, Rows], agents: int) -> str:
    """Return the results as a table of a page."""
    names = {**{key: each.name for key, each in CONTENDERS.items()}, DASK: "Dask"}
    keys = [key for key in names if any(key in rows for rows in found.values())]
    head = [f"{agents} agents, {agents * TASKS_PER_AGENT} tasks", *(names[key] for key in keys)]
    lines = [f"| {' | '.join(head)} | moves ÷ tasks done elsewhere |", f"|---|{'---|' * (len(keys) + 1)}"]
    for kind, rows in found.items():
        cells = [_cell(rows.get(key)) for key in keys]
        balanced = rows["balance"]
        moves = sum(each.moved for each in balanced) / max(sum(each.elsewhere for each in balanced), 1)
        lines.append(f"| {KINDS[kind].title} | {' | '.join(cells)} | {moves:.2f} |")
    return "\n".join(lines)


def _cell(results: Sequence[Result] | None) -> str:
    if not results:
        return "–"
    ratios = [each.ratio for each in results]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


def picture(agents: int) -> str:
    """Return the utilisation of one load by each policy."""
    load = make_load("labelled", agents, agents * TASKS_PER_AGENT, 1)
    series = [
        Series(CONTENDERS[key].name, run(CONTENDERS[key], load).spans) for key in ("none", "threshold", "balance")
    ]
    title = f"Agents at work: {agents * TASKS_PER_AGENT} tasks given to {_given_to(agents)} of {agents} agents"
    return utilisation_svg(title, series, agents, load.lower_bound_s)


def write_docs(tables: Sequence[str], costs: str) -> None:
    """Put tables and pictures into the page."""
    page = DOCS / "stealing.md"
    before, _, rest = page.read_text(encoding="utf-8").partition("<!-- figures -->")
    _, _, after = rest.partition("<!-- end of figures -->")
    figures = "\n\n".join((*tables, costs))
    page.write_text(f"{before}<!-- figures -->\n\n{figures}\n\n<!-- end of figures -->{after}", encoding="utf-8")
    (DOCS / "images" / "stealing.svg").write_text(picture(20), encoding="utf-8")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", default="20")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--contenders", default=",".join(CONTENDERS))
    parser.add_argument("--dask", metavar="PYTHON")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--write-docs", action="store_true")
    options = parser.parse_args()
    found: Found = {
        int(agents): compare(
            options.kinds.split(","), int(agents), options.seeds, options.dask, options.contenders.split(",")
        )
        for agents in options.agents.split(",")
    }
    costs = "; ".join(
        f"{held:,} tasks held by {agents:,} agents, {idle} idle: {plan_cost_ms(held, agents, idle):.1f} ms"
        for held, agents, idle in ((200, 20, 17), (20_000, 200, 17), (20_000, 1_000, 1), (20_000, 1_000, 100))
    )
    costs = f"CPU of a plan, with {costs}."
    print(f"\n{costs}")
    if options.json is not None:
        found = _added(options.json, found)
    if options.write_docs:
        write_docs([table(rows, agents) for agents, rows in sorted(found.items())], costs)


def _added(file: Path, found: Found) -> Found:
    """Add results to those in a file; return them all."""
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    kept: Found = {
        int(agents): {
            kind: {key: [Result(*each) for each in results] for key, results in rows.items()}
            for kind, rows in kinds.items()
        }
        for agents, kinds in known.items()
    }
    for agents, kinds in found.items():
        for kind, rows in kinds.items():
            kept.setdefault(agents, {}).setdefault(kind, {}).update(rows)
    file.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    return kept


if __name__ == "__main__":
    main()
