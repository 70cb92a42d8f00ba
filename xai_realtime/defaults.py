"""Every default in one place, units in the names. In: nothing. Out: constants. Imports: the standard library.

The documented table of them stands in `docs/defaults.md`, and a test holds the two together.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "API_HOST",
    "AUDIO_RATE_HZ",
    "BASE_URL",
    "CLIENT_SECRET_S",
    "CLOSE_TIMEOUT_S",
    "HANDOVER_BEFORE_S",
    "HTTP_CONNECTIONS",
    "HTTP_CONNECT_TIMEOUT_S",
    "HTTP_KEEPALIVE_S",
    "HTTP_POOL_TIMEOUT_S",
    "HTTP_READ_TIMEOUT_S",
    "HTTP_WRITE_TIMEOUT_S",
    "MAX_CLIENT_SECRET_S",
    "MAX_ERROR_PAYLOAD_BYTES",
    "MAX_MESSAGE_BYTES",
    "MAX_QUEUED_EVENTS",
    "MAX_QUEUED_TURNS",
    "MICROPHONE_RING_S",
    "OPEN_TIMEOUT_S",
    "PING_INTERVAL_S",
    "PING_TIMEOUT_S",
    "READY_TIMEOUT_S",
    "RECONNECT_FIRST_DELAY_S",
    "RECONNECT_MAX_ATTEMPTS",
    "RECONNECT_MAX_DELAY_S",
    "RECONNECT_MAX_PER_SESSION",
    "RECONNECT_WINDOW_S",
    "REPLY_TIMEOUT_S",
    "SESSION_LIMIT_S",
    "TOOL_TIMEOUT_S",
    "VOICE_MODEL",
    "WARN_BEFORE_S",
]

API_HOST: Final = "api.x.ai"
BASE_URL: Final = f"https://{API_HOST}/v1"
VOICE_MODEL: Final = "grok-voice-latest"
AUDIO_RATE_HZ: Final = 24_000

OPEN_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 1.0
PING_INTERVAL_S: Final = 20.0
PING_TIMEOUT_S: Final = 20.0

HTTP_CONNECT_TIMEOUT_S: Final = 15.0
HTTP_READ_TIMEOUT_S: Final = 60.0
HTTP_WRITE_TIMEOUT_S: Final = 5.0
HTTP_POOL_TIMEOUT_S: Final = 5.0
HTTP_CONNECTIONS: Final = 50
HTTP_KEEPALIVE_S: Final = 120.0

CLIENT_SECRET_S: Final = 600
MAX_CLIENT_SECRET_S: Final = 3600

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""A second of 48 kHz PCM16 is 128 kB of base64: two minutes of audio in one message still pass."""
MAX_ERROR_PAYLOAD_BYTES: Final = 64 * 1024
"""What an InvalidEvent or an exception keeps of what came."""

READY_TIMEOUT_S: Final = 10.0
REPLY_TIMEOUT_S: Final = 15.0
TOOL_TIMEOUT_S: Final = 60.0
MICROPHONE_RING_S: Final = 30.0
SESSION_LIMIT_S: Final = 7_200.0
WARN_BEFORE_S: Final = 120.0
HANDOVER_BEFORE_S: Final = 60.0
MAX_QUEUED_EVENTS: Final = 4_096
MAX_QUEUED_TURNS: Final = 100
RECONNECT_FIRST_DELAY_S: Final = 0.25
RECONNECT_MAX_DELAY_S: Final = 8.0
RECONNECT_MAX_ATTEMPTS: Final = 6
RECONNECT_MAX_PER_SESSION: Final = 20
RECONNECT_WINDOW_S: Final = 3_600.0
