"""The encodings of the wire, with the state that some have. In: audio as it is on the wire, PCM. Out: the other.

PCM and G.711 come in any cuts; Opus is one packet a message. Imports: room 0; PyAV for Opus, inside functions.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from xai_realtime.audio import AudioFormat, SampleAligner, bytes_for_ms, from_pcm16, to_pcm16

__all__ = ["Decoder", "encoded", "has_opus"]


def has_opus() -> bool:
    """Is PyAV installed, which codes Opus?"""
    return find_spec("av") is not None


class Decoder:
    """Audio of one stream as PCM of 16 bits at the format's rate."""

    def __init__(self, form: AudioFormat) -> None:
        self._feed = _opus_decoder(form.rate_hz) if form.encoding == "opus" else None
        self._encoding = form.encoding
        self._aligner = None if form.encoding == "opus" else SampleAligner(form.sample_bytes)

    def push(self, audio: bytes) -> bytes:
        """The PCM of the next piece. Raises ValueError for what is no packet of Opus."""
        if self._feed is not None:
            return self._feed(audio)
        return to_pcm16(self._aligner.push(audio), self._encoding) if self._aligner is not None else b""

    @property
    def is_cut(self) -> bool:
        """Was the last sample left half?"""
        return self._aligner is not None and self._aligner.pending_bytes > 0


def encoded(pcm: bytes, form: AudioFormat, chunk_ms: int) -> list[tuple[bytes, float]]:
    """PCM at the format's rate in pieces of `chunk_ms`, the last one shorter, each with its duration in ms."""
    size = bytes_for_ms(chunk_ms, form.rate_hz)
    pieces = [pcm[at : at + size] for at in range(0, len(pcm), size)]
    encode = _opus_encoder(form.rate_hz, chunk_ms) if form.encoding == "opus" else None
    lengths = [len(piece) * 500 / form.rate_hz for piece in pieces]
    if encode is not None:
        return [(encode(piece.ljust(size, b"\0")), length) for piece, length in zip(pieces, lengths, strict=True)]
    return [(from_pcm16(piece, form.encoding), length) for piece, length in zip(pieces, lengths, strict=True)]


def _opus_encoder(rate_hz: int, chunk_ms: int) -> Callable[[bytes], bytes]:
    import av

    codec: Any = av.CodecContext.create("libopus", "w")
    codec.sample_rate, codec.layout, codec.format, codec.bit_rate = rate_hz, "mono", "s16", 64_000
    codec.options = {"frame_duration": str(chunk_ms), "application": "audio"}
    codec.open()
    samples = rate_hz * chunk_ms // 1000
    at = 0

    def encode(pcm: bytes) -> bytes:
        nonlocal at
        frame: Any = av.AudioFrame(format="s16", layout="mono", samples=samples)
        frame.sample_rate, frame.pts = rate_hz, at
        frame.planes[0].update(pcm)
        at += samples
        return b"".join(bytes(packet) for packet in codec.encode(frame))

    return encode


def _opus_decoder(rate_hz: int) -> Callable[[bytes], bytes]:
    import av

    codec: Any = av.CodecContext.create("libopus", "r")
    codec.sample_rate, codec.layout = 48_000, "mono"
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate_hz)

    def decode(packet: bytes) -> bytes:
        try:
            frames = [piece for frame in codec.decode(av.Packet(packet)) for piece in resampler.resample(frame)]
        except av.FFmpegError as error:
            raise ValueError("the audio is no packet of Opus") from error
        return b"".join(bytes(piece.to_ndarray().tobytes()) for piece in frames)

    return decode
