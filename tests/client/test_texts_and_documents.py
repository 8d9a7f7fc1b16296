"""What is sent is within the contract's limits, and says what was cut off."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custody_client import TooLargeError
from custody_client.limits import MAX_JSON_BYTES, MAX_REASON_CHARS, MAX_TEXT_BYTES, checked_json, cut_reason, cut_text


@given(st.text(max_size=10_000))
def test_every_text_is_within_the_limit(text: str) -> None:
    cut = cut_text(text * 3)
    assert len(cut.encode()) <= MAX_TEXT_BYTES
    assert "\0" not in cut
    assert len(cut_reason(text)) <= MAX_REASON_CHARS


def test_a_cut_is_marked() -> None:
    assert cut_text("short") == "short"
    assert cut_text("é" * 5000).endswith("é ... [cut, 10000 bytes in all]")
    assert cut_reason("x" * 2000).endswith("x ... [cut, 2000 characters in all]")


def test_what_is_no_text_is_replaced() -> None:
    assert cut_text("a\0b\ud800c") == "a\ufffdb?c"


class Model(pydantic.BaseModel):
    at: datetime


class Struct(msgspec.Struct):
    n: int


@dataclass
class Data:
    n: int


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        ({1: "a"}, {"1": "a"}),
        (Data(1), {"n": 1}),
        (Struct(1), {"n": 1}),
        ([Model(at=datetime(2026, 11, 29, tzinfo=UTC))], [{"at": "2026-11-29T00:00:00Z"}]),
        (Path("a/b"), "a/b"),
        ([1, 2.5], [1, 2.5]),
    ],
)
def test_values_become_json(value: object, plain: object) -> None:
    assert checked_json(value, "payload") == plain


def test_a_document_has_a_limit() -> None:
    checked_json("x" * (MAX_JSON_BYTES - 2), "payload")
    with pytest.raises(TooLargeError, match="the payload takes 65537 bytes"):
        checked_json("x" * (MAX_JSON_BYTES - 1), "payload")


def test_what_has_no_form_in_json_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no form in JSON"):
        checked_json(object(), "payload")
