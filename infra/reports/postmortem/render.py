"""The page: a template, a style sheet and a script, in one file that loads no other.

Text from the log is escaped by the template, and by `embedded` in the script's data. The content security policy in
the page's head names the style sheet and the script by their digests, and allows nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from domain.timestamps import format_timestamp, seconds_between
from infra.host.printable import printable_lines
from infra.reports.postmortem.layout import BAR_PX, drawing
from projections.postmortem.bars import ENDS, OPEN
from projections.postmortem.causes import CONTEXT, RULES, Cause
from projections.reports.time_text import clock, duration, moment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from projections.postmortem.causes import Finding
    from projections.postmortem.report import Postmortem
    from projections.reports.history_entry import HistoryEntry

_HERE = Path(__file__).parent / "templates"
TEMPLATE, STYLE, SCRIPT = "page.html.j2", "page.css", "page.js"


class Heading(NamedTuple):
    """The subject of the page, in words."""

    title: str
    pool: str
    software: str
    made_at: datetime
    notices: tuple[str, ...]
    """Notes for the reader, such as what was left out."""


def page(found: Postmortem, heading: Heading) -> str:
    """Return the page's HTML."""
    import jinja2  # noqa: PLC0415 - only this command needs it
    from markupsafe import Markup  # noqa: PLC0415 - same

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable_lines(value) if type(value) is str else value,
    )
    environment.filters |= {"clock": clock, "duration": duration, "moment": moment, "words": _words}
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in (STYLE, SCRIPT))
    placed = drawing(found.timeline)
    return environment.get_template(TEMPLATE).render(
        found=found,
        heading=heading,
        drawing=placed,
        groups=_by_cause(found.findings),
        rules=RULES,
        context=CONTEXT,
        ends=ENDS,
        open=OPEN,
        bar_px=BAR_PX,
        offset=lambda entry: _offset(entry, placed.begin),
        style=Markup(style),  # noqa: S704 - a file of this package, without any text from a log
        script=Markup(script),  # noqa: S704 - same
        style_digest=_digest(style),
        script_digest=_digest(script),
        data=Markup(embedded(_data(found, placed.begin, placed.end))),  # noqa: S704 - `embedded` escapes it
    )


def embedded(document: Any) -> str:
    """Return a document as JSON that cannot end the script element around it."""
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _words(name: str) -> str:
    return name.replace("_", " ")


def _by_cause(findings: Sequence[Finding]) -> list[tuple[Cause, list[Finding]]]:
    groups: dict[Cause, list[Finding]] = {}
    for each in findings:
        groups.setdefault(each.cause, []).append(each)
    return list(groups.items())


def _offset(entry: HistoryEntry, begin: datetime) -> float:
    """Return when an event happened, in milliseconds since the beginning of the drawing."""
    return 0.0 if entry.time is None else _ms(begin, entry.time)


def _ms(begin: datetime, at: datetime) -> float:
    return round(seconds_between(begin, at) * 1000, 1)


def _data(found: Postmortem, begin: datetime, end: datetime) -> dict[str, Any]:
    """Return the script's data: times are milliseconds since the beginning, texts are indexes into a list."""
    texts: dict[str, int] = {}

    def text(value: str) -> int:
        return texts.setdefault(printable_lines(value), len(texts))

    verdicts: dict[str, list[Any]] = {}
    for each in found.explanations:
        coming = [[None if next_.at is None else _ms(begin, next_.at), text(next_.what)] for next_ in each.next]
        verdicts.setdefault(each.task_id, []).append(
            [_ms(begin, each.at), each.position, text(each.status), text(each.headline), coming]
        )
    return {
        "begin": format_timestamp(begin),
        "length": _ms(begin, end),
        "verdicts": verdicts,
        "texts": list(texts),
    }
