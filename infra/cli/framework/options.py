"""Command-line options made from the fields of a pydantic model, and the body of a request made from their values.

Names, types, limits and defaults are the model's, so they are those that the service checks. A nested model's fields
are prefixed with its name (`budgets.failures` is `--budget-failures`). A list becomes an option that may be repeated
(`labels` is `--label`). Free JSON is given as text, as `@FILE`, or as `-` for standard input. Moments and lengths of
time are written as people write them (`written_times`). A request's field `wait_s` is `--wait`, and `--wait-s` too; of
`deadline` and `deadline_s` the one is given that the text means, a moment or a length, as `--deadline`.
"""

from __future__ import annotations

import contextlib
import inspect
import re
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import annotated_types
import typer
from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

from domain.limits import MAX_INT64, TASK_ID_PATTERN
from domain.timestamps import format_timestamp
from domain.untrusted_json import parse_json
from infra.cli.framework.attribute_docs import attribute_doc
from infra.cli.framework.typer_command import ALSO

T = TypeVar("T")
_JSON_HELP = "JSON, @FILE, or - for standard input"
_LENGTHS = {"deadline": "deadline_s", "not_before": "delay_s"}
"""Moments, and the fields that mean the same as a length of time from now."""
_PANELS = dict.fromkeys(("on_silence", "stall_s", "on_stall"), "Watching")
"""Fields of requests that are options of a topic of their own."""
_RFC_3339 = re.compile(r" \(RFC 3339\)")
_IN_SECONDS = re.compile(r",? in seconds(?: from now)?\b")


@dataclass(frozen=True, slots=True)
class OptionSpec:
    """One option, and the place of its value in the body."""

    path: tuple[str, ...]
    parameter: str
    """The parameter of the command's function."""
    flag: str
    annotation: Any
    help: str
    panel: str | None = None
    metavar: str | None = None
    required: bool = False
    is_json: bool = False
    also: tuple[str, ...] = ()
    """Other spellings of the flag."""
    parser: Callable[[str], Any] | None = None
    """Makes the value of the text; None where typer does."""
    choices: tuple[str, ...] = ()
    """The values that shells complete."""

    def to_parameter(self) -> inspect.Parameter:
        """Return the parameter of a typer command."""
        flags = (self.flag, *self.also)
        declarations = (f"{self.flag}/--no-{self.flag[2:]}",) if self.annotation is bool else flags
        info = typer.Option(
            *declarations,
            help=self.help,
            metavar=self.metavar,
            rich_help_panel=self.panel,
            show_default=False,
            parser=self.parser,
            autocompletion=_completed(self.choices) if self.choices else None,
        )
        return inspect.Parameter(
            self.parameter,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if self.required else None,
            annotation=Annotated[self.annotation if self.required else self.annotation | None, info],
        )


def _completed(choices: Sequence[str]) -> Callable[[str], list[str]]:
    # typer reads the function's signature, which a partial has not.
    def beginning(incomplete: str) -> list[str]:
        return [each for each in choices if each.startswith(incomplete)]

    return beginning


_TAKEN = {"session": "session_"}
"""Fields whose names mean something else to every client command, and the parameters that stand for them."""


def options_from_model(model: type[BaseModel], *, panel: str | None = None, as_named: bool = False) -> list[OptionSpec]:
    """Return the options for a model's fields, in their order.

    `as_named`: the flags are the fields' names and no other, as settings have it.
    """
    return _options(model, (), panel, as_named=as_named)


