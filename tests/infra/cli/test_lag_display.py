"""The lag that is shown while a projector runs."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infra.cli.terminal import lag_display
from infra.cli.terminal.lag_display import LagDisplay


async def test_a_display_that_ends_by_itself_says_so_and_the_projector_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed: list[str] = []
    failed = asyncio.Event()

    def fail_once(text: str) -> None:
        if not failed.is_set():
            failed.set()
            raise BrokenPipeError("gone")
        printed.append(text)

    monkeypatch.setattr(lag_display, "_CATCHING_UP_S", 0)
    watermark = SimpleNamespace(position=7, skipped=0, time=None)
    projector = SimpleNamespace(
        following=False, failing=False, standing_by=False, watermark=watermark, log_end=7, written=0
    )
    out = SimpleNamespace(as_json=False, terminal=False, line=fail_once)
    async with LagDisplay(cast("Any", out), cast("Any", None)).display(cast("Any", projector)):
        await failed.wait()
    assert capsys.readouterr().err == "custody: the lag is no longer shown: BrokenPipeError('gone')\n"
    assert [line.split(",")[0] for line in printed] == ["stopped at position 7"]
