"""One hash for one conversation. In: folded conversations. Out: sha256 as hex. Imports: room 3's values.

It covers, for each item in order: role, every text stated of it, call name, arguments, output, and the hash of its
received audio; then usage. Ids and times do not count, nor does microphone audio.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Final

from xai_realtime.protocol.conversation import Conversation, Item

__all__ = ["FOLD_VERSION", "digest"]

FOLD_VERSION: Final = 1
"""Raised when the fold changes what an equal conversation hashes to."""


def digest(conversations: Iterable[Conversation], chats: Iterable[Any] = ()) -> str:
    """The digest of the conversations of one tape, a connection each, in the order they were opened.

    `chats` are JSON values that stand for what was said over HTTP; without any the digest is that of the conversations.
    """
    content = [
        {"items": [_item(item) for item in conversation.items], "usage": conversation.usage.stated}
        for conversation in conversations
    ]
    said = list(chats)
    more = {"chats": said} if said else {}
    text = json.dumps({"fold": FOLD_VERSION, "conversations": content, **more}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _item(item: Item) -> list[Any]:
    return [
        item.kind,
        item.role,
        [[index, part.all()] for index, part in sorted(item.parts.items()) if part.all()],
        item.names.all(),
        item.arguments.all(),
        [item.output, *item.outputs.all()],
        item.audio_sha256,
    ]
