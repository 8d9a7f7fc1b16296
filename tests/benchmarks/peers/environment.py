"""The libraries that callers need, of the versions in `requirements.txt` and `package-lock.json` here.

They go into `.peers/` of the checkout, made anew when these files change, and never into Custody's own `.venv`.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.peers.catalogue import Contender
from tests.benchmarks.peers.servers.server import MissingError, program
from tests.support.checkout import ROOT

HERE = Path(__file__).parent
PLACE = ROOT / ".peers"


def command(contender: Contender) -> list[str]:
    """Return the command that runs a contender's callers; install what they need first.

    Raises:
        MissingError: it cannot be had; the message says why.
    """
    if contender.interpreter == "node":
        return [program("node", "apt-get install nodejs npm"), str(_node() / f"{contender.name}.mjs")]
    python = sys.executable if contender.interpreter == "project" else str(peers_python())
    return [python, "-m", "tests.benchmarks.peers.callers", contender.callers or contender.name]


def peers_python() -> Path:
    """Return the Python that has the peers' libraries; make its environment first. Raises MissingError."""
    place = PLACE / "venv"
    python = place / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    pinned = HERE / "requirements.txt"
    if not _is_made_from(place, pinned):
        _say(f"making {place} from {pinned.name}")
        _run(sys.executable, "-m", "venv", str(place))
        _run(str(python), "-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "-r", str(pinned))
        _note(place, pinned)
    return python


def _node() -> Path:
    place = PLACE / "node"
    pinned = HERE / "package-lock.json"
    if not _is_made_from(place, pinned):
        npm = program("npm", "apt-get install nodejs npm")
        _say(f"making {place} from {pinned.name}")
        place.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, place)
        _run(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(place))
        _note(place, pinned)
    for script in (HERE / "contenders").glob("*.mjs"):
        shutil.copy(script, place)
    return place


def _is_made_from(place: Path, pinned: Path) -> bool:
    """Whether the place was made from this file; removes what was made from another."""
    note = place / "made-from"
    if note.exists() and note.read_text(encoding="utf-8") == _digest(pinned):
        return True
    shutil.rmtree(place, ignore_errors=True)
    return False


def _note(place: Path, pinned: Path) -> None:
    (place / "made-from").write_text(_digest(pinned), encoding="utf-8")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise MissingError(f"{' '.join(command[:4])} failed: {done.stderr.strip()[-500:]}")
