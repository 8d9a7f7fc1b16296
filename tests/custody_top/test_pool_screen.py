"""What the first screen shows, in a small terminal and in a large one, and what its keys do."""

import pytest
from rich.cells import cell_len

from tests.custody_top.conftest import LARGE, SMALL, Seat, Sit
from tests.docs.pages import read
from tests.support.cases import case
from tests.support.pool_harness import PoolHarness


async def a_morning(pool: PoolHarness) -> None:
    """A pool with something of everything."""
    await pool.register("alice", "bob", capacity=3, capabilities=["python"])
    await pool.register("carol", capacity=2)
    await pool.submit("T1", title="Fix the parser", required_capabilities=["python"])
    token = await pool.assign("alice", "T1")
    await pool.given("agent.alice.progress", task_id="T1", token=token, percent=40, message="writing the test")
    await pool.submit("T2", title="Choose a licence")
    token = await pool.assign("bob", "T2")
    await pool.given("agent.bob.block", task_id="T2", token=token, reason="unclear", question="MIT or Apache?")
    await pool.submit("T3", "T4", title="Wait")
    token = await pool.assign("carol", "T3")
    await pool.given("agent.carol.complete", task_id="T3", token=token)
    await pool.submit("T5", title="Port the payroll", required_capabilities=["cobol"])
    await pool.advance(60)


def screenshot() -> list[str]:
    """The screen on the page about top."""
    _, shown, _ = read("docs/top.md").split("```", 2)
    return shown.removeprefix("text\n").removesuffix("\n").split("\n")


async def test_a_small_terminal(sit: Sit, pool: PoolHarness) -> None:
    await a_morning(pool)
    async with sit(SMALL) as seat:
        assert await seat.see() == screenshot()


async def test_a_large_terminal(sit: Sit, pool: PoolHarness) -> None:
    await a_morning(pool)
    async with sit(LARGE) as seat:
        lines = await seat.see()
    assert len(lines) == 50
    assert max(map(len, lines)) <= 200
    shown = "\n".join(lines)
    for words in (
        "agent state slots heard cpu % task last words session",
        "task title status try priority agent % silent ends in waits because, or last words",
        "T1 Fix the parser in progress 1 medium alice 40 1m 2m writing the test",
        "T4 Wait queued 1 medium an agent with room has not claimed it yet",
        "T5 Port the payroll queued 1 medium no live agent has cobol",
    ):
        with case(words):
            assert words in " ".join(shown.split())


async def test_no_line_is_wider_than_the_terminal_and_all_of_its_lines_are_used(sit: Sit, pool: PoolHarness) -> None:
    await a_morning(pool)
    for size in ((80, 24), (60, 15), (40, 8), (20, 4), (10, 3), (132, 43)):
        with case(str(size)):
            async with sit(size) as seat:
                for _ in range(2):
                    lines = await seat.see()
                    assert len(lines) == size[1]
                    assert max(map(len, lines)) <= size[0]
                    await seat.press("a")


async def test_a_terminal_that_is_resized_is_filled_again(sit: Sit, pool: PoolHarness) -> None:
    await a_morning(pool)
    async with sit(SMALL) as seat:
        before = await seat.see()
        assert seat.pilot is not None
        await seat.pilot.resize_terminal(*LARGE)
        assert max(map(len, await seat.see())) > 150
        await seat.pilot.resize_terminal(*SMALL)
        assert await seat.see() == before


async def test_an_empty_pool(sit: Sit) -> None:
    async with sit() as seat:
        shown = await seat.text()
        assert " NEEDS YOU 0" in shown
        assert "no agents" in shown
        assert "no tasks" in shown
        for key in ("enter", "a", "c", "w", "down", "end", "home", "pagedown", "s", "S", "f", "z"):
            with case(key):
                await seat.press(key)


def rows(shown: str, heading: str) -> list[str]:
    """The first words of the rows under a heading."""
    lines = shown.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith(f" {heading}"))
    found = []
    for line in lines[start + 2 :]:
        if not line or line[1:].isupper() or line.startswith((" TASKS", " AGENTS", " Tab")):
            break
        found.append(line.split()[0])
    return found


async def test_tasks_are_filtered_as_words_are_typed(sit: Sit, pool: PoolHarness) -> None:
    await a_morning(pool)
    async with sit() as seat:
        await seat.press("tab", "slash")
        shown = await seat.write("wait")
        assert "filter, Enter keeps it, Escape drops it: wait" in shown
        assert "TASKS 1 live  with “wait”" in shown
        assert rows(shown, "TASKS") == ["T4"]
        shown = await seat.press("enter")
        assert "Escape drops it" not in shown
        assert rows(shown, "TASKS") == ["T4"]
        shown = await seat.press("slash", "escape")
        assert "with" not in shown.split("TASKS")[1].splitlines()[0]
        assert len(rows(shown, "TASKS")) == 4


async def test_a_deadline_says_how_far_ahead_it_is(sit: Sit, pool: PoolHarness) -> None:
    await pool.submit("T1", title="Publish", deadline_s=595)
    async with sit(SMALL) as seat:
        assert "deadline in 9m T1 Publish" in " ".join("\n".join(await seat.see()).split())


async def test_agents_and_needs_are_filtered_too(sit: Sit, pool: PoolHarness) -> None:
    await a_morning(pool)
    async with sit() as seat:
        await seat.press("slash")
        shown = await seat.write("parser")
        assert rows(shown, "AGENTS") == ["alice"], "by the title of what it holds"
        await seat.press("escape", "shift+tab", "slash")
        shown = await seat.write("cobol")
        assert "NEEDS YOU 1" in shown
        assert "MIT or Apache?" not in shown.split("AGENTS")[0]


