"""JSON that still grows: never more than what is certain, and in the end all of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xai_realtime.chat.partial import FieldText, PartialJson
from xai_realtime.errors import ConfigurationError

CUTS = pytest.mark.behaviour("partial-json-any-cut")
FIELD = pytest.mark.behaviour("field-text-any-cut")

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
DUMPS = [
    lambda value: json.dumps(value),
    lambda value: json.dumps(value, ensure_ascii=False),
    lambda value: json.dumps(value, indent=2, separators=(" , ", " : ")),
]


def pieces_of(text: str, sizes: list[int]) -> list[str]:
    pieces, rest = [], text
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    return [*pieces, rest]


def is_part(part: Any, whole: Any) -> bool:
    """Whether `part` is what one may know of `whole` early: texts and lists from the front, the rest exactly."""
    if isinstance(part, str) and isinstance(whole, str):
        return whole.startswith(part)
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) <= len(whole) and all(map(is_part, part, whole))
    if isinstance(part, int | float) and not isinstance(part, bool) and isinstance(whole, int | float):
        return True  # it may still grow
    if isinstance(part, dict) and isinstance(whole, dict):
        return list(part) == list(whole)[: len(part)] and all(is_part(part[key], whole[key]) for key in part)
    return type(part) is type(whole) and bool(part == whole)


@CUTS
@given(VALUES, st.sampled_from(DUMPS), st.lists(st.integers(1, 9), max_size=40))
def test_partial_json_grows_to_the_whole_value_when_it_is_cut_at_random(
    value: Any, dump: Any, sizes: list[int]
) -> None:
    reader = PartialJson()
    for piece in pieces_of(dump(value), sizes):
        found = reader.push(piece)
        assert not reader.is_broken
        if reader.has_value:
            assert is_part(found, value)
    assert reader.value == value


EXAMPLE = (
    ' {"a" : [1, -2.5e+3, {"b": "x\\u00e9\\ud83d\\ude00\\n\\"y", "": null}, [], {}], "t": true, "f": false,'
    ' "long": "h\\u0065llo", "z": 0} '
)


@CUTS
def test_partial_json_holds_what_is_known_when_it_is_cut_anywhere() -> None:
    whole = json.loads(EXAMPLE)
    for at in range(len(EXAMPLE) + 1):
        reader = PartialJson()
        part = reader.push(EXAMPLE[:at])
        assert not reader.has_value or is_part(part, whole), at
        assert reader.push(EXAMPLE[at:]) == whole, at


@pytest.mark.parametrize("text", ["{]", "}", "{1:", "'x'", "hello", "nix", "]", "NaN", "[" * 2000])
def test_text_that_is_no_json_breaks_and_keeps_what_was_known(text: str) -> None:
    reader = PartialJson()
    reader.push('{"a": ["x", ')
    known = reader.value
    lone = PartialJson()
    lone.push(text)
    assert lone.is_broken and not lone.has_value
    assert lone.push("{}") is None
    reader.push("}}}")
    assert reader.is_broken
    assert reader.value == known == {"a": ["x"]}


@CUTS
@pytest.mark.parametrize("text", ["null", "true", "false", "-12", "1.5", "2e10", " -0.5e-3"])
def test_word_or_number_by_itself_grows_letter_by_letter(text: str) -> None:
    reader = PartialJson()
    for letter in text:
        reader.push(letter)
        assert not reader.is_broken
    assert reader.has_value and reader.value == json.loads(text)


def test_blank_text_is_no_value_yet() -> None:
    reader = PartialJson()
    assert reader.push("") is None
    assert reader.push(" ") is None
    assert not reader.is_broken
    assert reader.push("[]") == []


# One field.

ANSWER = {
    "state": {"response": "deeper", "list": ["response", {"response": "no"}]},
    "response": 'Say "hi" \\ to \U0001f600 é\n\t/ and \u2028 end',
    "after": {"response": "late"},
    "n": 1,
}


@FIELD
@pytest.mark.parametrize("dump", DUMPS)
def test_field_text_is_the_same_when_the_json_is_cut_anywhere(dump: Any) -> None:
    text = dump(ANSWER)
    for at in range(len(text) + 1):
        reader = FieldText("response")
        first = reader.push(text[:at])
        assert ANSWER["response"].startswith(first)  # type: ignore[attr-defined]
        assert first + reader.push(text[at:]) == ANSWER["response"]


@FIELD
@given(st.text(), st.dictionaries(st.text(max_size=3), VALUES, max_size=3), st.lists(st.integers(1, 5), max_size=60))
def test_field_text_is_what_a_parser_reads_when_it_is_cut_at_random(
    said: str, others: dict[str, Any], sizes: list[int]
) -> None:
    others.pop("say", None)
    reader = FieldText("say")
    pieces = pieces_of(json.dumps({**others, "say": said, "zzzz": {"say": "no"}}), sizes)
    assert "".join(map(reader.push, pieces)) == said


@FIELD
def test_field_text_comes_with_each_piece_as_soon_as_it_is_certain() -> None:
    reader = FieldText("response")
    said = ['{"x": 1, "resp', 'onse": "Hel', "lo\\", "nyou \\ud8", "3d\\u", 'de00!", "re', 'sponse": "again"}']
    assert [reader.push(piece) for piece in said] == ["", "Hel", "lo", "\nyou ", "", "\U0001f600!", ""]


def test_field_text_follows_a_path_through_objects_and_lists() -> None:
    text = '{"steps": [{"say": "a"}, {"say": "b"}], "say": "c"}'
    assert FieldText(("steps", 1, "say")).push(text) == "b"
    assert FieldText("say").push(text) == "c"
    assert FieldText(["steps", 0, "say"]).push(text) == "a"


@pytest.mark.parametrize("text", ['{"response": 5}', '{"response": null}', '{"response": ["x"]}', '["response"]', "{}"])
def test_field_text_is_empty_when_the_field_is_no_text(text: str) -> None:
    reader = FieldText("response")
    assert reader.push(text) == ""


def test_field_text_refuses_an_empty_path() -> None:
    with pytest.raises(ConfigurationError, match="a field is a name"):
        FieldText(())
