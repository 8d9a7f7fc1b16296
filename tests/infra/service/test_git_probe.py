"""Where the probe looks for a task's worktree."""

from pathlib import Path

from infra.service.git_probe import GitWorktreeProbe
from tests.support.scenario import Scenario


def test_no_id_leads_it_out_of_the_directory() -> None:
    s = Scenario()
    s.holds("A", "../../etc")
    task = s.task("../../etc")
    probe = GitWorktreeProbe("trees/{task_id}-{agent_id}", 1.0)
    assert probe.worktree(task, s.lease("../../etc")) == Path("trees/%2E%2E%2F%2E%2E%2Fetc-A")