async def test_tables_are_sorted_by_the_next_column_and_round(sit: Sit, pool: PoolHarness) -> None:
    await a_morning(pool)
    async with sit() as seat:
        shown = await seat.press("s", "S")
        assert "AGENTS 3  by agent id ↓" in shown
        assert rows(shown, "AGENTS") == ["carol", "bob", "alice"]
        shown = await seat.press("tab", "s", "S")
        assert "by task id ↓" in shown
        assert rows(shown, "TASKS") == ["T5", "T4", "T2", "T1"]


async def test_tasks_are_chosen_by_status(sit: Sit, pool: PoolHarness) -> None:
    await a_morning(pool)
    async with sit() as seat:
        found = {}
        for _ in range(8):
            shown = await seat.press("f")
            title = shown.split("TASKS ")[1].splitlines()[0].split("  ")[0]
            found[title.split(" ", 1)[1]] = rows(shown, "TASKS")
        assert found["queued"] == ["T4", "T5"]
        assert found["in progress"] == ["T1"]
        assert found["blocked"] == ["T2"]
        assert found["ended"] == ["T3"]
        assert found["stuck"] == ["no"], "no tasks"
        assert sorted(found["live"]) == ["T1", "T2", "T4", "T5"]


async def test_the_tasks_of_one_agent(sit: Sit, pool: PoolHarness) -> None:
    await a_morning(pool)
    async with sit() as seat:
        shown = await seat.press("w")
        assert "TASKS 1 live of alice" in shown
        assert rows(shown, "TASKS") == ["T1"]
        assert "TASKS 4 live  by" in await seat.press("w")


async def test_one_table_has_the_whole_screen(sit: Sit, pool: PoolHarness) -> None:
    await pool.submit(*(f"T{number:02}" for number in range(40)))
    async with sit() as seat:
        assert len(rows(await seat.text(), "TASKS")) < 16
        shown = await seat.press("tab", "z")
        assert "AGENTS" not in shown
        assert len(rows(shown, "TASKS")) == 19
        assert "AGENTS" in await seat.press("z")


async def chosen(seat: Seat) -> str:
    target = seat.app.pool_screen.target
    assert target is not None
    return target.id


async def test_a_long_table_is_scrolled_and_says_where_it_is(sit: Sit, pool: PoolHarness) -> None:
    await pool.submit(*(f"T{number:03}" for number in range(300)))
    async with sit() as seat:
        shown = await seat.press("tab")
        for keys, there in (
            (("down", "down", "j"), "T003"),
            (("up", "k"), "T001"),
            (("end",), "T299"),
            (("pageup",), "T286"),
            (("g",), "T000"),
            (("pagedown",), "T013"),
            (("G", "down"), "T299"),
        ):
            with case(str(keys)):
                shown = await seat.press(*keys)
                assert await chosen(seat) == there
                assert there in rows(shown, "TASKS")
        assert "287–300" in await seat.press("G")


async def test_the_chosen_row_stays_the_same_task_wherever_it_moves(sit: Sit, pool: PoolHarness) -> None:
    await pool.submit("T1", "T2", "T5")
    async with sit() as seat:
        await seat.press("tab", "s", "down")
        assert await chosen(seat) == "T2"
        await pool.submit("T0", "T3")
        await pool.advance(2)
        await seat.see()
        assert await chosen(seat) == "T2"
        await pool.given("ops.cancel", task_id="T2")
        await pool.advance(2)
        await seat.see()
        assert await chosen(seat) == "T3", "what is in its place"


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_it_is_left(sit: Sit, key: str) -> None:
    async with sit() as seat:
        await seat.see()
        assert seat.pilot is not None
        await seat.pilot.press(key)
        await seat.pilot.pause()
        assert seat.app._exit  # noqa: SLF001 - the library tells it nowhere else


async def test_the_page_of_keys(sit: Sit) -> None:
    async with sit() as seat:
        await seat.see()
        shown = await seat.press("question_mark")
        for words in (
            "custody top: the pool as it is now",
            "c cancel",
            "r resume",
            "Tab, Shift+Tab",
            "Escape goes back",
        ):
            assert words in shown
        assert "NEEDS YOU" in await seat.press("escape")


HOSTILE = (
    "\x1b[31mred\x1b[2J",
    "[bold red]markup[/] [@click=app.quit]x[/]",
    "\u202eright to left",
    "line\nbreak\ttab",
    "🙂日本語" * 40,
    "w" * 500,
    "a\u0301\u0302\u0303" * 30,
    "<img src=x onerror=alert(1)>",
)


async def test_hostile_texts_stay_text_in_their_place(sit: Sit, pool: PoolHarness) -> None:
    for number, text in enumerate(HOSTILE):
        token = await pool.holds(f"a{number}", f"T{number}", title=text[:200])
        await pool.given(f"agent.a{number}.progress", task_id=f"T{number}", token=token, percent=1, message=text)
    await pool.submit("Q1", title="q")
    token = await pool.assign("a0", "Q1")
    await pool.given("agent.a0.block", task_id="Q1", token=token, reason="x", question="\x1b]0;owned\x07 [red]?[/red]")
    for size in (SMALL, LARGE):
        async with sit(size) as seat:
            for shown in (await seat.see(), (await seat.press("tab", "enter")).split("\n")):
                assert len(shown) == size[1]
                for line in shown:
                    assert line.isprintable(), line
                    assert cell_len(line) <= size[0], line
            await seat.settled()
            await seat.press("escape", "shift+tab", "shift+tab")
            assert "\\x1b]0;owned\\x07 [red]?[/red]" in await seat.press("u"), "in the form, too"
            assert len(rows(await seat.press("escape"), "AGENTS")) >= 6
