"""The help of a command as lines that fit a screen.

`--help` shows a command's own options, each with the first clause of its text. An option of a panel belongs to a topic:
`--help-connection` shows those of the panel `Connection`, with their whole texts, and `--help-all` shows everything.
"""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

from typer.core import TyperOption

from infra.cli.framework.written_times import LENGTHS, MOMENTS, MOMENTS_AHEAD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MAX_WIDTH = 100
"""Longer lines are hard to read, however wide the terminal is."""
_WIDEST_NAMES = 30
_INDENT = 2
_GAP = 2
_FEW_CHOICES = 16
"""Choices that are longer than this, in characters, stand in the text instead of beside the name."""
_CLAUSE = re.compile(r"(?:`[^`]*`|\([^)]*\)|[^`(])*?(?=[;:.] |$)")
_DEFAULT = re.compile(r"\bDefault: (.+)$")


class Line(NamedTuple):
    """A name and what is said about it."""

    name: str
    text: str


def page_width() -> int:
    """Return the width of a page: the terminal's, 80 elsewhere, and at most MAX_WIDTH."""
    return min(shutil.get_terminal_size((80, 24)).columns, MAX_WIDTH)


def clause(text: str) -> str:
    """Return the first clause of a text, without the default that the text ends with."""
    match = _CLAUSE.match(_DEFAULT.sub("", text).strip())
    return (match.group() if match is not None else text).removesuffix(".")


def heading(text: str) -> str:
    """Return a heading, bold in a terminal."""
    return f"\x1b[1m{text}\x1b[0m" if sys.stdout.isatty() else text


def wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    """Return a text as lines of at most `width`, broken at blanks only."""
    margin = " " * indent
    return textwrap.wrap(
        text, width, initial_indent=margin, subsequent_indent=margin, break_long_words=False, break_on_hyphens=False
    )


def two_columns(lines: Iterable[Line], width: int) -> Iterator[str]:
    """Yield names with their texts beside them; a long name has its text below it."""
    listed = list(lines)
    names = max((len(line.name) for line in listed if len(line.name) <= _WIDEST_NAMES), default=0)
    left = _INDENT + names + _GAP
    for name, text in listed:
        texts = wrapped(text, width - left) or [""]
        if len(name) > names:
            yield f"{' ' * _INDENT}{name}"
        else:
            yield f"{' ' * _INDENT}{name:<{names + _GAP}}{texts.pop(0)}".rstrip()
        yield from (f"{' ' * left}{each}" for each in texts)


def option_line(option: Any, *, whole: bool) -> Line:
    """Return an option or an argument as a line; `whole`: with all its spellings, and its whole text."""
    text = option.help or ""
    default = next((each[1].removesuffix(".") for each in [_DEFAULT.search(text)] if each is not None), "")
    if not whole:
        text = clause(text)
    word, choices = _placeholder(option)
    if not isinstance(option, TyperOption):
        return Line(word, text)
    if option.show_default and not option.is_flag:
        value = option.default
        default = "" if value is None else str(getattr(value, "value", value))
        text = f"{text}. Default: {default}" if whole and default else text
    if choices:
        marked = ", ".join(f"[{each}]" if each == default and not whole else each for each in choices)
        text = f"{text.removesuffix('.')}: {marked}" if text else marked
    elif default and not whole:
        text = f"{text} [{default}]".lstrip()
    if option.required:
        text = f"{text}; needed" if text else "needed"
    names = list(option.opts) if "-h" in option.opts else option.opts[:1]
    if option.secondary_opts:
        names = [f"{names[0]}/{option.secondary_opts[0]}"]
    elif whole and len(option.opts) > len(names):
        text = f"{text.removesuffix('.')}. Also {', '.join(option.opts[1:])}"
    return Line(f"{', '.join(names)} {word}".rstrip(), text)


