"""The page about coding agents and the files beside it, with their own commands in a repository of their own."""

import asyncio
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client as McpClient
from mcp.client.stdio import StdioServerParameters

from custody_mcp.task_command import arguments_parser
from tests.docs.conftest import Place, environment, up
from tests.support.checkout import ROOT

pytestmark = pytest.mark.system

AGENTS = ROOT / "examples" / "agents"
PAGE = (ROOT / "docs" / "agents.md").read_text(encoding="utf-8")
BLOCKS = {
    match["name"]: match["text"]
    for match in re.finditer(r"(?ms)^<!-- (?P<name>\w+) -->\n```sh\n(?P<text>.*?)^```$", PAGE)
}
HOOKS: dict[str, list[str]] = {
    event: [hook["command"] for group in groups for hook in group["hooks"]]
    for event, groups in json.loads((AGENTS / "hooks.json").read_text(encoding="utf-8"))["hooks"].items()
}


def prepared(agent: str) -> str:
    """What the page has an agent's shell begin with; a test's agent takes the tasks of the test alone."""
    return BLOCKS["agent"].replace("builder-1", agent).replace("=code", f"={agent}")


class Repository:
    """A repository with the service beside it, and a worktree for each agent."""

    def __init__(self, path: Path) -> None:
        self.place = Place(path, environment() | {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"})

    @property
    def path(self) -> Path:
        return self.place.path

    def sh(self, script: str, *, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a script, as a person at this place would."""
        ran = self.place.run("sh", "-ec", script)
        assert ran.returncode == status, ran.stdout + ran.stderr
        return ran

    def git(self, *words: str, status: int = 0, **options: Any) -> None:
        """Run git here, or in `cwd`, as somebody."""
        git = ("git", "-c", "user.name=ann", "-c", "user.email=ann@example.org")
        where, env = options.get("cwd", self.path), self.place.env
        ran = subprocess.run([*git, *words], cwd=where, env=env, check=False, capture_output=True)
        assert ran.returncode == status, ran.stdout + ran.stderr

    def worktree(self, agent: str) -> Path:
        """Add an agent's worktree."""
        path = self.path / "trees" / agent
        self.git("worktree", "add", "-q", str(path), "-b", agent)
        return path

    def hook(self, event: str, agent: str, *, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run what the hooks have for an event, in the agent's worktree."""
        (command,) = HOOKS[event]
        return self.sh(f"{prepared(agent)}\n{command}", status=status)

    def task(self, task_id: str) -> dict[str, Any]:
        """How a task stands."""
        found: dict[str, Any] = json.loads(self.sh(f"custody query task {task_id} --json").stdout)["result"]
        return found

    def beat_is_due(self, agent: str) -> None:
        """Let the next tool use beat, as one 10 s later does."""
        file = self.path / "trees" / agent / ".custody-task.json"
        kept = json.loads(file.read_text())
        file.write_text(json.dumps({**kept, "beat_at": 0.0}))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    path = tmp_path_factory.mktemp("repository")
    made = Repository(path)
    made.git("init", "-q", "-b", "main")
    (path / "file").write_text("base\n")
    made.git("add", "file")
    made.git("commit", "-q", "-m", "Begin")
    start = shlex.split(BLOCKS["service"].replace("$PWD", str(path)))
    assert start[:2] == ["custody", "up"]
    with up(path, *start[2:], "--broker-sync-interval", "2m", "--sweeper-interval-s", "0.2"):
        yield made


def test_the_pages_commands_lead_to_a_finished_task(repository: Repository) -> None:
    repository.sh(BLOCKS["tasks"])
    said = repository.sh(BLOCKS["agent"] + BLOCKS["commands"]).stdout
    assert "You hold task issue-1 (attempt 1)" in said
    assert '- title: "Say what is missing when the file is empty"' in said
    task = repository.task("issue-1")
    assert (task["status"], task["outcome"]["result"]) == ("completed", {"branch": "builder-1"})
    repository.sh("custody cancel issue-2")


def test_hooks_claim_beat_and_hand_over(repository: Repository) -> None:
    repository.worktree("hooked")
    repository.sh("custody submit H1 --title 'A hooked task' --required-capability hooked")
    assert "You hold task H1 (attempt 1)" in repository.hook("SessionStart", "hooked").stdout
    before = repository.task("H1")["lease"]["expires_at"]
    repository.beat_is_due("hooked")
    for event in ("PreToolUse", "PostToolUse"):
        ran = repository.hook(event, "hooked")
        assert (ran.stdout, ran.stderr) == ("", "")
    assert repository.task("H1")["lease"]["expires_at"] >= before
    repository.sh(
        f"{BLOCKS['agent'].replace('builder-1', 'hooked')}\ncustody-task report 30 'begun' --checkpoint '[1]'"
    )
    # A session that ended without its hook: the next one goes on under the same lease.
    again = repository.hook("SessionStart", "hooked").stdout
    assert 'your last note: "begun"' in again
    assert "your checkpoint, where to go on: [1]" in again
    repository.hook("SessionEnd", "hooked")
    task = repository.task("H1")
    assert (task["status"], len(task["former_leases"])) == ("queued", 1)
    assert (task["handoff"]["last_note"], task["handoff"]["last_checkpoint"]) == ("the session ended", [1])
    assert "You hold no task." in repository.hook("SessionEnd", "hooked").stdout
    repository.sh("custody cancel H1")


def test_a_lost_task_stops_the_next_use_of_a_tool(repository: Repository) -> None:
    repository.worktree("loser")
    repository.sh("custody submit L1 --required-capability loser")
    repository.hook("SessionStart", "loser")
    repository.sh("custody cancel L1 --reason 'not needed'")
    repository.beat_is_due("loser")
    said = repository.hook("PreToolUse", "loser", status=2).stderr
    assert "L1 has ended: it is cancelled" in said
    assert "Stop working on it" in said
    assert repository.hook("PostToolUse", "loser").stderr == ""


def test_an_agent_that_was_taken_out_of_the_pool_is_told_that_its_task_is_not_its_own(repository: Repository) -> None:
    repository.worktree("removed")
    repository.sh("custody submit R1 --required-capability removed")
    repository.hook("SessionStart", "removed")
    repository.sh("custody deregister removed")
    repository.beat_is_due("removed")
    assert "You do not hold R1 any more" in repository.hook("PostToolUse", "removed", status=2).stderr
    repository.sh("custody cancel R1")


def test_an_agent_that_drains_is_told_at_the_next_use_of_a_tool(repository: Repository) -> None:
    repository.worktree("drained")
    repository.sh("custody submit D1 --required-capability drained")
    repository.hook("SessionStart", "drained")
    repository.sh("custody drain drained")
    repository.beat_is_due("drained")
    assert "Hand over D1 soon" in repository.hook("PostToolUse", "drained", status=2).stderr
    repository.hook("SessionEnd", "drained")
    repository.sh("custody cancel D1")


def test_conflicts_in_an_agents_worktree_extend_its_lease(repository: Repository) -> None:
    tree = repository.worktree("merging")
    (tree / "file").write_text("theirs\n")
    repository.git("commit", "-qam", "Theirs", cwd=tree)
    (repository.path / "file").write_text("ours\n")
    repository.git("commit", "-qam", "Ours")
    repository.sh("custody submit P1 --required-capability merging --lease-mode fixed --lease 1 --lease-grace 0.2")
    repository.git("merge", "main", cwd=tree, status=1)
    repository.hook("SessionStart", "merging")
    # Extensions come to an end, so the lease itself may be lost by the time that a command has looked at it.
    while "git_worktree found evidence (file)" not in (history := repository.sh("custody history P1").stdout):
        assert "expired" not in history, "the lease was lost without one"
    repository.sh("custody cancel P1")


@pytest.mark.parametrize("file", [AGENTS / "SKILL.md", AGENTS / "hooks.json", ROOT / "docs" / "agents.md"])
def test_every_command_shown_is_one(file: Path) -> None:
    shown = re.findall(
        r"(?m)^ *(custody-task .*)$|`(custody-task [^`\n]+)`|\"(custody-task [^\"]+)\"", file.read_text()
    )
    assert shown
    for line in ("".join(each) for each in shown):
        arguments_parser().parse_args(shlex.split(line)[1:])


def test_the_settings_of_mcp_clients_start_the_server(repository: Repository) -> None:
    (server,) = json.loads((AGENTS / "mcp.json").read_text(encoding="utf-8"))["mcpServers"].values()

    async def listed() -> list[str]:
        started = StdioServerParameters(**server, env=dict(repository.place.env), cwd=repository.path)
        async with McpClient(started) as client:
            assert not (await client.call_tool("my_work", {})).is_error
            return [tool.name for tool in (await client.list_tools()).tools]

    tools = asyncio.run(listed())
    table = re.findall(r"`(\w+)\(", PAGE[PAGE.index("| tool |") : PAGE.index("`--role operator`")])
    assert sorted(table) == sorted(tools)
