"""Talk with Grok, and record, replay and break every conversation on purpose. In: imports. Out: the public names.

Names are imported when first used, so that `import xai_realtime` costs next to nothing.
"""

from __future__ import annotations

from xai_realtime._version import __version__

TYPE_CHECKING = False  # as in typing, whose import would cost more than this whole module
if TYPE_CHECKING:
    from typing import Any

    from xai_realtime.audio import AudioConverter
    from xai_realtime.cassette.checking import CheckReport, check_cassette
    from xai_realtime.cassette.importing import ImportReport, import_capture
    from xai_realtime.cassette.matching import MatchPolicy
    from xai_realtime.cassette.recording import RecordingTransport, record
    from xai_realtime.cassette.redaction import Redactor, Rule
    from xai_realtime.cassette.replay import ReplayTransport, replay
    from xai_realtime.cassette.tape import Cassette, load_cassette
    from xai_realtime.chat.calling import ChatCall
    from xai_realtime.chat.conversation import ChatConversation
    from xai_realtime.chat.messages import InstructionConflictWarning, file_part, image_part, text_part
    from xai_realtime.chat.partial import FieldText, PartialJson
    from xai_realtime.chat.request import ChatSettings
    from xai_realtime.chat.run import ChatRun
    from xai_realtime.chat.stream import ChatStream
    from xai_realtime.client import AsyncClient
    from xai_realtime.codec import Codec
    from xai_realtime.digest import digest
    from xai_realtime.errors import (
        ApiError,
        AudioDecodeError,
        AuthenticationError,
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
        NotFoundError,
        PermissionDeniedError,
        ProtocolError,
        RateLimitError,
        RedactionError,
        RedirectRefusedError,
        RemoteProtocolError,
        ReplayError,
        ReplayIncompleteError,
        ReplayMismatchError,
        ReplayOrderError,
        ReplayStuckError,
        ServerError,
        ServiceError,
        SpecError,
        TransportError,
        TransportTimeoutError,
        XaiRealtimeError,
    )
    from xai_realtime.events import BinaryAudio, InvalidEvent, UnknownEvent
    from xai_realtime.events._chat import ChatStreamError
    from xai_realtime.frames import Frame
    from xai_realtime.models import ModelRef, Provider, Providers, RetiredModelWarning
    from xai_realtime.player import Moment, Playback, play
    from xai_realtime.protocol.chat_ledger import ChatSummary
    from xai_realtime.protocol.chat_outcome import ChatOutcome, ReasoningDelta, RefusalDelta, TextDelta, ToolDelta
    from xai_realtime.protocol.chat_policy import ChatPolicy
    from xai_realtime.protocol.chat_prices import ChatPrice
    from xai_realtime.protocol.chat_reply import ChatChoice, ChatReply
    from xai_realtime.protocol.chat_tools import ChatToolCall
    from xai_realtime.protocol.chat_usage import ChatUsage
    from xai_realtime.protocol.conversation import Conversation
    from xai_realtime.protocol.ledger import Budget, ResponseUsage, UsageLedger, UsageSummary
    from xai_realtime.protocol.metrics import SessionMetrics, Spread
    from xai_realtime.protocol.policy import Reconnect, SessionPolicy
    from xai_realtime.protocol.prices import PRICES, Cost, PriceTable, VoicePrice, chat_cost
    from xai_realtime.protocol.session_events import (
        AudioOutput,
        DtmfReceived,
        Interrupted,
        ItemCreated,
        ItemUpdated,
        Latency,
        Reconnected,
        ResponseDone,
        ResponseStarted,
        SessionItem,
        SessionReady,
        SessionWarning,
        SpeechStarted,
        SpeechStopped,
        ToolCalled,
        ToolFinished,
        Transcript,
        TranscriptDelta,
    )
    from xai_realtime.protocol.speech_prices import SPEECH_PRICES, SpeechPrices
    from xai_realtime.protocol.stt_events import (
        SttDone,
        SttInterim,
        SttReady,
        SttReconnected,
        SttSegment,
        SttUtterance,
        SttWord,
    )
    from xai_realtime.protocol.stt_policy import SttPolicy
    from xai_realtime.protocol.tts_audio import TtsCharacter, TtsWord
    from xai_realtime.protocol.tts_text import Flush
    from xai_realtime.protocol.tts_track import TtsPiece
    from xai_realtime.realtime.config import (
        AudioSettings,
        ConfigChange,
        Manual,
        ServerVad,
        SessionConfig,
        SessionSettings,
        Transcription,
    )
    from xai_realtime.realtime.connection import RealtimeConnection
    from xai_realtime.realtime.secrets import ClientSecret
    from xai_realtime.realtime.session import RealtimeSession
    from xai_realtime.speech_tags import TagProblem, check_tags
    from xai_realtime.stt.config import SttConfig, SttSettings
    from xai_realtime.stt.result import SttChannel, SttResult
    from xai_realtime.stt.stream import SttStream
    from xai_realtime.stt.transcribe import TranscribeSettings
    from xai_realtime.sync_client import (
        Client,
        SyncChatRun,
        SyncChatStream,
        SyncRealtimeConnection,
        SyncRealtimeSession,
        SyncSttStream,
        SyncTtsStream,
    )
    from xai_realtime.tools import FileSearch, Mcp, Tool, ToolOutcome, ToolResult, WebSearch, XSearch, tool
    from xai_realtime.transport.base import Channel, ChannelRequest, HttpRequest, HttpResponse, Transport
    from xai_realtime.transport.faults import Fault, FaultReport, FaultTransport, Injection, UnusedFaultError, faults
    from xai_realtime.transport.http import HttpTransport
    from xai_realtime.transport.httpx_adapter import as_httpx, as_httpx2, from_httpx
    from xai_realtime.transport.memory import MemoryServer, MemoryTransport, memory_pair
    from xai_realtime.transport.websocket import WebSocketTransport
    from xai_realtime.tts.config import TtsConfig, TtsSettings
    from xai_realtime.tts.custom_voices import CustomVoice, CustomVoicePage
    from xai_realtime.tts.policy import TtsPolicy
    from xai_realtime.tts.stream import TtsStream
    from xai_realtime.tts.synthesize import TtsResult, TtsSynthesis
    from xai_realtime.tts.voices import Voice
    from xai_realtime.virtual_time import VirtualTimeError, run_virtual