def _options(model: type[BaseModel], above: tuple[str, ...], panel: str | None, *, as_named: bool) -> list[OptionSpec]:
    found: list[OptionSpec] = []
    for name, field in sorted(model.model_fields.items(), key=lambda each: each[0] == "command_id"):
        path = (*above, field.alias or name)
        kind = _plain(field.annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found.extend(_options(kind, path, path[-1].capitalize(), as_named=as_named))
        else:
            found.append(_option(model, path, name, panel, as_named=as_named))
    return found


def _option(
    model: type[BaseModel], path: tuple[str, ...], name: str, panel: str | None, *, as_named: bool
) -> OptionSpec:
    field = model.model_fields[name]
    kind = _plain(field.annotation)
    is_json = kind is Any or _is_list_of_models(kind)
    repeated = get_origin(kind) is list and not is_json
    remarks = (
        attribute_doc(model, name).removesuffix("."),
        _limits(field),
        _JSON_HELP if is_json else "",
        "May be repeated" if repeated else "",
        _default(field),
    )
    words = _flag_words(path, repeated=repeated)
    annotation, metavar = _typed(Any if is_json else kind)
    parser = _parser(name, kind)
    if name == "deadline_s" and "deadline" not in model.model_fields and not as_named:
        parser = _read_until
    if parser is not None:
        annotation, metavar = str, _TIMES[parser]
    if parser is _read_time and _LENGTHS.get(name) in model.model_fields:
        metavar = "TIME|DURATION"
    if panel is None and not as_named:
        panel = _PANELS.get(name)
    flags = ["--" + words.replace("_", "-")]
    if parser in {_read_duration, _read_until} and not as_named:
        if any(length == name and moment in model.model_fields for moment, length in _LENGTHS.items()):
            panel = ALSO
        if words.removesuffix("_s") not in model.model_fields:
            flags.insert(0, flags[0].removesuffix("-s"))
    return OptionSpec(
        path=path,
        parameter=_TAKEN.get(name, name) if len(path) == 1 else "_".join((*path[:-1], name)),
        flag=flags[0],
        annotation=annotation,
        help=_as_given(". ".join(remark for remark in remarks if remark), parser),
        panel=panel,
        metavar="JSON" if is_json else metavar,
        required=field.is_required(),
        is_json=is_json,
        also=tuple(flags[1:]),
        parser=parser,
        choices=tuple(metavar.split("|")) if metavar is not None and metavar.islower() else (),
    )


def _as_given(text: str, parser: Callable[[str], Any] | None) -> str:
    """Return what is said about a time without how the wire writes it: an option takes it as people write it."""
    return _IN_SECONDS.sub("", text) if parser in {_read_duration, _read_until} else _RFC_3339.sub("", text)


def _parser(name: str, kind: Any) -> Callable[[str], Any] | None:
    if kind in {datetime, AwareDatetime}:
        return _read_time
    if kind is not float or not name.endswith(("_s", "_hours")):
        return None
    return _read_duration if name.endswith("_s") else _read_hours


def _read_duration(text: str) -> float:
    from infra.cli.framework.written_times import parse_duration

    return _read(partial(parse_duration, text))


def _read_until(text: str) -> float:
    """Return the seconds from now until a moment, or of a length of time, for a deadline that the wire has so."""
    from infra.cli.framework.written_times import parse_duration, parse_moment

    with contextlib.suppress(ValueError):
        return parse_duration(text)
    now = datetime.now(UTC)
    return (_read(partial(parse_moment, text, now, ahead=True)) - now).total_seconds()


def _read_hours(text: str) -> float:
    from infra.cli.framework.written_times import parse_duration

    return _read(partial(parse_duration, text, unit_s=3600)) / 3600


def _read(parse: Callable[[], T]) -> T:
    try:
        return parse()
    except ValueError as error:
        # typer adds the option's name, and to a ValueError words of its own.
        raise typer.BadParameter(str(error)) from None


def _read_time(text: str) -> str | timedelta:
    """Return a moment as the wire has it; a length of time stays one, and counts from when the service gets it."""
    from infra.cli.framework.written_times import parse_duration, parse_moment, parse_relative

    relative_s = parse_relative(text)
    if relative_s is None:
        with contextlib.suppress(ValueError):
            relative_s = parse_duration(text)
    if relative_s is None:
        return format_timestamp(_read(partial(parse_moment, text, datetime.now(UTC), ahead=True)))
    return timedelta(seconds=relative_s)


_TIMES: dict[Callable[[str], Any], str] = {
    _read_time: "TIME",
    _read_duration: "DURATION",
    _read_until: "TIME|DURATION",
    _read_hours: "HOURS",
}
"""The parsers of times, and the word for what each takes."""


def body_from_options(specs: Sequence[OptionSpec], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body with the values that were given, and no others.

    Raises:
        typer.BadParameter: an option's value is not JSON, or its file cannot be read.
    """
    body: dict[str, Any] = {}
    for spec in specs:
        value = values.get(spec.parameter)
        if value is None or value == []:
            continue
        if spec.is_json:
            value = _parsed_json(value, spec.flag)
        elif isinstance(value, Path):
            value = str(value)
        name = spec.path[-1]
        if isinstance(value, timedelta):
            name, value = _from_now(name, value)
        place = body
        for key in spec.path[:-1]:
            place = place.setdefault(key, {})
        if name in place:
            raise typer.BadParameter("the same was given with another option", param_hint=spec.flag)
        place[name] = value
    return body


def _from_now(name: str, length: timedelta) -> tuple[str, Any]:
    """Return the field and the value for a length of time from now that was given for a moment."""
    if name in _LENGTHS and length >= timedelta():
        return _LENGTHS[name], length.total_seconds()
    return name, format_timestamp(datetime.now(UTC) + length)


def flag_for(specs: Sequence[OptionSpec], location: Sequence[Any]) -> str:
    """Return the flag of the option at a validation error's location, "" if there is none."""
    path = tuple(str(each) for each in location if not isinstance(each, int))
    return next((spec.flag for spec in specs if path and spec.path == path[: len(spec.path)]), "")


def as_given(specs: Sequence[OptionSpec], values: Mapping[str, Any]) -> list[OptionSpec]:
    """Return the options; a length of time that was given for a moment has the flag that it was given with."""
    flags = {spec.path: spec.flag for spec in specs}
    given: dict[tuple[str, ...], str] = {
        (_LENGTHS[name],): flags[name,] for name in _LENGTHS if isinstance(values.get(name), timedelta)
    }
    return [replace(spec, flag=given.get(spec.path, spec.flag)) for spec in specs]


def place_inside(specs: Sequence[OptionSpec], location: Sequence[Any]) -> str:
    """Return where in the JSON of an option a validation error is, such as `3.title`; "" for the option itself."""
    path = tuple(map(str, location))
    spec = next((spec for spec in specs if spec.is_json and spec.path == path[: len(spec.path)]), None)
    return "" if spec is None else ".".join(path[len(spec.path) :])


def why_no_id(text: str, pattern: str) -> str:
    """Return in words why a text is no id of the kind that has this pattern."""
    if pattern == TASK_ID_PATTERN:
        return f"{text!r} is no task's id: 1 to 128 printable ASCII characters without blanks"
    return f"{text!r} is no name: 1 to 64 letters, digits, _ or -"


def in_option_words(specs: Sequence[OptionSpec], problem: Any) -> str:
    """Return the message of a validation error, with the options' names instead of the fields'."""
    message, location = refusal_of(problem), problem["loc"]
    if problem["type"] != "value_error":
        return message
    path = tuple(str(each) for each in location if not isinstance(each, int))
    near = [spec for spec in specs if path and spec.path[: len(path)] == path and len(spec.path) > len(path)]
    return fields_as_options(near or specs, message)


def refusal_of(problem: Any) -> str:
    """Return the message of a validation error without the words of the library."""
    from infra.cli.framework.plain_refusal import plain_refusal

    if problem["type"] == "string_pattern_mismatch":
        return why_no_id(problem["input"], problem["ctx"]["pattern"])
    return plain_refusal(str(problem["msg"]))


def fields_as_options(specs: Sequence[OptionSpec], text: str, *, plain: bool = True) -> str:
    """Return a text with options' names instead of fields' names; without `plain` only of names that have a `_`."""
    flags = {".".join(spec.path): spec for spec in reversed(specs)}
    flags |= {spec.path[-1]: spec for spec in reversed(specs) if len(spec.path) == 1 or spec.path[-1] not in flags}

    def flag(match: re.Match[str]) -> str:
        spec = flags.get(match[1])
        if spec is None or not (plain or "_" in match[1]):
            return match[0]
        negated = match[2] is not None and spec.annotation is bool
        return f"--no-{spec.flag[2:]}" if negated else f"{spec.flag}{match[2] or ''}"

    return re.sub(r"(?<![\w`'-])([a-z]\w*(?:\.[a-z]\w*)*)(: false)?(?![\w'-])", flag, text)


def _parsed_json(text: str, flag: str) -> Any:
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).expanduser().read_text(encoding="utf-8")
        return parse_json(text)
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror or str(error)).lower() if isinstance(error, OSError) else "it is not UTF-8"
        raise typer.BadParameter(f"cannot read {text.removeprefix('@')}: {why}", param_hint=flag) from None
    except ValueError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint=flag) from None


