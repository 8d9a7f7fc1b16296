"""The callers of one contender, in a process of their own: `python -m tests.benchmarks.peers.callers NAME`.

Reads the server's address as a line of JSON, then for each line `{"job": ..., "case": {...}}` writes one with `figures`
or `error`. A contender in another language speaks the same lines.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import traceback
from typing import Any, TextIO


async def serve(name: str, answers: TextIO) -> None:
    """Measure what is asked, until the input ends."""
    contender_file = importlib.import_module(f"tests.benchmarks.peers.contenders.{name}")
    jobs: dict[str, Any] = {}
    contender = None
    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            if contender is None:
                contender = await contender_file.open_contender(json.loads(line))
                answer: dict[str, Any] = {"figures": {}}
            else:
                asked = json.loads(line)
                if asked["job"] not in jobs:
                    job_file = importlib.import_module(f"tests.benchmarks.peers.jobs.{asked['job']}")
                    jobs[asked["job"]] = job_file.Job(contender)
                answer = {"figures": await jobs[asked["job"]].measure(**asked["case"])}
        except Exception:  # noqa: BLE001 - whatever goes wrong belongs to this contender and case alone
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    if contender is not None:
        await contender.close()


def main() -> None:
    """Serve on uvloop where it exists."""
    answers, sys.stdout = sys.stdout, sys.stderr
    work = serve(sys.argv[1], answers)
    try:
        import uvloop  # noqa: PLC0415 - it may not be there
    except ImportError:  # not on Windows
        asyncio.run(work)
    else:
        uvloop.run(work)


if __name__ == "__main__":
    main()
