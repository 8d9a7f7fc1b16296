"""The docstrings below a class's attributes, read from the source when they are shown.

pydantic can read them when it makes a model, but takes a tenth of a client command's time for it: it parses each class
on its own, and every start makes models whose help is not shown.
"""

from __future__ import annotations

import ast
import linecache
import sys
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def attribute_doc(cls: type, name: str) -> str:
    """Return the docstring of an attribute of a class or of one that it inherits from, on one line; "" without one."""
    return next((docs[name] for each in cls.__mro__ if name in (docs := attribute_docs(each))), "")


def attribute_docs(cls: type) -> Mapping[str, str]:
    """Return the docstrings below a module-level class's own attributes, each on one line."""
    return _module_docs(cls.__module__).get(cls.__qualname__, {})


@cache
def _module_docs(name: str) -> Mapping[str, Mapping[str, str]]:
    """Return the attribute docstrings of every class of a module; nothing for a module without a source file."""
    module = sys.modules[name]
    source = linecache.getlines(getattr(module, "__file__", None) or "", vars(module))
    classes = (node for node in ast.parse("".join(source)).body if isinstance(node, ast.ClassDef))
    return {each.name: dict(_attribute_docs(each.body)) for each in classes}


def _attribute_docs(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    for one, following in pairwise(body):
        if not (isinstance(one, ast.AnnAssign | ast.Assign) and isinstance(following, ast.Expr)):
            continue
        target = one.target if isinstance(one, ast.AnnAssign) else one.targets[0]
        value = following.value
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield target.id, " ".join(value.value.split())
