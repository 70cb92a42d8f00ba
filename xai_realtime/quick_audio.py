"""The one message that nearly all are, read without a parser. In: bytes. Out: audio, or None for the long way.

Imports: pybase64, stdlib.
"""

from __future__ import annotations

import re
from typing import Final

import pybase64

__all__ = ["QuickAudio"]

HEAD: Final = re.compile(rb'\s*\{\s*"type"\s*:\s*"audio\.delta"\s*,\s*"delta"\s*:\s*"')
END: Final = b'"}'


class QuickAudio:
    """Reads an `audio.delta` that holds audio and nothing else.

    What stands between the head and the end of such a message is base64 throughout, which is checked: there is then
    no quotation mark in it, and nothing else can be in the message.
    """

    __slots__ = ("_head",)

    def __init__(self) -> None:
        self._head = b"{}"

    def read(self, data: bytes) -> bytes | None:
        """The audio; None for every other message, and for one that is no base64."""
        if not data.startswith(self._head):
            found = HEAD.match(data)
            if found is None:
                return None
            self._head = found[0]
        if not data.endswith(END):
            return None
        try:
            return pybase64.b64decode(memoryview(data)[len(self._head) : -len(END)], validate=True)
        except ValueError:
            return None
