"""Bytes that no writer of ours would write: one corpus for every decoder of what comes from outside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

DEEP = 100_000
LITERALS: dict[str, str] = {
    "null": "null",
    "true": "true",
    "a negative number": "-1",
    "a fraction": "0.5",
    "a number beyond 64 bits": "9" * 30,
    "a number of 5,000 digits": "9" * 5_000,
    "a number beyond floats": "1e999",
    "infinity": "Infinity",
    "minus infinity": "-Infinity",
    "not a number": "NaN",
    "an empty text": '""',
    "a text": '"x"',
    "a number as text": '"7"',
    "NUL in a text": '"\\u0000"',
    "half a surrogate pair": '"\\ud800"',
    "a moment before all": '"0001-01-01T00:00:00+23:59"',
    "an empty list": "[]",
    "a list": '[1, "x", null, {}]',
    "an empty object": "{}",
    "an object": '{"x": [1]}',
    "lists in lists": "[" * DEEP + "]" * DEEP,
}
WHOLES: dict[str, bytes] = {
    "nothing": b"",
    "a NUL": b"\0",
    "no UTF-8": b"\xff\xfe\x00",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "lists without an end": b"[" * DEEP,
    "objects without an end": b'{"a":' * DEEP,
    "lines": b"\n" * 1_000,
    "a name twice": b'{"a": 1, "a": 2}',
}


def hostile(valid: bytes = b"") -> Iterator[tuple[str, bytes]]:
    """Yield bytes with what they are: the corpus, and what becomes of something valid.

    That is cut and changed at several places; and where it is JSON, or begins with a line of JSON, each value in it is
    removed, and replaced by each literal.
    """
    yield from WHOLES.items()
    yield from ((name, text.encode()) for name, text in LITERALS.items())
    for at in sorted({len(valid) * part // 16 for part in range(1, 16)} | {len(valid) - 1} - {-1}):
        yield f"cut at {at}", valid[:at]
        yield f"a NUL at {at}", valid[:at] + b"\0" + valid[at + 1 :]
        yield f"a bit at {at}", valid[:at] + bytes([valid[at] ^ 0x20] if valid else ()) + valid[at + 1 :]
    head, newline, rest = valid.partition(b"\n")
    for name, changed in _changed_json(head):
        yield name, changed + newline + rest


def _changed_json(text: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        document = json.loads(text)
    except ValueError:
        return
    for path in _paths(document):
        where = ".".join(map(str, path))
        yield f"without {where}", json.dumps(_with(document, path, None, remove=True)).encode()
        marked = json.dumps(_with(document, path, _MARK))
        for name, literal in LITERALS.items():
            yield f"{name} for {where}", marked.replace(json.dumps(_MARK), literal).encode()


_MARK = "here-comes-the-literal"


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from _paths(item, (*path, key))


def _with(value: Any, path: tuple[Any, ...], new: Any, *, remove: bool = False) -> Any:
    """Return a copy of a document in which one value is another one, or missing."""
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) > 1:
        copy[path[0]] = _with(value[path[0]], path[1:], new, remove=remove)
    elif remove:
        del copy[path[0]]
    else:
        copy[path[0]] = new
    return copy
