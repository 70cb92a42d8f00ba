"""What the tests of a session's configuration share: its bare wire form, a tool, a reader of updates."""

from __future__ import annotations

from typing import Any, cast

from xai_realtime.events import realtime

__all__ = ["BARE", "CANARY", "PCM", "lookup", "session_of"]

PCM = {"type": "audio/pcm", "rate": 24000}
BARE = {"turn_detection": {"type": "server_vad"}, "audio": {"input": {"format": PCM}, "output": {"format": PCM}}}
CANARY = "canary-4711"


def lookup(city: str) -> str:
    """Look a city up."""
    return city


def session_of(update: object) -> dict[str, Any]:
    """The session object of an update, typed or not, as it goes out."""
    wire = update.to_wire() if isinstance(update, realtime.SessionUpdate) else update
    assert isinstance(wire, dict) and wire["type"] == "session.update" and wire.keys() == {"type", "session"}
    return cast("dict[str, Any]", wire["session"])
