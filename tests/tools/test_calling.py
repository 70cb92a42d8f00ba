"""What a call comes to: arguments read and converted, results written, mistakes told to the model."""

from __future__ import annotations

import enum
import json
import logging
import math
import threading
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any

import anyio
import anyio.from_thread
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field, SecretStr

from xai_realtime.tools import Tool, Toolbox, ToolOutcome, ToolResult, as_tool, tool

pytestmark = pytest.mark.anyio


class Unit(enum.Enum):
    CELSIUS = "C"
    FAHRENHEIT = "F"


class Word(str, enum.Enum):  # noqa: UP042
    HELLO = "hello"


class Place(BaseModel):
    city: str


@dataclass
class Stay:
    first: date
    nights: int = 1


def error_of(outcome: ToolOutcome) -> str:
    assert outcome.is_error
    assert outcome.respond
    assert outcome.value is None
    said = json.loads(outcome.output)
    assert list(said) == ["error"]
    assert isinstance(said["error"], str)
    return said["error"]


async def outcome_of(result: Any) -> ToolOutcome:
    async def give() -> Any:
        return result

    with anyio.fail_after(5):
        return await as_tool(give).call("{}")


async def test_arguments_arrive_as_the_annotated_types() -> None:
    seen: list[Any] = []

    @tool
    async def book(place: Place, stay: Stay, unit: Unit, at: datetime, count: int, key: SecretStr) -> str:
        seen.extend([place, stay, unit, at, count, key])
        return "booked"

    text = (
        '{"place":{"city":"Łódź"},"stay":{"first":"2026-11-20"},"unit":"F",'
        '"at":"2026-11-20T12:00:00Z","count":"3","key":"hush"}'
    )
    outcome = await book.call(text)
    assert outcome == ToolOutcome("booked", is_error=False, respond=True, value="booked")
    assert seen[:5] == [
        Place(city="Łódź"),
        Stay(date(2026, 11, 20)),
        Unit.FAHRENHEIT,
        datetime(2026, 11, 20, 12, tzinfo=UTC),
        3,
    ]
    assert seen[5].get_secret_value() == "hush"


@pytest.mark.behaviour("bug-42")
@pytest.mark.parametrize("text", [None, "", " \n\t", "{}"])
async def test_call_without_arguments_is_a_call_with_an_empty_object(text: str | None) -> None:
    @tool
    async def now(zone: str = "UTC") -> str:
        return zone

    mine = Tool.from_schema("mine", None, {"type": "object"}, lambda **given: given)
    assert (await now.call(text)).output == "UTC"
    assert (await mine.call(text)).value == {}


async def test_default_of_the_function_is_its_own_object_when_no_argument_is_given() -> None:
    shared: list[int] = []

    @tool
    async def same(numbers: list[int] = shared, most: Annotated[int, Field(default=7)] = ...) -> bool:  # type: ignore[assignment]
        return numbers is shared

    assert (await same.call('{"most":1}')).value is True


async def test_default_that_stands_in_the_annotation_alone_is_passed() -> None:
    @tool
    async def most(number: Annotated[int, Field(default=7)]) -> int:
        return number

    assert (await most.call("")).output == "7"


@pytest.mark.behaviour("bug-9")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"city":', "the arguments are no JSON: EOF while parsing"),
        ("city=London", "the arguments are no JSON"),
        ("[1]", "the arguments are no JSON object"),
        ("null", "the arguments are no JSON object"),
        ('"text"', "the arguments are no JSON object"),
        ('{"city":NaN}', "the arguments are no JSON"),
        ('{"city":"\\ud800"}', "the arguments are no JSON"),
        ("\ud800", "the arguments are no JSON"),
        ("[" * 100_000, "the arguments are no JSON: recursion limit"),
        ('{"days":' + "7" * 5000 + "}", "the arguments are no JSON: number out of range"),
        ("{}", "wrong arguments: city: Field required"),
        ('{"city":5}', "wrong arguments: city: Input should be a valid string"),
        ('{"city":"x","days":"soon"}', "wrong arguments: days: Input should be a valid integer"),
        ('{"city":"x","days":1e999}', "wrong arguments: days: "),
        ('{"city":"x","place":{"city":[]}}', "wrong arguments: place.city: Input should be a valid string"),
        ('{"city":"x","p0":1}', "wrong arguments: p0: Extra inputs are not permitted"),
        ('{"town":"x"}', "wrong arguments: city: Field required; town: Extra inputs are not permitted"),
    ],
)
async def test_wrong_arguments_are_told_to_the_model(text: str, said: str) -> None:
    ran: list[str] = []

    @tool
    async def weather(city: str, days: int = 1, place: Place | None = None) -> None:
        ran.append(city)

    assert error_of(await weather.call(text)).startswith(said)
    assert ran == []


