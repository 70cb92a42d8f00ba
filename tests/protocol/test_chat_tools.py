"""Tool calls come out whole, however the service cuts, orders and numbers them."""

from __future__ import annotations

import json
from itertools import combinations_with_replacement
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xai_realtime.events import chat as wire
from xai_realtime.protocol.chat_outcome import ToolDelta
from xai_realtime.protocol.chat_tools import ChatToolCall, ToolCallFold

ACCUMULATED = pytest.mark.behaviour("bug-7")


def part(arguments: str | None = None, *, name: str | None = None, **fields: Any) -> wire.ToolCall:
    function = {"arguments": arguments, "name": name}
    stated = {key: value for key, value in function.items() if value is not None}
    return wire.ToolCall.model_validate({**fields, **({"function": stated} if stated else {})})


def folded(*chunks: list[wire.ToolCall]) -> list[tuple[str, str, str]]:
    fold = ToolCallFold()
    for chunk in chunks:
        fold.push(chunk)
    return [(call.id, call.name, call.arguments) for call in fold.calls]


A = ("call_a", "weather", '{"city":"Bern"}')
B = ("call_b", "time", '{"zone":"CET"}')


def whole(call: tuple[str, str, str], **fields: Any) -> wire.ToolCall:
    return part(call[2], name=call[1], id=call[0], **fields)


@ACCUMULATED
@pytest.mark.parametrize(
    "chunks",
    [
        [[whole(A, index=0), whole(B, index=1)]],
        [[whole(A, index=0)], [whole(B, index=1)]],
        [[whole(A, index=1), whole(B, index=2)]],
        [[whole(A, index=0)], [whole(B, index=2)]],
        [[whole(B, index=7)], [whole(A, index=3)]],
        [[whole(A), whole(B)]],
        [[whole(A)], [whole(B)]],
        [[whole(A, index=0), whole(B, index=0)]],
        [[whole(A, index=0)], [whole(A, index=0)], [whole(B, index=1)], [whole(B, index=1)]],
        [[whole(A), whole(A), whole(B)], [whole(A)]],
        [[part(name=A[1], id=A[0], index=0)], [part(name=B[1], id=B[0], index=1)]]
        + [[part(one, index=0), part(two, index=1)] for one, two in zip(A[2], B[2].ljust(len(A[2])), strict=True)],
        [[part(index=0)], [part(name=A[1], index=0)], [part(A[2], index=0, id=A[0])], [whole(B, index=1)]],
        [
            [part(A[2][:5], name=A[1], id=A[0])],
            [part(A[2][5:])],
            [part(B[2][:3], name=B[1], id=B[0])],
            [part(B[2][3:])],
        ],
        [[part(A[2][:5], name=A[1], id=A[0], index=0)], [part(A[2][5:], name=A[1], id=A[0])], [whole(B, index=1)]],
    ],
    ids=[
        "two in one chunk",
        "one after the other",
        "from 1 on",
        "with a gap",
        "backwards",
        "no index, together",
        "no index, apart",
        "the same index",
        "repeated",
        "repeated without index",
        "interleaved",
        "id last",
        "fragments without index",
        "head repeated",
    ],
)
def test_two_calls_come_out_whole_and_apart(chunks: list[list[wire.ToolCall]]) -> None:
    assert [(name, call_id, text.strip()) for name, call_id, text in folded(*chunks)] == [A, B]


