"""The parts of a stream on their own: places on the time line, loudness, packets of Opus, the ring."""

from __future__ import annotations

import math
from array import array
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.emulator.speech.test_stt_engine import interleaved
from tests.stt.driving import BACKENDS, CREATED, FRAME, HEARD_NOTHING, Peer, listening, partial, run, serving
from xai_realtime.audio import AudioFormat, from_pcm16, silence
from xai_realtime.emulator.encodings import encoded
from xai_realtime.errors import ConnectionBrokenError
from xai_realtime.events import stt as wire
from xai_realtime.frames import Frame
from xai_realtime.protocol.stt_events import SttUtterance
from xai_realtime.protocol.stt_loud import is_loud, opus_packet_us
from xai_realtime.protocol.stt_places import Places
from xai_realtime.protocol.stt_policy import SttPolicy
from xai_realtime.protocol.stt_ring import Piece, SttRing
from xai_realtime.protocol.stt_transcript import SttTranscript
from xai_realtime.transport.base import Channel, ChannelRequest, Transport

WIRE = {"pcm": "pcm", "mulaw": "pcmu", "alaw": "pcma"}


def tone(peak: int, samples: int = 1_600) -> bytes:
    """A sine of 440 Hz at 16 kHz."""
    return array("h", (round(peak * math.sin(0.173 * number)) for number in range(samples))).tobytes()


@pytest.mark.behaviour("stt-stream-idle")
def test_times_skip_what_was_put_in_between() -> None:
    places = Places(10.0)
    assert places.of_stream(1.5) == 11.5
    places.insert(2.0, 0.1)
    places.insert(2.1, 0.1)
    places.insert(5.0, 1.0)
    assert [round(places.of_stream(at_s), 3) for at_s in (1.9, 2.0, 2.15, 2.2, 4.0, 5.0, 5.5, 6.0, 7.0)] == [
        11.9,
        12.0,
        12.0,
        12.0,
        13.8,
        14.8,
        14.8,
        14.8,
        15.8,
    ]


@pytest.mark.behaviour("stt-stream-idle")
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=20))
def test_times_never_go_back(gaps: list[tuple[int, int]]) -> None:
    places, at_s, inserted_s = Places(), 0.0, 0.0
    for gap, length in gaps:
        at_s += gap
        places.insert(at_s, length)
        at_s += length
        inserted_s += length
    told = [places.of_stream(number / 4) for number in range(int(at_s * 4) + 8)]
    assert told == sorted(told)
    assert places.of_stream(at_s + 1) == pytest.approx(at_s + 1 - inserted_s)


@pytest.mark.behaviour("stt-stream-deaf")
@pytest.mark.parametrize("encoding", WIRE)
def test_speech_is_loud_and_a_quiet_room_is_not(encoding: str) -> None:
    for peak, expected in ((20, False), (150, False), (800, True), (20_000, True)):
        assert is_loud(from_pcm16(tone(peak), WIRE[encoding]), encoding) is expected
    click = silence(50, 16_000) + b"\xff\x7f" + silence(50, 16_000)
    assert not is_loud(from_pcm16(click, WIRE[encoding]), encoding)
    assert not is_loud(b"", encoding)
    stereo = from_pcm16(interleaved(tone(0), tone(9_000)), WIRE[encoding])
    assert [is_loud(stereo, encoding, 2, channel) for channel in (0, 1)] == [False, True]


@pytest.mark.behaviour("stt-stream-pace")
def test_packet_of_opus_tells_how_long_it_is() -> None:
    pytest.importorskip("av", reason="PyAV is an extra")
    for packet_ms in (10, 20, 40, 60):
        packets = encoded(tone(9_000, 48_000), AudioFormat("opus", 48_000), packet_ms)
        assert {opus_packet_us(packet) for packet, _ in packets} == {packet_ms * 1_000}
    two_of_20_ms, five_of_10_ms = bytes([0b00001_0_01]), bytes([0b00000_0_11, 5])
    assert [opus_packet_us(packet) for packet in (b"", two_of_20_ms, five_of_10_ms, b"\x03")] == [0, 40_000, 50_000, 0]


@pytest.mark.behaviour("stt-stream-resend")
def test_ring_keeps_packets_of_opus_whole() -> None:
    ring = SttRing(1, 1_000_000, "opus")
    packets = [bytes([0b00001_0_00, number]) for number in range(60)]
    ring.inflow.extend(packets)
    assert ring.sent == ring.given == ring.wire == 1_200_000
    assert ring.loud_units() == 0
    ring.settle(230_000)
    assert ring.kept() == tuple(packets[11:])
    restart = ring.restart(None)
    assert (restart.at, restart.resent, restart.lost) == (220_000, 980_000, 200_000)


