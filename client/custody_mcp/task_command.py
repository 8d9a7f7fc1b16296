"""The command `custody-task`, for coding agents that work by command line: one task, over many short processes.

What is held is kept in a file of the working directory, `.custody-task.json` (or `CUSTODY_TASK_FILE`), token and
session included: no two sessions of one agent work on a task. It needs nothing but the client library.

| exit status | |
|---|---|
| 0 | done, or there was nothing to do |
| 1 | refused, or no answer; standard error says what is so and what to do |
| 2 | `beat`: the agent has to stop or hand over; hooks of coding agents show that to the model |
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from custody_client import AddressError, CredentialsError, CustodyError, LeaseLost, NoAnswerError, StaleSession
from custody_client.address import agent_name, capability_names, find_address, pool_name
from custody_client.calls import Calls
from custody_client.limits import cut_text
from custody_client.link import Link
from custody_mcp.task_holder import Holder
from custody_mcp.words import in_words

MAX_WAIT_S = 25.0
ORDERED = 2
FILE_VARIABLE, FILE = "CUSTODY_TASK_FILE", ".custody-task.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    parser = arguments_parser()
    options = parser.parse_args(arguments)
    try:
        return asyncio.run(_run(options, agent_name(options.agent)))
    except (CustodyError, ValueError) as error:
        _fail(parser, error)


def _fail(parser: argparse.ArgumentParser, error: Exception) -> NoReturn:
    parser.exit(1, f"custody-task: {error}\n")


async def _run(options: argparse.Namespace, agent: str) -> int:
    file = Path(os.environ.get(FILE_VARIABLE) or FILE)
    link = Link(partial(find_address, options.nats), f"custody task {agent}", may_fail=True)
    await link.open()
    capabilities = capability_names(getattr(options, "capabilities", None))
    holder = Holder(Calls(link, pool_name(options.pool)), agent, capabilities, file)
    try:
        said = await _carry_out(holder, options)
    except (LeaseLost, StaleSession) as error:
        holder.forget()
        sys.stderr.write(f"{in_words(error)}\n")
        return ORDERED if options.command == "beat" else 1
    except (NoAnswerError, AddressError, CredentialsError) as error:
        sys.stderr.write(f"{in_words(error)}\n")
        return 0 if options.command == "beat" else 1
    except CustodyError as error:
        sys.stderr.write(f"{in_words(error)}\n")
        return ORDERED if options.command == "beat" else 1
    finally:
        await link.close()
    if said:
        sys.stdout.write(f"{said}\n")
    return 0


async def _carry_out(holder: Holder, options: argparse.Namespace) -> str:
    match options.command:
        case "claim":
            return await holder.claim(min(options.wait, MAX_WAIT_S))
        case "beat":
            return await holder.beat()
        case "report":
            return await holder.report(options.percent, options.note, options.checkpoint)
        case "quiet":
            return await holder.quiet(options.seconds, options.why)
        case "finish":
            return await holder.end("complete", {"result": options.result})
        case "give-up":
            return await holder.end("fail", {"error": cut_text(options.error), "retryable": not options.final})
        case "ask":
            question = {"reason": "a person has to decide", "question": cut_text(options.question)}
            return await holder.end("block", question)
        case _:
            return await holder.hand_over(options.notes, options.checkpoint)


def _json_or_text(text: str) -> Any:
    """Return JSON as what it is, and anything else as a text."""
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return text


def arguments_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(
        prog="custody-task", description="Claim, keep and finish one task at a time, for coding agents."
    )
    parser.add_argument("--agent", metavar="NAME", help="the agent's name (CUSTODY_AGENT)")
    parser.add_argument("--nats", metavar="URL", help="the broker (CUSTODY_NATS, else ./.custody)")
    parser.add_argument("--pool", help="the pool (CUSTODY_POOL, else default)")
    commands = parser.add_subparsers(dest="command", required=True)
    claim = commands.add_parser("claim", help="go on with the task that is held, else claim one; prints the briefing")
    claim.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="how long to wait for one, at most 25"
    )
    claim.add_argument(
        "--capability", action="append", dest="capabilities", metavar="C", help="what it can do (CUSTODY_CAPABILITIES)"
    )
    commands.add_parser("beat", help="keep the lease alive; status 2 if the agent has to stop or hand over")
    report = commands.add_parser("report", help="report progress")
    report.add_argument("percent", type=int)
    report.add_argument("note", nargs="?")
    report.add_argument("--checkpoint", type=_json_or_text, metavar="JSON", help="where another would go on")
    quiet = commands.add_parser("quiet", help="announce that nothing is heard for a time, such as a long build")
    quiet.add_argument("seconds", type=float)
    quiet.add_argument("why")
    finish = commands.add_parser("finish", help="complete the task")
    finish.add_argument("result", nargs="?", type=_json_or_text, help="JSON, or a text, for its submitter")
    give_up = commands.add_parser("give-up", help="say that the attempt failed")
    give_up.add_argument("error")
    give_up.add_argument("--final", action="store_true", help="no other attempt can succeed")
    ask = commands.add_parser("ask", help="set the task aside until a person answers")
    ask.add_argument("question")
    hand_over = commands.add_parser("hand-over", help="give the task back; without one, do nothing")
    hand_over.add_argument("notes")
    hand_over.add_argument("--checkpoint", type=_json_or_text, metavar="JSON", help="where the next holder goes on")
    return parser


if __name__ == "__main__":
    sys.exit(main())
