"""Write the generated pages and schemas: `python -m docs.generate`, or `--check` to see whether they are current."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from docs.generator.files import generated
from domain.events import CATALOGUE

DOCS = Path(__file__).resolve().parent


def out_of_date() -> list[str]:
    """Return the generated files that are missing, differ from the code, or should not be there any more."""
    wanted = generated()
    differing = [
        name
        for name, text in wanted.items()
        if not (DOCS / name).is_file() or (DOCS / name).read_text(encoding="utf-8") != text
    ]
    stale = [
        f"schemas/{path.name}"
        for path in (DOCS / "schemas").glob("*")
        # The schema of an older version stays as it was: there are logs with such messages.
        if f"schemas/{path.name}" not in wanted and path.stem not in CATALOGUE.readings
    ]
    return sorted(differing + stale)


def write() -> list[str]:
    """Bring every generated file up to date; return those that changed."""
    changed = out_of_date()
    wanted = generated()
    for name in changed:
        path = DOCS / name
        if name in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[name], encoding="utf-8", newline="\n")
        else:
            path.unlink()
    return changed


def main() -> int:
    """Write or check; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m docs.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if something is out of date")
    check = parser.parse_args().check
    names = out_of_date() if check else write()
    for name in names:
        sys.stdout.write(f"{'out of date' if check else 'wrote'}: docs/{name}\n")
    return int(check and bool(names))


if __name__ == "__main__":
    sys.exit(main())
