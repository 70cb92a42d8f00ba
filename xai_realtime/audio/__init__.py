"""Audio of the wire: formats, G.711, whole samples, frames, rates. In: bytes. Out: bytes, milliseconds.

Audio of the wire is mono. PCM means signed 16 bit, little endian. Imports: stdlib, 0; numpy and soxr inside functions.
"""

from __future__ import annotations

from xai_realtime.audio.formats import (
    PCM_RATES_HZ,
    Audio,
    AudioFormat,
    Encoding,
    audio_format,
    bytes_for_ms,
    duration_ms,
    silence,
)
from xai_realtime.audio.framing import Framer, SampleAligner
from xai_realtime.audio.g711 import (
    from_pcm16,
    pcm16_to_pcma,
    pcm16_to_pcmu,
    pcma_to_pcm16,
    pcmu_to_pcm16,
    to_pcm16,
)
from xai_realtime.audio.pcm import clipped_pcm16, level_dbfs
from xai_realtime.audio.resampling import CHANNELS_MAX, SOURCE_RATES_HZ, AudioConverter, ResamplingQuality

__all__ = [
    "CHANNELS_MAX",
    "PCM_RATES_HZ",
    "SOURCE_RATES_HZ",
    "Audio",
    "AudioConverter",
    "AudioFormat",
    "Encoding",
    "Framer",
    "ResamplingQuality",
    "SampleAligner",
    "audio_format",
    "bytes_for_ms",
    "clipped_pcm16",
    "duration_ms",
    "from_pcm16",
    "level_dbfs",
    "pcm16_to_pcma",
    "pcm16_to_pcmu",
    "pcma_to_pcm16",
    "pcmu_to_pcm16",
    "silence",
    "to_pcm16",
]
