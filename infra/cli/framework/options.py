"""Command-line options made from the fields of a pydantic model, and the body of a request made from their values.

Names, types, limits and defaults are the model's, so they are those that the service checks. A nested model's fields
are prefixed with its name (`budgets.failures` is `--budget-failures`). A list becomes an option that may be repeated
(`labels` is `--label`). Free JSON is given as text, as `@FILE`, or as `-` for standard input.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import typer
from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

from domain.limits import MAX_INT64
from domain.untrusted_json import parse_json
from infra.cli.framework.attribute_docs import attribute_doc

_JSON_HELP = "JSON, @FILE, or - for standard input"


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

    def to_parameter(self) -> inspect.Parameter:
        """Return the parameter of a typer command."""
        declarations = (f"{self.flag}/--no-{self.flag[2:]}",) if self.annotation is bool else (self.flag,)
        info = typer.Option(
            *declarations,
            help=self.help,
            metavar=self.metavar,
            rich_help_panel=self.panel,
            show_default=False,
        )
        return inspect.Parameter(
            self.parameter,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if self.required else None,
            annotation=Annotated[self.annotation if self.required else self.annotation | None, info],
        )


_TAKEN = {"session": "session_"}
"""Fields whose names mean something else to every client command, and the parameters that stand for them."""


def options_from_model(
    model: type[BaseModel], *, skip: Sequence[str] = (), panel: str | None = None
) -> list[OptionSpec]:
    """Return the options for a model's fields, in their order."""
    return _options(model, (), panel, frozenset(skip))


def _options(
    model: type[BaseModel], above: tuple[str, ...], panel: str | None, skip: frozenset[str] = frozenset()
) -> list[OptionSpec]:
    found: list[OptionSpec] = []
    for name, field in sorted(model.model_fields.items(), key=lambda each: each[0] == "command_id"):
        if name in skip:
            continue
        path = (*above, field.alias or name)
        kind = _plain(field.annotation)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found.extend(_options(kind, path, path[-1].capitalize()))
        else:
            found.append(_option(model, path, name, panel))
    return found


def _option(model: type[BaseModel], path: tuple[str, ...], name: str, panel: str | None) -> OptionSpec:
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
    return OptionSpec(
        path=path,
        parameter=_TAKEN.get(name, name) if len(path) == 1 else "_".join((*path[:-1], name)),
        flag="--" + words.replace("_", "-"),
        annotation=annotation,
        help=". ".join(remark for remark in remarks if remark),
        panel=panel,
        metavar="JSON" if is_json else metavar,
        required=field.is_required(),
        is_json=is_json,
    )


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
        place = body
        for key in spec.path[:-1]:
            place = place.setdefault(key, {})
        place[spec.path[-1]] = value
    return body


def flag_for(specs: Sequence[OptionSpec], location: Sequence[Any]) -> str:
    """Return the flag of the option at a validation error's location, "" if there is none."""
    path = tuple(str(each) for each in location if not isinstance(each, int))
    return next((spec.flag for spec in specs if path and spec.path == path[: len(spec.path)]), "")


def place_inside(specs: Sequence[OptionSpec], location: Sequence[Any]) -> str:
    """Return where in the JSON of an option a validation error is, such as `3.title`; "" for the option itself."""
    path = tuple(map(str, location))
    spec = next((spec for spec in specs if spec.is_json and spec.path == path[: len(spec.path)]), None)
    return "" if spec is None else ".".join(path[len(spec.path) :])


def _parsed_json(text: str, flag: str) -> Any:
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).expanduser().read_text(encoding="utf-8")
        return parse_json(text)
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"cannot read it: {error}", param_hint=flag) from None
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
    if kind in {datetime, AwareDatetime}:
        return str, "RFC-3339"
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
    low = high = length = ""
    is_list = get_origin(_plain(field.annotation)) is list
    for each in _metadata(field.annotation, field.metadata):
        match each:
            case annotated_types.Ge(ge=bound):
                low = _number(bound)
            case annotated_types.Gt(gt=bound):
                low = f"above {_number(bound)}"
            case annotated_types.Le(le=bound) if bound != MAX_INT64:
                high = _number(bound)
            case annotated_types.MaxLen(max_length=bound):
                length = f"at most {bound}" if is_list else f"at most {bound} characters"
            case _:
                pass
    if low and high:
        text = f"{low} to {high}"
    elif low:
        text = low if low.startswith("above") else f"from {low}"
    else:
        text = f"at most {high}" if high else length
    return text[:1].upper() + text[1:]


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
