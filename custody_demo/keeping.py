"""Leaving a demonstration behind: its log, and the settings it went by, so that people can ask about it."""

from __future__ import annotations

import json
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from infra.broker.data_dir import DataDirError
from infra.settings.rule_settings import LEASE_FIELDS, RULE_FIELDS, STEAL_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.settings.settings import Settings

CONFIG = "custody.toml"


def stage(into: Path | None) -> Path:
    """Return an empty directory: the one that is named, else a temporary one.

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
    """Write the rules of a demonstration and where its log is into a configuration file; return its path."""
    names = ("pool", "data_dir", *LEASE_FIELDS, *STEAL_FIELDS, *RULE_FIELDS)
    values = settings.model_dump(mode="json", include=set(names))
    lines = [f"{name} = {json.dumps(values[name], ensure_ascii=False)}\n" for name in names if values[name] is not None]
    file = settings.data_dir / CONFIG
    file.write_text("".join(lines), encoding="utf-8")
    return file


def how_to_ask(directory: Path, config: Path) -> Iterator[str]:
    """Return in words where everything is, and what to do with it."""
    yield f"kept in   {directory}"
    yield f"          custody postmortem --config {shlex.quote(str(config))}"
    yield "          and likewise custody audit, at, diff, history, explain, verify, whatif;"
    yield "          add --task or --agent, and custody up to serve it again"
