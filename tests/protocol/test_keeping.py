"""Turns in the microphone's ring that are ended by hand, and what of the user's audio a new connection needs."""

from __future__ import annotations

import pytest

from xai_realtime.audio import audio_format
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.conversation import Conversation
from xai_realtime.protocol.keeping import Keeping
from xai_realtime.protocol.ring import MicrophoneRing

PCM = audio_format("pcm", 24_000)


def frame(letter: str, ms: int = 20) -> bytes:
    return letter.encode() * (48 * ms)


def ring_of(sent: str = "", held: str = "", max_ms: float = 1000) -> MicrophoneRing:
    ring = MicrophoneRing(max_ms, PCM)
    for letter in sent:
        ring.sent(frame(letter))
    for letter in held:
        ring.held(frame(letter))
    return ring


def drained(ring: MicrophoneRing) -> str:
    """What goes out, a letter a chunk; a bar is the end of a turn."""
    out = ""
    while (audio := ring.next_held()) is not None:
        out += chr(audio[0]) if audio else "|"
        ring.held_sent()
    return out


# Ends of turns in the ring


def test_end_of_a_turn_is_at_once_when_nothing_waits_and_is_repeated_on_a_new_connection() -> None:
    ring = ring_of("ab")
    turn = ring.end_turn()
    ring.sent(frame("c"))
    assert ring.keeps(turn)
    assert ring.next_held() is None
    assert ring.reconnect().resent_ms == 60
    assert drained(ring) == "ab|c"
    ring.reconnect()
    assert drained(ring) == "ab|c", "and on the one after that"


def test_end_of_a_turn_waits_behind_the_audio_that_waits() -> None:
    ring = ring_of("a", "bc")
    first = ring.end_turn()
    ring.held(frame("d"))
    second = ring.end_turn()
    assert first < second
    assert drained(ring) == "bc|d|"
    ring.settle(first)
    assert (ring.keeps(first), ring.keeps(second)) == (False, True)
    assert ring.reconnect().audio == (frame("d"),)


def test_turn_that_the_server_ended_is_not_ended_again() -> None:
    ring = ring_of("ab")
    ring.commit()
    ring.reconnect()
    assert drained(ring) == "ab"


def test_end_of_a_turn_is_never_dropped_for_want_of_room() -> None:
    ring = ring_of("", "ab", max_ms=40)
    ring.end_turn()
    ring.held(frame("c"))
    ring.held(frame("d"))
    ring.held(frame("e"))
    assert drained(ring) == "|de"
    assert ring.forgotten_ms() == 60
    assert ring.forgotten_ms() == 0


def test_clearing_keeps_the_turns_that_were_ended() -> None:
    ring = ring_of("a", "b")
    ring.end_turn()
    ring.held(frame("c"))
    ring.discard_sent()
    assert ring.kept_ms == 40
    assert drained(ring) == "b|"
    ring.discard_sent()
    assert ring.kept_ms == 40, "they are a turn by now"


def test_piece_that_was_handed_out_and_cleared_is_not_sent_again() -> None:
    ring = ring_of("a", "b")
    ring.end_turn()
    ring.held(frame("c"))
    for _ in "b|":
        ring.next_held()
        ring.held_sent()
    assert ring.next_held() == frame("c")
    ring.discard_sent()
    ring.held_sent()
    assert ring.next_held() is None
    assert ring.stream_ms == 60


def test_end_that_was_handed_out_waits_again_when_the_line_drops() -> None:
    ring = ring_of("", "a")
    turn = ring.end_turn()
    ring.next_held()
    ring.held_sent()
    assert ring.next_held() == b""
    ring.reconnect()
    ring.held_sent()
    assert drained(ring) == "a|"
    assert ring.keeps(turn)


# How far the server surely heard


def kept_after(keeping: Keeping, is_quiet: bool = True) -> float:
    keeping.line_lost(Conversation(), None, is_quiet=is_quiet, is_by_hand=False)
    return keeping.ring.kept_ms


def speak(keeping: Keeping, at_ms: float, ms: int) -> None:
    keeping.sending(at_ms)
    keeping.ring.sent(frame("a", ms))


