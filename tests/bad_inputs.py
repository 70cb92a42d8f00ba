"""Thirteen messages that no service should send, and what each becomes."""

from __future__ import annotations

from xai_realtime.events import InvalidEvent, UnknownEvent, realtime

__all__ = ["BAD"]

BAD: dict[str, tuple[bytes, type]] = {
    "unknown type": (b'{"type":"unheard.of"}', UnknownEvent),
    "no type": (b'{"x":1}', UnknownEvent),
    "wrong field types": (b'{"type":"response.done","response":{"id":5}}', InvalidEvent),
    "list": (b"[1]", UnknownEvent),
    "null": (b"null", UnknownEvent),
    "NaN": (b'{"type":"ping","timestamp":NaN}', InvalidEvent),
    "truncated JSON": (b'{"type":"ping","timest', InvalidEvent),
    "100,000-deep array": (b"[" * 100_000 + b"]" * 100_000, InvalidEvent),
    "bad UTF-8": (b'{"type":"ping","x":"\xff\xfe"}', InvalidEvent),
    "5,000-digit integer": (b'{"type":"ping","timestamp":' + b"7" * 5000 + b"}", InvalidEvent),
    "bad base64": (
        b'{"type":"response.output_audio.delta","item_id":"i","response_id":"r","delta":"@@@"}',
        realtime.ResponseOutputAudioDelta,
    ),
    "lone surrogate": (b'{"type":"error","error":{"message":"\\ud800"}}', InvalidEvent),
    "64 MiB message": (b'{"type":"ping","x":"' + b"y" * (64 * 1024 * 1024) + b'"}', InvalidEvent),
}