_MODULES = {
    "audio": "AudioConverter",
    "cassette.checking": "CheckReport check_cassette",
    "cassette.importing": "ImportReport import_capture",
    "cassette.matching": "MatchPolicy",
    "cassette.recording": "RecordingTransport record",
    "cassette.redaction": "Redactor Rule",
    "cassette.replay": "ReplayTransport replay",
    "cassette.tape": "Cassette load_cassette",
    "chat.calling": "ChatCall",
    "chat.conversation": "ChatConversation",
    "chat.messages": "InstructionConflictWarning file_part image_part text_part",
    "chat.partial": "FieldText PartialJson",
    "chat.request": "ChatSettings",
    "chat.run": "ChatRun",
    "chat.stream": "ChatStream",
    "client": "AsyncClient",
    "codec": "Codec",
    "digest": "digest",
    "errors": (
        "ApiError AudioDecodeError AuthenticationError CassetteError CassetteFormatError ClosedByServerError "
        "ClosedByUsError ConfigurationError ConnectError ConnectionBrokenError ConnectionClosedError "
        "HandshakeError LocalProtocolError MessageTooLargeError NotFoundError PermissionDeniedError "
        "ProtocolError RateLimitError RedactionError RedirectRefusedError RemoteProtocolError ReplayError "
        "ReplayIncompleteError ReplayMismatchError ReplayOrderError ReplayStuckError ServerError ServiceError "
        "SpecError TransportError TransportTimeoutError XaiRealtimeError"
    ),
    "events": "BinaryAudio InvalidEvent UnknownEvent",
    "events._chat": "ChatStreamError",
    "frames": "Frame",
    "models": "ModelRef Provider Providers RetiredModelWarning",
    "player": "Moment Playback play",
    "protocol.chat_ledger": "ChatSummary",
    "protocol.chat_outcome": "ChatOutcome ReasoningDelta RefusalDelta TextDelta ToolDelta",
    "protocol.chat_policy": "ChatPolicy",
    "protocol.chat_prices": "ChatPrice",
    "protocol.chat_reply": "ChatChoice ChatReply",
    "protocol.chat_tools": "ChatToolCall",
    "protocol.chat_usage": "ChatUsage",
    "protocol.conversation": "Conversation",
    "protocol.ledger": "Budget ResponseUsage UsageLedger UsageSummary",
    "protocol.metrics": "SessionMetrics Spread",
    "protocol.policy": "Reconnect SessionPolicy",
    "protocol.prices": "Cost PRICES PriceTable VoicePrice chat_cost",
    "protocol.session_events": (
        "AudioOutput DtmfReceived Interrupted ItemCreated ItemUpdated Latency Reconnected ResponseDone "
        "ResponseStarted SessionItem SessionReady SessionWarning SpeechStarted SpeechStopped ToolCalled "
        "ToolFinished Transcript TranscriptDelta"
    ),
    "protocol.speech_prices": "SPEECH_PRICES SpeechPrices",
    "protocol.stt_events": "SttDone SttInterim SttReady SttReconnected SttSegment SttUtterance SttWord",
    "protocol.stt_policy": "SttPolicy",
    "protocol.tts_audio": "TtsCharacter TtsWord",
    "protocol.tts_text": "Flush",
    "protocol.tts_track": "TtsPiece",
    "realtime.config": "AudioSettings ConfigChange Manual ServerVad SessionConfig SessionSettings Transcription",
    "realtime.connection": "RealtimeConnection",
    "realtime.secrets": "ClientSecret",
    "realtime.session": "RealtimeSession",
    "speech_tags": "TagProblem check_tags",
    "stt.config": "SttConfig SttSettings",
    "stt.result": "SttChannel SttResult",
    "stt.stream": "SttStream",
    "stt.transcribe": "TranscribeSettings",
    "sync_client": (
        "Client SyncChatRun SyncChatStream SyncRealtimeConnection SyncRealtimeSession SyncSttStream SyncTtsStream"
    ),
    "tools": "FileSearch Mcp Tool ToolOutcome ToolResult WebSearch XSearch tool",
    "transport.base": "Channel ChannelRequest HttpRequest HttpResponse Transport",
    "transport.faults": "Fault FaultReport FaultTransport Injection UnusedFaultError faults",
    "transport.http": "HttpTransport",
    "transport.httpx_adapter": "as_httpx as_httpx2 from_httpx",
    "transport.memory": "MemoryServer MemoryTransport memory_pair",
    "transport.websocket": "WebSocketTransport",
    "tts.config": "TtsConfig TtsSettings",
    "tts.custom_voices": "CustomVoice CustomVoicePage",
    "tts.policy": "TtsPolicy",
    "tts.stream": "TtsStream",
    "tts.synthesize": "TtsResult TtsSynthesis",
    "tts.voices": "Voice",
    "virtual_time": "VirtualTimeError run_virtual",
}

