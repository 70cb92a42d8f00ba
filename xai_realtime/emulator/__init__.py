"""A local stand-in for the service. In: a scenario. Out: `Emulator`, scenarios' parts. Imports: rooms 0-7."""

from __future__ import annotations

from xai_realtime.emulator.chat_quirks import ChatQuirks
from xai_realtime.emulator.emulator import Emulator
from xai_realtime.emulator.quirks import Quirks
from xai_realtime.emulator.scenario import (
    DropSpec,
    ErrorSpec,
    Limits,
    Prompt,
    Scenario,
    Settings,
    TableScenario,
    ToolRequest,
    Turn,
    load_scenario,
)
from xai_realtime.emulator.speech_quirks import Refuse, SpeechQuirks

__all__ = [
    "ChatQuirks",
    "DropSpec",
    "Emulator",
    "ErrorSpec",
    "Limits",
    "Prompt",
    "Quirks",
    "Refuse",
    "Scenario",
    "Settings",
    "SpeechQuirks",
    "TableScenario",
    "ToolRequest",
    "Turn",
    "load_scenario",
]
