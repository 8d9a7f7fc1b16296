"""A search for the broker's binary that is called off leaves no program behind."""

import asyncio
import os
from pathlib import Path

import pytest

from infra.broker.binary import read_version


async def test_a_program_is_killed_when_its_caller_is_cancelled(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pid")
    program = tmp_path / "nats-server"
    program.write_text('#!/bin/sh\necho $$ > "$(dirname "$0")/pid"\nexec sleep 60\n')
    program.chmod(0o700)
    reading = asyncio.create_task(read_version(program))
    pid = int(await asyncio.to_thread((tmp_path / "pid").read_text))
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
