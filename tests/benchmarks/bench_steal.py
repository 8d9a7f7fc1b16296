"""How level each way of stealing makes a load: the makespan as a multiple of the lower bound, and the moves for it.

python -m tests.benchmarks.bench_steal [--agents 20,200] [--seeds 5] [--kinds labelled,uniform]
    [--contenders none,balance] [--dask PYTHON] [--json FILE] [--write-docs]

Without options it measures what the table of docs/stealing.md has: three loads of each kind, eight where nothing is
known; every contender on the first kind, three of them on the others.

The tasks are given to 3 agents (of 200, to 4, for none holds more than 500), the others hold nothing and claim. Pools
are real ones in virtual time, so nothing depends on the machine. `--dask` names a Python that has the package
`distributed`: the same loads go to a cluster of it, in real time, so scaled down. `--json` adds the results to a file;
`--write-docs` puts what is there, less Dask's, and the picture, into docs/stealing.md.
"""

# ruff: noqa: T201 # prints what it measured

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from domain.policies.load_balancing import StealConfig, StealPolicy
from tests.benchmarks.arguments import new_file, positive, positives, some_of
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
BESIDE = ("threshold", "balance", "claims")
"""The usual contenders of all kinds of load but the first, which has all."""
SEEDS = 3
SEEDS_WHERE_UNKNOWN = 8
"""More loads of the kind that leaves most to luck."""
PICTURED = (20, "labelled", "threshold")
"""The picture is of the load at which this contender came to its median."""


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


def usual_seeds(kind: str) -> int:
    """Return the number of loads of a kind, unless it is given."""
    return SEEDS_WHERE_UNKNOWN if kind == "unknown" else SEEDS


def usual_contenders(kind: str) -> Sequence[str]:
    """Return the contenders of a kind of load, unless they are named."""
    return tuple(CONTENDERS) if kind == next(iter(KINDS)) else BESIDE


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
    kinds: Sequence[str], agents: int, given_seeds: int | None, dask: str | None, contenders: Sequence[str] | None
) -> dict[str, Rows]:
    """Return the results by kind of load and contender, one for each seed; prints each row as it is there."""
    found: dict[str, Rows] = {}
    for kind in kinds:
        seeds = given_seeds or usual_seeds(kind)
        loads = [make_load(kind, agents, agents * TASKS_PER_AGENT, seed) for seed in range(seeds)]
        rows = found[kind] = {}
        print(f"\n{KINDS[kind].title}; {agents} agents, {agents * TASKS_PER_AGENT} tasks; loads: {seeds}", flush=True)
        for key in contenders or usual_contenders(kind):
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
    """Return the results as a table of a page. Dask's are no part of it, since they depend on the machine."""
    keys = [key for key in CONTENDERS if any(key in rows for rows in found.values())]
    head = [f"{agents} agents, {agents * TASKS_PER_AGENT} tasks", *(CONTENDERS[key].name for key in keys)]
    lines = [f"| {' | '.join(head)} | moves ÷ tasks done elsewhere |", f"|---|{'---|' * (len(keys) + 1)}"]
    for kind, rows in found.items():
        cells = [_cell(rows.get(key)) for key in keys]
        lines.append(f"| {KINDS[kind].title} | {' | '.join((*cells, _moves(rows.get('balance'))))} |")
    return "\n".join(lines)


def _cell(results: Sequence[Result] | None) -> str:
    if not results:
        return "–"
    ratios = [each.ratio for each in results]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


def _moves(results: Sequence[Result] | None) -> str:
    if not results:
        return "–"
    return f"{sum(each.moved for each in results) / max(sum(each.elsewhere for each in results), 1):.2f}"


