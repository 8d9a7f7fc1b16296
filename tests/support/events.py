"""Strategies for any event, made of the catalogue's own field types."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel

from domain.events import Event
from domain.limits import MAX_BUDGET
from domain.policies.lease import LeaseMode, LeasePolicy
from domain.policies.retry import RetryPolicy
from domain.values import Budgets

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
floats = st.floats(allow_nan=False, allow_infinity=False)
integers = st.integers(0, 2**63 - 1)
moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - bounds
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
policies = st.sampled_from(
    [LeasePolicy(), LeasePolicy(mode=LeaseMode.FIXED, lease_s=0.1, grace_s=0.0), LeasePolicy(mode=LeaseMode.ESTIMATED)]
)

_counts = st.integers(1, MAX_BUDGET)
budgets = st.builds(
    Budgets, failures=_counts, expiries=_counts, steals=st.integers(0, MAX_BUDGET), attempts=_counts, releases=_counts
)
retries = st.sampled_from([RetryPolicy(), RetryPolicy(delay_s=0.5, backoff=1.0, max_delay_s=0.5)])


def events(kind: type[Event]) -> st.SearchStrategy[Event]:
    """Return a strategy for one type of event."""
    return _models(kind)


def _models(kind: type[BaseModel]) -> st.SearchStrategy[Any]:
    fields = {name: _values(info.annotation) for name, info in kind.model_fields.items()}
    return st.builds(kind, **fields)


_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    float: floats,
    int: integers,
    bool: st.booleans(),
    NoneType: st.none(),
    Any: json_values,
    AwareDatetime: moments,
    LeasePolicy: policies,
    RetryPolicy: retries,
    Budgets: budgets,
}


def _values(annotation: Any) -> st.SearchStrategy[Any]:
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return st.one_of(*map(_values, arguments))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(_values(arguments[0]), max_size=3).map(tuple)
    if origin is Annotated:
        return _values(arguments[0])
    return st.sampled_from(annotation) if issubclass(annotation, Enum) else _models(annotation)
