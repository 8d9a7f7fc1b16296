"""The command `custody-mcp`.

custody-mcp --agent builder-1
custody-mcp --agent builder-1 --http 127.0.0.1:8765
custody-mcp --agent desk --role operator
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence

from custody_client.address import agent_name
from custody_client.errors import AddressError
from custody_client.json_log import log_as_json
from custody_client.lengths import seconds

EXTRA_MISSING = "custody-mcp needs the MCP SDK: pip install 'custody-client[mcp]'"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until the client has gone, or SIGTERM; return the exit status: 2 for wrong usage, else 0."""
    command_line = parser()
    options = command_line.parse_args(arguments)
    level = logging.INFO if options.verbose else logging.WARNING
    if options.log_format == "json":
        log_as_json(level)
    else:
        logging.basicConfig(stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(message)s")
    try:
        from custody_mcp.serving import serve  # noqa: PLC0415 - `--help` works, and says what is missing, without it
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "mcp":
            raise
        sys.stderr.write(f"{EXTRA_MISSING}\n")
        return 2
    try:
        options.agent = agent_name(options.agent)
        asyncio.run(serve(options))
    except (AddressError, ValueError) as error:
        command_line.error(str(error))
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    made = argparse.ArgumentParser(
        prog="custody-mcp",
        description="Serve an AI agent over MCP: as a worker it claims, reports and finishes tasks; as an operator it "
        "submits, finds, explains and acts.",
    )
    made.add_argument("--agent", metavar="NAME", help="the agent's name, one for each process (CUSTODY_AGENT)")
    made.add_argument("--role", choices=("worker", "operator"), default="worker", help="which tools (worker)")
    made.add_argument(
        "--http",
        metavar="[HOST:]PORT",
        help="serve streamable HTTP there, at /mcp, instead of standard input and output",
    )
    made.add_argument("--nats", metavar="URL", help="the broker (CUSTODY_NATS, else ./.custody)")
    made.add_argument("--pool", help="the pool (CUSTODY_POOL, else default)")
    made.add_argument(
        "--capability",
        action="append",
        dest="capabilities",
        metavar="C",
        help="what the agent can do, kinds of tasks too (CUSTODY_CAPABILITIES)",
    )
    made.add_argument("--slots", type=int, default=1, metavar="N", help="how many tasks it holds at once (1)")
    made.add_argument(
        "--idle",
        type=seconds,
        metavar="TIME",
        help="for how long the client may call no tool and still keep its tasks, such as 30m; without it, for as long "
        "as it is connected; over HTTP 10m",
    )
    made.add_argument("-v", "--verbose", action="store_true", help="log what happens, on standard error")
    made.add_argument("--log-format", choices=("text", "json"), default="text", help="json: one object a line")
    return made


if __name__ == "__main__":
    sys.exit(main())
