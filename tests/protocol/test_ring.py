"""The microphone ring: what is kept, what is given to the next connection, and what was lost."""

from __future__ import annotations

import pytest

from xai_realtime.audio import AudioFormat, audio_format
from xai_realtime.errors import ConfigurationError
from xai_realtime.protocol.ring import MicrophoneRing, Resend

PCM = audio_format("pcm", 8_000)
PCMU = audio_format("pcmu")
OPUS = audio_format("opus")

LOSES_NOTHING = pytest.mark.behaviour("ring-loses-nothing-silently")
SECOND_DROP = pytest.mark.behaviour("ring-second-drop")


def frame(letter: str, ms: int = 20) -> bytes:
    """G.711 audio of one letter."""
    return letter.encode() * (8 * ms)


def ring_of(sent: str = "", held: str = "", max_ms: float = 1000) -> MicrophoneRing:
    ring = MicrophoneRing(max_ms, PCMU)
    for letter in sent:
        ring.sent(frame(letter))
    for letter in held:
        ring.held(frame(letter))
    return ring


def letters(audio: tuple[bytes, ...] | list[bytes]) -> str:
    """The letters of the audio, one for every 20 ms."""
    return b"".join(audio)[::160].decode()


def drained(ring: MicrophoneRing) -> list[bytes]:
    audio = []
    while (chunk := ring.next_held()) is not None:
        audio.append(chunk)
        ring.held_sent()
    return audio


@LOSES_NOTHING
class TestReconnect:
    def test_new_connection_gets_everything_that_is_not_settled_in_order(self) -> None:
        ring = ring_of("abc")
        ring.commit(20)
        ring.held(frame("d"))
        resend = ring.reconnect()
        assert letters(resend.audio) == "abcd"
        assert (resend.resent_ms, resend.lost_ms) == (80, 0)

    def test_new_connection_gets_no_settled_audio(self) -> None:
        ring = ring_of("abcd")
        assert ring.is_settled
        turn = ring.commit(40)
        assert not ring.is_settled
        ring.settle(turn)
        assert ring.is_settled
        assert ring.kept_ms == 40
        assert letters(ring.reconnect().audio) == "cd"

    def test_new_connection_gets_nothing_when_all_is_safe(self) -> None:
        ring = ring_of("ab")
        ring.commit()
        ring.settle()
        assert ring.reconnect() == Resend((), 0, 0)

    def test_settling_a_turn_keeps_the_turns_after_it(self) -> None:
        ring = ring_of("abc")
        first, second = ring.commit(20), ring.commit(40)
        ring.settle(first)
        assert letters(ring.reconnect().audio) == "bc"
        ring.settle(second)
        assert ring.kept_ms == 40

    def test_settling_a_turn_settles_the_turns_before_it(self) -> None:
        ring = ring_of("abc")
        ring.commit(20)
        ring.settle(ring.commit(40))
        assert letters(ring.reconnect().audio) == "c"

    def test_commit_cuts_a_chunk_to_the_sample_when_the_turn_ends_in_it(self) -> None:
        ring = ring_of("a")
        ring.sent(frame("b"))
        ring.settle(ring.commit(30.2))
        resend = ring.reconnect()
        assert resend.audio == (b"b" * (320 - 241),)
        assert resend.resent_ms == 320 / 8 - 241 / 8

    def test_commit_takes_no_more_than_was_sent_and_nothing_twice(self) -> None:
        ring = ring_of("ab", held="c")
        first = ring.commit(5000)
        assert ring.commit(5000) == first + 1
        ring.commit(-5)
        ring.settle()
        assert letters(ring.reconnect().audio) == "c"

    def test_discarded_audio_is_neither_sent_again_nor_lost(self) -> None:
        ring = ring_of("abcd", max_ms=60)
        ring.commit(40)
        ring.held(frame("e"))
        ring.discard_sent()
        assert (ring.kept_ms, ring.lost_ms) == (0, 40)
        ring.settle()
        assert ring.lost_ms == 0
        assert ring.reconnect() == Resend((), 0, 0)

    def test_discarding_keeps_a_committed_turn_and_the_stream_time(self) -> None:
        ring = ring_of("ab", held="c")
        ring.commit(20)
        ring.discard_sent()
        ring.sent(frame("d"))
        assert ring.stream_ms == 60
        ring.commit(40)
        ring.commit(60)
        assert letters(ring.reconnect().audio) == "ad"

    def test_released_audio_is_neither_sent_again_nor_lost(self) -> None:
        ring = ring_of("abcde", max_ms=60)
        assert ring.lost_ms == 40
        ring.release(20)
        assert ring.lost_ms == 20
        ring.release(60)
        assert (ring.kept_ms, ring.lost_ms) == (40, 0)
        assert letters(ring.reconnect().audio) == "de"

    def test_stream_time_starts_again_when_the_connection_is_new(self) -> None:
        ring = ring_of("abc")
        assert ring.stream_ms == 60
        ring.reconnect()
        assert ring.stream_ms == 0
        assert letters(drained(ring)) == "abc"
        ring.sent(frame("d"))
        ring.settle(ring.commit(40))
        assert letters(ring.reconnect().audio) == "cd"


