"""No room for what a command writes is one line, and nothing half-written is left."""

import errno
import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.export.export_file import ExportWriter
from infra.host.atomic_file import FileWriteError, atomic_file
from tests.support.checkout import ROOT

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="needs Linux's /dev/full")
@pytest.mark.parametrize("arguments", ["--help", "--version", "config", "config --json"])
def test_a_full_disk_behind_the_output_is_one_line(arguments: str, tmp_path: Path) -> None:
    with FULL.open("w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "infra.cli.main", *arguments.split()],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (ran.returncode, ran.stderr) == (1, "custody: cannot write the output: No space left on device\n")


def test_a_file_that_finds_no_room_is_one_line_and_not_there(tmp_path: Path) -> None:
    with (
        pytest.raises(FileWriteError, match=r"report\.html: No space left on device$"),
        atomic_file(tmp_path / "report.html"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_other_errors_within_are_not_taken_for_the_files(tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError), atomic_file(tmp_path / "report.html"):
        raise ConnectionResetError
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_finds_no_room_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: gzip.GzipFile) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    writer = ExportWriter(tmp_path / "pool.custody")
    with monkeypatch.context() as patched:
        patched.setattr(gzip.GzipFile, "close", full)
        with pytest.raises(OSError, match="No space left"):
            writer.close()
    assert list(tmp_path.iterdir()) == []
    writer._file.close()  # noqa: SLF001 - what a disk that is full leaves open ends with the process
