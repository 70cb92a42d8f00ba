"""Opus both ways: one packet a message, heard and spoken as audible text."""

from __future__ import annotations

import base64

import pytest

from tests.emulator.engine.driving import Call, say
from tests.emulator.engine.test_voice_turns import turns, voice_call
from xai_realtime.audible import hear
from xai_realtime.audio import audio_format
from xai_realtime.emulator import session as sessions
from xai_realtime.emulator.encodings import Decoder, encoded

OPUS = {"format": {"type": "audio/opus", "rate": 24_000}}
FORM = audio_format("opus")


def opus_call() -> Call:
    pytest.importorskip("av", reason="PyAV is an extra")
    return voice_call(session={"audio": {"input": OPUS, "output": OPUS}})


@pytest.mark.behaviour("emulator-opus")
def test_voice_turn_works_in_opus_both_ways() -> None:
    call = opus_call()
    for packet, _ in encoded(say("Good morning, Grok."), FORM, 20):
        call.append(packet)
    call.run(20_000)
    assert call.errors == []
    assert turns(call) == ["Good morning, Grok."]
    decoder = Decoder(FORM)
    deltas = [base64.b64decode(delta["delta"]) for delta in call.of("response.output_audio.delta")]
    assert hear(b"".join(decoder.push(packet) for packet in deltas)) == "You said: Good morning, Grok."
    assert {delta["audio_duration_ms"] for delta in call.of("response.output_audio.delta")[:-1]} == {100}


@pytest.mark.behaviour("emulator-opus")
def test_what_is_no_packet_of_opus_is_an_error_and_the_call_goes_on() -> None:
    call = opus_call()
    call.append(b"\xff\xff\xffno packet")
    call.run(1_000)
    assert call.errors[0]["code"] == "invalid_audio_format"
    for packet, _ in encoded(say("Hello"), FORM, 60):
        call.append(packet)
    call.run(20_000)
    assert turns(call) == ["Hello"]


@pytest.mark.behaviour("emulator-opus")
def test_opus_is_refused_with_the_name_of_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "has_opus", lambda: False)
    call = voice_call()
    call.send({"type": "session.update", "session": {"audio": {"output": OPUS}}})
    call.run(100)
    assert "pip install av" in call.errors[-1]["message"]