def median_seed(results: Sequence[Result]) -> int:
    """Return the seed of the load with the median ratio; of the lower one, of an even number."""
    return sorted(range(len(results)), key=lambda seed: results[seed].ratio)[(len(results) - 1) // 2]


def picture(agents: int, kind: str, seed: int) -> str:
    """Return the utilisation of one load by each policy."""
    load = make_load(kind, agents, agents * TASKS_PER_AGENT, seed)
    series = [
        Series(CONTENDERS[key].name, run(CONTENDERS[key], load).spans) for key in ("none", "threshold", "balance")
    ]
    title = f"Agents at work: {agents * TASKS_PER_AGENT} tasks given to {_given_to(agents)} of {agents} agents"
    return utilisation_svg(title, series, agents, load.lower_bound_s)


def write_docs(found: Found, costs: str) -> None:
    """Put tables and the picture into the page; without results of what it shows, the picture stays."""
    tables = [table(rows, agents) for agents, rows in sorted(found.items())]
    page = DOCS / "stealing.md"
    before, _, rest = page.read_text(encoding="utf-8").partition("<!-- figures -->")
    _, _, after = rest.partition("<!-- end of figures -->")
    figures = "\n\n".join((*tables, costs))
    page.write_text(f"{before}<!-- figures -->\n\n{figures}\n\n<!-- end of figures -->{after}", encoding="utf-8")
    agents, kind, contender = PICTURED
    if results := found.get(agents, {}).get(kind, {}).get(contender):
        drawn = picture(agents, kind, median_seed(results))
        (DOCS / "images" / "stealing.svg").write_text(drawn, encoding="utf-8")


def _python_with_dask(text: str) -> str:
    test = "from importlib.util import find_spec; assert find_spec('distributed')"
    try:
        subprocess.run([text, "-c", test], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        raise argparse.ArgumentTypeError(f"{text} is no Python that has the package distributed") from None
    return text


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=positives, default=[20], help="in a pool [20]")
    parser.add_argument(
        "--seeds", type=positive, metavar="LOADS", help=f"of each kind [{SEEDS}; {SEEDS_WHERE_UNKNOWN} of unknown]"
    )
    parser.add_argument("--kinds", type=some_of(KINDS), default=list(KINDS), help=f"of {', '.join(KINDS)} [all]")
    parser.add_argument(
        "--contenders",
        type=some_of(CONTENDERS),
        help=f"of {', '.join(CONTENDERS)} [all for {next(iter(KINDS))}, {', '.join(BESIDE)} for other kinds]",
    )
    parser.add_argument("--dask", type=_python_with_dask, metavar="PYTHON")
    parser.add_argument("--json", type=new_file, metavar="FILE")
    parser.add_argument("--write-docs", action="store_true")
    options = parser.parse_args()
    known: Found = {}
    if options.json is not None:
        try:
            known = read(options.json)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            parser.error(f"argument --json: {options.json} is there, but has no results of this benchmark: {error}")
    if min(options.agents) <= _given_to(1):
        parser.error(f"argument --agents: more than {_given_to(1)} are needed, for the tasks are given to so many")
    # Dask's process ends with this one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    found: Found = {
        agents: compare(options.kinds, agents, options.seeds, options.dask, options.contenders)
        for agents in options.agents
    }
    costs = "; ".join(
        f"{held:,} tasks held by {agents:,} agents, {idle} idle: {plan_cost_ms(held, agents, idle):.1f} ms"
        for held, agents, idle in ((200, 20, 17), (20_000, 200, 17), (20_000, 1_000, 1), (20_000, 1_000, 100))
    )
    costs = f"CPU of a plan, with {costs}."
    print(f"\n{costs}")
    found = merged(known, found)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    if options.write_docs:
        write_docs(found, costs)


def read(file: Path) -> Found:
    """Return the results that a file has; none if there is no file."""
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return {
        int(agents): {
            kind: {key: [Result(*each) for each in results] for key, results in rows.items()}
            for kind, rows in kinds.items()
        }
        for agents, kinds in known.items()
    }


def merged(known: Found, found: Found) -> Found:
    """Return all results; a contender's new ones in place of those that were known."""
    for agents, kinds in found.items():
        for kind, rows in kinds.items():
            known.setdefault(agents, {}).setdefault(kind, {}).update(rows)
    return known


if __name__ == "__main__":
    main()
