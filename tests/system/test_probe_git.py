"""The worktree probe on real git repositories, hostile ones included."""

import asyncio
import os
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from domain.lifecycles import TaskStatus
from domain.policies.lease import LeasePolicy
from domain.task import Definition, Lease, Task
from infra.service.git_probe import GitWorktreeProbe
from tests.support.broker import Connect
from tests.system.caller import Caller
from tests.system.conftest import Serve
from tests.system.streams import Feed, moment

pytestmark = [pytest.mark.system, pytest.mark.skipif(os.name == "nt", reason="scripts and pipes of POSIX")]

AT = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = Lease(1, "a1", 2, AT, 1, 1, AT)
TASK = Task("T1", 1, 1, Definition(request_digest="", lease=LeasePolicy()), AT, TaskStatus.ASSIGNED, 2, 1, AT)


def git(where: Path, *args: str, fails: bool = False) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *identity, *args], cwd=where, capture_output=True, text=True, check=False)  # noqa: S607 - the git that the probe finds
    assert (done.returncode != 0) == fails, done.stderr
    return done.stdout


def commit(where: Path, message: str, **files: str | None) -> None:
    for name, text in files.items():
        if text is None:
            (where / name).unlink()
        else:
            (where / name).write_text(text)
    git(where, "add", "--all")
    git(where, "commit", "--quiet", "--message", message)


@pytest.fixture
def conflict(tmp_path: Path) -> Path:
    """A worktree in the middle of a merge, with conflicts of every kind that a merge makes by itself."""
    where = tmp_path / "T1-a1-2"
    where.mkdir()
    git(where, "init", "--quiet")
    commit(where, "base", both="b", ours_deleted="b", theirs_deleted="b", quiet="same")
    git(where, "checkout", "--quiet", "-b", "theirs")
    commit(where, "theirs", both="t", ours_deleted="t", theirs_deleted=None, added="t")
    git(where, "checkout", "--quiet", "main")
    commit(where, "ours", both="o", ours_deleted=None, theirs_deleted="o", added="o")
    git(where, "merge", "theirs", fails=True)
    return where


def probe(tmp_path: Path, timeout_s: float = 20.0) -> GitWorktreeProbe:
    return GitWorktreeProbe(str(tmp_path / "{task_id}-{agent_id}-{attempt}"), timeout_s)


async def test_unresolved_conflicts_are_evidence_until_they_are_resolved(conflict: Path, tmp_path: Path) -> None:
    states = {line[3:]: line[:2] for line in git(conflict, "status", "--porcelain").splitlines()}
    assert set(states.values()) == {"UU", "AA", "DU", "UD"}
    assert await probe(tmp_path).evidence(TASK, LEASE) == ("added", "both", "ours_deleted", "theirs_deleted")
    git(conflict, "add", "added", "both", "theirs_deleted")
    assert await probe(tmp_path).evidence(TASK, LEASE) == ("ours_deleted",)
    git(conflict, "rm", "--quiet", "--cached", "ours_deleted")
    assert await probe(tmp_path).evidence(TASK, LEASE) == ()


async def test_changes_without_a_conflict_are_none(conflict: Path, tmp_path: Path) -> None:
    git(conflict, "merge", "--abort")
    (conflict / "quiet").write_text("changed")
    (conflict / "new").write_text("untracked")
    git(conflict, "mv", "both", "renamed")
    assert await probe(tmp_path).evidence(TASK, LEASE) == ()


async def test_linked_worktrees_and_odd_names(conflict: Path, tmp_path: Path) -> None:
    git(conflict, "merge", "--abort")
    linked = tmp_path / "T1-a1-3"
    odd = 'tab\tnew\nline "é" -x'
    commit(conflict, "base 2", **{odd: "b"})
    git(conflict, "checkout", "--quiet", "-b", "theirs-2")
    commit(conflict, "theirs 2", **{odd: "t"})
    git(conflict, "checkout", "--quiet", "main")
    commit(conflict, "ours 2", **{odd: "o"})
    git(conflict, "worktree", "add", "--quiet", "-b", "linked", str(linked))
    git(linked, "merge", "theirs-2", fails=True)
    assert await probe(tmp_path).evidence(TASK, replace(LEASE, attempt=3)) == (odd,)
    assert await probe(tmp_path).evidence(TASK, LEASE) == ()


async def test_evidence_has_its_limit(tmp_path: Path) -> None:
    where = tmp_path / "T1-a1-2"
    where.mkdir()
    git(where, "init", "--quiet")
    names = [f"f{number:03}" for number in range(60)]
    for branch, text in (("main", "b"), ("theirs", "t")):
        if branch == "theirs":
            git(where, "checkout", "--quiet", "-b", branch)
        commit(where, branch, **dict.fromkeys(names, text))
    git(where, "checkout", "--quiet", "main")
    commit(where, "ours", **dict.fromkeys(names, "o"))
    git(where, "merge", "theirs", fails=True)
    assert await probe(tmp_path).evidence(TASK, LEASE) == tuple(names[:20])


@pytest.mark.parametrize("what", ["missing", "a file", "no repository", "broken"])
async def test_no_usable_worktree_is_no_evidence(tmp_path: Path, what: str) -> None:
    where = tmp_path / "T1-a1-2"
    match what:
        case "a file":
            where.write_text("")
        case "no repository":
            where.mkdir()
        case "broken":
            where.mkdir()
            (where / ".git").write_text("gitdir: /nowhere/at/all")
    assert await probe(tmp_path).evidence(TASK, LEASE) == ()


