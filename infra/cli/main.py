"""`custody`: the list of its commands, and the import of the one that runs.

The listing repeats the first lines of the models' and functions' docstrings: importing all of them would take ten
times as long as showing it. A test compares the two.
"""

from __future__ import annotations

import gc
import importlib
import keyword
import os
import sys
from typing import TYPE_CHECKING, Any

from infra.cli.framework.lazy_group import LazyCommand, LazyGroup, lazy_group

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICE, OPS, AGENTS = "Who runs it", "Operators", "Agents"
NOW, PAST, KEEP = "Onlookers", "Auditors", "Archivists"
"""The headings, by who uses the commands: the service's, those about the present, about the past, and of the log."""

AGENT_HELP = {
    "register": "Join the pool, or update what the pool knows of the agent.",
    "heartbeat": "A sign of life for everything the agent holds, or for the tasks that it vouches for.",
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
    "submit_many": "Put many tasks into the pool, all of them or none.",
    "assign": "Grant a queued task to an agent: the named one, else the best by score.",
    "cancel": "Cancel a task in any status that is not final, or all that fit a filter.",
    "requeue": "Return a quarantined or stuck task to the queue, or all such tasks that fit a filter.",
    "unblock": "Return a blocked task to the queue.",
    "revoke": "Take a task from its holder.",
    "complete": "Complete a task that was done elsewhere, in any status that is not final.",
    "fail": "Say that a task failed elsewhere, in any status that is not final.",
    "block": "Set a task aside until it is unblocked, in any status that is not final.",
    "update": "Change what a task that has not ended is; what is left out stays as it is.",
    "retry": "Submit a failed or cancelled task again: a new task with the same definition.",
    "annotate": "Note something beside a task or an agent, whatever its status.",
    "steal": "Move assigned tasks from one agent to another: the named ones, or a number of them.",
    "drain": "No new grants; an agent is asked to hand over what it holds.",
    "pause": "No new grants.",
    "resume": "Allow new grants again.",
    "load": "Report how busy an agent's machine is; no sign of life of the agent.",
    "deregister": "Take an agent out of the pool; what it holds is taken from it.",
    "forget": "Deregister lost agents that hold nothing, so that they leave the views.",
}
QUERY_HELP = {
    "task": "One task, whole.",
    "explain": "Where one task is, why, and what happens next.",
    "tasks": "Live tasks, then those that ended.",
    "leases": "The leases that are held.",
    "agents": "Agents of the pool.",
    "workloads": "The load of each agent, and whether it takes grants.",
    "backlog": "The queued tasks, the next one to be granted first.",
    "statistics": "Counts of live entities, and totals since the log began.",
    "steals": "Steal operations that are open, and lately ended ones.",
    "health": "Whether the pool is served, and how.",
}
SERVICE_HELP = {
    "up": "Run a broker and the service here, until interrupted; the data is kept in the data directory.",
    "serve": "Run the service against a broker that is there already, until interrupted.",
    "demo": "Let simulated agents work, some of which crash, go silent or are slow; then check the log.",
    "config": "Show the settings in force and where each came from.",
}
CONTRACT_HELP = {
    "schema": "Print the wire contract as an AsyncAPI document: for generators and checks of other languages.",
}
NOW_HELP = {
    "top": "Show the pool in this terminal: who does what, what needs you; with keys to look closer and to act.",
    "explain": "Where a task is now, why, and what happens next and when.",
    "history": "Every event of a task: when, what, who and why, with the numbers it was decided by.",
    "tail": "Show events as they happen, without missing one, until interrupted.",
    "notify": "Post chosen events, and what needs people, to webhooks and chat tools, without losing one.",
    "dashboard": "Serve a page that shows the pool: who does what, what needs you, what happened; until interrupted.",
}
PAST_HELP = {
    "at": "Show every view as it was at a moment: tasks, leases, agents, workloads, backlog and counts.",
    "diff": "What changed between two moments: tasks new, ended and changed, agents, and counts.",
    "audit": "Who did what, when, why, under which token, decided by which numbers; filtered, in several formats.",
    "postmortem": "Write what happened as one page: a timeline, the causes that can be named, and what the rules said.",
    "whatif": "What other lease, sweeper and steal settings would have made of what the agents really did.",
    "replay": "Rebuild the views from the log, as they were at a moment, and show them.",
}
KEEP_HELP = {
    "export": "Write the pool's whole log to a file: compressed, with digests, fit for `verify --file` and `import`.",
    "import": "Bring an exported log to a broker that has none of this pool: same positions, same bytes.",
    "snapshot": "Store a snapshot of the state at the log's end, for quick starts and looks into the past.",
    "project": "Keep tables or key-value buckets in step with the log, each event once, for others to read and watch.",
    "verify": "Check the whole log: hashes, positions, lifecycles, tokens, holders, its stream and its live views.",
}
LOG_HELP = NOW_HELP | PAST_HELP | KEEP_HELP
READS_EXPORTS = frozenset({"history", "audit", "at", "diff", "postmortem", "whatif", "replay", "verify"})
"""The commands that can read an export with `--file`: those that do not ask about the present."""
_OWN_CONFIG = frozenset({"notify"})
"""The commands whose `--config` is a file of their own."""
_MORE_SETTINGS = {"dashboard": ("log_format",), "notify": ("log_format",)}
"""Settings that are options of a command, beside those of the connection."""
_OF_MOMENTS = frozenset({"at", "diff"})
"""The commands whose arguments are moments."""
CHECKPOINT_HELP = {
    "keygen": "Make a pair of keys: the private one signs checkpoints, the public one checks them.",
    "sign": "Sign what the log's hash is now; `verify --checkpoint` shows later whether anything was rewritten.",
}
_INFREQUENT_GC = (50_000, 20, 100)
"""Imports make many objects and hardly any garbage: with Python's own thresholds, a tenth of a command's time."""
GROUP_HELP = {
    "agent": "Speak as an agent: claim, report, complete and the rest.",
    "query": "Look at the pool: tasks, leases, agents and the rest.",
    "checkpoint": "Prove later that the log was not rewritten: make keys, sign checkpoints.",
}


