"""Text as a program gives it: whole, or in pieces while it is written. In: any of them. Out: texts and marks.

Imports: room 0, protocol, anyio.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import Any, Final, TypeAlias

import anyio

from xai_realtime.errors import ConfigurationError
from xai_realtime.protocol.tts_text import Flush

__all__ = ["TextInput", "check_text", "read_text"]

_log: Final = logging.getLogger("xai_realtime.tts")

TextInput: TypeAlias = str | Iterable[str | Flush] | AsyncIterable[str | Flush]


def check_text(text: object) -> None:
    """Raise ConfigurationError for what is no text and gives none."""
    is_bytes = isinstance(text, bytes | bytearray | memoryview)
    if is_bytes or not isinstance(text, str | Iterable | AsyncIterable):
        raise ConfigurationError(
            f"text is a {type(text).__name__}; a str, or an iterable or async iterable of str is allowed"
        )


async def read_text(text: TextInput, give: Callable[[str | Flush], Awaitable[None]], close_timeout_s: float) -> None:
    """Pass on what an iterable gives, and close it at the end, also when this is cancelled.

    Raises what the iterable and `give` raise, ConfigurationError for an item that is no text.
    """
    iterator: Any
    if isinstance(text, AsyncIterable):
        iterator = aiter(text)
        try:
            async for item in iterator:
                await give(_checked(item))
        finally:
            await _close(iterator, close_timeout_s)
        return
    iterator = iter([text] if isinstance(text, str) else text)
    try:
        for item in iterator:
            await give(_checked(item))
    finally:
        if hasattr(iterator, "close"):
            iterator.close()


def _checked(item: object) -> str | Flush:
    if not isinstance(item, str | Flush):
        raise ConfigurationError(f"the text gave a {type(item).__name__}; str and Flush are allowed")
    return item


async def _close(iterator: Any, timeout_s: float) -> None:
    if not hasattr(iterator, "aclose"):
        return
    with anyio.move_on_after(timeout_s, shield=True):
        try:
            await iterator.aclose()
        except Exception as error:  # noqa: BLE001 - the speech is over, and what it said counts
            _log.warning("closing the iterator of the text raised %s", type(error).__name__)