@pytest.mark.parametrize(
    ("answered_at_ms", "kept_ms"), [((), 10_000), ((4_000,), 8_000), ((10_000,), 2_000), ((4_000, 9_000), 3_000)]
)
def test_silence_is_safe_up_to_two_seconds_before_the_server_last_spoke(
    answered_at_ms: tuple[int, ...], kept_ms: float
) -> None:
    keeping = Keeping(MicrophoneRing(60_000, PCM))
    for at_ms in range(0, 10_000, 20):
        if at_ms in answered_at_ms:
            keeping.server_spoke(at_ms)
        speak(keeping, at_ms, 20)
    if 10_000 in answered_at_ms:
        keeping.server_spoke(10_000)
    assert kept_after(keeping) == pytest.approx(kept_ms, abs=21)


def test_burst_is_not_safe_before_the_time_that_it_takes_to_speak_it() -> None:
    keeping = Keeping(MicrophoneRing(60_000, PCM))
    speak(keeping, 60_000, 30_000)
    keeping.sending(60_000)
    keeping.server_spoke(65_000)
    assert kept_after(keeping) == 27_000


def test_nothing_is_given_up_while_the_user_speaks() -> None:
    keeping = Keeping(MicrophoneRing(60_000, PCM))
    speak(keeping, 0, 5_000)
    keeping.server_spoke(20_000)
    assert kept_after(keeping, is_quiet=False) == 5_000


def test_new_connection_has_heard_nothing_yet() -> None:
    keeping = Keeping(MicrophoneRing(60_000, PCM))
    speak(keeping, 0, 5_000)
    keeping.server_spoke(20_000)
    keeping.line_lost(Conversation(), None, is_quiet=False, is_by_hand=False)
    keeping.reconnected(20_000)
    assert kept_after(keeping) == 5_000


# Turns and their words


def heard(conversation: Conversation, item_id: str, text: str) -> None:
    event = wire.ConversationItemInputAudioTranscriptionUpdated.model_construct(
        type="conversation.item.input_audio_transcription.updated", item_id=item_id, content_index=0, transcript=text
    )
    conversation.receive(event)


def test_turn_that_goes_out_again_as_audio_is_taken_out_of_the_conversation() -> None:
    keeping, conversation = Keeping(MicrophoneRing(60_000, PCM)), Conversation()
    for item_id, at_ms in (("known", 0), ("unknown", 100)):
        speak(keeping, at_ms, 100)
        keeping.committed(item_id, None, is_by_hand=False)
        heard(conversation, item_id, f"{item_id} words")
    keeping.final("known", "known words")
    keeping.line_lost(conversation, None, is_quiet=False, is_by_hand=False)
    assert [item.id for item in conversation.items] == ["known"]
    assert keeping.ring.kept_ms == 100


def test_item_that_went_on_keeps_the_words_that_were_final_before() -> None:
    keeping, conversation = Keeping(MicrophoneRing(60_000, PCM)), Conversation()
    speak(keeping, 0, 100)
    keeping.committed("item", None, is_by_hand=False)
    keeping.final("item", "first part")
    speak(keeping, 100, 100)
    heard(conversation, "item", "first part and sec")
    keeping.line_lost(conversation, "item", is_quiet=False, is_by_hand=False)
    assert [item.text for item in conversation.items] == ["first part"]
    assert keeping.ring.kept_ms == 100


def test_item_of_which_nothing_is_known_is_no_hindrance() -> None:
    keeping = Keeping(MicrophoneRing(60_000, PCM))
    speak(keeping, 0, 100)
    keeping.line_lost(Conversation(), "item", is_quiet=False, is_by_hand=False)
    assert keeping.ring.kept_ms == 100


def test_reply_settles_the_turns_before_it_and_none_after() -> None:
    keeping = Keeping(MicrophoneRing(60_000, PCM))
    speak(keeping, 0, 100)
    first = keeping.end_turn()
    keeping.committed("one", None, is_by_hand=True)
    keeping.answered()
    speak(keeping, 100, 100)
    second = keeping.end_turn()
    keeping.committed("two", None, is_by_hand=True)
    keeping.settled(None)
    assert (keeping.ring.keeps(first), keeping.ring.keeps(second)) == (False, True)


def test_commit_that_the_server_ignored_does_not_put_the_next_turns_out_of_step() -> None:
    keeping = Keeping(MicrophoneRing(60_000, PCM))
    speak(keeping, 0, 100)
    keeping.end_turn()
    speak(keeping, 100, 100)
    second = keeping.end_turn()
    keeping.committed("two", None, is_by_hand=True)
    keeping.answered()
    keeping.settled(second)
    assert keeping.ring.is_settled
    speak(keeping, 200, 100)
    third = keeping.end_turn()
    keeping.committed("three", None, is_by_hand=True)
    keeping.final("three", "words")
    assert not keeping.ring.keeps(third)