async def test_without_git_there_is_no_evidence(
    conflict: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert await probe(tmp_path).evidence(TASK, LEASE) == ()


def booby_trap(where: Path, marker: Path) -> None:
    """Let everything in the worktree that may name a program name one that leaves a mark."""
    trap = where.parent / "trap"
    trap.write_text(f'#!/bin/sh\necho "$0 $*" >> {marker}\ncat\n')
    trap.chmod(0o755)
    hooks = where.parent / "hooks"
    for directory in (hooks, where / ".git" / "hooks"):
        directory.mkdir(exist_ok=True)
        for hook in ("post-index-change", "fsmonitor-watchman", "pre-commit", "reference-transaction", "post-checkout"):
            (directory / hook).write_bytes(trap.read_bytes())
            (directory / hook).chmod(0o755)
    run = str(trap)
    for name, value in {
        "core.fsmonitor": run,
        "core.hooksPath": str(hooks),
        "core.pager": run,
        "core.sshCommand": run,
        "core.editor": run,
        "core.askPass": run,
        "core.alternateRefsCommand": run,
        "diff.external": run,
        "diff.trap.textconv": run,
        "diff.trap.command": run,
        "filter.trap.clean": run,
        "filter.trap.smudge": run,
        "filter.trap.process": run,
        "filter.trap.required": "true",
        "merge.trap.driver": run,
        "alias.status": f"!{run}",
        "alias.ls-files": f"!{run}",
        "pager.status": run,
        "pager.ls-files": run,
        "credential.helper": run,
        "gpg.program": run,
        "status.submoduleSummary": "true",
        "protocol.ext.allow": "always",
        "remote.origin.url": f"ext::{run}",
        "remote.origin.promisor": "true",
        "remote.origin.uploadpack": run,
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "trace2.eventTarget": str(marker),
    }.items():
        git(where, "config", name, value)
    (where / ".git" / "info" / "attributes").write_text("* filter=trap diff=trap merge=trap\n")


async def test_a_worktree_cannot_make_the_service_run_its_programs(conflict: Path, tmp_path: Path) -> None:
    (conflict / ".gitattributes").write_text("* filter=trap diff=trap merge=trap\n")
    marker = tmp_path / "MARK"
    # Same size, another time: only a look at the content tells whether it changed.
    quiet = conflict / "quiet"
    quiet.write_text("emas")
    os.utime(quiet, (1, 1))
    booby_trap(conflict, marker)
    missing = git(conflict, "rev-parse", "HEAD:quiet").strip()
    (conflict / ".git" / "objects" / missing[:2] / missing[2:]).unlink()
    marker.unlink(missing_ok=True)
    before = {path: path.stat().st_mtime_ns for path in (conflict / ".git").rglob("*")}
    assert await probe(tmp_path).evidence(TASK, LEASE) == ("added", "both", "ours_deleted", "theirs_deleted")
    assert not marker.exists(), marker.read_text()
    assert {path: path.stat().st_mtime_ns for path in (conflict / ".git").rglob("*")} == before, "nothing was written"


async def test_the_services_environment_does_not_lead_git_elsewhere(
    conflict: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    assert await probe(tmp_path).evidence(TASK, LEASE)


async def test_a_look_has_a_time_limit(conflict: Path, tmp_path: Path) -> None:
    index = conflict / ".git" / "index"
    index.unlink()
    os.mkfifo(index)
    started = time.monotonic()
    looks = (probe(tmp_path, timeout_s=0.3).evidence(TASK, LEASE) for _ in range(3))
    assert await asyncio.gather(*looks) == [(), (), ()]
    assert time.monotonic() - started < 15, "without a limit it never ends"
    with pytest.raises(OSError, match="No such device or address"):
        os.open(index, os.O_WRONLY | os.O_NONBLOCK)  # no reader is left


async def test_a_plea_extends_a_silent_lease_and_a_resolved_one_expires(
    serve: Serve, connect: Connect, pool: str, conflict: Path, tmp_path: Path
) -> None:
    template = str(tmp_path / "{task_id}-{agent_id}-2")
    await serve(worktree_probe_enabled=True, worktree_template=template)
    ask = Caller(await connect(), pool)
    expiring = {"mode": "fixed", "lease_s": 0.2, "grace_s": 0.1}
    async with Feed(await connect(), pool) as feed:
        lease = await ask.lease(task_id="T1", lease=expiring)
        await ask.assigned("a1", task_id="T2", lease=expiring)
        extended = await feed.until("task.extended", "T1")
        await feed.until("task.expired", "T2")
        assert (extended.data["token"], extended.data["probe"]) == (lease["token"], "git_worktree")
        assert extended.data["evidence"] == ["added", "both", "ours_deleted", "theirs_deleted"]
        assert (extended.data["for_s"], extended.data["extensions"]) == (300, 1)
        earned = moment(extended.data["expires_at"]) - moment(extended.body["time"])
        assert earned == timedelta(seconds=300), "from the moment of the grant"
        assert (await ask.task("T1"))["lease"]["extensions"] == 1


async def test_no_more_is_read_of_a_huge_index_than_proves_it(conflict: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of that name stands for git with an index that never ends."""
    programs = conflict.parent / "programs"
    programs.mkdir()
    entry = "100644 0123456789012345678901234567890123456789 2\\tfile%d\\0"
    (programs / "git").write_text(f"#!/bin/sh\ni=0; while :; do i=$((i+1)); printf '{entry}' $i; done\n")
    (programs / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    probe = GitWorktreeProbe(str(conflict.parent / "{task_id}-{agent_id}-{attempt}"), 60.0)
    began = time.monotonic()
    assert await probe.evidence(TASK, LEASE) == tuple(f"file{number}" for number in range(1, 21))
    assert time.monotonic() - began < 30, "it was killed, and not waited for"
