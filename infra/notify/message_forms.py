"""The bodies of messages: JSON for programs, and the forms of chat tools, in which every text stays text.

Titles, notes and questions come from agents and submitters. In a chat tool none of it may mention people, link to
anywhere or be markup: what marks up is escaped, or goes into elements that know no markup.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from domain.timestamps import format_timestamp
from handlers.notifier.message import cut
from infra.host.printable import printable
from infra.notify.notify_config import Form

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from handlers.notifier.message import Message

LINK_TEXT = "Open in the dashboard"
SLACK_CHARS = 3_000
"""What Slack takes in one text of a block."""
SLACK_NOTIFICATION_CHARS = 4_000
"""What Slack advises for the text of notifications, its escapes included."""
DISCORD_UNITS = 2_000
"""What Discord takes in all, escapes and link included; in UTF-16 units, as its own client counts."""
TEAMS_BYTES = 28_000
"""What the webhooks of Teams take in all, as JSON."""
_LONGEST_LINK_CHARS = 1_500
"""A longer link is left out of the chat forms, so that there is room for words."""
_TEXT_CHARS = 2_000
"""Of a text in a chat form, at most."""
_SUPPRESS_EMBEDS = 4
_DISCORD_MARKS = re.compile(r"[^\w\s.,;!?%'/=&+]", re.ASCII)
_SHORT_FIELDS = ("pool", "position", "kind", "key", "task_id", "agent_id", "link")
_NON_ASCII = re.compile(r"[^\x20-\x7e]")


def body_of(message: Message, form: Form, *, dashboard_url: str | None, max_bytes: int) -> bytes:
    """Return the body of a message in a form; `max_bytes`: of the form standard."""
    link = link_of(message.data, dashboard_url)
    text = str(message.data["text"])
    match form:
        case Form.STANDARD:
            return _standard(message, link, max_bytes)
        case _:
            short = None if link is None or len(link) > _LONGEST_LINK_CHARS else link
            return _json(_CHAT_FORMS[form](cut(printable(text), _TEXT_CHARS), short))


def link_of(data: Mapping[str, Any], dashboard_url: str | None) -> str | None:
    """Return the address of the dashboard's page on what a message is about."""
    if dashboard_url is None:
        return None
    for kind in ("task", "agent"):
        about = data.get(f"{kind}_id")
        if about:
            return f"{dashboard_url.rstrip('/')}/#/{kind}/{quote(str(about), safe='')}"
    return f"{dashboard_url.rstrip('/')}/#/now"


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _standard(message: Message, link: str | None, max_bytes: int) -> bytes:
    """Return type, timestamp and data; with less of the data if it is too large."""
    head = {"type": message.type, "timestamp": format_timestamp(message.time)}
    data = {**message.data, "link": link}
    body = _json({**head, "data": data})
    if len(body) > max_bytes:
        data = {name: value for name, value in data.items() if name != "event"} | {"truncated": True}
        body = _json({**head, "data": data})
    if len(body) > max_bytes:
        short = {name: data[name] for name in _SHORT_FIELDS if name in data}
        text = cut(_NON_ASCII.sub("?", str(data["text"])), max_bytes // 4)
        body = _json({**head, "data": {**short, "text": text, "truncated": True}})
        if len(body) > max_bytes:
            body = _json({**head, "data": {**short, "link": None, "text": text, "truncated": True}})
    return body


def _slack(text: str, link: str | None) -> dict[str, Any]:
    """Return blocks of plain text; the `text`, which notifications show, has Slack's three characters escaped."""
    notification = _cut_to(text, SLACK_NOTIFICATION_CHARS, lambda part: len(_slack_escaped(part)))
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "plain_text", "text": cut(text, SLACK_CHARS), "emoji": False}},
    ]
    if link is not None:
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": f"<{link}|{LINK_TEXT}>"}]})
    plain = {"mrkdwn": False, "link_names": False, "unfurl_links": False, "unfurl_media": False}
    return {"text": _slack_escaped(notification), "blocks": blocks, **plain}


def _slack_escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _discord(text: str, link: str | None) -> dict[str, Any]:
    """Return escaped text that may mention no one."""
    end = "" if link is None else f"\n<{link}>"
    room = DISCORD_UNITS - _utf16_units(end)
    content = _discord_escaped(_cut_to(text, room, lambda part: _utf16_units(_discord_escaped(part)))) + end
    return {"content": content, "allowed_mentions": {"parse": []}, "flags": _SUPPRESS_EMBEDS}


def _discord_escaped(text: str) -> str:
    """Return the text with everything that marks up behind a backslash."""
    return _DISCORD_MARKS.sub(_behind_backslash, text)


def _behind_backslash(found: re.Match[str]) -> str:
    # Letters of other alphabets and symbols mark up nothing, and a backslash before them would be shown.
    return f"\\{found[0]}" if found[0].isascii() else found[0]


def _utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _teams(text: str, link: str | None) -> dict[str, Any]:
    """Return an adaptive card, cut until all of it is within the limit."""
    return _teams_card(_cut_to(text, TEAMS_BYTES, lambda part: len(_json(_teams_card(part, link)))), link)


def _teams_card(text: str, link: str | None) -> dict[str, Any]:
    """Return an adaptive card. A text run knows no markup; a text block would."""
    card: dict[str, Any] = {
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [{"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text}]}],
    }
    if link is not None:
        card["actions"] = [{"type": "Action.OpenUrl", "title": LINK_TEXT, "url": link}]
    return {
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
    }


def _cut_to(text: str, limit: int, size: Callable[[str], int]) -> str:
    """Return the text, cut with an ellipsis to as many characters as its size allows.

    `size` is that of a text as it is sent, and a longer text has no smaller one.
    """
    if size(text) <= limit:
        return text
    longest = bisect_right(range(1, len(text)), limit, key=lambda length: size(cut(text, length)))
    return cut(text, max(longest, 1))


_CHAT_FORMS: Mapping[Form, Callable[[str, str | None], dict[str, Any]]] = {
    Form.SLACK: _slack,
    Form.DISCORD: _discord,
    Form.TEAMS: _teams,
}