async def test_number_that_is_not_finite_is_a_wrong_argument() -> None:
    @tool
    async def wait(seconds: float) -> float:
        return seconds

    assert error_of(await wait.call('{"seconds":1e999}')) == "wrong arguments: seconds: Input should be a finite number"


@pytest.mark.behaviour("tool-secrets-stay-inside")
async def test_wrong_argument_is_told_without_its_value(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    @tool
    async def sign_in(token: Annotated[SecretStr, Field(max_length=4)], pin: int) -> None:
        pass

    said = error_of(await sign_in.call('{"token":"canary-1","pin":"canary-2"}'))
    assert "token" in said
    assert "pin" in said
    assert "canary" not in said + caplog.text


async def test_validator_of_the_user_that_fails_is_an_error_output() -> None:
    def broken(value: str) -> str:
        raise KeyError("planted")

    @tool
    async def look(at: Annotated[str, AfterValidator(broken)]) -> None:
        pass

    assert error_of(await look.call('{"at":"x"}')) == "KeyError: 'planted'"


@pytest.mark.behaviour("bug-25")
@pytest.mark.parametrize(
    ("result", "output"),
    [
        ('say "hi" – größe', 'say "hi" – größe'),
        ("", ""),
        ('{"a": 1}', '{"a": 1}'),
        (Word.HELLO, "hello"),
        (None, "null"),
        (True, "true"),
        (["größe", "東京"], '["größe","東京"]'),
        ({"at": datetime(2026, 11, 20, tzinfo=UTC)}, '{"at":"2026-11-20T00:00:00Z"}'),
        (Place(city="Łódź"), '{"city":"Łódź"}'),
        (Stay(date(2026, 11, 20)), '{"first":"2026-11-20","nights":1}'),
        (Unit.CELSIUS, '"C"'),
        ({"a": math.nan, "b": math.inf}, '{"a":null,"b":null}'),
    ],
)
async def test_result_goes_out_as_text_or_as_json(result: Any, output: str) -> None:
    outcome = await outcome_of(result)
    assert (outcome.output, outcome.is_error, outcome.respond) == (output, False, True)
    assert type(outcome.output) is str
    assert outcome.value is result


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (object(), "the tool returned a object that cannot be written as JSON"),
        ({"a": [b"\xff"]}, "the tool returned a dict that cannot be written as JSON"),
        (["\ud800"], "the tool returned a list that cannot be written as JSON"),
        ("\ud800", "the tool returned text that cannot be written as UTF-8"),
        (ToolResult(object(), respond=False), "the tool returned a object that cannot be written as JSON"),
    ],
)
async def test_result_that_cannot_be_written_is_an_error_output(result: Any, said: str) -> None:
    assert error_of(await outcome_of(result)) == said


@pytest.mark.behaviour("ask-28")
async def test_tool_asks_for_silence_with_its_result() -> None:
    outcome = await outcome_of(ToolResult({"noted": True}, respond=False))
    assert outcome == ToolOutcome('{"noted":true}', is_error=False, respond=False, value={"noted": True})
    assert (await outcome_of(ToolResult("said"))).respond is True


@pytest.mark.behaviour("tool-secrets-stay-inside")
async def test_outcome_shows_neither_output_nor_value() -> None:
    outcome = await outcome_of("canary")
    assert "canary" not in repr(outcome)
    assert "canary" not in repr(ToolResult("canary"))


