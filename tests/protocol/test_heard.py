"""How much of a transcript was heard."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xai_realtime.protocol.heard import HeardText

pytestmark = pytest.mark.behaviour("heard-text")


def heard(*pieces: tuple[str, float | None]) -> HeardText:
    text = HeardText()
    for piece, start_ms in pieces:
        text.add(piece, start_ms)
    return text


TIMED = heard(("One two. ", 0), ("Three four five.", 1000))


@pytest.mark.parametrize(
    ("heard_ms", "expected"),
    [
        (0, ""),
        (-1, ""),
        (300, ""),
        (334, "One"),
        (888, "One"),
        (889, "One two."),
        (1000, "One two."),
        (1312, "One two."),
        (1313, "One two. Three"),
        (1999, "One two. Three four"),
        (2000, "One two. Three four five."),
        (9000, "One two. Three four five."),
    ],
)
def test_heard_text_ends_with_the_last_word_whose_end_was_heard(heard_ms: float, expected: str) -> None:
    assert TIMED.until(heard_ms, 2000) == expected


def test_heard_text_is_proportional_over_the_whole_when_no_piece_has_a_time() -> None:
    text = heard(("aaaa ", None), ("bbbb", None), (" cccc", None))
    assert [text.until(ms, 1400) for ms in (399, 400, 899, 900, 1399, 1400)] == [
        "",
        "aaaa",
        "aaaa",
        "aaaa bbbb",
        "aaaa bbbb",
        "aaaa bbbb cccc",
    ]


def test_heard_text_shares_a_time_between_pieces_when_only_the_first_states_it() -> None:
    text = heard(("aaaa ", 0), ("bbbb ", None), ("cccc", 1000))
    assert [text.until(ms, 2000) for ms in (399, 400, 899, 900, 1999)] == ["", "aaaa", "aaaa", "aaaa bbbb", "aaaa bbbb"]


def test_heard_text_is_never_cut_in_a_word_when_a_piece_ends_in_one() -> None:
    text = heard(("Hello wor", 0), ("ld there", 1000))
    assert text.until(1000, 2000) == "Hello"
    assert text.until(1250, 2000) == "Hello world"


def test_heard_text_does_not_reach_a_piece_whose_audio_has_not_arrived() -> None:
    text = heard(("One ", 0), ("two ", 1000), ("three", 5000))
    assert text.until(999, 1500) == "One"
    assert text.until(1400, 1500) == "One"
    assert text.until(1500, 1500) == "One two three"


def test_heard_text_starts_late_when_its_first_piece_does() -> None:
    assert [heard(("ab cd", 500)).until(ms, 1000) for ms in (499, 699, 700)] == ["", "", "ab"]


def test_heard_text_keeps_its_order_when_a_start_goes_back_or_is_no_number() -> None:
    text = heard(("aa ", 1000), ("bb ", 400), ("cc", float("nan")))
    assert text.until(999, 2000) == ""
    assert text.until(1999, 2000) == "aa bb"
    assert heard(("aa", float("nan"))).until(1, 2) == ""


def test_heard_text_counts_each_character_as_a_word_when_a_script_has_no_spaces() -> None:
    assert heard(("你好世界", 0)).until(600, 1000) == "你好"


@pytest.mark.parametrize("pieces", [(), (("", 0.0),), (("  ", None),)])
def test_heard_text_is_empty_when_there_are_no_words(pieces: tuple[tuple[str, float | None], ...]) -> None:
    assert heard(*pieces).until(500, 1000) == ""


def test_heard_text_shows_no_text_when_it_is_printed() -> None:
    text = heard(("secret", 0))
    assert "secret" not in repr(text)
    assert text.text == "secret"


PIECES = st.lists(
    st.tuples(st.text("ab ,.世\n", max_size=8), st.none() | st.floats(-50, 3000)),
    max_size=6,
)


@settings(max_examples=120, deadline=None)
@given(PIECES, st.floats(0, 3000), st.lists(st.floats(-10, 4000), min_size=2, max_size=8))
def test_heard_text_is_a_growing_beginning_of_whole_words_for_any_pieces(
    pieces: list[tuple[str, float | None]], received_ms: float, times_ms: list[float]
) -> None:
    text = heard(*pieces)
    whole = text.text
    length = 0
    for heard_ms in sorted(times_ms):
        said = text.until(heard_ms, received_ms)
        assert whole.startswith(said)
        assert len(said) >= length
        length = len(said)
        if heard_ms <= 0:
            assert said == ""
        elif heard_ms >= received_ms:
            assert said == whole
        elif said:
            before, after = said[-1], whole[len(said) : len(said) + 1]
            assert not before.isspace()
            assert not after or after.isspace() or "世" in (before, after)
