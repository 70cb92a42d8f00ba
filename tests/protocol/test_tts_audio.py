"""Speech as it arrives: whole samples, and the times of characters and words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xai_realtime.errors import ConfigurationError
from xai_realtime.events.tts import AudioTimestamps
from xai_realtime.protocol.tts_audio import AlignedAudio, TtsCharacter, TtsTimestamps, TtsWord


@pytest.mark.behaviour("ask-59")
@given(chunks=st.lists(st.binary(max_size=9), max_size=20), codec=st.sampled_from(["pcm", "mulaw", "alaw", "mp3"]))
def test_audio_comes_out_exact_and_in_whole_samples_however_it_is_cut(chunks: list[bytes], codec: str) -> None:
    audio = AlignedAudio(codec)
    out = [audio.push(chunk) for chunk in chunks]
    given_in = b"".join(chunks)
    size = 2 if codec == "pcm" else 1
    assert all(len(chunk) % size == 0 for chunk in out)
    assert audio.total_bytes == len(given_in) // size * size
    assert b"".join(out) == given_in[: audio.total_bytes]
    assert audio.finish() == len(given_in) % size
    assert audio.finish() == 0


def test_audio_gives_nothing_out_while_a_sample_is_not_whole() -> None:
    audio = AlignedAudio()
    assert [audio.push(b"\x01"), audio.push(b""), audio.push(bytearray(b"\x02\x03"))] == [b"", b"", b"\x01\x02"]


def test_audio_is_refused_when_its_codec_is_unknown() -> None:
    with pytest.raises(ConfigurationError, match="'opus' is not one of pcm, mulaw, alaw, mp3, wav"):
        AlignedAudio("opus")


def stamps(chars: list[str] | None, times: list[Any] | None) -> AudioTimestamps:
    return AudioTimestamps(graph_chars=chars, graph_times=times)


@pytest.mark.parametrize("form", [lambda a, b: [a, b], lambda a, b: {"start": a, "end": b}])
def test_timestamps_are_read_in_either_form(form: Any) -> None:
    times = TtsTimestamps()
    new = times.add(stamps(list("Hi "), [form(0, 0.1), form(0.1, 0.2), form(0.2, 0.25)]))
    assert new == (TtsCharacter("H", 0, 0.1), TtsCharacter("i", 0.1, 0.2), TtsCharacter(" ", 0.2, 0.25))
    assert times.words == (TtsWord("Hi", 0, 0.2),)
    times.add(stamps(list("y"), [form(0.3, 0.4)]))
    assert times.words == (TtsWord("Hi", 0, 0.2), TtsWord("y", 0.3, 0.4))
    assert "".join(each.text for each in times.characters) == "Hi y"


def test_timestamps_join_a_word_that_comes_in_two_messages() -> None:
    times = TtsTimestamps()
    times.add(stamps(list(" wo"), [[0, 0], [0, 1], [1, 2]]))
    assert times.words == (TtsWord("wo", 0, 2),)
    times.add(stamps(list("rd"), [[2, 3], [3, 4]]))
    assert times.words == (TtsWord("word", 0, 4),)


@pytest.mark.parametrize("timestamps", [None, stamps(None, None), stamps([], []), stamps(None, [[0, 1]])])
def test_timestamps_add_nothing_when_a_message_has_none(timestamps: AudioTimestamps | None) -> None:
    times = TtsTimestamps()
    assert times.add(timestamps) == ()
    assert (times.words, times.characters) == ((), ())


@pytest.mark.parametrize(
    "time", [None, "0-1", [1], [1, 2, 3], {}, {"start": "x", "end": True}, [-1, 1e300], [10**400, None], 5, b"ab"]
)
def test_timestamps_keep_a_character_without_a_time_when_its_time_cannot_be_read(time: Any) -> None:
    times = TtsTimestamps()
    assert times.add(stamps(["a", "b"], [time])) == (TtsCharacter("a"), TtsCharacter("b"))
    assert times.words == (TtsWord("ab"),)


def test_timestamps_go_on_behind_the_audio_before_when_a_text_is_spoken_in_pieces() -> None:
    times = TtsTimestamps()
    times.add(stamps(list("a"), [[0, 1]]))
    times.next_piece(2.5)
    times.add(stamps(list("b"), [{"start": 0.5, "end": 1}]))
    times.next_piece(5)
    times.next_piece(6)
    assert times.words == (TtsWord("a", 0, 1), TtsWord("b", 3, 3.5))


def test_timestamps_show_no_text_in_their_reprs() -> None:
    assert "x" not in repr((TtsCharacter("x"), TtsWord("x"))).replace("text", "")