def _load_ops(verb: str) -> Any:
    from infra.cli.commands.ops import ops_command

    return ops_command(verb)


def _load_agent(verb: str) -> Any:
    from infra.cli.commands.agent import agent_command

    return agent_command(verb)


def _load_query(view: str) -> Any:
    from infra.cli.commands.query import query_command

    return query_command(view)


def _load_log_command(name: str) -> Any:
    from infra.cli.framework.typer_command import HelpfulCommand, PastCommand, typer_command
    from infra.cli.session.client_command import client_command

    function = client_command(
        command_function(name),
        reads_exports=name in READS_EXPORTS,
        own_config=name in _OWN_CONFIG,
        more_settings=_MORE_SETTINGS.get(name, ()),
    )
    return typer_command(name, function, cls=PastCommand if name in _OF_MOMENTS else HelpfulCommand)


def _load_service_command(name: str) -> Any:
    from infra.cli.framework.typer_command import typer_command
    from infra.cli.session.settings_command import settings_command

    return typer_command(name, settings_command(command_function(name)))


def _load_contract_command(name: str) -> Any:
    from infra.cli.commands.asyncapi import schema
    from infra.cli.framework.typer_command import typer_command

    return typer_command(name, schema)


def _load_checkpoint(name: str) -> Any:
    from infra.cli.commands import checkpoint
    from infra.cli.framework.typer_command import typer_command
    from infra.cli.session.client_command import client_command

    return typer_command(name, checkpoint.keygen if name == "keygen" else client_command(checkpoint.sign))


def command_function(name: str) -> Callable[..., Any]:
    """Return the function of a command: `x` in commands/x.py, with `_` behind a name that is a Python keyword."""
    attribute = f"{name}_" if keyword.iskeyword(name) else name
    function: Callable[..., Any] = getattr(importlib.import_module(f"infra.cli.commands.{attribute}"), attribute)
    return function


_FOOTER = (
    "custody COMMAND --help explains one; custody --help-all says what each is for. "
    "custody --install-completion lets Tab complete them."
)
_GROUP_FOOTER = "custody {name} COMMAND --help explains one."
_COMPLETION = ("--install-completion", "--show-completion")
_GROUPS = {
    "agent": (AGENT_HELP, _load_agent),
    "query": (QUERY_HELP, _load_query),
    "checkpoint": (CHECKPOINT_HELP, _load_checkpoint),
}


def _load_group(name: str) -> LazyGroup:
    helps, load = _GROUPS[name]
    return lazy_group(name, _lazy_commands(helps, "", load), GROUP_HELP[name], _GROUP_FOOTER.format(name=name))


def _lazy_group(name: str, panel: str) -> dict[str, LazyCommand]:
    return {name: LazyCommand(GROUP_HELP[name], panel, _load_group, tuple(_GROUPS[name][0]))}


def _lazy_commands(helps: dict[str, str], panel: str, load: Callable[[str], Any]) -> dict[str, LazyCommand]:
    return {name: LazyCommand(text, panel, load) for name, text in helps.items()}


def cli() -> LazyGroup:
    """Return the whole command line."""
    commands = {
        **_lazy_commands(SERVICE_HELP, SERVICE, _load_service_command),
        **_lazy_commands(CONTRACT_HELP, SERVICE, _load_contract_command),
        **_lazy_commands(OPS_HELP, OPS, _load_ops),
        **_lazy_group("agent", AGENTS),
        **_lazy_group("query", NOW),
        **_lazy_commands(NOW_HELP, NOW, _load_log_command),
        **_lazy_commands(PAST_HELP, PAST, _load_log_command),
        **_lazy_commands(KEEP_HELP, KEEP, _load_log_command),
        **_lazy_group("checkpoint", KEEP),
    }
    group = lazy_group(
        "custody",
        commands,
        "The chain of custody of work: who holds which task, under which lease, since when and why.",
        _FOOTER,
        names_only=True,
    )
    if any(each.startswith(_COMPLETION) for each in sys.argv):
        from infra.cli.framework.shell_completion import completion_options

        group.params += completion_options()
    return group


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
        # What is still buffered cannot be written either: drop it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"custody: cannot write {error.filename or 'the output'}: {error.strerror}", file=sys.stderr)
        sys.exit(1)


def _command() -> None:
    gc.set_threshold(*_INFREQUENT_GC)
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
