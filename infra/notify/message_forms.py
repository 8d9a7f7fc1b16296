"""The bodies of messages: JSON for programs, and the forms of chat tools, in which every text stays text.

Titles, notes and questions come from agents and submitters. In a chat tool none of it may mention people, link to
anywhere or be markup: what marks up is escaped, or goes into elements that know no markup.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from domain.timestamps import format_timestamp
from handlers.notifier.message import cut
from infra.host.printable import printable
from infra.notify.notify_config import Form

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handlers.notifier.message import Message

LINK_TEXT = "Open in the dashboard"
_SLACK_CHARS = 2_000
_DISCORD_CHARS = 1_500
"""Before escapes, which may add a third of what Discord takes in all, 2,000; see `_discord_text`."""
_DISCORD_LIMIT = 1_900
_TEAMS_CHARS = 4_000
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
        case Form.SLACK:
            return _json(_slack(text, link))
        case Form.DISCORD:
            return _json(_discord(text, link))
        case Form.TEAMS:
            return _json(_teams(text, link))


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
    return body


def _slack(text: str, link: str | None) -> dict[str, Any]:
    """Return blocks of plain text; the `text`, which notifications show, has Slack's three characters escaped."""
    shown = cut(printable(text), _SLACK_CHARS)
    escaped = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "plain_text", "text": shown, "emoji": False}},
    ]
    if link is not None:
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": f"<{link}|{LINK_TEXT}>"}]})
    plain = {"mrkdwn": False, "link_names": False, "unfurl_links": False, "unfurl_media": False}
    return {"text": escaped, "blocks": blocks, **plain}


def _discord(text: str, link: str | None) -> dict[str, Any]:
    """Return escaped text that may mention no one."""
    content = _discord_text(cut(printable(text), _DISCORD_CHARS))
    if link is not None:
        content += f"\n<{link}>"
    return {"content": content, "allowed_mentions": {"parse": []}, "flags": _SUPPRESS_EMBEDS}


def _discord_text(text: str) -> str:
    """Return the text with everything that marks up behind a backslash; cut, for each takes a character more."""
    while len(escaped := _DISCORD_MARKS.sub(_behind_backslash, text)) > _DISCORD_LIMIT:
        text = cut(text, len(text) * 3 // 4)
    return escaped


def _behind_backslash(found: re.Match[str]) -> str:
    # Letters of other alphabets and symbols mark up nothing, and a backslash before them would be shown.
    return f"\\{found[0]}" if found[0].isascii() else found[0]


def _teams(text: str, link: str | None) -> dict[str, Any]:
    """Return an adaptive card. A text run knows no markup; a text block would."""
    run = {"type": "TextRun", "text": cut(printable(text), _TEAMS_CHARS)}
    card: dict[str, Any] = {
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [{"type": "RichTextBlock", "inlines": [run]}],
    }
    if link is not None:
        card["actions"] = [{"type": "Action.OpenUrl", "title": LINK_TEXT, "url": link}]
    return {
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
    }
