"""Streams of the emulated chat: their order, the styles of usage and calls, oddities, and how they go wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.emulator.chat.driving import Told, chunks_of, stream
from xai_realtime.codec import chat_codec
from xai_realtime.emulator import ChatQuirks, DropSpec, Emulator, ToolRequest, Turn
from xai_realtime.events import chat as wire

pytestmark = pytest.mark.anyio

TOOLS = [{"type": "function", "function": {"name": name}} for name in ("one", "two")]
CALLS = (ToolRequest("one", {"text": "a fairly long text"}), ToolRequest("two", "{}"))


def calling(prompt: Any) -> Turn:
    return Turn(say="Let me see.", calls=CALLS)


def deltas(told: Told) -> list[dict[str, Any]]:
    return [choice["delta"] for chunk in chunks_of(told) for choice in chunk["choices"]]


def joined(told: Told) -> dict[int, list[str]]:
    """Id, name and arguments of every call, by index."""
    found: dict[int, list[str]] = {}
    for delta in deltas(told):
        for call in delta.get("tool_calls", []):
            entry = found.setdefault(call["index"], [call.get("id", ""), call["function"].get("name", ""), ""])
            entry[2] += call["function"]["arguments"]
    return found


@pytest.mark.behaviour("emulator-chat-stream")
async def test_stream_comes_in_the_order_of_the_service() -> None:
    told = await stream(quirks=ChatQuirks(reasoning="hm so"), scenario=calling, tools=TOOLS)
    chunks = chunks_of(told)
    kinds = [sorted(chunk["choices"][0]["delta"]) if chunk["choices"] else ["usage"] for chunk in chunks]
    assert kinds == [
        ["reasoning_content", "role"],
        ["reasoning_content"],
        ["content"],
        ["content"],
        ["content"],
        ["tool_calls"],
        [],
        ["usage"],
    ]
    assert "".join(delta.get("content", "") for delta in deltas(told)) == "Let me see."
    ends = [choice.get("finish_reason") for chunk in chunks for choice in chunk["choices"]]
    assert ends == [None] * 6 + ["tool_calls"]
    assert all("finish_reason" not in chunk["choices"][0] for chunk in chunks[:6])
    assert {chunk["id"] for chunk in chunks} == {chunks[0]["id"]}
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    for line in told.lines[:-1]:
        assert isinstance(chat_codec.decode_chunk(line), wire.ChatCompletionChunk)


@pytest.mark.behaviour("emulator-chat-stream")
async def test_empty_answer_has_one_empty_delta_and_choices_come_side_by_side() -> None:
    assert deltas(await stream(scenario=lambda prompt: "")) == [{"role": "assistant", "content": ""}, {}]
    chunks = chunks_of(await stream(scenario=lambda prompt: "a b", n=2))
    assert [chunk["choices"][0]["index"] for chunk in chunks[:-1]] == [0, 1, 0, 1, 0, 1]
    assert chunks[-1]["usage"]["completion_tokens"] == 4


@pytest.mark.behaviour("emulator-chat-calls")
@pytest.mark.parametrize(
    ("style", "chunks"), [("together", 1), ("separate", 2), ("fragments", 1 + 5 + 1 + 1), ("interleaved", 6)]
)
async def test_calls_come_in_every_style_and_say_the_same(style: Any, chunks: int) -> None:
    told = await stream(quirks=ChatQuirks(tool_calls=style, first_call_index=1), scenario=calling, tools=TOOLS)
    assert sum("tool_calls" in delta for delta in deltas(told)) == chunks
    found = joined(told)
    assert [entry[1:] for entry in found.values()] == [["one", '{"text":"a fairly long text"}'], ["two", "{}"]]
    assert list(found) == [1, 2]
    assert all(entry[0].startswith("call_") for entry in found.values())


@pytest.mark.behaviour("emulator-chat-calls")
async def test_content_comes_beside_the_first_call_where_that_is_set() -> None:
    told = await stream(quirks=ChatQuirks(content_with_calls=True), scenario=calling, tools=TOOLS)
    both = [delta for delta in deltas(told) if delta.keys() >= {"content", "tool_calls"}]
    assert [delta["content"] for delta in both] == ["see."]
    alone = await stream(quirks=ChatQuirks(content_with_calls=True), scenario=lambda prompt: "no call")
    assert [delta.get("content") for delta in deltas(alone)] == ["no ", "call", None]


def usages(told: Told) -> list[Any]:
    return [chunk.get("usage") for chunk in chunks_of(told)]


def totals(told: Told) -> list[Any]:
    return [usage.get("total_tokens") if usage else None for usage in usages(told)]


@pytest.mark.behaviour("emulator-chat-usage")
@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("end", [None, None, None, 11]),
        ("every_chunk", [10, 11, 11]),
        ("last_chunk", [None, None, 11]),
        ("none", [None, None, None]),
        ("zero_then_real", [0, 0, 0, 11]),
        ("empty_after", [None, None, 11, None]),
    ],
)
async def test_usage_is_stated_in_every_known_style(style: Any, expected: list[Any]) -> None:
    quirks = ChatQuirks(usage_style=style, reasoning_tokens=5)
    told = await stream(quirks=quirks, scenario=lambda prompt: "a b")
    found = totals(told)
    assert found == expected
    if style == "empty_after":
        assert usages(told)[-1] == {}


@pytest.mark.behaviour("emulator-chat-usage")
@pytest.mark.parametrize("style", ["end", "last_chunk", "zero_then_real", "empty_after"])
async def test_usage_that_was_not_asked_for_is_not_stated_but_on_every_chunk(style: Any) -> None:
    told = await stream(quirks=ChatQuirks(usage_style=style), stream_options=None)
    assert set(usages(told)) == {None}
    told = await stream(quirks=ChatQuirks(usage_style="every_chunk"), stream_options={})
    assert all(usages(told))


@pytest.mark.behaviour("emulator-chat-usage")
@pytest.mark.parametrize("thought", [0, 1, 2, 7])
async def test_cumulative_usage_never_falls_and_ends_at_the_truth(thought: int) -> None:
    quirks = ChatQuirks(usage_style="every_chunk", reasoning="a b c", reasoning_tokens=thought)
    told = await stream(quirks=quirks, scenario=calling, tools=TOOLS, n=2)
    found = totals(told)
    assert found == sorted(found)
    details = [usage["completion_tokens_details"]["reasoning_tokens"] for usage in usages(told)]
    assert (details[-1], details) == (2 * thought, sorted(details))


@pytest.mark.behaviour("emulator-chat-odd")
async def test_odd_chunks_bring_nulls_roles_comments_and_other_line_ends() -> None:
    told = await stream(quirks=ChatQuirks(odd_chunks=True), scenario=lambda prompt: "a b")
    assert b": keep-alive\r\n\r\n" in told.body
    assert told.body.endswith(b"data: [DONE]\r\n\r\n")
    chunks = chunks_of(told)
    assert [chunk["choices"] for chunk in chunks[:3]] == [None, [], [{"index": 0, "delta": None}]]
    assert [choice["delta"].get("role") for chunk in chunks[3:5] for choice in chunk["choices"]] == ["assistant"] * 2
    for line in told.lines[:-1]:
        assert isinstance(chat_codec.decode_chunk(line), wire.ChatCompletionChunk)


@pytest.mark.behaviour("emulator-chat-failures")
@pytest.mark.parametrize(
    ("failure", "last"),
    [
        ("error", {"code": "The service is currently unavailable", "error": "A failure that was asked for."}),
        ("openai", {"error": {"message": "A failure that was asked for.", "type": "server_error"}}),
        (
            "event",
            {
                "type": "error",
                "code": "The service is currently unavailable",
                "message": "A failure that was asked for.",
            },
        ),
    ],
)
async def test_stream_ends_in_an_error_after_so_many_chunks(failure: Any, last: Any) -> None:
    told = await stream(quirks=ChatQuirks(fails_after=2, failure=failure), scenario=lambda prompt: "a b c")
    assert (len(told.lines), told.is_cut) == (3, False)
    found = json.loads(told.lines[-1])
    inner = found["error"] if failure == "openai" else {}
    assert found == last if failure != "openai" else last["error"].items() <= inner.items()
    assert (b"event: error\n" in told.body) is (failure == "event")


@pytest.mark.behaviour("emulator-chat-failures")
@pytest.mark.parametrize("after", [0, 1, 3])
async def test_stream_is_cut_after_so_many_chunks(after: int) -> None:
    told = await stream(quirks=ChatQuirks(fails_after=after, failure="cut"), scenario=lambda prompt: "a b c")
    assert (len(told.lines), told.is_cut, told.status) == (after, True, 200)


@pytest.mark.behaviour("emulator-chat-failures")
async def test_malformed_line_stands_between_good_ones_and_done_may_be_missing() -> None:
    told = await stream(quirks=ChatQuirks(fails_after=1, failure="malformed", no_done=True))
    with pytest.raises(ValueError):
        json.loads(told.lines[1])
    assert told.lines[-1] != b"[DONE]" and json.loads(told.lines[-1])["usage"]
    later = await stream(quirks=ChatQuirks(fails_after=99, failure="cut"))
    assert not later.is_cut and later.lines[-1] == b"[DONE]"


@pytest.mark.behaviour("emulator-chat-scenario")
async def test_dropped_turn_cuts_the_stream_at_its_time() -> None:
    from tests.emulator.chat.driving import complete

    turn = Turn(say="a b c d", drop=DropSpec(after_ms=25))
    quirks = ChatQuirks(first_token_ms=10, token_ms=10)
    emulator = Emulator(lambda prompt: turn, seed=1, chat=quirks)
    told = await complete(emulator=emulator, stream=True)
    assert (len(told.lines), told.is_cut) == (2, True)
