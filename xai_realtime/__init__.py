"""Talk with Grok, and record, replay and break every conversation on purpose. In: imports. Out: the public names.

Names are imported when first used, so that `import xai_realtime` costs next to nothing.
"""

from __future__ import annotations

from xai_realtime._version import __version__

TYPE_CHECKING = False  # as in typing, whose import would cost more than this whole module
if TYPE_CHECKING:
    from typing import Any

    from xai_realtime.cassette.checking import CheckReport, check_cassette
    from xai_realtime.cassette.importing import ImportReport, import_capture
    from xai_realtime.cassette.matching import MatchPolicy
    from xai_realtime.cassette.recording import RecordingTransport, record
    from xai_realtime.cassette.redaction import Redactor, Rule
    from xai_realtime.cassette.replay import ReplayTransport, replay
    from xai_realtime.cassette.tape import Cassette, load_cassette
    from xai_realtime.client import AsyncClient
    from xai_realtime.codec import Codec
    from xai_realtime.digest import digest
    from xai_realtime.errors import (
        AudioDecodeError,
        CassetteError,
        CassetteFormatError,
        ClosedByServerError,
        ClosedByUsError,
        ConfigurationError,
        ConnectError,
        ConnectionBrokenError,
        ConnectionClosedError,
        HandshakeError,
        LocalProtocolError,
        MessageTooLargeError,
        ProtocolError,
        RedactionError,
        RedirectRefusedError,
        RemoteProtocolError,
        ReplayError,
        ReplayIncompleteError,
        ReplayMismatchError,
        ReplayOrderError,
        ReplayStuckError,
        SpecError,
        TransportError,
        TransportTimeoutError,
        XaiRealtimeError,
    )
    from xai_realtime.events import BinaryAudio, InvalidEvent, UnknownEvent
    from xai_realtime.frames import Frame
    from xai_realtime.player import Moment, Playback, play
    from xai_realtime.protocol.conversation import Conversation
    from xai_realtime.realtime.connection import RealtimeConnection
    from xai_realtime.transport.base import Channel, ChannelRequest, Transport
    from xai_realtime.transport.memory import MemoryServer, MemoryTransport, memory_pair
    from xai_realtime.transport.websocket import WebSocketTransport
    from xai_realtime.virtual_time import VirtualTimeError, run_virtual

_MODULES = {
    "cassette.checking": ("CheckReport", "check_cassette"),
    "cassette.importing": ("ImportReport", "import_capture"),
    "cassette.matching": ("MatchPolicy",),
    "cassette.recording": ("RecordingTransport", "record"),
    "cassette.redaction": ("Redactor", "Rule"),
    "cassette.replay": ("ReplayTransport", "replay"),
    "cassette.tape": ("Cassette", "load_cassette"),
    "client": ("AsyncClient",),
    "codec": ("Codec",),
    "digest": ("digest",),
    "errors": (
        "AudioDecodeError",
        "CassetteError",
        "CassetteFormatError",
        "ClosedByServerError",
        "ClosedByUsError",
        "ConfigurationError",
        "ConnectError",
        "ConnectionBrokenError",
        "ConnectionClosedError",
        "HandshakeError",
        "LocalProtocolError",
        "MessageTooLargeError",
        "ProtocolError",
        "RedactionError",
        "RedirectRefusedError",
        "RemoteProtocolError",
        "ReplayError",
        "ReplayIncompleteError",
        "ReplayMismatchError",
        "ReplayOrderError",
        "ReplayStuckError",
        "SpecError",
        "TransportError",
        "TransportTimeoutError",
        "XaiRealtimeError",
    ),
    "events": ("BinaryAudio", "InvalidEvent", "UnknownEvent"),
    "frames": ("Frame",),
    "player": ("Moment", "Playback", "play"),
    "protocol.conversation": ("Conversation",),
    "realtime.connection": ("RealtimeConnection",),
    "transport.base": ("Channel", "ChannelRequest", "Transport"),
    "transport.memory": ("MemoryServer", "MemoryTransport", "memory_pair"),
    "transport.websocket": ("WebSocketTransport",),
    "virtual_time": ("VirtualTimeError", "run_virtual"),
}

_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "AsyncClient",
    "AudioDecodeError",
    "BinaryAudio",
    "Cassette",
    "CassetteError",
    "CassetteFormatError",
    "Channel",
    "ChannelRequest",
    "CheckReport",
    "ClosedByServerError",
    "ClosedByUsError",
    "Codec",
    "ConfigurationError",
    "ConnectError",
    "ConnectionBrokenError",
    "ConnectionClosedError",
    "Conversation",
    "Frame",
    "HandshakeError",
    "ImportReport",
    "InvalidEvent",
    "LocalProtocolError",
    "MatchPolicy",
    "MemoryServer",
    "MemoryTransport",
    "MessageTooLargeError",
    "Moment",
    "Playback",
    "ProtocolError",
    "RealtimeConnection",
    "RecordingTransport",
    "RedactionError",
    "Redactor",
    "RedirectRefusedError",
    "RemoteProtocolError",
    "ReplayError",
    "ReplayIncompleteError",
    "ReplayMismatchError",
    "ReplayOrderError",
    "ReplayStuckError",
    "ReplayTransport",
    "Rule",
    "SpecError",
    "Transport",
    "TransportError",
    "TransportTimeoutError",
    "UnknownEvent",
    "VirtualTimeError",
    "WebSocketTransport",
    "XaiRealtimeError",
    "__version__",
    "check_cassette",
    "digest",
    "import_capture",
    "load_cassette",
    "memory_pair",
    "play",
    "record",
    "replay",
    "run_virtual",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        module = _HOME.get(name)
        if module is None:
            raise AttributeError(f"module 'xai_realtime' has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(f"xai_realtime.{module}"), name)
        return value

    def __dir__() -> list[str]:
        return __all__