JSON_TEXTS = st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=6), max_size=3).map(json.dumps)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[tuple[str, str, str]], list[list[wire.ToolCall]]]:
    """Calls, and the chunks of a service that cuts them up in one of the known ways."""
    texts = draw(st.lists(JSON_TEXTS, min_size=1, max_size=4))
    first = draw(st.integers(0, 3))
    gaps = draw(st.lists(st.integers(1, 3), min_size=len(texts), max_size=len(texts)))
    calls = [(f"call_{number}x", f"tool_{number}", text) for number, text in enumerate(texts)]
    has_index, repeats_id = draw(st.sampled_from([(True, False), (True, True), (False, True)]))
    index = first
    queues: list[list[wire.ToolCall]] = []
    for (call_id, name, text), gap in zip(calls, gaps, strict=True):
        cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=5)))
        pieces = [text[at:to] for at, to in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        place: dict[str, Any] = {"index": index} if has_index else {}
        head = part(pieces[0], name=name, id=call_id, **place)
        rest = [part(piece, **place, **({"id": call_id} if repeats_id else {})) for piece in pieces[1:]]
        queues.append([head, *rest])
        index += gap
    chunks: list[list[wire.ToolCall]] = []
    while any(queues):
        ready = [queue for queue in queues if queue]
        # Heads come in order: what a service writes first stands first.
        begun = [queue for queue in ready if queue[0].function is None or queue[0].function.name is None]
        heads = [queue for queue in ready if queue not in begun][:1]
        chunk = [queue.pop(0) for queue in draw(st.permutations([*begun, *heads])) if draw(st.booleans())]
        chunks.append(chunk or [ready[0].pop(0)])
    return calls, chunks


@ACCUMULATED
@given(streams())
def test_calls_come_out_whole_when_their_fragments_are_cut_and_interleaved_at_random(
    given_calls: tuple[list[tuple[str, str, str]], list[list[wire.ToolCall]]],
) -> None:
    calls, chunks = given_calls
    fold = ToolCallFold()
    told = [delta for chunk in chunks for delta in fold.push(chunk)]
    assert sorted((call.id, call.name, call.arguments) for call in fold.calls) == sorted(calls)
    for call in calls:
        assert "".join(delta.arguments for delta in told if delta.id == call[0]) == call[2]


@ACCUMULATED
def test_call_is_whole_when_its_arguments_are_cut_twice_anywhere() -> None:
    for at, to in combinations_with_replacement(range(len(A[2]) + 1), 2):
        pieces = [A[2][:at], A[2][at:to], A[2][to:]]
        chunks = [[part(pieces[0], name=A[1], id=A[0], index=0)], *([part(piece, index=0)] for piece in pieces[1:])]
        assert folded(*chunks) == [A], (at, to)


def test_name_may_come_in_fragments() -> None:
    chunks = [[part(name="get_", id="a", index=0)], [part(name="get_", index=0)], [part("{}", name="it", index=0)]]
    assert folded(*chunks) == [("a", "get_get_it", "{}")]
    assert folded([part(name="go", id="a", index=0)], [part("{}", name="go", id="a", index=0)]) == [("a", "go", "{}")]


@pytest.mark.behaviour("chat-empty-arguments")
@pytest.mark.parametrize("arguments", [None, "", "  ", "{}"])
def test_arguments_are_an_empty_object_when_the_model_wrote_none(arguments: str | None) -> None:
    ((_, name, text),) = folded([part(arguments, name="now", id="a", index=0)])
    assert (name, text) == ("now", "{}" if not (arguments or "").strip() else arguments)


def test_whole_calls_of_one_index_are_two_when_the_second_has_other_arguments() -> None:
    second = part('{"city":"Rome"}', name=A[1], index=0)
    assert [text for _, _, text in folded([whole(A, index=0)], [second])] == [A[2], '{"city":"Rome"}']
    odd = part('[{"a":"\\\\"}]', name=A[1], index=0)
    assert len(folded([odd], [second])) == 2


@pytest.mark.parametrize("arguments", ['{"a": ', "nonsense", '{"a": "}"', '{"a": "\\"}"}', "[1, 2", "}{"])
def test_malformed_arguments_are_kept_as_they_are(arguments: str) -> None:
    assert folded([part(arguments, name="x", id="a", index=0)]) == [("a", "x", arguments)]


@pytest.mark.behaviour("chat-repeated-call")
def test_whole_call_counts_once_when_it_is_repeated_with_or_without_an_id() -> None:
    fold = ToolCallFold()
    assert len(fold.push([whole(A, index=0)])) == 1
    assert fold.push([whole(A, index=0)]) == ()
    assert fold.push([part(A[2], name=A[1], index=0)]) == ()
    assert len(fold.calls) == 1


def test_two_calls_of_one_tool_are_two_when_they_have_neither_id_nor_index() -> None:
    found = folded([part('{"a":[1]}', name="x")], [part('{"a":[2]}', name="x")], [part('{"b": "\\"}"}', name="x")])
    assert found == [("call_0", "x", '{"a":[1]}'), ("call_1", "x", '{"a":[2]}'), ("call_2", "x", '{"b": "\\"}"}')]


def test_call_without_a_name_is_kept() -> None:
    assert folded([part('{"a":1}', id="a", index=0)], [part()]) == [("a", "", '{"a":1}')]


def test_deltas_tell_what_is_new_of_each_call() -> None:
    fold = ToolCallFold(choice=2)
    assert fold.push(None) == ()
    assert fold.push([part("{", name="x", id="a", index=4), part(name="y", id="b", index=5)]) == (
        ToolDelta(0, "a", "x", "{", 2),
        ToolDelta(1, "b", "y", "", 2),
    )
    assert fold.push([part("}", index=4)]) == (ToolDelta(0, "a", "x", "}", 2),)
    assert fold.push([part("", index=4)]) == ()


def test_call_goes_back_on_the_wire_as_it_came() -> None:
    assert ChatToolCall(*A).to_wire() == {
        "id": "call_a",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city":"Bern"}'},
    }
    assert "Bern" not in repr(ChatToolCall(*A))
