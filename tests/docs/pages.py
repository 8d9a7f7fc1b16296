"""What the pages show, block by block, and how what was printed is compared with what a page says.

A block that a test runs has a mark, a comment in the line above it:

| mark | |
|---|---|
| `from FILE` | a part of that file of this checkout |
| `file NAME` | written to NAME, in the directory where the page's terminals are |
| `terminal N` | typed into terminal N, with what is seen there; each command ends with status 0 |
| `terminal N, runs on` | the same; its last command does not end |
| `part of NAME` | these parts, one after the other, are the module NAME |
| any other | a test of that page knows it |
"""

import re
from pathlib import Path
from typing import NamedTuple

from tests.support.checkout import ROOT

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^>\n]+) -->\n)?^```(?P<kind>\w+)\n(?P<text>.*?)\n```$", re.DOTALL | re.MULTILINE
)
VARYING = [
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{6})?Z", "<moment>"),
    (r"\b\d+h \d+m\b|\b\d+m \d+s\b|\b\d+(\.\d+)?m?s\b", "<duration>"),
    (r"\bin \d+[hm]\b", "in <duration>"),
    (r"\b[0-9a-f]{64}\b", "<hash>"),
    (r"127\.0\.0\.1:\d+", "<address>"),
    (r"leader \S+:\d+:\d+", "leader <process>"),
    (r"/\S+/\.custody", "<data>"),
    (r"nats-server \d+\.\d+\.\d+", "nats-server <version>"),
]
SHELLS = ("sh", "console", "bash", "shell")
PICTURES = ("mermaid", "text")


class Block(NamedTuple):
    """A fenced block of a page."""

    mark: str
    """Empty: it has none."""
    kind: str
    """Its language."""
    text: str


class Step(NamedTuple):
    """A command of a console block, and what it printed."""

    command: str
    output: str


def read(name: str) -> str:
    """Return a page, by its path in this checkout."""
    return (ROOT / name).read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    """Return a page's path in this checkout."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: str, mark: str | None = None) -> list[Block]:
    """Return the blocks of a page's text, in their order; those of one mark, if it is given."""
    found = [Block(match["mark"] or "", match["kind"], match["text"]) for match in BLOCK.finditer(page)]
    return [block for block in found if mark is None or block.mark == mark]


def steps(text: str) -> list[Step]:
    """Return the commands of a console block, each with what it printed."""
    found = [part.partition("\n") for part in re.split(r"(?m)^\$ ", text) if part]
    return [Step(command, output.rstrip("\n")) for command, _, output in found]


def constant(output: str) -> str:
    """Return an output less what differs from run to run."""
    for pattern, name in VARYING:
        output = re.sub(pattern, name, output)
    return output.rstrip("\n")
