"""Audio of the wire: formats, G.711, channels, frames, rates, WAV files. In: bytes, files. Out: bytes, milliseconds.

Audio of the wire is mono. PCM means signed 16 bit, little endian. Imports: stdlib, 0; numpy and soxr inside functions.
"""

from __future__ import annotations

from xai_realtime.audio.channels import interleave, level_dbfs, split_channels, to_mono
from xai_realtime.audio.formats import (
    CHANNELS_MAX,
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
from xai_realtime.audio.pcm import clipped_pcm16
from xai_realtime.audio.resampling import SOURCE_RATES_HZ, AudioConverter, ResamplingQuality
from xai_realtime.audio.wav import (
    WAV_RATES_HZ,
    WavAudio,
    WavFile,
    WavReader,
    WavWriter,
    read_wav,
    wav_header,
    write_wav,
)

__all__ = [
    "CHANNELS_MAX",
    "PCM_RATES_HZ",
    "SOURCE_RATES_HZ",
    "WAV_RATES_HZ",
    "Audio",
    "AudioConverter",
    "AudioFormat",
    "Encoding",
    "Framer",
    "ResamplingQuality",
    "SampleAligner",
    "WavAudio",
    "WavFile",
    "WavReader",
    "WavWriter",
    "audio_format",
    "bytes_for_ms",
    "clipped_pcm16",
    "duration_ms",
    "from_pcm16",
    "interleave",
    "level_dbfs",
    "pcm16_to_pcma",
    "pcm16_to_pcmu",
    "pcma_to_pcm16",
    "pcmu_to_pcm16",
    "read_wav",
    "silence",
    "split_channels",
    "to_mono",
    "to_pcm16",
    "wav_header",
    "write_wav",
]