def _flag_words(path: tuple[str, ...], *, repeated: bool) -> str:
    words = [_singular(path[-1]) if repeated else path[-1]]
    for parent in reversed(path[:-1]):
        if _singular(parent) not in words[0].split("_"):
            words.insert(0, _singular(parent))
    return "_".join(words)


def _singular(name: str) -> str:
    return f"{name[:-3]}y" if name.endswith("ies") else name.removesuffix("s")


def _plain(annotation: Any) -> Any:
    """Return a type without `Annotated` and without `None`."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in {Union, types.UnionType}:
            annotation = next(each for each in get_args(annotation) if each is not type(None))
        else:
            return annotation


def _is_list_of_models(kind: Any) -> bool:
    inner = get_args(kind)[0] if get_origin(kind) is list else None
    return isinstance(inner, type) and issubclass(inner, BaseModel)


def _typed(kind: Any) -> tuple[Any, str | None]:
    """Return the option's type, and its placeholder in the help."""
    if get_origin(kind) is list:
        return list[str], None
    if get_origin(kind) is Literal:
        return str, "|".join(map(str, get_args(kind)))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return str, "|".join(member.value for member in kind)
    if kind in {int, float, bool, Path}:
        return kind, None
    return str, None


def _default(field: FieldInfo) -> str:
    """Return a field's default in words; the option itself has none, so that only given values are sent."""
    value = field.default
    if field.is_required() or value is None or value in ([], "") or isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool):
        return f"Default: {'yes' if value else 'no'}"
    return f"Default: {_number(value) if isinstance(value, int | float) else getattr(value, 'value', value)}"


