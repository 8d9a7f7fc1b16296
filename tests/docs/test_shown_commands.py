"""Every command that a page shows: run, run by another test that is named here, or at least one that exists."""

import asyncio
import json
import os
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import nats
import pytest

from infra.cli.main import GROUP_HELP
from tests.docs.conftest import Place
from tests.docs.pages import PAGES, SHELLS, blocks, name_of, read
from tests.infra.cli.conftest import invoke
from tests.support.cases import case

README, RAW = read("README.md"), read("docs/raw-subjects.md")
COMMAND = re.compile(r"(?m)^(?: {4}|\$ |)(?:[\w./]+/bin/)?(?P<line>custody .*)$|`(?P<inline>custody [^`\n]+)`")
ANSWER_S = 30.0
PLACEHOLDER = re.compile(r"[A-Z|…\[<]")

RUN_ELSEWHERE = {
    "python3 bootstrap.py demo": "demo by tests/system/test_demo.py, test by running this",
    "nats context add custody": "its requests by test_the_requests_shown_are_carried_out below",
    ".venv/bin/python examples/worker.py": "tests/docs/test_examples.py",
    ".venv/bin/python examples/agent.py": "tests/docs/test_examples.py",
    "custody demo --keep": "test_the_questions_of_the_readme_are_answered below",
}
"""The command blocks without a mark of the README and of the raw subjects, by how they begin, and what runs them."""


def shown() -> Iterator[tuple[str, str]]:
    """Every `custody ...` of the pages, with the page's name."""
    for page in PAGES:
        for match in COMMAND.finditer(page.read_text(encoding="utf-8")):
            yield name_of(page), match["line"] or match["inline"]


@cache
def options(*path: str) -> frozenset[str]:
    """The options of a subcommand; it must exist."""
    result = invoke(*path, "--help-all")
    assert result.status == 0, f"custody {' '.join(path)}: {result.err}"
    return frozenset(re.findall(r"(?<![\w-])--[a-z][a-z-]*", result.out))


def test_every_command_block_without_a_mark_is_run_elsewhere() -> None:
    shown = [block for block in blocks(README) + blocks(RAW) if block.kind in SHELLS and not block.mark]
    assert [block for block in shown if not block.text.startswith(tuple(RUN_ELSEWHERE))] == []
    assert len(shown) == len(RUN_ELSEWHERE)


def test_every_command_shown_exists_with_its_options() -> None:
    for page, line in sorted(set(shown())):
        with case(f"{page}: {line}"):
            words = shlex.split(line.split("  #", maxsplit=1)[0])[1:]
            depth = 2 if words[0] in GROUP_HELP else 1
            path = [word for word in words[:depth] if not word.startswith("-") and not PLACEHOLDER.match(word)]
            used = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert used <= options(*path) | {"--help", "--help-all", "--install-completion"}


@pytest.mark.system
def test_the_requests_shown_are_carried_out(place: Place) -> None:
    (block,) = (block for block in blocks(RAW) if block.text.startswith("nats context"))
    lines = [shlex.split(line) for line in block.text.replace("\\\n", " ").splitlines()]
    requests = [words[2:] for words in lines if words[:2] == ["nats", "request"]]
    assert len(requests) == 2

    async def ask() -> None:
        data = place.path / ".custody"
        password = json.loads((data / "credentials.json").read_text())["operator"]
        url = json.loads((data / "broker.json").read_text())["url"]
        (context,) = (words for words in lines if words[:2] == ["nats", "context"])
        prefix = context[context.index("--inbox-prefix") + 1].encode()
        nc = await nats.connect(url, user="operator", password=password, inbox_prefix=prefix)
        ((subject,),) = (words[2:] for words in lines if words[:2] == ["nats", "subscribe"])
        feed = await nc.subscribe(subject)
        for tail, body in requests:
            reply = json.loads((await nc.request(tail, body.encode(), timeout=ANSWER_S)).data)
            assert reply["ok"], reply
        # Events of what other tests left in the pool may come first.
        while not (await feed.next_msg(ANSWER_S)).subject.endswith(".submitted"):
            continue
        await nc.close()

    asyncio.run(ask())


@pytest.mark.system
@pytest.mark.slow
def test_the_questions_of_the_readme_are_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = (block for block in blocks(README) if block.text.startswith("custody demo --keep"))
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("CUSTODY_")]:
        monkeypatch.delenv(name)
    demo, *questions = (shlex.split(line)[1:] for line in block.text.splitlines())
    for words in ([*demo, "--agents", "8", "--tasks", "60", "--seconds", "8"], *questions):
        result = invoke(*words)
        assert result.status == 0, (words, result.err)
        assert result.out
    assert (tmp_path / "postmortem-ben.html").stat().st_size > 10_000
    assert (tmp_path / "demo.custody").stat().st_size > 10_000