@pytest.mark.behaviour("stt-stream-resend")
@given(st.data())
def test_ring_gives_everything_that_is_not_certain_to_the_next_line_once(data: st.DataObject) -> None:
    audio = bytes(range(256)) * 20
    ring, at, settled, line = SttRing(1_000, 100, "pcm"), 0, 0, bytearray()

    def drain() -> None:
        while (piece := ring.next()) is not None:
            line.extend(piece.payload if piece.units else b"")
            ring.held_sent()

    for step in data.draw(st.lists(st.sampled_from(["direct", "held", "wish", "settle", "drop"]), max_size=40)):
        piece = audio[at : at + 2 * data.draw(st.integers(1, 20))]
        if step == "direct":
            drain()
            ring.inflow.append(piece)
            line.extend(piece)
            at += len(piece)
        elif step == "held":
            ring.hold(Piece(piece, len(piece)))
            at += len(piece)
        elif step == "wish":
            ring.hold(Piece(b"{}", 0, "wish"))
        elif step == "settle":
            settled = max(settled, data.draw(st.integers(0, ring.sent // 2)) * 2)
            ring.settle(settled)
        else:
            restart = ring.restart(None)
            assert (restart.at, restart.lost) == (settled, 0)
            line = bytearray(audio[:settled])
    drain()
    assert bytes(line) == audio[:at]
    assert b"".join(ring.kept()) == audio[settled:at]


@pytest.mark.behaviour("stt-stream-resend")
def test_wish_that_is_said_twice_is_kept_once() -> None:
    ring = SttRing(1, 100, "pcm")
    ring.inflow.append(b"\0" * 10)
    for _ in range(1_000):
        ring.hold(Piece(b"{}", 0, "wish"))
        ring.held_sent()
    ring.restart(None)
    assert [ring.held_sent().kind for _ in range(2)] == ["audio", "wish"]
    assert not ring.has_held


@pytest.mark.behaviour("stt-stream-resend")
@pytest.mark.parametrize("has_words", [True, False])
def test_words_that_were_committed_are_not_told_when_a_new_line_hears_them_again(has_words: bool) -> None:
    def heard(text: str, start: float) -> wire.TranscriptPartial:
        end = start + 0.5 * len(text.split())
        event: dict[str, Any] = partial(text, start, end)
        event["words"] = [
            {"text": word, "start": start + 0.5 * number, "end": start + 0.5 * number + 0.4}
            for number, word in enumerate(text.split() if has_words else ())
        ]
        return wire.TranscriptPartial.model_validate(event)

    transcript = SttTranscript()
    transcript.fold(heard("one two three four", 0.0))
    transcript.shift(1.0)
    assert transcript.fold(heard("three four", 0.0)) == ()
    (told,) = transcript.fold(heard("five", 1.0))
    assert isinstance(told, SttUtterance)
    assert transcript.so_far().text == "one two three four five"
    if has_words:
        transcript.fold(heard("five six", 1.0))
        assert transcript.so_far().text == "one two three four five six"


class Stubborn(Transport):
    """A channel that says one thing and whose sends fail in a way of their own."""

    needs_key = False

    def __init__(self, inner: Transport, failure: Exception) -> None:
        self._inner = inner
        self._failure = failure

    def open(self, request: ChannelRequest) -> Any:
        outer, context = self, self._inner.open(request)

        class Failing(Channel):
            async def send(self, frame: Frame) -> None:
                raise outer._failure

            async def receive(self) -> Frame:
                return await channel.receive()

            async def aclose(self, code: int = 1000, reason: str = "") -> None:
                await channel.aclose(code, reason)

        class Opened:
            async def __aenter__(self) -> Channel:
                nonlocal channel
                channel = await context.__aenter__()
                return Failing()

            async def __aexit__(self, *raised: Any) -> Any:
                return await context.__aexit__(*raised)

        channel: Any = None
        return Opened()


@pytest.mark.behaviour("stt-stream-retry")
@BACKENDS
def test_failure_to_send_surfaces_or_waits_for_what_the_reader_learns(backend: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.say(CREATED)
        await anyio.sleep(1)
        await peer.end.aclose(4_401)

    async def main() -> None:
        async with serving(script) as inner:
            async with listening(Stubborn(inner, ZeroDivisionError("mine"))) as ears:
                with pytest.raises(ZeroDivisionError):
                    await ears.stt.send(FRAME)
                with pytest.raises(ZeroDivisionError):
                    await ears.stt.flush()
                assert isinstance(await ears.ended(), ZeroDivisionError)
            for first in ("send", "finalize", "send cut"):
                async with listening(Stubborn(inner, ConnectionBrokenError())) as ears:
                    if first == "finalize":
                        await ears.stt.finalize()
                    else:
                        await ears.stt.send(FRAME * (1 if first == "send" else 70))
                    assert getattr(await ears.ended(), "code", None) == 4_401

    run(main, backend)


@pytest.mark.behaviour("stt-stream-retry")
@BACKENDS
def test_recogniser_that_ends_before_it_began_is_tried_again(backend: str) -> None:
    async def script(peer: Peer) -> None:
        if peer.number == 1:
            await peer.say(HEARD_NOTHING)
        else:
            await peer.say(CREATED)
        await peer.drain()

    async def main() -> None:
        async with serving(script) as transport, listening(transport, policy=SttPolicy()) as ears:
            for _ in range(200):
                await ears.stt.send(b"\0\0")
            assert len(ears.tap.requests) == 2
            assert ears.stt.kept_packets == (b"\0\0",) * 200

    run(main, backend)