def _limits(field: FieldInfo) -> str:
    """Return a field's limits in words."""
    length = ""
    is_list = get_origin(_plain(field.annotation)) is list
    metadata = _metadata(field.annotation, field.metadata)
    low, high = bounds(metadata, _number)
    for each in metadata:
        if isinstance(each, annotated_types.MaxLen):
            length = f"at most {each.max_length}" + ("" if is_list else " characters")
    if low and high:
        text = f"{low} to {high}"
    elif low:
        text = low if low.startswith("above") else f"from {low}"
    else:
        text = f"at most {high}" if high else length
    return text[:1].upper() + text[1:]


def bounds(metadata: Iterable[Any], number: Callable[[Any], str]) -> tuple[str, str]:
    """Return the least and the greatest value that constraints allow, in words; empty where there is no limit."""
    low = high = ""
    for each in metadata:
        match each:
            case annotated_types.Ge(ge=bound):
                low = number(bound)
            case annotated_types.Gt(gt=bound):
                low = f"above {number(bound)}"
            case annotated_types.Le(le=bound) if bound != MAX_INT64:
                high = number(bound)
            case _:
                pass
    return low, high


def _number(value: Any) -> str:
    """Return a number as text; an integer with all its digits."""
    return f"{value:.0f}" if value == int(value) else f"{value:.2g}"


def _metadata(annotation: Any, metadata: Sequence[Any]) -> list[Any]:
    """Return the constraints of a field, those inside `Annotated[...] | None` included."""
    found = list(metadata)
    if get_origin(annotation) in {Union, types.UnionType}:
        for each in get_args(annotation):
            found.extend(_metadata(each, ()))
    elif get_origin(annotation) is Annotated:
        inner, *extras = get_args(annotation)
        for extra in extras:
            found.extend(extra.metadata if isinstance(extra, FieldInfo) else [extra])
        found.extend(_metadata(inner, ()))
    return found
