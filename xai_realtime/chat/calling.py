"""What may be said with one chat request. In: nothing. Out: the type of its options. Imports: rooms 0-5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from xai_realtime.chat._settings import ChatSettings
from xai_realtime.chat.messages import DeveloperAs
from xai_realtime.protocol.chat_policy import ChatPolicy
from xai_realtime.protocol.ledger import UsageLedger

__all__ = ["CALL_OPTIONS", "ChatCall"]


class ChatCall(ChatSettings, total=False):
    """The options of one chat request: the settings, and how it is asked.

    `system` is the instruction of this call; it goes before that of the conversation. `developer_as` is the role in
    which `developer` messages go out, `user` or `system`. `extra` is laid over the body last, and wins. `policy` says
    how often it is tried; `ledger` is told what it used, and may be that of a realtime session. `url` replaces the
    whole address, `query` adds to it; `api_key` and `headers` are for this call.
    """

    system: str | None
    developer_as: DeveloperAs | None
    extra: Mapping[str, Any] | None
    policy: ChatPolicy | None
    ledger: UsageLedger | None
    url: str | None
    query: Mapping[str, str] | None
    api_key: str | None
    headers: Mapping[str, str] | None


CALL_OPTIONS: Final = frozenset(ChatCall.__annotations__) - frozenset(ChatSettings.__annotations__)
"""Those of them that are no settings."""
