"""What of a configuration a session's core needs. In: a configuration. Out: SessionSetup. Imports: rooms 0-5."""

from __future__ import annotations

from typing import TypeVar

from xai_realtime.protocol.policy import SessionPolicy
from xai_realtime.protocol.session import SessionSetup
from xai_realtime.realtime.config import SessionConfig, Update
from xai_realtime.tools import Toolbox

__all__ = ["gated", "has_server_tools", "session_setup"]

UpdateT = TypeVar("UpdateT", Update, Update | None)


def session_setup(config: SessionConfig, policy: SessionPolicy) -> SessionSetup:
    """What the core needs."""
    detection = config.turn_detection
    return SessionSetup(
        lambda: gated(config.to_update(), policy),
        config.input_format,
        config.output_format,
        config.model,
        is_manual=config.is_manual,
        interrupts=getattr(detection, "interrupt_response", None) is not False,
        silence_ms=getattr(detection, "silence_duration_ms", None),
    )


def gated(update: UpdateT, policy: SessionPolicy) -> UpdateT:
    """The update; where speech must have some length to interrupt, the server is told to leave that to the session."""
    if update is None or not policy.min_speech_ms:
        return update
    if isinstance(update, dict):
        session = update["session"]
        detection = session.get("turn_detection")
        silent_session = {**session, "turn_detection": {**(detection or {}), "interrupt_response": False}}
        return {**update, "session": silent_session} if detection and detection.get("type") else update
    given = update.session.turn_detection
    if given is None or given.type is None:
        return update
    silent = given.model_copy(update={"interrupt_response": False})
    return update.model_copy(update={"session": update.session.model_copy(update={"turn_detection": silent})})


def has_server_tools(toolbox: Toolbox) -> bool:
    """Are there tools among them that the service runs, which cost extra?"""
    return len(toolbox.to_wire()) > len(toolbox.functions)
