"""Text on its way to the voice: deltas and pieces that harm no tag, no blank and no word."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from xai_realtime.errors import ConfigurationError
from xai_realtime.protocol.tts_text import DELTA_CHARACTERS_MAX, Flush, TextPieces, sentences
from xai_realtime.speech_tags import TAG, WRAPPING_TAGS

CHARACTERS = st.sampled_from([*"ab [<>]/-. ,!?\n", "。", "é", "e\u0301", "\u0301", "👩\u200d🚀", "日"])
TAGS = st.sampled_from(["[pause]", "<whisper>", "</whisper>", "<soft>", "</soft>", "[long-pause]", "<odd>", "[x]"])
TEXTS = st.lists(CHARACTERS | TAGS, max_size=400).map("".join)
CHUNKS = st.lists(st.lists(CHARACTERS | TAGS, max_size=120).map("".join) | st.text(max_size=3), max_size=12)


def sent(chunks: list[str], max_characters: int = DELTA_CHARACTERS_MAX) -> list[str]:
    pieces = TextPieces(max_characters)
    return [delta for chunk in chunks for delta in pieces.push(chunk)] + pieces.flush()


@pytest.mark.behaviour("ask-61")
@pytest.mark.parametrize("tag", ["[pause]", "<whisper>", "</whisper>", "[tongue-click]", "</decrease-intensity>"])
def test_deltas_hold_each_tag_whole_when_it_comes_in_two_chunks(tag: str) -> None:
    for cut in range(1, len(tag)):
        deltas = sent(["Well " + tag[:cut], tag[cut:] + "then."])
        assert "".join(deltas) == f"Well {tag}then."
        assert [tag in delta for delta in deltas] == [False, True]


@pytest.mark.behaviour("ask-61")
def test_deltas_hold_each_tag_whole_when_the_text_comes_letter_by_letter() -> None:
    text = "So <soft>it is [long-pause] a [5] < 6 </soft>"
    assert sent(list(text)) == [
        "S",
        "o",
        " <soft>",
        *"it",
        " i",
        "s",
        " [long-pause]",
        " a",
        " [5",
        "]",
        " < ",
        "6",
        " </soft>",
    ]


@pytest.mark.parametrize("text", ["[" + "a" * 33, "<" + "a" * 33, "[a b", "<a=", "[1", "< a", "[-a", "</>", "<//"])
def test_deltas_release_what_can_become_no_tag(text: str) -> None:
    pieces = TextPieces()
    assert pieces.push(text) == [text]
    assert pieces.waiting_characters == 0


@pytest.mark.parametrize("text", ["[", "<", "</", "[a", "</" + "a" * 32, "[lip-"])
def test_deltas_hold_back_what_may_become_a_tag_until_the_flush(text: str) -> None:
    pieces = TextPieces()
    assert pieces.push("a" + text) == ["a"]
    assert pieces.waiting_characters == len(text) <= 34
    assert pieces.flush() == [text]
    assert pieces.flush() == []


@pytest.mark.behaviour("bug-57")
@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        (["Hello", " ", "world"], ["Hello", " world"]),
        (["Hello", " ", "\n", "world"], ["Hello", " \nworld"]),
        ([" ", "Hello ", "world "], [" Hello ", "world "]),
        (["Hello", "", "world"], ["Hello", "world"]),
        (["Hello", " ", "[pau", "se]"], ["Hello", " [pause]"]),
        (["Hello", " ", "["], ["Hello", " ["]),
    ],
)
def test_deltas_join_blanks_to_their_neighbour(chunks: list[str], expected: list[str]) -> None:
    assert sent(chunks) == expected


@pytest.mark.behaviour("bug-57")
@pytest.mark.parametrize("chunks", [[], [""], [" "], [" ", "\n\t"], [" " * 200]])
def test_deltas_are_none_when_all_was_blank(chunks: list[str]) -> None:
    assert sent(chunks, 64) == []


def test_deltas_leave_blanks_out_when_nothing_follows_them() -> None:
    pieces = TextPieces()
    assert [pieces.push("Hello."), pieces.push(" "), pieces.flush(), pieces.push("Next.")] == [
        ["Hello."],
        [],
        [],
        ["Next."],
    ]


def test_deltas_are_cut_between_words_when_they_are_too_long() -> None:
    assert sent(["word " * 30], 64) == ["word " * 12, "word " * 12, "word " * 6]


def test_deltas_are_fewer_than_fifteen_thousand_characters() -> None:
    deltas = sent(["x" * 40_000])
    assert [len(delta) for delta in deltas] == [14_999, 14_999, 10_002]


def test_deltas_forget_what_waits_when_they_are_cleared() -> None:
    pieces = TextPieces()
    pieces.push("Hello [pau")
    pieces.clear()
    assert pieces.push("se]") == ["se]"]


def test_deltas_keep_a_mark_with_its_letter_when_they_are_cut() -> None:
    (first, second) = sent(["a" * 61 + "e\u0301\u0301" + "b"], 64)
    assert (first, second) == ("a" * 61, "e\u0301\u0301b")
    assert sent(["a" * 62 + "👩\u200d🚀"], 64) == ["a" * 62, "👩\u200d🚀"]


def test_deltas_are_cut_anywhere_when_there_are_only_marks() -> None:
    assert [len(delta) for delta in sent(["\u0301" * 100], 64)] == [63, 37]


@pytest.mark.parametrize("max_characters", [0, 63, 15_001])
def test_pieces_are_refused_when_they_are_too_short_or_too_long(max_characters: int) -> None:
    with pytest.raises(ConfigurationError, match="allowed: 64 to 15000"):
        TextPieces(max_characters)
    with pytest.raises(ConfigurationError, match="allowed: 64 to 15000"):
        sentences("a", max_characters)


def test_flush_marks_are_equal() -> None:
    assert Flush() == Flush()


def tags_of(deltas: list[str]) -> list[str]:
    return [match[0] for delta in deltas for match in TAG.finditer(delta)]


@settings(max_examples=120, deadline=None)
@example(chunks=["a" * 60 + "[pause]"])
@example(chunks=["a" * 56 + "[pause]\u0301"])
@given(chunks=CHUNKS)
@pytest.mark.behaviour("ask-61")
@pytest.mark.behaviour("bug-57")
def test_deltas_joined_are_the_text_with_every_tag_whole(chunks: list[str]) -> None:
    text = "".join(chunks)
    assume(not re.search(r"\s{32}", text))
    deltas = sent(chunks, 64)
    left = text.removeprefix("".join(deltas))
    assert "".join(deltas) + left == text
    assert not left.strip()
    assert all(delta.strip() and len(delta) < 64 for delta in deltas)
    assert tags_of(deltas) == tags_of([text])


@settings(max_examples=50, deadline=None)
@given(blanks=st.integers(0, 300), cut=st.integers(0, 300))
def test_deltas_are_never_blank_when_blanks_are_endless(blanks: int, cut: int) -> None:
    text = "a" + " " * blanks + "b"
    deltas = sent([text[:cut], text[cut:]], 64)
    assert all(delta.strip() for delta in deltas)
    assert "".join(deltas).split() == text.split()
    if blanks <= 31:
        assert "".join(deltas) == text


def test_text_is_one_piece_when_it_fits() -> None:
    text = "<whisper>One. [pause] Two."
    assert sentences(text) == [text]
    assert sentences("x" * 64, 64) == ["x" * 64]


@pytest.mark.parametrize("text", ["", " ", "\n" * 100])
def test_text_is_no_piece_when_it_is_blank(text: str) -> None:
    assert sentences(text, 64) == []


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("One two three. Four five, six seven eight nine ten eleven twelve thirteen.", "One two three. "),
        ("One two three.” Four five, six seven eight nine ten eleven twelve thirteen.", "One two three.” "),
        ("One two three\nFour five, six seven eight nine ten eleven twelve thirteen xx.", "One two three\n"),
        ("彼は来た。そして、" + "あ" * 60, "彼は来た。"),
        ("version 1.5 of it, which is long enough to be cut at the comma and not earlier", "version 1.5 of it, "),
        ("そして、" + "あ" * 70, "そして、"),
        ("word " * 20, "word " * 12),
        ("x" * 100, "x" * 64),
        ("x" * 60 + "[pause]" + "y" * 60, "x" * 60),
        ("x" * 63 + "e\u0301" + "y" * 60, "x" * 63),
        ("..." * 30 + " x", "." * 64),
        ("\u0301" * 100, "\u0301" * 64),
    ],
)
def test_long_text_is_cut_where_it_harms_least(text: str, first: str) -> None:
    pieces = sentences(text, 64)
    assert pieces[0] == first
    assert "".join(pieces) == text


def test_long_text_has_few_pieces() -> None:
    assert [len(piece) for piece in sentences("A sentence of some length. " * 2_000)] == [14_985, 14_985, 14_985, 9_045]


def test_long_text_closes_its_tags_before_a_cut_and_opens_them_again_behind_it() -> None:
    text = "<soft><slow>One two three four. Five six seven eight.</slow> Nine ten.</soft> Eleven."
    assert sentences(text, 64) == [
        "<soft><slow>One two three four. </slow></soft>",
        "<soft><slow>Five six seven eight.</slow> Nine ten.</soft> ",
        "Eleven.",
    ]


def test_long_text_keeps_a_closing_tag_with_the_text_that_it_closes() -> None:
    text = "<soft>" + "x" * 51 + "</soft>" + "y" * 10
    assert sentences(text, 64) == ["<soft>" + "x" * 51 + "</soft>", "y" * 10]
    text = "<soft>" + "word " * 10 + "</soft>" + "y" * 30
    assert sentences(text, 64) == ["<soft>" + "word " * 10 + "</soft>", "y" * 30]


def test_long_text_has_no_piece_without_anything_to_say() -> None:
    pieces = sentences("<soft>" + "x " * 30 + " " * 70 + "</soft>", 64)
    assert all("x" in piece for piece in pieces)
    assert "".join(pieces).count("x") == 30


def test_long_text_is_refused_when_no_text_fits_between_its_tags() -> None:
    with pytest.raises(ConfigurationError, match="no text fits between the 3 open speech tags"):
        sentences("<whisper>" * 5 + "x" * 100, 64)


def voiced(texts: list[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Each character with the wrapping tags that it stands in."""
    heard = []
    for text in texts:
        opened: tuple[str, ...] = ()
        at = 0
        while at < len(text):
            match = TAG.match(text, at)
            name = match["wrapping"] if match else None
            if match is None or name not in WRAPPING_TAGS:
                if not text[at].isspace():
                    heard.append((text[at], tuple(sorted(opened))))
                at += 1
                continue
            if not match["slash"]:
                opened = (*opened, name)
            elif name in opened:
                last = len(opened) - 1 - opened[::-1].index(name)
                opened = opened[:last] + opened[last + 1 :]
            at = match.end()
    return heard


@settings(max_examples=120, deadline=None)
@given(text=TEXTS)
def test_long_text_is_voiced_the_same_in_pieces(text: str) -> None:
    try:
        pieces = sentences(text, 64)
    except ConfigurationError:
        assert text.count("<whisper>") + text.count("<soft>") >= 3
        return
    assert voiced(pieces) == voiced([text])
    assert all(piece.strip() and len(piece) <= 64 for piece in pieces)
