"""The plan of a demo: all tasks, agents and incidents, derived from the seed, so that a seed gives the same plan."""

from __future__ import annotations

from enum import StrEnum
from random import Random
from typing import Any, NamedTuple

from custody_demo import MAX_AGENTS, MAX_SECONDS, MAX_TASKS, MIN_AGENTS, MIN_SECONDS, MIN_TASKS
from custody_demo.timings import Timings

NAMES = (
    "ada", "ben", "cleo", "dan", "eva", "finn", "gus", "hana", "ivan", "joy",
    "kai", "lena", "max", "nora", "omar", "pia", "quin", "rosa", "sam", "tess",
)  # fmt: skip

PLAIN_LABEL = "plain"
"""Label of the tasks without an incident; the operator cancels only these."""
_STEPS = 6
_PARALLEL = 2
_HOARD = 20
_BUSY_SHARE = 0.46
"""The share of the agents' time that the tasks fill."""
_BURST, _LAST_SUBMIT = 0.25, 0.6
"""The share of the tasks that is submitted at the start, and the share of the time after which the last one is."""


class Script(StrEnum):
    """The incident in the first attempt at a task (`hopeless` and `poison`: in every attempt)."""

    PLAIN = "plain"
    FLAKY = "flaky"  # fails, and succeeds when tried again
    HOPELESS = "hopeless"  # fails until its budget is spent
    QUIET = "quiet"  # its holder announces a quiet spell that is longer than the lease
    HANDOFF = "handoff"  # given back half-done, with a checkpoint
    BLOCK = "block"  # cannot go on until the operator unblocks it
    LATE = "late"  # its holder is cut off and completes it after its lease has expired
    NAP = "nap"  # on a long lease; its holder is silent until it counts as stuck, then goes on
    DOOMED = "doomed"  # on a long lease; its holder crashes, and the operator frees it
    POISON = "poison"  # every agent that works on it crashes
    OVERRUN = "overrun"  # takes longer than its deadline allows
    UNWANTED = "unwanted"  # no agent is capable of it, and its deadline passes in the queue


_SHARES = {
    Script.FLAKY: 0.05, Script.HOPELESS: 0.008, Script.QUIET: 0.015, Script.HANDOFF: 0.02, Script.BLOCK: 0.015,
    Script.LATE: 0.01, Script.NAP: 0.008, Script.OVERRUN: 0.01, Script.UNWANTED: 0.006, Script.DOOMED: 0.0,
}  # fmt: skip
_AT_LEAST = {
    Script.FLAKY: 3, Script.QUIET: 2, Script.HANDOFF: 2, Script.BLOCK: 3, Script.LATE: 2, Script.NAP: 2,
    Script.OVERRUN: 2,
}  # fmt: skip
_EARLY = (Script.DOOMED, Script.NAP, Script.LATE, Script.HOPELESS)
"""The scripts that take longest; they begin first."""
_TITLES = {
    Script.PLAIN: ("fix the parser", "write the docs", "review a change", "add a test", "bump a version", "port a job"),
    Script.FLAKY: ("run the flaky suite",),
    Script.HOPELESS: ("build on a broken branch",),
    Script.QUIET: ("run the long build",),
    Script.HANDOFF: ("migrate the schema",),
    Script.BLOCK: ("choose the licence",),
    Script.LATE: ("train on the gpu",),
    Script.NAP: ("index the archive",),
    Script.DOOMED: ("compact the store",),
    Script.POISON: ("parse the cursed file",),
    Script.OVERRUN: ("translate the book",),
    Script.UNWANTED: ("run on the mainframe",),
}


class Mishap(StrEnum):
    """An incident of an agent at a planned time."""

    CRASH = "crash"
    CRASH_FOR_GOOD = "crash_for_good"
    SILENCE = "silence"


class TaskPlan(NamedTuple):
    """A task to submit: `body` is the request."""

    at_s: float
    task_id: str
    body: dict[str, Any]


class AgentPlan(NamedTuple):
    """An agent: it works on `parallel` tasks at once and takes up to `capacity`."""

    name: str
    capabilities: tuple[str, ...]
    capacity: int = _PARALLEL
    parallel: int = _PARALLEL
    mishaps: tuple[tuple[float, Mishap], ...] = ()

    @property
    def hoards(self) -> bool:
        """Whether it claims much more than it can work on."""
        return self.capacity > self.parallel


class Plan(NamedTuple):
    """Everything that is planned."""

    timings: Timings
    seed: int
    tasks: tuple[TaskPlan, ...]
    agents: tuple[AgentPlan, ...]
    drains: tuple[tuple[float, str], ...]
    cancels_at_s: tuple[float, ...]
    initial_tasks: int
    """How many tasks are submitted before the first agent claims."""

    @property
    def task_ids(self) -> tuple[str, ...]:
        """All tasks, in the order of their submission."""
        return tuple(task.task_id for task in self.tasks)


def limits_problem(agents: int, tasks: int, seconds: float) -> str | None:
    """Return in one line why a demo of this size cannot be run, or None."""
    for what, value, least, most in (
        ("agents", agents, MIN_AGENTS, MAX_AGENTS),
        ("tasks", tasks, MIN_TASKS, MAX_TASKS),
        ("seconds", seconds, MIN_SECONDS, MAX_SECONDS),
    ):
        if not least <= value <= most:
            return f"the demo takes {least:g} to {most:g} {what}, not {value:g}"
    return None