_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [
    "PRICES",
    "SPEECH_PRICES",
    "ApiError",
    "AsyncClient",
    "AudioConverter",
    "AudioDecodeError",
    "AudioOutput",
    "AudioSettings",
    "AuthenticationError",
    "BinaryAudio",
    "Budget",
    "Cassette",
    "CassetteError",
    "CassetteFormatError",
    "Channel",
    "ChannelRequest",
    "ChatCall",
    "ChatChoice",
    "ChatConversation",
    "ChatOutcome",
    "ChatPolicy",
    "ChatPrice",
    "ChatReply",
    "ChatRun",
    "ChatSettings",
    "ChatStream",
    "ChatStreamError",
    "ChatSummary",
    "ChatToolCall",
    "ChatUsage",
    "CheckReport",
    "Client",
    "ClientSecret",
    "ClosedByServerError",
    "ClosedByUsError",
    "Codec",
    "ConfigChange",
    "ConfigurationError",
    "ConnectError",
    "ConnectionBrokenError",
    "ConnectionClosedError",
    "Conversation",
    "Cost",
    "CustomVoice",
    "CustomVoicePage",
    "DtmfReceived",
    "Fault",
    "FaultReport",
    "FaultTransport",
    "FieldText",
    "FileSearch",
    "Flush",
    "Frame",
    "HandshakeError",
    "HttpRequest",
    "HttpResponse",
    "HttpTransport",
    "ImportReport",
    "Injection",
    "InstructionConflictWarning",
    "Interrupted",
    "InvalidEvent",
    "ItemCreated",
    "ItemUpdated",
    "Latency",
    "LocalProtocolError",
    "Manual",
    "MatchPolicy",
    "Mcp",
    "MemoryServer",
    "MemoryTransport",
    "MessageTooLargeError",
    "ModelRef",
    "Moment",
    "NotFoundError",
    "PartialJson",
    "PermissionDeniedError",
    "Playback",
    "PriceTable",
    "ProtocolError",
    "Provider",
    "Providers",
    "RateLimitError",
    "RealtimeConnection",
    "RealtimeSession",
    "ReasoningDelta",
    "Reconnect",
    "Reconnected",
    "RecordingTransport",
    "RedactionError",
    "Redactor",
    "RedirectRefusedError",
    "RefusalDelta",
    "RemoteProtocolError",
    "ReplayError",
    "ReplayIncompleteError",
    "ReplayMismatchError",
    "ReplayOrderError",
    "ReplayStuckError",
    "ReplayTransport",
    "ResponseDone",
    "ResponseStarted",
    "ResponseUsage",
    "RetiredModelWarning",
    "Rule",
    "ServerError",
    "ServerVad",
    "ServiceError",
    "SessionConfig",
    "SessionItem",
    "SessionMetrics",
    "SessionPolicy",
    "SessionReady",
    "SessionSettings",
    "SessionWarning",
    "SpecError",
    "SpeechPrices",
    "SpeechStarted",
    "SpeechStopped",
    "Spread",
    "SttChannel",
    "SttConfig",
    "SttDone",
    "SttInterim",
    "SttPolicy",
    "SttReady",
    "SttReconnected",
    "SttResult",
    "SttSegment",
    "SttSettings",
    "SttStream",
    "SttUtterance",
    "SttWord",
    "SyncChatRun",
    "SyncChatStream",
    "SyncRealtimeConnection",
    "SyncRealtimeSession",
    "SyncSttStream",
    "SyncTtsStream",
    "TagProblem",
    "TextDelta",
    "Tool",
    "ToolCalled",
    "ToolDelta",
    "ToolFinished",
    "ToolOutcome",
    "ToolResult",
    "TranscribeSettings",
    "Transcript",
    "TranscriptDelta",
    "Transcription",
    "Transport",
    "TransportError",
    "TransportTimeoutError",
    "TtsCharacter",
    "TtsConfig",
    "TtsPiece",
    "TtsPolicy",
    "TtsResult",
    "TtsSettings",
    "TtsStream",
    "TtsSynthesis",
    "TtsWord",
    "UnknownEvent",
    "UnusedFaultError",
    "UsageLedger",
    "UsageSummary",
    "VirtualTimeError",
    "Voice",
    "VoicePrice",
    "WebSearch",
    "WebSocketTransport",
    "XSearch",
    "XaiRealtimeError",
    "__version__",
    "as_httpx",
    "as_httpx2",
    "chat_cost",
    "check_cassette",
    "check_tags",
    "digest",
    "faults",
    "file_part",
    "from_httpx",
    "image_part",
    "import_capture",
    "load_cassette",
    "memory_pair",
    "play",
    "record",
    "replay",
    "run_virtual",
    "text_part",
    "tool",
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
