"""Pages walked through as their readers do."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from tests.docs.pages import blocks, steps
from tests.docs.terminal import Terminal


def walk(text: str, directory: Path, env: Mapping[str, str]) -> None:
    """Write the files of a page, and type what it types, in its order."""
    terminals: dict[str, Terminal] = {}
    with ExitStack() as stack:
        for block in blocks(text):
            what, _, name = block.mark.partition(" ")
            if what == "file":
                (directory / name).write_text(f"{block.text}\n", encoding="utf-8")
                (directory / name).chmod(0o755)
            elif what == "terminal":
                number, _, runs_on = name.partition(", ")
                if number not in terminals:
                    terminals[number] = stack.enter_context(Terminal(directory, env))
                typed = steps(block.text)
                for step in typed:
                    terminals[number].type(step, ends=not (runs_on and step is typed[-1]))