def _placeholder(option: Any) -> tuple[str, tuple[str, ...]]:
    """Return the word for an option's value, and the choices that stand in its text."""
    if getattr(option, "is_flag", False):
        return "", ()
    word = option.metavar
    kind = option.type_descriptor
    if word is None and kind.is_choice:
        word = "|".join(str(getattr(each, "value", each)) for each in kind.choices or ())
    if word is None:
        if not isinstance(option, TyperOption):
            word = option.name.upper()
        elif kind.is_path:
            word = "DIR" if option.name.endswith("dir") else "FILE"
        else:
            word = {int: "N", float: "N"}.get(kind.annotation, "TEXT")
    if "|" in word and word.islower() and len(word) > _FEW_CHOICES:
        return "WORD", tuple(word.split("|"))
    return word, ()


def command_page(
    path: str, text: str, params: Sequence[Any], topics: Mapping[str, str], topic: str | None = None
) -> list[str]:
    """Return the page of a command; `topics`: the words of its topics, with their panels.

    `topic`: None for the command's own options, `all` for everything, else the topic's options alone.
    """
    width = page_width()
    shown = [each for each in params if not each.hidden]
    panels: dict[str, list[Any]] = {}
    for each in shown:
        if each.rich_help_panel:
            panels.setdefault(each.rich_help_panel, []).append(each)
    if topic not in {None, "all"}:
        title = topics[topic]
        lines = [option_line(each, whole=True) for each in panels[title]]
        return [heading(f"{title} options of {path}"), "", *two_columns(lines, width)]
    own = [each for each in shown if not each.rich_help_panel]
    lines = [option_line(each, whole=topic == "all") for each in own]
    page = [*usage(path, own, width), "", *_paragraphs(text, width), "", *two_columns(lines, width)]
    if topic == "all":
        for panel, options in panels.items():
            page += ["", heading(panel), *two_columns([option_line(each, whole=True) for each in options], width)]
        notes = [*_times(shown)]
        return [*page, *([""] if notes else []), *(line for note in notes for line in wrapped(note, width))]
    return [*page, *_more([*topics], width)]


def _more(topics: Sequence[str], width: int) -> list[str]:
    return ["", *wrapped(f"More: --help-{'|'.join([*topics, 'all'])}", width)]


def _times(params: Sequence[Any]) -> Iterator[str]:
    """Yield how the times that a page names are written."""
    words = {word for each in params for word in (each.metavar or "").split("|")}
    if "TIME" in words:
        ahead = any(each.metavar == "TIME|DURATION" for each in params)
        yield f"TIME: {MOMENTS_AHEAD if ahead else MOMENTS}, or RFC 3339."
    if "DURATION" in words:
        yield f"DURATION: {LENGTHS}."


def _paragraphs(text: str, width: int) -> list[str]:
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        found += ([""] if found else []) + wrapped(" ".join(paragraph.split()), width)
    return found


def usage(path: str, own: Sequence[Any], width: int) -> list[str]:
    """Return the usage: the arguments, what is needed, and that there are options."""
    pieces = []
    for each in own:
        if not isinstance(each, TyperOption):
            word = option_line(each, whole=False).name
            pieces.append(word if each.required else f"[{word}]")
        elif each.required:
            pieces.append(option_line(each, whole=False).name)
    first = f"Usage: {path}"
    lines = wrapped(" ".join([first, *pieces, "[OPTIONS]"]), width - 4)
    return [lines[0], *(f"    {each}" for each in lines[1:])]


def group_page(path: str, text: str, panels: Mapping[str, Sequence[Line]], footer: str) -> list[str]:
    """Return the page of a group: each command with its line, by panels."""
    width = page_width()
    page = [f"Usage: {path} COMMAND [ARGS]...", "", *_paragraphs(text, width)]
    for panel, lines in panels.items():
        page += ["", *([heading(panel)] if panel else []), *two_columns(lines, width)]
    return [*page, "", *wrapped(footer, width)]


def names_page(path: str, text: str, panels: Mapping[str, Sequence[str]], footer: str) -> list[str]:
    """Return the page of a group of many commands: their names alone, by panels."""
    width = page_width()
    columns = two_columns([Line(panel, ", ".join(names)) for panel, names in panels.items()], width)
    return [
        f"Usage: {path} COMMAND [ARGS]...",
        "",
        *_paragraphs(text, width),
        "",
        *columns,
        "",
        *wrapped(footer, width),
    ]
