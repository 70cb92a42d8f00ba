"""Reads a text while it is written, and has it sent while it is spoken. In: an iterable of text. Out: a script, sent.

Imports: rooms 0-4, anyio.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from xai_realtime.errors import LocalProtocolError
from xai_realtime.protocol.tts_script import TtsScript
from xai_realtime.protocol.tts_text import Flush
from xai_realtime.tts._pool import SpeechPool
from xai_realtime.tts._text import TextInput, read_text

__all__ = ["TextWriter"]

WAITING_MESSAGES_MAX: Final = 64
"""Deltas that wait to be sent before the text is not read any further."""

CANCELLED: Final = "the text was cancelled before its end"


class TextWriter:
    """Two tasks of the client's: one reads the text, one sends it. `cancel` ends both, and closes the iterable.

    `given` is called after each item with its text, `send` sends what waits, `ended` is called with what went wrong
    in the text, or None when it is complete.
    """

    def __init__(
        self,
        text: TextInput,
        script: TtsScript,
        *,
        given: Callable[[str], None],
        send: Callable[[], Awaitable[None]],
        ended: Callable[[Exception | None], None],
    ) -> None:
        self._text = text
        self._script = script
        self._given = given
        self._send = send
        self._ended = ended
        self._scope = anyio.CancelScope()
        self._news = anyio.Event()
        self._has_room = anyio.Event()
        self._is_closed = anyio.Event()
        self._reader_id = 0
        self._close_timeout_s = 0.0

    def start(self, pool: SpeechPool) -> None:
        """Begin; it ends with the client at the latest."""
        self._close_timeout_s = pool.policy.clear_timeout_s
        pool.start(self._run, self._scope)

    def wake(self) -> None:
        """Something may be sent now."""
        self._news.set()

    def cancel(self) -> None:
        """Read and send no more."""
        self._scope.cancel()

    async def closed(self) -> None:
        """Wait until the text is closed; at once where the text itself asks for that. Cancelling is safe."""
        if anyio.get_current_task().id == self._reader_id:
            return
        with anyio.move_on_after(self._close_timeout_s):
            await self._is_closed.wait()

    async def _run(self) -> None:
        self._reader_id = anyio.get_current_task().id
        try:
            with self._scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._keep_sending)
                    await self._read()
        finally:
            self._is_closed.set()
            if not self._script.is_finished:
                self._ended(LocalProtocolError(CANCELLED))

    async def _read(self) -> None:
        try:
            await read_text(self._text, self._take, self._close_timeout_s)
        except Exception as error:  # noqa: BLE001 - it surfaces where the speech is iterated
            self._ended(error)
            return
        except anyio.get_cancelled_exc_class():
            if anyio.current_effective_deadline() == -math.inf:
                raise
            # The text's own doing, which must not cancel anything else.
            self._ended(LocalProtocolError(CANCELLED))
            return
        self._script.finish()
        self._ended(None)
        self.wake()

    async def _take(self, item: str | Flush) -> None:
        if isinstance(item, Flush):
            self._script.mark()
        else:
            self._script.push(item)
            self._given(item)
        self.wake()
        while self._script.waiting_messages > WAITING_MESSAGES_MAX:
            self._has_room = anyio.Event()
            await self._has_room.wait()

    async def _keep_sending(self) -> None:
        try:
            while True:
                await self._news.wait()
                self._news = anyio.Event()
                await self._send()
                self._has_room.set()
        except Exception as error:  # noqa: BLE001 - it surfaces where the speech is iterated
            self._ended(error)
