"""Write the pinned, hashed requirement files from pyproject.toml.

Run `python requirements/lock.py` after changing a dependency, or with `--upgrade` to take the newest versions that
pyproject.toml allows. One resolution holds for every platform and for Python 3.11 and later (`uv --universal`).
What `runtime.txt` pins, the others pin alike; `build.txt` holds the build backends, so that nothing is installed with
an unpinned one (`--no-build-isolation`).
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUTPUTS = {
    "requirements/build.txt": ("--group", "build"),
    "requirements/runtime.txt": ("pyproject.toml",),
    "requirements/node.txt": ("--group", "node"),
    "requirements/dev.txt": (
        *("pyproject.toml", "--group", "dev"),
        *("-c", "requirements/runtime.txt", "-c", "requirements/build.txt"),
    ),
    "tests/benchmarks/peers/requirements.txt": (
        *("tests/benchmarks/peers/requirements.in", "-c", "requirements/runtime.txt"),
    ),
}
"""Each file and what it is resolved from; in this order, because the later ones are constrained by the others."""


def lock(uv: str, name: str, inputs: tuple[str, ...], extra: list[str]) -> int:
    """Resolve one file in place (what it pins already is kept where it still fits); return uv's exit status."""
    command = [
        *(uv, "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"),
        *("--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate"),
        *("--output-file", name, *inputs, *extra),
    ]
    return subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL).returncode


def main() -> int:
    """Lock every file; return the first failing status, or 2 if uv is missing."""
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        print("uv is needed to resolve the requirements: pip install uv", file=sys.stderr)
        return 2
    for name, inputs in OUTPUTS.items():
        print(name)
        if status := lock(uv, name, inputs, sys.argv[1:]):
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
