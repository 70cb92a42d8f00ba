"""Speech in the codecs of the speech services. In: PCM. Out: bytes of a codec. Imports: rooms 0 and 7.

PyAV (extra `opus`), which makes mp3, is imported inside functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from xai_realtime.audio import AudioFormat, from_pcm16, wav_header
from xai_realtime.emulator.encodings import has_opus
from xai_realtime.emulator.query import BadSetting

__all__ = ["CODECS", "CONTENT_TYPES", "Encoder", "check_codec"]

CODECS: Final = ("mp3", "wav", "pcm", "mulaw", "ulaw", "alaw")
CONTENT_TYPES: Final = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
    "mulaw": "audio/basic",
    "alaw": "audio/alaw",
}


def check_codec(codec: str) -> None:
    """Raises BadSetting for a codec that cannot be made on this machine."""
    if codec == "mp3" and not has_opus():
        raise BadSetting("mp3 needs PyAV beside this emulator: pip install 'xai-realtime[opus]'; pcm works without.")


class Encoder:
    """One utterance in a codec: PCM in, whole samples at a time; bytes out. Some wait for more, `finish` gives them.

    A WAV begins with a head, which states its length only where `data_bytes` gives it.
    """

    def __init__(self, codec: str, rate_hz: int, bit_rate: int, data_bytes: int | None = None) -> None:
        self._law = {"mulaw": "pcmu", "alaw": "pcma"}.get(codec, "pcm")
        form = AudioFormat("pcm", rate_hz)
        self._head = wav_header(form, data_bytes=data_bytes) if codec == "wav" else b""
        self._mp3 = _mp3_encoder(rate_hz, bit_rate) if codec == "mp3" else None

    def push(self, pcm: bytes) -> bytes:
        """The bytes that the next piece brings, none at times."""
        if self._mp3 is not None:
            return self._mp3(pcm)
        head, self._head = self._head, b""
        return head + from_pcm16(pcm, self._law)

    def finish(self) -> bytes:
        """What was held back."""
        return self._mp3(None) if self._mp3 is not None else b""


def _mp3_encoder(rate_hz: int, bit_rate: int) -> Callable[[bytes | None], bytes]:
    import av

    codec: Any = av.CodecContext.create("libmp3lame", "w")
    codec.sample_rate, codec.layout, codec.format, codec.bit_rate = rate_hz, "mono", "s16p", bit_rate
    codec.open()
    waiting = bytearray()
    size = 2 * codec.frame_size
    at = 0

    def packets(pcm: bytes) -> bytes:
        nonlocal at
        frame: Any = av.AudioFrame(format="s16p", layout="mono", samples=len(pcm) // 2)
        frame.sample_rate, frame.pts = rate_hz, at
        frame.planes[0].update(pcm)
        at += len(pcm) // 2
        return b"".join(bytes(packet) for packet in codec.encode(frame))

    def encode(pcm: bytes | None) -> bytes:
        waiting.extend(pcm or b"")
        made = b""
        while len(waiting) >= size or (pcm is None and waiting):
            made += packets(bytes(waiting[:size]).ljust(size, b"\0"))
            del waiting[:size]
        if pcm is None:
            made += b"".join(bytes(packet) for packet in codec.encode(None))
        return made

    return encode
