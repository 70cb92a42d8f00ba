"""Silence that ends an utterance."""

from __future__ import annotations

import pytest

from xai_realtime.errors import ConfigurationError
from xai_realtime.protocol.stt_flush import flush_ms, flush_silence

RATES_HZ = (8_000, 16_000, 22_050, 24_000, 44_100, 48_000)


@pytest.mark.parametrize(("endpointing_ms", "expected"), [(0, 100), (49, 100), (50, 100), (51, 101), (5_000, 5_050)])
def test_flush_lasts_longer_than_the_endpointing(endpointing_ms: int, expected: int) -> None:
    assert flush_ms(endpointing_ms) == expected


@pytest.mark.behaviour("bug-52")
@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize(("encoding", "sample_bytes"), [("pcm", 2), ("mulaw", 1), ("alaw", 1)])
def test_flush_has_whole_samples_of_all_channels_at_every_endpointing(
    rate_hz: int, encoding: str, sample_bytes: int
) -> None:
    for endpointing_ms in range(0, 5_001, 7):
        samples = int(flush_ms(endpointing_ms) * rate_hz / 1000)
        for channels in (1, 3):
            audio = flush_silence(endpointing_ms, rate_hz, encoding=encoding, channels=channels)
            assert len(audio) == samples * sample_bytes * channels


@pytest.mark.behaviour("bug-52")
@pytest.mark.parametrize(("encoding", "byte"), [("pcm", b"\x00"), ("mulaw", b"\xff"), ("alaw", b"\xd5")])
def test_flush_is_silent_in_its_encoding(encoding: str, byte: bytes) -> None:
    audio = flush_silence(60, 8_000, encoding=encoding, channels=2)
    assert audio == byte * len(audio)
    assert len(audio) in (880 * 2, 880 * 4)


@pytest.mark.parametrize("encoding", ["opus", "pcmu", ""])
def test_flush_is_refused_when_the_encoding_has_no_silence(encoding: str) -> None:
    with pytest.raises(ConfigurationError, match="allowed: pcm, mulaw, alaw"):
        flush_silence(60, 8_000, encoding=encoding)
