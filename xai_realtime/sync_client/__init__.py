"""The client without async: calls that wait. In: options. Out: the blocking client. Imports: rooms 0-6."""

from __future__ import annotations

from xai_realtime.sync_client._chat import SyncChat, SyncChatRun, SyncChatStream, SyncModels
from xai_realtime.sync_client._client import Client, SyncRealtime, SyncRealtimeConnection, SyncRealtimeSession
from xai_realtime.sync_client._speech import SyncStt, SyncSttStream, SyncTts, SyncTtsStream

__all__ = [
    "Client",
    "SyncChat",
    "SyncChatRun",
    "SyncChatStream",
    "SyncModels",
    "SyncRealtime",
    "SyncRealtimeConnection",
    "SyncRealtimeSession",
    "SyncStt",
    "SyncSttStream",
    "SyncTts",
    "SyncTtsStream",
]
