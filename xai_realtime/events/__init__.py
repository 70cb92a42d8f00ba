"""The shapes of the wire, a module a service, and the events that no spec names. Imports: pydantic, room 0."""

from __future__ import annotations

from xai_realtime.events._base import BinaryAudio, InvalidEvent, UnknownEvent

__all__ = ["BinaryAudio", "InvalidEvent", "UnknownEvent"]