@LOSES_NOTHING
class TestBound:
    def test_oldest_audio_falls_out_and_counts_as_lost_when_a_connection_would_need_it(self) -> None:
        ring = ring_of("abc", held="de", max_ms=60)
        assert (ring.kept_ms, ring.lost_ms) == (60, 40)
        resend = ring.reconnect()
        assert (letters(resend.audio), resend.resent_ms, resend.lost_ms) == ("cde", 60, 40)
        assert ring.lost_ms == 0

    def test_audio_that_fell_out_is_not_lost_when_its_turn_is_settled(self) -> None:
        ring = ring_of("abcd", max_ms=40)
        first = ring.commit(20)
        second = ring.commit(60)
        assert ring.lost_ms == 40
        ring.settle(first)
        assert ring.lost_ms == 20
        ring.sent(frame("e"))
        ring.sent(frame("f"))
        assert ring.lost_ms == 60
        ring.settle(second)
        assert (ring.lost_ms, letters(ring.reconnect().audio)) == (20, "ef")

    def test_turns_that_fell_out_wholly_are_lost_until_they_are_settled(self) -> None:
        ring = ring_of("ab", max_ms=40)
        first, second = ring.commit(20), ring.commit(40)
        for letter in "cde":
            ring.sent(frame(letter))
        assert ring.lost_ms == 60
        ring.settle(first)
        assert ring.lost_ms == 40
        ring.settle(second)
        assert (ring.lost_ms, ring.reconnect().lost_ms) == (20, 20)

    def test_waiting_audio_is_lost_when_it_falls_out_although_turns_are_settled(self) -> None:
        ring = ring_of(held="abc", max_ms=40)
        ring.commit()
        ring.settle()
        assert ring.lost_ms == 20

    def test_chunk_longer_than_the_bound_keeps_its_end(self) -> None:
        ring = ring_of(max_ms=20)
        ring.sent(frame("a", 100) + frame("b", 20))
        assert (letters(ring.reconnect().audio), ring.kept_ms) == ("b", 20)

    @pytest.mark.parametrize("sizes", [(2,), (2, 160, 6, 318, 1000, 2, 2)])
    def test_bound_holds_to_the_sample_for_chunks_of_any_size(self, sizes: tuple[int, ...]) -> None:
        ring = MicrophoneRing(20.1, PCM)
        total = 0
        for size in sizes * 30:
            ring.sent(bytes(size))
            total += size
            assert ring.kept_ms <= 20.1
            assert (ring.kept_ms + ring.lost_ms) * 16 == total
        resend = ring.reconnect()
        assert len(b"".join(resend.audio)) == min(320, total)
        assert all(len(audio) % 2 == 0 for audio in resend.audio)

    def test_bound_never_cuts_a_sample_when_a_chunk_has_half_of_one(self) -> None:
        ring = MicrophoneRing(20, PCM)
        ring.sent(bytes(320))
        ring.sent(bytes(3))
        assert [len(audio) for audio in ring.reconnect().audio] == [316, 3]
        assert ring.kept_ms == 319 / 16

    def test_small_rest_does_not_keep_a_large_buffer_alive(self) -> None:
        ring = ring_of(max_ms=100)
        ring.sent(bytes(8_000_000))
        assert len(ring._sent) == 1
        assert isinstance(ring._sent[0].audio, bytes)

    @pytest.mark.parametrize("max_ms", [-1, float("inf"), float("nan")])
    def test_ring_refuses_a_bound_that_is_none(self, max_ms: float) -> None:
        with pytest.raises(ConfigurationError, match="keeps 0 ms or more"):
            MicrophoneRing(max_ms, PCM)

    def test_ring_without_room_counts_everything_as_lost(self) -> None:
        ring = ring_of("ab", held="c", max_ms=0)
        assert (ring.kept_ms, ring.lost_ms, ring.next_held()) == (0, 60, None)


