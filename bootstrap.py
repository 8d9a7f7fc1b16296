"""Set Custody up on a machine that has git and Python 3.11 or newer, and run it.

    python3 bootstrap.py demo [options]      a fleet of simulated agents on a broker of its own
    python3 bootstrap.py test [--only-tests] [pytest options]      every check that CI makes
    python3 bootstrap.py setup [--dev]       only make the environment, in .venv

Everything lands in `.venv`: the pinned packages (by hash; with uv if it is on PATH, else with pip), the `custody`
command and a nats-server. A second run finds that nothing changed and starts at once.
"""

import os
import shutil
import subprocess
import sys

if sys.version_info < (3, 11):  # noqa: UP036 - an older Python gets this far, and is to be told so
    for name in ("python3.14", "python3.13", "python3.12", "python3.11"):
        newer = shutil.which(name)
        check = [newer, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        if newer and os.name != "nt" and subprocess.call(check, stderr=subprocess.DEVNULL) == 0:
            os.execv(newer, [newer, *sys.argv])  # noqa: S606 - the same program with a Python that can run it
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    sys.exit(f"Custody needs Python 3.11 or newer and this is {version}: install a newer one and run this with it")

import argparse
import hashlib
import json
import platform
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
SUFFIX = ".exe" if os.name == "nt" else ""
PYTHON = BIN / f"python{SUFFIX}"
STAMP = VENV / "custody-setup.json"
LOG = VENV / "custody-setup.log"
MINIMUM_BROKER = (2, 12, 1)

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
SPREAD = ("-n", str(min(2 * CORES, 8)), "--dist", "worksteal")
"""How the tests are spread: two processes for a core, for the tests of real processes wait for most of their time.

An option of the user's comes later and counts, such as `-n 0`.
"""

PLACE = f"Python {sys.version_info[0]}.{sys.version_info[1]} on {platform.machine()} in {ROOT}"
"""What an environment is bound to: anywhere else it has to be made anew."""

REQUIREMENTS = {"runtime": ("build.txt", "runtime.txt"), "dev": ("dev.txt",)}
"""What each kind of environment is installed from. The second contains the first."""

NO_NETWORK = re.compile(
    r"NewConnectionError|NameResolutionError|name resolution|ConnectTimeout|ReadTimeout|Max retries exceeded"
    r"|Network is unreachable|Connection refused|ProxyError|dns error|error sending request|tcp connect error"
    r"|Failed to fetch|client error \(Connect\)|operation timed out",
    re.IGNORECASE,
)
"""How pip and uv say that they could not reach a package index."""


class SetupError(Exception):
    """The environment cannot be made; the message is what to tell the user."""


def say(message: str) -> None:
    """Tell the user what is happening."""
    print(f"bootstrap: {message}", flush=True)


def fingerprint(kind: str) -> str:
    """Changes whenever an environment of this kind must be installed anew."""
    digest = hashlib.sha256()
    projects = (ROOT / "pyproject.toml", ROOT / "client" / "pyproject.toml")
    for path in (*projects, *(ROOT / "requirements" / name for name in REQUIREMENTS[kind])):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def read_stamp() -> dict[str, str]:
    """Fingerprint by kind, as of the last complete installation; empty if there is none."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def setup(kind: str) -> None:
    """Bring `.venv` up to date for running (`runtime`) or for working on Custody (`dev`).

    Raises:
        SetupError: it cannot be done.
    """
    stamp, current = read_stamp(), fingerprint(kind)
    complete = (BIN / f"custody{SUFFIX}").exists() and (BIN / f"nats-server{SUFFIX}").exists()
    if complete and stamp.get(kind) == current and stamp.get("place") == PLACE:
        return
    uv = shutil.which("uv")
    ensure_venv(uv, moved=stamp.get("place", PLACE) != PLACE)
    STAMP.unlink(missing_ok=True)
    LOG.write_text("", encoding="utf-8")
    install(uv, kind)
    ensure_broker()
    kept = {"runtime": fingerprint("runtime")} if kind == "dev" else {}
    STAMP.write_text(json.dumps({"place": PLACE, kind: current, **kept}), encoding="utf-8")
    say(f"{VENV} is ready")


def ensure_venv(uv: str | None, *, moved: bool) -> None:
    """Make the virtual environment, unless a usable one is there. One that was moved has stale paths inside."""
    if not moved and usable():
        return
    say(f"making a virtual environment for Python {platform.python_version()} in {VENV}")
    if uv:
        command = [uv, "venv", "--quiet", "--clear", "--seed", "--python", sys.executable, str(VENV)]
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            return
    try:
        import ensurepip  # noqa: F401, PLC0415 - Debian and Ubuntu leave it out
    except ImportError:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        msg = (
            "this Python cannot make virtual environments. On Debian and Ubuntu: "
            f"apt install python3-venv   (or python{version}-venv)"
        )
        raise SetupError(msg) from None
    command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    if made.returncode:
        reason = (made.stderr or made.stdout).strip().splitlines() or ["no reason given"]
        msg = f"cannot make a virtual environment in {VENV}: {reason[-1]}"
        raise SetupError(msg)


def usable() -> bool:
    """Whether `.venv` has a Python that runs, is new enough and has pip."""
    probe = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([PYTHON, "-c", probe], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def install(uv: str | None, kind: str) -> None:
    """Install the pinned packages and this checkout, service and client; what the installer says goes to the log.

    Raises:
        SetupError: neither uv nor pip could.
    """
    files = [argument for name in REQUIREMENTS[kind] for argument in ("-r", f"requirements/{name}")]
    steps = (
        ["--require-hashes", "-r", "requirements/build.txt"],
        # A package that is published as source only is built with what the first step installed, not with the newest.
        ["--require-hashes", "--no-build-isolation", *files],
        ["--no-build-isolation", "--no-deps", "--editable", ".", "--editable", "./client"],
    )
    installers = {"pip": [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]}
    if uv:
        installers = {"uv": [uv, "pip", "install", "--python", str(PYTHON)], **installers}
    for tool, command in installers.items():
        say(f"installing the pinned packages with {tool} (the first time this takes up to a minute)")
        if all(logged([*command, *step]) for step in steps):
            return
        say(f"{tool} could not install them; details: {LOG}")
    output = LOG.read_text(encoding="utf-8", errors="replace")
    if NO_NETWORK.search(output):
        msg = "the package index cannot be reached: check the network, the proxy or pip's index settings"
        raise SetupError(msg)
    msg = (output.strip().splitlines() or ["the installer gave no reason"])[-1]
    raise SetupError(msg)


def logged(command: list[str]) -> bool:
    """Run a command with its output in the log; whether it succeeded."""
    with LOG.open("ab") as log:
        log.write(f"$ {' '.join(command)}\n".encode())
        log.flush()
        return subprocess.run(command, cwd=ROOT, check=False, stdout=log, stderr=log).returncode == 0


def ensure_broker() -> None:
    """Have a nats-server beside the environment's Python: the wheel brings one, else one from PATH is linked there.

    Raises:
        SetupError: there is none that is new enough.
    """
    ours = BIN / f"nats-server{SUFFIX}"
    if broker_version(ours):
        return
    minimum = ".".join(map(str, MINIMUM_BROKER))
    found = shutil.which("nats-server")
    version = broker_version(Path(found)) if found else None
    if found is None or version is None or version < MINIMUM_BROKER:
        note = f"; {found} is {'.'.join(map(str, version))}" if version else ""
        msg = (
            f"no nats-server is packaged for {platform.system()} {platform.machine()}{note}: "
            f"put nats-server {minimum} or newer on PATH (https://nats.io/download) and run this again"
        )
        raise SetupError(msg)
    ours.unlink(missing_ok=True)
    if os.name == "nt":
        shutil.copy2(found, ours)
    else:
        ours.symlink_to(Path(found).resolve())
    say(f"using {found}")


def broker_version(path: Path) -> tuple[int, ...] | None:
    """The version of a nats-server; None if it does not run."""
    try:
        output = subprocess.run([path, "--version"], check=False, capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"v(\d+)\.(\d+)\.(\d+)", output)
    return tuple(map(int, match.groups())) if match else None


def demo(arguments: list[str]) -> int:
    """Run the demo in place of this program, so that signals and the exit status are its own."""
    setup("runtime")
    command = [str(BIN / f"custody{SUFFIX}"), "demo", *arguments]
    if os.name != "nt":
        os.execv(command[0], command)  # noqa: S606 - the command that was just installed
    return subprocess.run(command, check=False).returncode


def test(arguments: list[str], *, only_tests: bool) -> int:
    """Run every check, cheapest first, and stop at the first that fails; return its exit status."""
    setup("dev")
    python = str(PYTHON)
    checks = {
        "ruff check": [python, "-m", "ruff", "check", "."],
        "ruff format": [python, "-m", "ruff", "format", "--check", "."],
        "mypy": [python, "-m", "mypy"],
        "import contracts": [str(BIN / f"lint-imports{SUFFIX}")],
        "pytest": [python, "-m", "pytest", *SPREAD, *arguments],
    }
    if only_tests:
        checks = {"pytest": checks["pytest"]}
    for name, command in checks.items():
        say(name)
        status = run_to_end(command)
        if status:
            say(f"FAILED: {name} (exit status {status})")
            return status if status > 0 else 128 - status
    say("all checks passed")
    return 0


def run_to_end(command: list[str]) -> int:
    """Run a command and return its exit status. Ctrl-C reaches it too, and it gets the time to tidy up.

    It keeps bytecode whatever the environment says: each of the many processes that the tests start would otherwise
    compile every file anew, and each test process rewrite every test.

    Raises:
        KeyboardInterrupt: there was a Ctrl-C, and the command has ended.
    """
    interrupted = False
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        while process.returncode is None:
            try:
                process.wait()
            except KeyboardInterrupt:
                interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    return process.returncode


def main() -> int:
    """Run the command named on the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="bootstrap.py", description="Set Custody up and run it.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{demo,test,setup}")
    commands.add_parser("demo", help="simulated agents on a broker of their own", add_help=False)
    checks = commands.add_parser("test", allow_abbrev=False, help="every check that CI makes")
    checks.add_argument("--only-tests", action="store_true", help="pytest alone")
    environment = commands.add_parser("setup", help="only make the environment, in .venv")
    environment.add_argument("--dev", action="store_true", help="with what the checks need")
    options, rest = parser.parse_known_args()
    try:
        if options.command == "demo":
            return demo(rest)
        if options.command == "test":
            return test(rest, only_tests=options.only_tests)
        if rest:
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        setup("dev" if options.dev else "runtime")
    except SetupError as error:
        print(f"bootstrap: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
