"""The forms of messages: what programs read, and texts that stay texts in chat tools."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.notifier.message import Message
from infra.notify.message_forms import body_of, link_of
from infra.notify.notify_config import LEAST_BODY_BYTES, Form
from tests.support.virtual_clock import START

HOSTILE = [
    "<!channel> <!here> <@U123> <#C1> <https://evil.example|safe>",
    "@everyone @here <@123> <@&1> <#1> <:a:1> <t:1:R>",
    "**bold** __under__ ~~gone~~ ||spoiler|| `code` ```block``` [a](https://evil.example) > quote # head - list",
    "https://evil.example/?a=1&b=2",
    "<img src=x onerror=alert(1)> <script>alert(1)</script> &amp;",
    "line\nbreak\ttab \x1b[31mred \u202e right to left \u200b",
    "a *b _c \\*d \\",
    "\U0001f600 日本語 :fire:",
    "x" * 5_000,
    "*" * 5_000,
    "",
]


def told(text: str, **data: Any) -> Message:
    body = {"pool": "p", "position": 7, "kind": "task.failed", "task_id": "owner/repo#1", "text": text, **data}
    return Message("e", "msg_1", 7, "custody.task.failed.v1", START, body)


def posted(message: Message, form: Form, dashboard_url: str | None = None, max_bytes: int = 65_536) -> Any:
    return json.loads(body_of(message, form, dashboard_url=dashboard_url, max_bytes=max_bytes))


MARKS = "*_~`|>#-[]()<@:&\\!\n\x1b\u202eä日\U0001f600 a"
TEXTS = st.text(max_size=1_500) | st.text(MARKS, max_size=1_500) | st.sampled_from(MARKS).map(lambda mark: mark * 2_500)
TASK_IDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=256)
BASES = st.sampled_from(
    [None, "https://d.example", "https://d.example/" + "x" * 500, "https://d.example/" + "x" * 3_000]
)


@given(TEXTS, TASK_IDS, BASES)
@example("*" * 3_000, "#" * 256, "https://d.example")
@example("\U0001f600" * 3_000, "#" * 256, "https://d.example")
@example("&" * 3_000, "#" * 256, "https://d.example")
def test_every_chat_tool_gets_what_it_takes_with_its_escapes_and_the_link(
    text: str, task_id: str, base: str | None
) -> None:
    message = told(text, task_id=task_id)
    link = link_of(message.data, base)
    discord = posted(message, Form.DISCORD, base)["content"]
    assert len(discord.encode("utf-16-le")) // 2 <= 2_000
    slack = posted(message, Form.SLACK, base)
    assert len(slack["text"]) <= 4_000
    texts = [slack["blocks"][0]["text"]["text"], *(each["elements"][0]["text"] for each in slack["blocks"][1:])]
    assert all(len(each) <= 3_000 for each in texts)
    assert len(body_of(message, Form.TEAMS, dashboard_url=base, max_bytes=1_024)) <= 28_000
    card = posted(message, Form.TEAMS, base)["attachments"][0]["content"]
    links = [
        discord.rpartition("\n<")[2][:-1] if "\n<" in discord else None,
        texts[1][1:].partition("|Open")[0] if len(texts) > 1 else None,
        card["actions"][0]["url"] if "actions" in card else None,
    ]
    assert links == 3 * [link if link is not None and len(link) <= 1_500 else None], "whole, or not at all"
    if text.strip():
        assert discord.split("\n")[0], "there is room for words"
    named = told(text, task_id=task_id, agent_id="a" * 128, key=f"quarantined:{task_id}", title=text, event={"x": text})
    standard = body_of(named, Form.STANDARD, dashboard_url=base, max_bytes=LEAST_BODY_BYTES)
    assert len(standard) <= LEAST_BODY_BYTES
    assert json.loads(standard)["data"]["key"] == f"quarantined:{task_id}"


def test_programs_get_type_timestamp_and_data() -> None:
    found = posted(told("failed", event={"error": "x"}), Form.STANDARD, "https://dash.example/")
    assert found["type"] == "custody.task.failed.v1"
    assert found["timestamp"] == "2026-11-21T08:00:00.000000Z"
    assert found["data"]["event"] == {"error": "x"}
    assert found["data"]["link"] == "https://dash.example/#/task/owner%2Frepo%231"


@pytest.mark.parametrize(
    ("data", "link"),
    [
        ({"task_id": "T1", "agent_id": "a"}, "https://d.example/x/#/task/T1"),
        ({"task_id": "<|>"}, "https://d.example/x/#/task/%3C%7C%3E"),
        ({"task_id": None, "agent_id": "a"}, "https://d.example/x/#/agent/a"),
        ({}, "https://d.example/x/#/now"),
    ],
)
def test_links(data: dict[str, Any], link: str) -> None:
    assert link_of(data, "https://d.example/x") == link
    assert link_of(data, None) is None


def test_a_body_that_is_too_large_leaves_the_events_fields_out_then_all_but_a_few() -> None:
    large = told("x" * 900, event={"result": "y" * 60_000}, title="z" * 200)
    without = posted(large, Form.STANDARD, max_bytes=4_096)["data"]
    assert "event" not in without
    assert (without["truncated"], without["title"]) == (True, "z" * 200)
    few = body_of(large, Form.STANDARD, dashboard_url=None, max_bytes=1_024)
    assert len(few) <= 1_024
    assert json.loads(few)["data"]["task_id"] == "owner/repo#1"


@pytest.mark.parametrize("text", HOSTILE)
def test_slack_gets_plain_text(text: str) -> None:
    found = posted(told(text), Form.SLACK, "https://dash.example")
    assert not re.search("[<>]", found["text"])
    assert found["text"].replace("&lt;", "").replace("&gt;", "").replace("&amp;", "").count("&") == 0
    section, context = found["blocks"]
    assert section["text"]["type"] == "plain_text"
    assert section["text"]["emoji"] is False
    assert len(section["text"]["text"]) <= 3_000
    assert section["text"]["text"].isprintable()
    assert context["elements"][0]["text"] == "<https://dash.example/#/task/owner%2Frepo%231|Open in the dashboard>"
    assert (found["mrkdwn"], found["link_names"]) == (False, False)


def unescaped(text: str) -> str:
    """What Discord shows: a backslash before punctuation is not shown."""
    return re.sub(r"\\([^0-9A-Za-z\s])", r"\1", text)


@pytest.mark.parametrize("text", HOSTILE)
def test_discord_gets_escaped_text_that_mentions_no_one(text: str) -> None:
    found = posted(told(text), Form.DISCORD, "https://dash.example")
    assert found["allowed_mentions"] == {"parse": []}
    content, _, link = found["content"].rpartition("\n")
    assert link == "<https://dash.example/#/task/owner%2Frepo%231>"
    assert len(found["content"]) <= 2_000
    # Nothing that marks up is left but behind a backslash.
    assert not re.search(r"[*_~`|>#\-\[\]()<@:]", re.sub(r"\\.", "", content).replace("_", ""))


@given(st.text(max_size=3_000))
def test_discord_shows_what_was_said(text: str) -> None:
    found = posted(told(text), Form.DISCORD)["content"]
    assert len(found) <= 2_000
    shown = unescaped(found)
    plain = posted(told(text), Form.SLACK)["blocks"][0]["text"]["text"]
    assert plain.startswith(shown.removesuffix("…"))


@pytest.mark.parametrize("text", HOSTILE)
def test_teams_gets_a_run_of_text_which_knows_no_markup(text: str) -> None:
    found = posted(told(text), Form.TEAMS, "https://dash.example")
    card = found["attachments"][0]["content"]
    (block,) = card["body"]
    assert (block["type"], [each["type"] for each in block["inlines"]]) == ("RichTextBlock", ["TextRun"])
    assert block["inlines"][0]["text"].isprintable()
    assert card["actions"] == [
        {
            "type": "Action.OpenUrl",
            "title": "Open in the dashboard",
            "url": "https://dash.example/#/task/owner%2Frepo%231",
        }
    ]


@pytest.mark.parametrize("form", [Form.SLACK, Form.DISCORD, Form.TEAMS])
def test_without_a_dashboard_there_is_no_link(form: Form) -> None:
    assert b"http" not in body_of(told("failed"), form, dashboard_url=None, max_bytes=1_024).replace(
        b"application/vnd", b""
    )