@SECOND_DROP
class TestWaiting:
    def test_waiting_audio_is_handed_out_again_when_its_send_was_cancelled(self) -> None:
        ring = ring_of(held="ab")
        assert ring.next_held() == ring.next_held() == frame("a")
        ring.held_sent()
        assert ring.next_held() == frame("b")
        assert letters(ring.reconnect().audio) == "ab"

    def test_nothing_is_lost_when_the_line_drops_in_the_middle_of_a_resend(self) -> None:
        ring = ring_of("abcd", held="e")
        ring.commit(20)
        ring.reconnect()
        assert ring.next_held() == frame("a")
        ring.held_sent()
        assert ring.next_held() == frame("b")
        ring.held(frame("f"))
        resend = ring.reconnect()
        assert (letters(resend.audio), resend.lost_ms) == ("abcdef", 0)
        ring.held_sent()
        assert letters(drained(ring)) == "abcdef"

    def test_resent_audio_may_be_given_back_as_sent(self) -> None:
        ring = ring_of("ab", held="c")
        first, second, _ = ring.reconnect().audio
        ring.sent(first)
        ring.sent(second)
        assert (ring.kept_ms, ring.stream_ms) == (60, 40)
        assert ring.next_held() == frame("c")
        assert letters(ring.reconnect().audio) == "abc"

    def test_handed_audio_may_be_given_back_as_sent(self) -> None:
        ring = ring_of(held="abc", max_ms=40)
        audio = ring.next_held()
        assert audio is not None
        ring.held(frame("d"))
        ring.held(frame("e"))
        ring.sent(audio)
        assert (ring.lost_ms, ring.kept_ms, ring.stream_ms) == (80 - 20, 40, 20)
        assert letters(drained(ring)) == "de"

    def test_sent_audio_is_new_when_it_is_another_than_what_waits(self) -> None:
        ring = ring_of(held="a")
        ring.sent(frame("b"))
        assert (ring.kept_ms, ring.stream_ms) == (40, 20)
        assert letters(drained(ring)) == "a"

    def test_audio_that_fell_out_while_it_went_out_counts_as_sent(self) -> None:
        ring = ring_of(held="ab", max_ms=40)
        assert ring.next_held() == frame("a")
        ring.held(frame("c", 10))
        assert ring.lost_ms == 10
        ring.held(frame("c", 20))
        assert ring.lost_ms == 30
        ring.held_sent()
        assert (ring.stream_ms, ring.kept_ms, ring.lost_ms) == (20, 40, 30)
        ring.settle(ring.commit(20))
        assert ring.lost_ms == 10

    def test_rest_is_handed_out_when_a_cancelled_chunk_has_partly_fallen_out(self) -> None:
        ring = ring_of(held="ab", max_ms=40)
        ring.next_held()
        ring.held(frame("c", 10))
        assert ring.next_held() == frame("a", 10)
        ring.held_sent()
        assert (ring.stream_ms, ring.lost_ms) == (10, 10)

    def test_audio_discarded_while_it_went_out_counts_in_the_stream_time_only(self) -> None:
        ring = ring_of(held="ab")
        audio = ring.next_held()
        ring.discard_sent()
        ring.held_sent()
        assert (ring.stream_ms, ring.kept_ms, ring.lost_ms) == (20, 0, 0)
        ring.held_sent()
        assert ring.stream_ms == 20
        assert audio is not None
        ring.sent(audio)
        assert (ring.stream_ms, ring.kept_ms) == (40, 20)

    def test_sent_audio_is_kept_when_the_same_object_was_discarded_before(self) -> None:
        ring = ring_of(held="a")
        audio = ring.next_held()
        assert audio is not None
        ring.discard_sent()
        ring.sent(audio)
        assert (ring.stream_ms, ring.kept_ms) == (20, 20)

    def test_nothing_waits_at_first(self) -> None:
        ring = ring_of()
        ring.held(b"")
        ring.sent(b"")
        ring.held_sent()
        assert ring.next_held() is None
        assert (ring.kept_ms, ring.stream_ms) == (0, 0)


class TestFormats:
    @pytest.mark.behaviour("bug-12")
    @pytest.mark.parametrize(
        ("format", "size_bytes"),
        [(PCMU, 800), (audio_format("pcma"), 800), (PCM, 1600), (audio_format("pcm", 22_050), 4410)],
    )
    def test_ring_counts_bytes_by_format(self, format: AudioFormat, size_bytes: int) -> None:
        ring = MicrophoneRing(150, format)
        ring.sent(bytearray(size_bytes))
        assert (ring.kept_ms, ring.stream_ms) == (100, 100)
        ring.held(memoryview(bytes(size_bytes)))
        assert ring.kept_ms == pytest.approx(150, abs=0.1)
        assert ring.lost_ms == pytest.approx(50, abs=0.1)

    def test_ring_never_cuts_an_opus_packet(self) -> None:
        ring = MicrophoneRing(70, OPUS)
        packets = [bytes([number]) * (30 + number) for number in range(5)]
        for packet in packets:
            ring.sent(packet)
        assert (ring.kept_ms, ring.lost_ms) == (60, 40)
        ring.settle(ring.commit(79))
        resend = ring.reconnect()
        assert resend == Resend(tuple(packets[3:]), 40, 0)

    def test_ring_takes_the_stated_duration_of_an_opus_packet(self) -> None:
        ring = MicrophoneRing(1000, OPUS)
        ring.sent(b"packet", packet_ms=2.5)
        ring.held(b"packet", packet_ms=60)
        assert (ring.stream_ms, ring.kept_ms) == (2.5, 62.5)
        with pytest.raises(ConfigurationError, match="more than 0 ms"):
            ring.sent(b"other", packet_ms=0)

    def test_ring_shows_no_audio_when_it_is_printed(self) -> None:
        ring = ring_of("secret")
        assert "sssss" not in repr(ring) + repr(ring.reconnect())
