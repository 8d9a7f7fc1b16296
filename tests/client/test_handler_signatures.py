"""What a handler may take, and what it is called with."""

from typing import Any

import pytest

from custody_client import Held, NotRetryable, Retry, SyncHeld
from custody_client.handlers import Handler, converted, handler_of


def none() -> None: ...
def payload(job: dict[str, int]) -> None: ...
def held_only(held: SyncHeld[int]) -> None: ...
def both(job: dict[str, int], held: SyncHeld[int]) -> None: ...
def bare(job, held) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001
def turned(held: SyncHeld, job: dict[str, int]) -> None: ...  # type: ignore[type-arg]
def with_default(job: dict[str, int], more: int = 3) -> None: ...
async def in_loop(job: dict[str, int], held: Held[int]) -> None: ...
def three(a: int, b: int, held: SyncHeld[int]) -> None: ...
def two_held(a: SyncHeld[int], b: SyncHeld[int]) -> None: ...


@pytest.mark.parametrize(
    ("function", "takes", "is_async"),
    [
        (none, (), False),
        (payload, (False,), False),
        (held_only, (True,), False),
        (both, (False, True), False),
        (bare, (False, True), False),
        (turned, (True, False), False),
        (with_default, (False,), False),
        (in_loop, (False, True), True),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_handler_takes_a_payload_a_held_task_both_or_nothing(
    function: Any, takes: tuple[bool, ...], is_async: object
) -> None:
    handler = handler_of(function, "k")
    assert (handler.takes, handler.is_async) == (takes, is_async)


@pytest.mark.parametrize("function", [three, two_held])
def test_anything_else_is_refused(function: Any) -> None:
    with pytest.raises(TypeError, match="must take"):
        handler_of(function, "k")


def test_types_that_are_defined_in_a_function_are_left_as_they_are() -> None:
    def inner(job: "Unknown", held: "Held[int]") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    handler: Handler = handler_of(inner, "k")
    assert handler.takes == (False, True)
    assert converted({"a": 1}, handler.payload_type) == {"a": 1}


def test_a_checkpoint_is_made_what_the_handler_says() -> None:
    assert handler_of(both, "k").checkpoint("7") == 7
    with pytest.raises(NotRetryable, match="the checkpoint does not fit int"):
        handler_of(both, "k").checkpoint("seven")


@pytest.mark.parametrize(("failures", "delay_s"), [(1, 2), (2, 4), (3, 8), (4, 10), (5000, 10)])
def test_a_retry_waits_longer_each_time(failures: int, delay_s: float) -> None:
    assert Retry(9, delay_s=2, backoff=2, max_delay_s=10).delay_after_s(failures) == delay_s


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"delay_s": -1}, {"backoff": 0.5}, {"max_delay_s": -1}])
def test_a_retry_has_to_make_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a Retry needs"):
        Retry(**wrong)
