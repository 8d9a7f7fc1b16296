"""A demo that is kept: its data directory, its settings as a file, and what to do with them."""

from __future__ import annotations

import json
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from infra.broker.data_dir import DataDirError
from infra.settings.contradictions import differing
from infra.settings.rule_settings import LEASE_FIELDS, RETRY_FIELDS, RULE_FIELDS, STEAL_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.settings.settings import Settings

CONFIG = "custody.toml"


def prepare_directory(into: Path | None) -> Path:
    """Create an empty directory and return it: `into` if given, else a temporary one.

    Raises:
        DataDirError: it is not empty, or cannot be made.
    """
    if into is None:
        return Path(tempfile.mkdtemp(prefix="custody-demo-"))
    directory = into.expanduser().resolve()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise DataDirError(f"{directory} is not empty: a demonstration begins with an empty directory")
    except OSError as error:
        raise DataDirError(f"cannot use {directory} as data directory: {error.strerror}") from None
    return directory


def write_config(settings: Settings) -> Path:
    """Write where the demo's log is, and its rules that differ from the defaults; return the file's path."""
    rules = (*LEASE_FIELDS, *RETRY_FIELDS, *STEAL_FIELDS, *RULE_FIELDS)
    changed = differing(settings)
    names = ("pool", "data_dir", *(name for name in rules if name in changed))
    values = settings.model_dump(mode="json", include=set(names))
    lines = [f"{name} = {json.dumps(values[name], ensure_ascii=False)}\n" for name in names if values[name] is not None]
    file = settings.data_dir / CONFIG
    file.write_text("".join(lines), encoding="utf-8")
    return file


def follow_up_lines(directory: Path, config: Path) -> Iterator[str]:
    """Yield the lines that say where the demo is kept and which commands read it."""
    yield f"kept in   {directory}"
    yield f"          custody postmortem --config {shlex.quote(str(config))}"
    yield "          and likewise custody audit, at, diff, history, explain, verify, whatif;"
    yield "          add --task or --agent, and custody up to serve it again"
