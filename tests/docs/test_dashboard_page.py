"""The page on the dashboard says what the dashboard does: its numbers, its options, its lines of tokens."""

import re
from pathlib import Path

from custody_dashboard import DEFAULT_PORT
from custody_dashboard.endpoints.now_endpoints import MAX_WINDOW
from custody_dashboard.past.past_states import KEPT_STATES
from custody_dashboard.watch.hub import MAX_BROWSERS, MAX_BROWSERS_OF_ONE, MAX_WAITING_FRAMES
from custody_dashboard.watch.pool_watch import TICK_S
from custody_dashboard.web.people import MIN_TOKEN_CHARS, SESSION_S, TokenHolders
from custody_dashboard.web.request_body import MAX_BODY_BYTES
from handlers.follower.follower import LOST_CONTACT_S
from infra.cli.watching.acts import VERBS
from infra.service.dashboard_process import LOOPBACK
from infra.settings.settings import Settings
from projections.live.attention import DEADLINE_S
from tests.docs.pages import read

PAGE = re.sub(r"\s+", " ", read("docs/dashboard.md"))


def test_its_numbers_are_the_programs() -> None:
    assert Settings.model_fields["dashboard_port"].default == DEFAULT_PORT
    for said in (
        f"http://{LOOPBACK}:{DEFAULT_PORT}/",
        f"{MAX_BROWSERS} browsers",
        f"{MAX_WAITING_FRAMES} changes that wait for a slow one",
        f"one rebuilt past at a time and {['none', 'one', 'two', 'three'][KEPT_STATES]} kept",
        f"windows of {MAX_WINDOW} tasks",
        f"bodies of {MAX_BODY_BYTES // 1024} KiB",
        f"at least {MIN_TOKEN_CHARS} characters",
        f"It lasts {SESSION_S // 3600} hours",
        f"{MAX_BROWSERS_OF_ONE} of them one person's",
        f"gathered for {TICK_S * 1000:.0f} ms",
        f"within the last {['', 'one', 'two'][round(LOST_CONTACT_S)]} seconds",
        f"deadlines within {['ten'][round(DEADLINE_S / 60) - 10]} minutes",
    ):
        assert said in PAGE, said


def test_it_names_every_verb() -> None:
    (acts,) = re.findall(r"## Act (.*?):", PAGE)
    assert {*re.findall(r"\w+", acts.lower())} - {"with", "an", "answer", "and"} == VERBS.keys()


def test_the_lines_of_tokens_that_it_shows_can_be_used(tmp_path: Path) -> None:
    (lines,) = re.findall(r"```text\n(# name:role:token\n.*?)```", read("docs/dashboard.md"), re.DOTALL)
    file = tmp_path / "tokens"
    file.write_text(lines)
    file.chmod(0o600)
    people = TokenHolders(file)
    token = lines.splitlines()[1].rpartition(":")[2]
    assert people.known_by(people.login(token)) is not None
