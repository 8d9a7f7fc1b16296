"""`custody`: what it can do, and the way to each command. Nothing is imported before it is needed.

The listing's lines repeat what the models and functions say of themselves, for importing them would take longer than
showing it; a test holds the two together.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from infra.cli.framework.lazy_group import Entry, LazyGroup, lazy_group

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SERVICE, OPS, TASKS, LOG = "Service", "Operators", "Agents and views", "The log"

AGENT_HELP = {
    "register": "Join the pool, or update what the pool knows of the agent.",
    "heartbeat": "A sign of life for everything the agent holds.",
    "claim": "Ask for tasks.",
    "lease": "Read a held lease again: after a steal, an assignment or a lost reply.",
    "start": "Report that work on the task begins.",
    "progress": "Report progress, which renews the lease.",
    "silence": "Announce a silence.",
    "release": "Return a task to the queue.",
    "block": "Give up a task until an operator unblocks it.",
    "complete": "Finish a task.",
    "fail": "Report that the attempt failed.",
    "deregister": "Leave the pool and release everything held.",
}
OPS_HELP = {
    "submit": "Put a task into the pool.",
    "assign": "Grant a queued task to an agent: the named one, else the best by score.",
    "cancel": "Cancel a task in any status that is not final.",
    "requeue": "Return a quarantined or stuck task to the queue.",
    "unblock": "Return a blocked task to the queue.",
    "revoke": "Take a task from its holder.",
    "steal": "Move assigned tasks from one agent to another: the named ones, or a number of them.",
    "drain": "No new grants; an agent is asked to hand over what it holds.",
    "pause": "No new grants.",
    "resume": "Allow new grants again.",
}
QUERY_HELP = {
    "task": "One task, whole.",
    "tasks": "Live tasks, and those that ended lately.",
    "leases": "Leases held.",
    "agents": "Agents of the pool.",
    "workloads": "Who is loaded how.",
    "backlog": "The queued tasks, the next one to be granted first.",
    "statistics": "Counts.",
    "steals": "Steal operations that are open, and lately ended ones.",
    "health": "Whether the pool is served, and how.",
}
RUN_HELP = {
    "up": "Run a broker and the service here, until interrupted; the data is kept in the data directory.",
    "serve": "Run the service against a broker that is there already, until interrupted.",
    "demo": "Let simulated agents work, some of which crash, go silent or are slow; then check the log.",
    "config": "Show the settings in force and where each came from.",
}
LOG_HELP = {
    "history": "Every event of a task: when, what, who and why, with the numbers it was decided by.",
    "explain": "Where a task is now, why, and what happens next and when.",
    "audit": "Who did what, when, why, under which token, decided by which numbers; filtered, in several formats.",
    "tail": "Show events as they happen, without missing one, until interrupted.",
    "at": "Show every view as it was at a moment: tasks, leases, agents, workloads, backlog and counts.",
    "diff": "What changed between two moments: tasks new, ended and changed, agents, and counts.",
    "postmortem": "Write what happened as one page: a timeline, the causes that can be named, and what the rules said.",
    "whatif": "What other lease, sweeper and steal settings would have made of what the agents really did.",
    "replay": "Rebuild the views from the log, as they were at a moment, and show them.",
    "snapshot": "Store a snapshot of the state at the log's end, for quick starts and looks into the past.",
    "project": "Keep tables or key-value buckets in step with the log, each event once, for others to read and watch.",
    "export": "Write the pool's whole log to a file: compressed, with digests, fit for `verify --file` and `import`.",
    "import": "Bring an exported log to a broker that has none of this pool: same positions, same bytes.",
    "verify": "Check the whole log: hashes, positions, lifecycles, tokens, holders, its stream and its live views.",
}
READ_FILES = frozenset({"history", "audit", "at", "diff", "postmortem", "whatif", "replay", "verify"})
"""What can be asked of an export, too: all that does not ask about now."""
CHECKPOINT_HELP = {
    "keygen": "Make a pair of keys: the private one signs checkpoints, the public one checks them.",
    "sign": "Sign what the log's hash is now; `verify --checkpoint` shows later whether anything was rewritten.",
}
GROUP_HELP = {
    "agent": "Speak as an agent: claim, report, complete and the rest.",
    "query": "Look at the pool: tasks, leases, agents and the rest.",
    "checkpoint": "Prove later that the log was not rewritten: make keys, sign checkpoints.",
}


def _ops(name: str) -> Any:
    from infra.cli.commands.requests import ops_command

    return ops_command(name)


def _agent(name: str) -> Any:
    from infra.cli.commands.requests import agent_command

    return agent_command(name)


def _query(name: str) -> Any:
    from infra.cli.commands.requests import query_command

    return query_command(name)


def _log(name: str) -> Any:
    from infra.cli.commands import (
        auditing,
        history,
        moving,
        postmortem,
        projecting,
        replay,
        time_travel,
        verifying,
        whatif,
    )
    from infra.cli.framework.making import made
    from infra.cli.session import rebuilding
    from infra.cli.session.session import connected

    functions: dict[str, Callable[..., Awaitable[None]]] = {
        "history": history.history,
        "explain": history.explain_task,
        "audit": auditing.audit,
        "tail": history.tail,
        "at": time_travel.at,
        "diff": time_travel.diff,
        "postmortem": postmortem.postmortem,
        "whatif": whatif.whatif,
        "replay": replay.replay,
        "snapshot": rebuilding.snapshot,
        "project": projecting.project,
        "export": moving.export,
        "import": moving.import_,
        "verify": verifying.verify,
    }
    return made(name, connected(functions[name], reads_files=name in READ_FILES))


def _checkpoint(name: str) -> Any:
    from infra.cli.commands import checkpoints
    from infra.cli.framework.making import made
    from infra.cli.session.session import connected

    return made(name, checkpoints.keygen if name == "keygen" else connected(checkpoints.sign))


def _service(name: str) -> Any:
    from infra.cli.commands import running
    from infra.cli.framework.making import made

    functions = {"up": running.up, "serve": running.serve, "demo": running.demo, "config": running.config}
    return made(name, running.with_settings(functions[name]))


def _group(name: str) -> LazyGroup:
    commands, load = {
        "agent": (AGENT_HELP, _agent),
        "query": (QUERY_HELP, _query),
        "checkpoint": (CHECKPOINT_HELP, _checkpoint),
    }[name]
    return lazy_group(name, {each: Entry(text, "Commands", load) for each, text in commands.items()}, GROUP_HELP[name])


def cli() -> LazyGroup:
    """Return the whole command line."""
    entries = {
        **{name: Entry(text, SERVICE, _service) for name, text in RUN_HELP.items()},
        **{name: Entry(text, OPS, _ops) for name, text in OPS_HELP.items()},
        **{name: Entry(GROUP_HELP[name], TASKS, _group) for name in ("agent", "query")},
        **{name: Entry(text, LOG, _log) for name, text in LOG_HELP.items()},
        "checkpoint": Entry(GROUP_HELP["checkpoint"], LOG, _group),
    }
    return lazy_group(
        "custody", entries, "The chain of custody of work: who holds which task, under which lease, since when and why."
    )


def main() -> None:
    """Run the command that the arguments name; exits with its status."""
    try:
        try:
            _command()
        finally:
            sys.stdout.flush()
    except OSError as error:
        from infra.host.disk import NOT_WRITTEN

        if error.errno not in NOT_WRITTEN:
            raise
        # What is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"custody: cannot write {error.filename or 'the output'}: {error.strerror}", file=sys.stderr)
        sys.exit(1)


def _command() -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if sys.argv[1:] in (["--version"], ["version"]):
        from importlib.metadata import version

        print(f"custody {version('custody')}")
        return
    cli()(prog_name="custody")


if __name__ == "__main__":
    main()
