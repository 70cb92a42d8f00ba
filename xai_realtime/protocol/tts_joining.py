"""Spoken pieces joined to one file without a gap. In: the bytes of each piece. Out: the bytes of the file.

Imports: rooms 0 and 3.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

from xai_realtime.audio import Audio
from xai_realtime.errors import RemoteProtocolError
from xai_realtime.protocol.tts_audio import AlignedAudio

__all__ = ["JoinedSpeech", "Mp3Frame", "joined_speech", "mp3_frame"]

_LENGTH_UNKNOWN: Final = 0xFFFFFFFF
_UNKNOWN_FROM: Final = 0x7FFFF000
"""Writers that do not know the length of a WAV yet state 0, the highest number, or the highest with a sign."""
_WAV_HEAD_BYTES_MAX: Final = 64 * 1024
_TAG_HEAD_BYTES: Final = 10
_FRAME_HEAD_BYTES: Final = 4

_MP3_RATES_HZ: Final = {
    3: (44_100, 48_000, 32_000),
    2: (22_050, 24_000, 16_000),
    0: (11_025, 12_000, 8_000),
}
"""By the version bits: MPEG 1, 2 and 2.5."""
_MP3_KILOBITS: Final = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}
"""By whether it is MPEG 1; 0 is a frame whose length its head does not state, or none at all."""
_SIDE_BYTES: Final = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}
"""Bytes between the head of a frame and its sound, by (is MPEG 1, is mono)."""


class JoinedSpeech(ABC):
    """One file out of spoken pieces: `push` what comes, `end_piece` after each, `finish` after the last.

    `rate_hz` are the samples per second. Raises RemoteProtocolError for a piece that is cut or is not of the codec.
    """

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz

    @property
    @abstractmethod
    def duration_ms(self) -> float | None:
        """How long what has come so far plays; None where that cannot be told."""

    @abstractmethod
    def push(self, chunk: Audio) -> bytes:
        """The bytes of the file that can be given out now; may be empty. Samples are whole."""

    @abstractmethod
    def end_piece(self) -> None:
        """A piece is complete."""

    def finish(self) -> bytes:
        """The last bytes of the file."""
        return b""

    def head(self) -> bytes | None:
        """What must stand at the beginning of the file now that all of it is known; None where nothing has changed."""
        return None


def joined_speech(codec: str, rate_hz: int, pieces: int) -> JoinedSpeech:
    """How `pieces` pieces of a codec (pcm, mulaw, alaw, wav, mp3) make one file."""
    if codec == "wav":
        return _Wav(rate_hz, is_single=pieces == 1)
    if codec == "mp3":
        return _Mp3(rate_hz, is_single=pieces == 1)
    return _Samples(codec, rate_hz)


class _Samples(JoinedSpeech):
    """Samples without a container: one piece behind the other."""

    def __init__(self, codec: str, rate_hz: int) -> None:
        super().__init__(rate_hz)
        self._aligned = AlignedAudio(codec)
        self._sample_bytes = 2 if codec == "pcm" else 1

    @property
    def duration_ms(self) -> float:
        return self._aligned.total_bytes / self._sample_bytes * 1000 / self.rate_hz

    def push(self, chunk: Audio) -> bytes:
        return self._aligned.push(chunk)

    def end_piece(self) -> None:
        if self._aligned.finish():
            raise RemoteProtocolError("the audio ends in the middle of a sample: it is cut")


class _Wav(JoinedSpeech):
    """One head, made of the first piece's format, and the data of all; other chunks are left out.

    The head that is given out first states the length of a single piece where that piece does, and none for several.
    """

    def __init__(self, rate_hz: int, *, is_single: bool) -> None:
        super().__init__(rate_hz)
        self._is_single = is_single
        self._format = b""
        self._block_bytes = 1
        self._data_bytes = 0
        self._first_head = b""
        self._begin_piece()

    def _begin_piece(self) -> None:
        self._head = bytearray()
        self._in_data = False
        self._left_bytes: int | None = None
        self._came_bytes = 0

    @property
    def duration_ms(self) -> float:
        return self._data_bytes / self._block_bytes * 1000 / self.rate_hz

    def push(self, chunk: Audio) -> bytes:
        if self._in_data:
            return self._data(bytes(chunk))
        self._head += chunk
        begin = self._data_begin()
        if begin is None:
            if len(self._head) > _WAV_HEAD_BYTES_MAX:
                raise RemoteProtocolError("the audio is no WAV that can be read: its head has no end")
            return b""
        rest = bytes(self._head[begin:])
        self._head.clear()
        self._in_data = True
        head = b""
        if not self._first_head:
            head = self._first_head = self._written_head(self._left_bytes if self._is_single else None)
        return head + self._data(rest)

    def _data_begin(self) -> int | None:
        """Where the samples begin in what has come of the piece, None when that has not come yet."""
        head = self._head
        if not b"RIFF".startswith(head[:4]) or (len(head) >= 12 and head[8:12] != b"WAVE"):
            raise RemoteProtocolError("the audio is no WAV: it does not begin like one")
        at, form = 12, b""
        while at + 8 <= len(head):
            name, size = bytes(head[at : at + 4]), struct.unpack_from("<I", head, at + 4)[0]
            if name == b"data":
                self._set_format(form)
                self._left_bytes = None if size == 0 or size >= _UNKNOWN_FROM else size
                return at + 8
            if name == b"fmt " and at + 8 + size <= len(head):
                form = bytes(head[at + 8 : at + 8 + size])
            at += 8 + size + size % 2
        return None

    def _set_format(self, form: bytes) -> None:
        if len(form) < 16:
            raise RemoteProtocolError("the audio is no WAV that can be read: it does not state its format")
        if self._format and form != self._format:
            raise RemoteProtocolError("the pieces of the audio differ in their format and make no single WAV")
        _, _, rate_hz, _, block_bytes, _ = struct.unpack_from("<HHIIHH", form)
        if not rate_hz or not block_bytes:
            raise RemoteProtocolError("the audio is no WAV that can be read: it states no rate")
        self._format, self.rate_hz, self._block_bytes = form, rate_hz, block_bytes

    def _data(self, data: bytes) -> bytes:
        """What of it are samples; behind a length that was stated come other chunks."""
        if self._left_bytes is not None:
            data = data[: self._left_bytes]
            self._left_bytes -= len(data)
        self._came_bytes += len(data)
        self._data_bytes += len(data)
        return data

    def end_piece(self) -> None:
        if not self._in_data:
            raise RemoteProtocolError("the audio ends within the head of its WAV: it is cut")
        if self._left_bytes:
            raise RemoteProtocolError(f"the audio is cut: {self._left_bytes} bytes of its WAV are missing")
        if self._came_bytes % self._block_bytes:
            raise RemoteProtocolError("the audio ends in the middle of a sample: it is cut")
        self._begin_piece()

    def finish(self) -> bytes:
        return b"\0" if self._data_bytes % 2 else b""

    def head(self) -> bytes | None:
        head = self._written_head(self._data_bytes)
        return None if head == self._first_head else head

    def _written_head(self, data_bytes: int | None) -> bytes:
        form = self._format + b"\0" * (len(self._format) % 2)
        rest_bytes = 4 + 8 + len(form) + 8
        whole = _LENGTH_UNKNOWN if data_bytes is None else rest_bytes + data_bytes + data_bytes % 2
        if data_bytes is None or whole >= _LENGTH_UNKNOWN:
            whole = data_bytes = _LENGTH_UNKNOWN
        return b"".join(
            (
                b"RIFF" + struct.pack("<I", whole) + b"WAVE",
                b"fmt " + struct.pack("<I", len(self._format)) + form,
                b"data" + struct.pack("<I", data_bytes),
            )
        )


@dataclass(frozen=True, slots=True)
class Mp3Frame:
    """What the head of a frame of MPEG layer III states."""

    size_bytes: int
    samples: int
    rate_hz: int
    index_at: int
    """Where in the frame an index would stand instead of sound."""


def mp3_frame(head: Audio) -> Mp3Frame | None:
    """The frame that begins with these four bytes, None when none does."""
    if len(head) < _FRAME_HEAD_BYTES or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    version, kind, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    is_first = version == 3
    kilobits = _MP3_KILOBITS[is_first][kind]
    if version not in _MP3_RATES_HZ or rate == 3 or not kilobits:
        return None
    rate_hz = _MP3_RATES_HZ[version][rate]
    samples = 1152 if is_first else 576
    size_bytes = samples // 8 * kilobits * 1000 // rate_hz + (head[2] >> 1 & 1)
    is_mono = head[3] >> 6 == 3
    return Mp3Frame(size_bytes, samples, rate_hz, _FRAME_HEAD_BYTES + _SIDE_BYTES[is_first, is_mono])


class _Mp3(JoinedSpeech):
    """A single piece as it comes, and of several the frames alone.

    Tags (ID3 and the like) belong to a piece, and so does the index that may stand in its first frame (Xing, Info,
    VBRI): it states the length of the piece, and a player would believe it for the whole. An encoder begins each piece
    anew, so that no frame needs the one before the join.
    """

    def __init__(self, rate_hz: int, *, is_single: bool) -> None:
        super().__init__(rate_hz)
        self._is_single = is_single
        self._duration_ms = 0.0
        self._frames = 0
        self._begin_piece()

    def _begin_piece(self) -> None:
        self._waiting = bytearray()
        self._skip_bytes = 0
        self._piece_frames = 0
        self._is_first = True

    @property
    def duration_ms(self) -> float | None:
        return self._duration_ms if self._frames else None

    def push(self, chunk: Audio) -> bytes:
        self._waiting += chunk
        frames = self._take_frames()
        return bytes(chunk) if self._is_single else frames

    def _take_frames(self) -> bytes:
        """Whole frames out of what waits; what is between them is skipped."""
        waiting, at, made = self._waiting, 0, bytearray()
        while True:
            skipped = min(self._skip_bytes, len(waiting) - at)
            self._skip_bytes -= skipped
            at += skipped
            if len(waiting) - at < _TAG_HEAD_BYTES:
                break
            frame = mp3_frame(waiting[at : at + _FRAME_HEAD_BYTES])
            if frame is None:
                tag_bytes = _tag_bytes(waiting[at : at + _TAG_HEAD_BYTES])
                self._skip_bytes = tag_bytes or _next_sync(waiting, at + 1) - at
                continue
            if len(waiting) - at < frame.size_bytes:
                break
            data = waiting[at : at + frame.size_bytes]
            at += frame.size_bytes
            if not (self._is_first and _is_index(data, frame)):
                made += data
                self._count(frame)
            self._is_first = False
        del waiting[:at]
        return bytes(made)

    def _count(self, frame: Mp3Frame) -> None:
        self._frames += 1
        self._piece_frames += 1
        self._duration_ms += frame.samples * 1000 / frame.rate_hz
        self.rate_hz = frame.rate_hz

    def end_piece(self) -> None:
        if not self._is_single and not self._piece_frames:
            raise RemoteProtocolError("the audio is no MP3 that can be joined: no frame was found in it")
        self._begin_piece()


def _tag_bytes(head: Audio) -> int:
    """How long the ID3 tag is that begins so, 0 when none does."""
    if bytes(head[:3]) != b"ID3" or any(byte > 0x7F for byte in head[6:10]):
        return 0
    size_bytes = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    has_footer = bool(head[5] & 0x10)
    return _TAG_HEAD_BYTES + size_bytes + (_TAG_HEAD_BYTES if has_footer else 0)


def _next_sync(data: bytearray, start: int) -> int:
    """Where the next frame or tag may begin."""
    found = [place for place in (data.find(0xFF, start), data.find(b"I", start)) if place >= 0]
    return min(found, default=len(data))


def _is_index(data: Audio, frame: Mp3Frame) -> bool:
    names = (bytes(data[frame.index_at : frame.index_at + 4]), bytes(data[36:40]))
    return names[0] in (b"Xing", b"Info") or names[1] == b"VBRI"