@pytest.mark.behaviour("bug-45")
@pytest.mark.parametrize("is_async", [True, False])
async def test_exception_of_a_tool_is_an_error_output_and_logged_by_type(
    is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def awaited(key: str) -> None:
        raise LookupError(f"no {key}")

    def threaded(key: str) -> None:
        raise LookupError(f"no {key}")

    outcome = await as_tool(awaited if is_async else threaded).call('{"key":"canary"}')
    assert error_of(outcome) == "LookupError: no canary"
    (record,) = (entry for entry in caplog.records if entry.name == "xai_realtime.tools")
    assert record.levelno == logging.WARNING
    assert record.getMessage() == f"tool {'awaited' if is_async else 'threaded'} failed: LookupError"
    assert record.exc_info is None


class Unreadable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("planted")


@pytest.mark.behaviour("bug-45")
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError(), "ValueError"),
        (ValueError("lone \ud800"), "ValueError: lone ?"),
        (StopIteration("x"), "RuntimeError: coroutine raised StopIteration"),
        (TimeoutError("mine"), "TimeoutError: mine"),
        (Unreadable(), "Unreadable (its message cannot be read: RuntimeError)"),
        (ExceptionGroup("outer", [ExceptionGroup("inner", [ValueError("x")])]), "ValueError: x"),
        (ExceptionGroup("two", [ValueError("x"), KeyError("y")]), "ExceptionGroup: two (2 sub-exceptions)"),
        (ValueError("x" * 2000), "ValueError: " + "x" * 987 + "…"),
    ],
)
async def test_error_output_says_what_is_known_in_bounded_text(error: Exception, said: str) -> None:
    async def fail() -> None:
        raise error

    text = error_of(await as_tool(fail).call(""))
    assert text == said
    assert len(text) <= 1000


async def test_sync_function_runs_in_a_worker_thread() -> None:
    @tool
    def where() -> bool:
        return threading.current_thread() is threading.main_thread()

    assert (await where.call("")).value is False


async def test_sync_function_that_stops_an_iteration_is_an_error_output() -> None:
    outcome = await tool(name="ended")(lambda: next(iter([]))).call("")
    assert error_of(outcome).startswith("RuntimeError")


async def test_sync_function_that_gives_an_awaitable_is_awaited() -> None:
    async def inner() -> str:
        return "awaited"

    assert (await tool(name="lazy")(lambda: inner()).call("")).output == "awaited"


async def test_method_and_callable_object_are_called_on_their_object() -> None:
    class Counter:
        def __init__(self) -> None:
            self.count = 0

        @tool
        async def add(self, number: int) -> int:
            """Add."""
            self.count += number
            return self.count

        async def __call__(self, number: int) -> int:
            self.count -= number
            return self.count

    one, two = Counter(), Counter()
    assert (await one.add.call('{"number":2}')).output == "2"
    assert (await as_tool(one).call('{"number":5}')).output == "-3"
    assert two.count == 0


@pytest.mark.behaviour("ask-21")
@pytest.mark.parametrize("is_async", [True, False])
async def test_tool_that_is_over_its_time_is_answered_with_an_error_output(
    is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    release = threading.Event()
    ended = threading.Event()

    async def awaited() -> None:
        await anyio.sleep_forever()

    def threaded() -> None:
        release.wait(5)
        ended.set()

    slow = as_tool(awaited if is_async else threaded)
    with anyio.fail_after(5):
        outcome = await slow.run("", timeout_s=0.05)
    release.set()
    assert error_of(outcome) == "the tool gave no answer within 0.05 s"
    assert f"tool {slow.name} gave no answer within 0.05 s" in caplog.text
    assert is_async or ended.wait(5)


@pytest.mark.behaviour("ask-21")
async def test_tool_within_its_time_or_without_any_gives_its_result() -> None:
    @tool
    async def quick() -> str:
        await anyio.lowlevel.checkpoint()
        return "here"

    assert (await quick.run("", timeout_s=5)).output == "here"
    assert (await quick.run("", timeout_s=None)).output == "here"


async def test_cancellation_goes_through_a_call_untouched() -> None:
    seen: list[str] = []
    started = anyio.Event()

    @tool
    async def wait() -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            seen.append("cancelled")
            raise

    async def call() -> None:
        await wait.run("", timeout_s=60)
        seen.append("answered")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await started.wait()
            group.cancel_scope.cancel()
    assert seen == ["cancelled"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["city", "days", "place", "stay", "unit", "p0", "self"])
OBJECTS = st.dictionaries(NAMES, JSON, max_size=6).map(json.dumps)


@tool
async def anything(city: str, days: int = 1, place: Place | None = None, stay: Stay | None = None) -> str:
    """A tool with all kinds of parameters."""
    return city


MINE = Tool.from_schema("mine", None, {"type": "object"}, lambda city=None, **rest: rest)


@pytest.mark.behaviour("tool-arguments-never-raise")
@given(text=OBJECTS | JSON.map(json.dumps) | st.text(st.characters(), max_size=20))
@settings(max_examples=60, deadline=None)
async def test_call_has_an_outcome_whatever_the_arguments(text: str) -> None:
    box = Toolbox([anything, MINE])
    for name in ("anything", "mine"):
        outcome = await box.run(name, text, 5)
        outcome.output.encode("utf-8")
        if outcome.is_error:
            assert len(error_of(outcome)) <= 1000
