"""What a command imports before it works: its start is the sum of its imports, and a heavy one is easily added.

Every command runs in a process of its own to where it finds no broker.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

PROGRAM = """
import sys
from infra.cli.main import main
sys.argv = ["custody", *sys.argv[1:]]
try:
    main()
except SystemExit as ended:
    print(f"\\nstatus {ended.code or 0}", *sys.modules)
"""
NO_BROKER = ["--nats", "nats://127.0.0.1:1"]
ROOMS = (
    *("domain", "projections", "handlers", "infra"),
    *("custody_dashboard", "custody_demo", "custody_eventsourcing", "custody_top"),
)

EXTRAS = frozenset({"eventsourcing", "jinja2", "cryptography", "sqlalchemy", "psycopg", "pyarrow", "matplotlib"})
"""Libraries that a single command needs, or another product."""
SERVICE = frozenset(
    {
        *("handlers.writer", "handlers.service", "handlers.background", "handlers.projector", "handlers.pool_service"),
        *("infra.service.serving", "infra.service.run", "infra.broker.embedded", "uvloop", "custody_demo"),
        "custody_eventsourcing",
    }
)
FOLD = frozenset({"statemachine", "domain.lifecycles", "domain.decisions", "domain.task", "projections.state"})
"""What folds events into state."""
EVENTS = frozenset({"domain.events", "infra.codec"})
"""What reads events."""
DRAWING = frozenset({"rich"})
"""Drawn is in a terminal alone."""
READING = frozenset({"infra.export.export_file", "infra.nats.importing", "infra.nats.kv_read_model", "handlers.memory"})

LISTING = {"pydantic", "asyncio", "nats", *ROOMS[:3], *EXTRAS, *DRAWING}
REQUEST = EXTRAS | SERVICE | FOLD | EVENTS | DRAWING | READING
SHOW_EVENTS = EXTRAS | SERVICE | FOLD | DRAWING | {"handlers.memory.memory", "infra.export.export_file"}
SHOW_STATE = EXTRAS | SERVICE | DRAWING | {"domain.commands", "domain.decisions.dispatch"}

COMMANDS = [
    # arguments, status, first-party modules at most, all modules at most, what must not be among them
    (["--help"], 0, 8, 200, LISTING),
    (["query", "--help"], 0, 8, 310, LISTING - {"pydantic"}),
    (["submit", "T1", *NO_BROKER], 3, 67, 470, REQUEST),
    (["cancel", "T1", *NO_BROKER], 3, 67, 470, REQUEST),
    (["agent", "claim", "a1", *NO_BROKER], 3, 67, 470, REQUEST),
    (["agent", "progress", "a1", "T1", "--token", "1", "--percent", "1", *NO_BROKER], 3, 67, 470, REQUEST),
    (["query", "health", *NO_BROKER], 3, 67, 470, REQUEST),
    (["query", "tasks", "--help"], 0, 47, 420, REQUEST | {"nats"}),
    (["history", "T1", *NO_BROKER], 3, 94, 500, SHOW_EVENTS),
    (["tail", *NO_BROKER], 3, 87, 500, SHOW_EVENTS),
    (["tail", "--help"], 0, 60, 450, SHOW_EVENTS),
    (["notify", "--config", "F", "--help"], 0, 48, 430, REQUEST | {"nats", "httpx"}),
    (["explain", "T1", *NO_BROKER], 3, 142, 600, SHOW_STATE),
    (["at", "1", *NO_BROKER], 3, 151, 610, SHOW_STATE),
    (["diff", "1", "2", *NO_BROKER], 3, 152, 610, SHOW_STATE),
    (["replay", *NO_BROKER], 3, 151, 610, SHOW_STATE),
    (["verify", *NO_BROKER], 3, 150, 610, SHOW_STATE),
    (["audit", *NO_BROKER], 3, 105, 560, SHOW_STATE | {"projections.state"}),
    (["snapshot", *NO_BROKER], 3, 137, 600, SHOW_STATE),
    (["whatif", *NO_BROKER], 3, 175, 640, EXTRAS | SERVICE | DRAWING),
    (["export", "F", *NO_BROKER], 3, 94, 520, SHOW_EVENTS - {"infra.export.export_file"}),
    (["checkpoint", "keygen", "missing/F"], 1, 30, 450, REQUEST - {"cryptography"}),
    (["top", *NO_BROKER], 3, 215, 630, (EXTRAS | SERVICE | {"textual", "custody_dashboard"}) - {"handlers.projector"}),
    (["top", "--help"], 0, 42, 420, REQUEST | {"nats", "textual", "custody_top"}),
    (["config"], 0, 39, 420, REQUEST | {"nats"}),
    (["up", "--help"], 0, 40, 420, REQUEST | {"nats"}),
    (["serve", "--help"], 0, 40, 420, REQUEST | {"nats"}),
    (["demo", "--help"], 0, 41, 420, (REQUEST | {"nats"}) - {"custody_demo"} | {"custody_demo.demo"}),
]
NAMES = [" ".join(each for each in arguments if each not in NO_BROKER) for arguments, *_ in COMMANDS]


def imports_of(arguments: tuple[str, ...], directory: Path) -> tuple[int, frozenset[str]]:
    """The status of a command, and the modules that it had imported by its end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
    program = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(
        program,
        cwd=directory,
        env={**environment, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    _, status, *modules = done.stdout.splitlines()[-1].split()
    return int(status), frozenset(modules)


@pytest.mark.parametrize(("arguments", "status", "first_party", "in_all", "unwanted"), COMMANDS, ids=NAMES)
def test_a_command_imports_what_it_needs(
    arguments: list[str], status: int, first_party: int, in_all: int, unwanted: set[str], tmp_path: Path
) -> None:
    ended, modules = imports_of(tuple(arguments), tmp_path)
    assert ended == status
    assert {name for name in unwanted if any(f"{each}.".startswith(f"{name}.") for each in modules)} == set()
    own = {each for each in modules if each.partition(".")[0] in ROOMS}
    assert len(own) <= first_party, sorted(own)
    assert len(modules) <= in_all, sorted(modules)
