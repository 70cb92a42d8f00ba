"""What a conversation begins with: every form it may be given in, and the conversation as items for a fresh server."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.session.breakable import breakable, seeded
from tests.session.driving import BACKENDS, run, talking
from xai_realtime.errors import ConfigurationError
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.conversation import Item
from xai_realtime.protocol.history import message_item, seed_items
from xai_realtime.protocol.session_events import ItemCreated, ResponseDone, SessionItem
from xai_realtime.realtime.history import as_history

CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"n":1}'}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "seen"}


def dumped(entries: Any) -> list[dict[str, Any]]:
    return [item.model_dump(exclude_unset=True) for item in as_history(entries)]


def said(role: str, text: str) -> dict[str, Any]:
    kind = "text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


# The forms of an entry


@pytest.mark.behaviour("history-forms")
@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (("user", "hi"), said("user", "hi")),
        (("assistant", "hello"), said("assistant", "hello")),
        (("system", "be kind"), said("system", "be kind")),
        ({"role": "user", "content": "hi"}, said("user", "hi")),
        ({"role": "assistant", "content": "hello"}, said("assistant", "hello")),
        (said("user", "hi"), said("user", "hi")),
        ({**said("user", "hi"), "id": "own"}, {**said("user", "hi"), "id": "own"}),
        (wire.MessageItem.model_validate(said("user", "hi")), said("user", "hi")),
        (SessionItem("i1", "message", "user", "hi"), said("user", "hi")),
        (SessionItem("i2", "message", "assistant", "one two", heard="one"), said("assistant", "one")),
    ],
)
def test_message_may_be_given_in_any_form(entry: Any, expected: dict[str, Any]) -> None:
    (item,) = as_history([entry])
    named = {"id": item.id} if "id" in expected else {}
    assert item.type == "message"
    kept = {"type": "message", "role": item.role, "content": [part.model_dump() for part in item.content], **named}
    assert kept == expected


@pytest.mark.behaviour("history-forms")
def test_calls_may_be_given_as_json_or_as_what_a_session_told() -> None:
    as_json = as_history([CALL, OUTPUT])
    told = [
        SessionItem("i1", "function_call", "assistant", call_id="c1", name="look", arguments='{"n":1}'),
        SessionItem("i2", "function_call_output", "tool", call_id="c1", output="seen"),
    ]
    assert as_history(told) == as_json
    call, output = as_json
    assert isinstance(call, wire.FunctionCallItem) and isinstance(output, wire.FunctionCallOutputItem)
    assert (call.name, call.arguments, output.output) == ("look", '{"n":1}', "seen")


@pytest.mark.behaviour("history-forms")
def test_told_items_that_say_nothing_are_left_out() -> None:
    told = [
        SessionItem("i1", "message", "assistant", "never heard", heard=""),
        SessionItem("i2", "message", "user", "  "),
        SessionItem("i3", "mcp_call", "assistant", "kept by the service"),
    ]
    assert as_history(told) == []


@pytest.mark.behaviour("history-refused")
@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("hello", "history[1] is a str; allowed are items, their JSON, and pairs of a role (user, assistant, system)"),
        (("tool", "x"), "history[1] is a tuple"),
        (("user", 5), "history[1] is a tuple"),
        (("user", "a", "b"), "history[1] is a tuple"),
        (None, "history[1] is a NoneType"),
        ({"role": "user", "content": 5}, "history[1] is no item"),
        ({"type": "picture"}, "history[1] is no item"),
        (OUTPUT, "history[1] is the output of a call that does not come before it"),
    ],
)
def test_entry_that_is_none_is_refused_with_its_number(entry: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        as_history([("user", "first"), entry])
    assert said in str(caught.value)


@pytest.mark.behaviour("history-refused")
def test_refusal_shows_no_text_of_the_conversation() -> None:
    with pytest.raises(ConfigurationError) as caught:
        as_history([{"role": "user", "content": [{"type": "input_text", "text": ["my secret"]}]}])
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


# A conversation as items


def message(item_id: str, role: str, text: str, heard: str | None = None) -> Item:
    item = Item(item_id, "message", role, heard=heard)
    item.part(0).state(text)
    return item


def call(call_id: str, name: str = "look", arguments: str = "") -> Item:
    item = Item(f"item-{call_id}", "function_call", "assistant", call_id=call_id)
    item.names.state(name)
    item.arguments.state(arguments)
    return item


def test_seeds_keep_ids_order_and_what_was_heard() -> None:
    items = [
        message("i1", "system", "Be kind."),
        message("i2", "user", "hello"),
        message("i3", "assistant", "one two three", heard="one two "),
        call("c1"),
        Item("i5", "function_call_output", "tool", call_id="c1", output="seen"),
        message("i6", "assistant", "never heard", heard=""),
        message("i7", "user", " "),
        Item("i8", "mcp_call", "assistant"),
    ]
    seeds = seed_items(items, lambda call_id: False)
    assert [seed.id for seed in seeds] == ["i1", "i2", "i3", "item-c1", "i5"]
    assert seeds[2] == message_item("assistant", "one two", "i3")
    assert isinstance(seeds[3], wire.FunctionCallItem)
    assert seeds[3].arguments == "{}"


def test_seeds_leave_out_calls_that_are_none_and_outputs_without_a_call() -> None:
    items = [
        call("gone"),
        Item("i2", "function_call_output", "tool", call_id="gone", output="x"),
        Item("i3", "function_call_output", "tool", call_id="unknown", output="x"),
        Item("i4", "function_call", "assistant"),
        call("kept"),
    ]
    assert [seed.id for seed in seed_items(items, lambda call_id: call_id == "gone")] == ["item-kept"]


# In a session


@pytest.mark.behaviour("history-seeds")
@BACKENDS
def test_history_is_told_first_is_in_the_conversation_and_starts_nothing(backend: str) -> None:
    async def main() -> None:
        async with breakable({"hello": "Hello there"}, history=[("user", "earlier"), CALL, OUTPUT]) as (talk, line):
            await anyio.sleep(5)
            expected = [("user", "earlier"), ("function_call", '{"n":1}'), ("function_call_output", "seen")]
            assert seeded(line, 1) == expected
            assert line.kinds(1) == ["session.update", *["conversation.item.create"] * 3]
            kinds = [item.kind for item in talk.session.conversation.items]
            assert kinds == ["message", "function_call", "function_call_output"]
            assert talk.of(ItemCreated) == []
            await talk.session.send_text("hello")
            assert (await talk.next(ResponseDone)).status == "completed"

    run(main, backend)


@pytest.mark.behaviour("history-seeds")
@BACKENDS
def test_what_one_session_told_is_what_the_next_one_begins_with(backend: str) -> None:
    async def main() -> None:
        async with talking({"hello": "Hello there"}) as talk:
            await talk.session.send_text("hello")
            await talk.next(ResponseDone)
            told = [event.item for event in talk.of(ItemCreated)]
            finished = [(item.role, item.text) for item in talk.session.conversation.items]
        async with breakable({}, history=finished) as (_, line):
            await anyio.sleep(1)
            assert [item.role for item in told] == ["assistant"]
            assert seeded(line, 1) == [("user", "hello"), ("assistant", "Hello there")]

    run(main, backend)
