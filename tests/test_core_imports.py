"""The tests of the core need the core only: no broker, no command line, no database.

The plugin of the client library, which pytest loads by itself where the library is installed, is left out.
"""

import subprocess
import sys

from tests.support.checkout import ROOT

CORE = ("domain", "projections", "conformance", "golden", "handlers")
ALLOWED = {"infra", "infra.codec"}
"""The core's tests encode events as the log has them."""
UNWANTED = {
    *("custody_demo", "custody_eventsourcing", "infra"),
    *("docker", "nats", "nkeys", "psycopg", "rich", "selenium", "sqlalchemy", "typer", "uvloop"),
}
LOADED = f"""
import sys, pytest
status = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:custody", *sys.argv[1:]])
loaded = {{name for name in sys.modules if name.partition(".")[0] in {UNWANTED!r}}}
print("loaded:", *sorted(loaded - {ALLOWED!r}))
sys.exit(status)
"""


def test_the_cores_tests_load_neither_broker_nor_command_line() -> None:
    paths = [f"tests/{name}" for name in CORE]
    done = subprocess.run([sys.executable, "-c", LOADED, *paths], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "loaded:"
