"""Talking without async, every wait bounded: a scenario, clients, and readers of replies."""

from __future__ import annotations

import threading
from typing import Any

from xai_realtime.audible import hear
from xai_realtime.emulator import Emulator, Prompt, ToolRequest, Turn
from xai_realtime.emulator.scenario import DropSpec
from xai_realtime.protocol.session_events import AudioOutput, ResponseDone, Transcript
from xai_realtime.sync_client import Client, SyncRealtimeSession

__all__ = ["PATIENCE_S", "answer", "client_of", "loop_threads", "read_reply", "said", "until_done"]

PATIENCE_S = 5.0


def answer(prompt: Prompt) -> Turn | str | None:
    if prompt.heard.startswith("Call "):
        return Turn(calls=(ToolRequest(prompt.heard.removeprefix("Call "), {}),), then="It says {output}")
    if prompt.heard == "Hang up":
        return Turn(say="Bye", drop=DropSpec(code=4_000))
    return None if prompt.heard == "hush" else f"You said: {prompt.heard}"


def loop_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "xai_realtime.Client"]


def client_of(emulator: Emulator, **options: Any) -> Client:
    return Client(base_url=emulator.url, api_key=emulator.api_key, **options)


def until_done(session: SyncRealtimeSession) -> list[Any]:
    """The events up to the end of a reply that was spoken."""
    events: list[Any] = []
    while not any(isinstance(event, Transcript) and event.role == "assistant" for event in events):
        events += read_reply(session)
    return events


def read_reply(session: SyncRealtimeSession) -> list[Any]:
    events: list[Any] = []
    while not events or not isinstance(events[-1], ResponseDone):
        events.append(session.receive(timeout_s=PATIENCE_S))
    return events


def said(session: SyncRealtimeSession, text: str) -> str | None:
    session.send_text(text)
    return hear(b"".join(event.audio for event in until_done(session) if isinstance(event, AudioOutput)))
