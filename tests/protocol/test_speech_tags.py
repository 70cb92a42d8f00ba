"""Speech tags: writing them, and what can be wrong with them."""

from __future__ import annotations

import pytest

from xai_realtime import speech_tags
from xai_realtime.errors import ConfigurationError
from xai_realtime.speech_tags import INLINE_TAGS, WRAPPING_TAGS, check_tags, inline, wrapped


@pytest.mark.parametrize("name", INLINE_TAGS)
def test_inline_tag_has_a_function_that_writes_it(name: str) -> None:
    text = getattr(speech_tags, name.replace("-", "_"))()
    assert text == inline(name) == f"[{name}]"
    assert check_tags(f"a {text} b") == []


@pytest.mark.parametrize("name", WRAPPING_TAGS)
def test_wrapping_tag_has_a_function_that_writes_it(name: str) -> None:
    text = getattr(speech_tags, name.replace("-", "_"))("so")
    assert text == wrapped(name, "so") == f"<{name}>so</{name}>"
    assert check_tags(text) == []


@pytest.mark.parametrize("name", ["whisper", "Pause", ""])
def test_inline_tag_is_refused_when_it_is_unknown(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"no inline speech tag; allowed: pause, long-pause"):
        inline(name)


@pytest.mark.parametrize("name", ["pause", "WHISPER", ""])
def test_wrapping_tag_is_refused_when_it_is_unknown(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"no wrapping speech tag; allowed: soft, whisper"):
        wrapped(name, "x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no tags at all",
        "<soft><slow>nested</slow></soft> [pause]",
        "<soft>a</soft><soft>b</soft>",
        "<soft>a <soft>b</soft></soft>",
        "a < b > c, [1], [see page 4], a[i, j], <5>, <a href='x'>",
        "[aside from that]",
        f"[{'a' * 33}]",
    ],
)
def test_tags_are_in_order(text: str) -> None:
    assert check_tags(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a [cough] b", [("unknown", 2, "[cough]")]),
        ("[Pause]", [("unknown", 0, "[Pause]")]),
        ("[long_pause]", [("unknown", 0, "[long_pause]")]),
        ("[long pause]", [("unknown", 0, "[long pause]")]),
        ("<shout>x</shout>", [("unknown", 0, "<shout>"), ("unknown", 8, "</shout>")]),
        ("<laugh-speak>x</laugh-speak>", [("old", 0, "<laugh-speak>"), ("old", 14, "</laugh-speak>")]),
        ("[laugh-speak]", [("unknown", 0, "[laugh-speak]")]),
        ("[whisper] x", [("wrong_form", 0, "[whisper]")]),
        ("<pause>", [("wrong_form", 0, "<pause>")]),
        ("a <soft>b", [("unclosed", 2, "<soft>")]),
        ("a</soft>", [("unopened", 1, "</soft>")]),
        ("<soft><slow>a</soft></slow>", [("crossed", 13, "</soft>")]),
        ("<soft>a</slow>", [("unclosed", 0, "<soft>"), ("unopened", 7, "</slow>")]),
        ("<soft><soft>a</soft>", [("unclosed", 0, "<soft>")]),
    ],
)
def test_tags_are_complained_about_in_the_order_of_their_places(
    text: str, expected: list[tuple[str, int, str]]
) -> None:
    problems = check_tags(text)
    assert [(problem.kind, problem.at, problem.tag) for problem in problems] == expected
    assert all(problem.tag in problem.message for problem in problems)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[Pause]", "did you mean pause?"),
        ("[long pause]", "did you mean long-pause?"),
        ("[chuckel]", "did you mean chuckle?"),
        ("[whisper]", "is written <whisper>...</whisper>"),
        ("<sigh>", "is written [sigh]"),
        ("<soft><slow>a</soft></slow>", "</soft> stands before </slow>"),
    ],
)
def test_problem_of_a_tag_says_what_to_write(text: str, hint: str) -> None:
    assert hint in check_tags(text)[0].message


def test_problem_of_a_tag_shows_no_text_in_its_repr() -> None:
    assert "cough" not in repr(check_tags("[cough]"))