def seeded_random(seed: int, part: str) -> Random:
    """Return the random numbers of one part of the demo."""
    return Random(f"{seed}/{part}")  # noqa: S311 - reproducible behaviour, no secret


def make_plan(*, agents: int, tasks: int, seconds: float, seed: int) -> Plan:
    """Return the plan of a demo."""
    timings = Timings.of(seconds)
    fleet = _fleet(agents, seconds)
    steady = [each.name for each in fleet if not each.hoards and not each.mishaps and "code" in each.capabilities]
    return Plan(
        timings=timings,
        seed=seed,
        tasks=_work(tasks, agents, timings, seeded_random(seed, "tasks")),
        agents=fleet,
        drains=((0.25 * seconds, steady[0]), (0.4 * seconds, steady[-1])),
        cancels_at_s=tuple(seconds * (0.15 + 0.3 * n / 4) for n in range(max(2, min(4, tasks // 40)))),
        initial_tasks=int(_BURST * tasks),
    )


def _fleet(count: int, seconds: float) -> tuple[AgentPlan, ...]:
    names = [NAMES[n] if n < len(NAMES) else f"{NAMES[n % len(NAMES)]}{n // len(NAMES) + 1}" for n in range(count)]
    special: list[AgentPlan] = [
        AgentPlan(names[0], ("gpu",), capacity=1, parallel=1),
        AgentPlan(names[1], ("docs",), capacity=_HOARD),
        AgentPlan(names[2], ("code", "test"), mishaps=((0.2 * seconds, Mishap.CRASH_FOR_GOOD),)),
        AgentPlan(names[3], ("code", "docs"), mishaps=tuple((part * seconds, Mishap.SILENCE) for part in (0.12, 0.5))),
        AgentPlan(names[4], ("code", "docs"), mishaps=((0.36 * seconds, Mishap.CRASH),)),
    ]  # fmt: skip
    if count > 2 * MIN_AGENTS:
        special += [
            AgentPlan(names[5], ("docs", "test"), capacity=_HOARD - 4),
            AgentPlan(names[6], ("code", "test"), mishaps=((0.4 * seconds, Mishap.SILENCE),)),
        ]
    kinds = (("code", "test"), ("code", "docs"), ("code", "docs", "test"))
    return (*special, *(AgentPlan(name, kinds[n % 3]) for n, name in enumerate(names[len(special) :])))


def _work(count: int, agents: int, timings: Timings, random: Random) -> tuple[TaskPlan, ...]:
    mean_s = _BUSY_SHARE * timings.seconds * _PARALLEL * agents / count
    digits = max(3, len(str(count)))
    return tuple(
        TaskPlan(_submit_at_s(n, count, timings.seconds), f"T{n + 1:0{digits}}", _body(script, mean_s, timings, random))
        for n, script in enumerate(_scripts(count, random))
    )


def _submit_at_s(number: int, count: int, seconds: float) -> float:
    return max(seconds * _LAST_SUBMIT * (number / count - _BURST) / (1 - _BURST), 0.0)


def _scripts(count: int, random: Random) -> list[Script]:
    """Return one script for each task: those with an incident spread over the first 70 %, the longest first."""
    special = [
        script for script, share in _SHARES.items() for _ in range(max(_AT_LEAST.get(script, 1), round(share * count)))
    ]
    random.shuffle(special)
    special.sort(key=lambda script: script not in _EARLY)
    places = sorted(random.sample(range(3, int(0.7 * count)), len(special) + 1))
    scripts = [Script.PLAIN] * count
    for place, script in zip(places, [Script.POISON, *special], strict=True):
        scripts[place] = script
    return scripts


def _body(script: Script, mean_s: float, timings: Timings, random: Random) -> dict[str, Any]:
    """Return the request that submits a task; its payload says what the holder will do."""
    work_s = min(mean_s * random.uniform(0.6, 1.4), timings.seconds / 6)
    body: dict[str, Any] = {"title": random.choice(_TITLES[script]), "labels": [PLAIN_LABEL]}
    if script is Script.PLAIN:
        body["priority"] = random.choice(("low", "medium", "medium", "medium"))
        body["required_capabilities"] = ["docs"] if random.random() < 0.1 else []  # noqa: PLR2004 - one in ten
    else:
        body["priority"] = "high"
        body["labels"] = [script.value]
        body["required_capabilities"] = ["code"]
    match script:
        case Script.LATE:
            body["required_capabilities"] = ["gpu"]
        case Script.POISON:
            body["priority"] = "critical"
        case Script.NAP | Script.DOOMED:
            body["lease"] = {"mode": "fixed", "lease_s": timings.long_lease_s, "grace_s": timings.grace_s}
        case Script.OVERRUN:
            body["deadline_s"] = 2 * timings.reaction_s
            work_s = 8 * timings.reaction_s
        case Script.UNWANTED:
            body["required_capabilities"] = ["mainframe"]
            body["deadline_s"] = 4 * timings.reaction_s
    body["payload"] = {"script": script.value, "steps": _STEPS, "step_s": round(work_s / _STEPS, 4)}
    return body
