"""JSON from outside: what no writer of this project writes is refused."""

import pytest

from domain.json_values import check_json
from domain.untrusted_json import parse_json, parse_json_object

LARGEST, SMALLEST = 2**64 - 1, -(2**63)


@pytest.mark.parametrize("number", [LARGEST, SMALLEST, 0, -1])
def test_integers_of_64_bits_are_read_and_written(number: int) -> None:
    assert parse_json(str(number)) == number
    assert check_json(number) == number


@pytest.mark.parametrize("number", [LARGEST + 1, SMALLEST - 1, 10**20 - 1, -(10**19), 10**400])
def test_other_integers_are_refused_on_both_sides(number: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        parse_json(str(number))
    with pytest.raises(ValueError, match="64 bits"):
        check_json(number)


@pytest.mark.parametrize("text", ["", "{", "NaN", "-Infinity", "1e999", "[" * 100_000, "[1]", '"x"', "null"])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json_object(text)
