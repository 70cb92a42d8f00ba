"""A conversation with Grok: turns, tools, interruptions, money, and a line that may drop. In: verbs. Out: events.

Imports: rooms 0-5, anyio.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

import anyio.lowlevel

from xai_realtime.audio import Audio
from xai_realtime.errors import ConfigurationError
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.policy import WhenBusy, checked_when_busy
from xai_realtime.protocol.reply import Wish
from xai_realtime.realtime._calls import Approve
from xai_realtime.realtime._running import RunningSession, now_ms
from xai_realtime.realtime._setup import gated, has_server_tools, session_setup
from xai_realtime.realtime.config import SessionSettings
from xai_realtime.realtime.history import HistoryLike, as_history

__all__ = ["Approve", "RealtimeSession"]


class RealtimeSession(RunningSession):
    """One conversation, whatever connections carry it: `async with client.realtime.session() as session`.

    `async for event in session` gives what happens (`xai_realtime.protocol.session_events`); it ends when the session
    does, and raises what broke it. Events wait in a bounded queue: while it is full the socket is not read. Verbs may
    be called from any task, also before the connection is ready: what they want waits its turn, in order. They raise
    ConnectionClosedError once the session is over. Cancelling a verb is safe: what it wanted has been taken, or not.
    """

    # Speaking

    async def send_text(
        self, text: str, *, role: str = "user", respond: bool = True, when_busy: WhenBusy | None = None
    ) -> None:
        """Say something in writing, and have it answered unless `respond=False`.

        The microphone's audio is not touched. While a reply runs, `when_busy` (or the policy) decides: `queue` sends
        it afterwards, `cancel` stops the reply, `raise` raises LocalProtocolError. `role` may be `system`.
        """
        if role not in ("user", "system"):
            raise ConfigurationError(f"role is {role!r}; allowed are 'user' and 'system'")
        self._carrier.raise_if_over()
        self._core.text(text, role, responds=respond, when_busy=self._busy(when_busy), now_ms=now_ms())
        await self._work_off()

    async def send_audio(self, audio: Audio, *, rate_hz: int | None = None, channels: int = 1) -> None:
        """Give the microphone's audio, in pieces of any length.

        With `rate_hz` it is PCM16 little-endian, interleaved when `channels` is 2 or more, and is converted to the
        session's input format without seams; without, it is in that format already (an Opus packet at a time). Audio
        given before the connection is ready, or while it is down, is held (`policy.ring_s` of it); while the input is
        paused, or a reply plays that may not be interrupted, it is dropped. Waits while the socket is congested.

        Raises ConfigurationError for a rate or channels that cannot be.
        """
        wired = self._microphone.take(audio, rate_hz, channels)
        self._carrier.raise_if_over()
        if wired:
            await self._send_wired(wired)

    async def _send_wired(self, wired: bytes) -> None:
        if self._core.microphone(wired, self._microphone.duration_ms(wired), now_ms()):
            await self._carrier.send_audio(wired)
        else:
            self._carrier.work_off()
            await anyio.lowlevel.checkpoint()

    async def end_turn(
        self,
        *,
        instructions: str | None = None,
        metadata: dict[str, Any] | None = None,
        when_busy: WhenBusy | None = None,
    ) -> None:
        """End the user's turn by hand, and have it answered once, whether or not the server answers a commit by itself.

        Raises LocalProtocolError when the server ends turns (`turn_detection` is not manual), and when no audio was
        sent since the last turn.
        """
        self._carrier.raise_if_over()
        rest = self._microphone.flush()
        if rest:
            await self._send_wired(rest)
        wish = Wish("turn", request=_request(instructions, metadata))
        self._core.end_turn(wish, self._busy(when_busy), now_ms())
        await self._work_off()

    async def respond(
        self,
        *,
        instructions: str | None = None,
        metadata: dict[str, Any] | None = None,
        interruptible: bool = True,
        when_busy: WhenBusy | None = None,
    ) -> None:
        """Ask for a reply to what has been said.

        `instructions` replace the session's for this reply, `metadata` comes back on its events. A reply that is not
        `interruptible` is played to its end: meanwhile the microphone is withheld and speech cuts nothing off.
        """
        self._carrier.raise_if_over()
        wish = Wish("reply", request=_request(instructions, metadata), is_interruptible=interruptible)
        self._core.ask(wish, self._busy(when_busy), now_ms())
        await self._work_off()

    async def say(self, text: str, *, interruptible: bool = True, when_busy: WhenBusy | None = None) -> None:
        """Have the agent say exactly this. Source: docs.x.ai, `force_message`."""
        self._carrier.raise_if_over()
        named = {} if interruptible else {"interruptible": False}
        item = wire.ForceMessageItem.model_validate(
            {"role": "assistant", "content": [{"type": "output_text", "text": text}], **named}
        )
        wish = Wish("say", (item,), is_interruptible=interruptible)
        self._core.ask(wish, self._busy(when_busy), now_ms())
        await self._work_off()

    async def interrupt(self, *, clear_input: bool = False, force: bool = False) -> bool:
        """Stop the agent now; False when there was nothing to stop, or it may not be interrupted (unless `force`).

        The server is told only when a reply is open; what was heard of it stays in the conversation. `clear_input` also
        throws away what the user said and was not committed.
        """
        self._carrier.raise_if_over()
        if clear_input:
            self._microphone.reset()
        did = self._core.interrupt(clear_input=clear_input, force=force, now_ms=now_ms())
        await self._work_off()
        return did

    async def played(self, *, audio_bytes: int | None = None, ms: float | None = None) -> None:
        """Report that the speaker has played that much more (bytes of the session's output format, or milliseconds)."""
        self._core.desk.now_ms = now_ms()
        self._core.voice.played(audio_bytes=audio_bytes, ms=ms)
        await self._work_off()

    # The input

    async def pause_input(self) -> None:
        """Close the microphone: audio is dropped until `resume_input()`."""
        self._core.is_paused = True
        self._microphone.reset()
        await anyio.lowlevel.checkpoint()

    async def resume_input(self) -> None:
        """Open the microphone again."""
        self._core.is_paused = False
        await anyio.lowlevel.checkpoint()

    async def clear_input(self) -> None:
        """Throw away what the user said and was not committed."""
        self._carrier.raise_if_over()
        self._microphone.reset()
        self._core.clear_input(now_ms())
        await self._work_off()

    # The session

    async def update(self, **changes: Unpack[SessionSettings]) -> dict[str, Any]:
        """Change the configuration of the running session; the changed settings with what they were before.

        Only what differs is sent, and nothing when nothing does; `tools=()` takes the tools away. Raises
        ConfigurationError for what cannot be, or not be changed any more (model, formats, rates).
        """
        self._carrier.raise_if_over()
        change = self._config.changed(**changes)
        if change.fields:
            self._config = change.config
            if "tools" in change.fields:
                self._calls.toolbox = change.config.toolbox
                # What was offered once may have been used, and is billed.
                self._core.limits.has_server_tools |= has_server_tools(self._calls.toolbox)
            policy = self._core.desk.policy
            self._core.reconfigure(session_setup(change.config, policy), gated(change.update, policy), now_ms())
        await self._work_off()
        return dict(change.fields)

    async def delete_item(self, item_id: str) -> None:
        """Take an item out of the conversation."""
        self._carrier.raise_if_over()
        self._core.delete_item(item_id, now_ms())
        await self._work_off()

    async def reset(self, history: Iterable[HistoryLike] = ()) -> None:
        """Begin a new conversation, and wait until it is ready.

        Configuration and usage stay; pending calls, playback and transcripts are dropped. `history` is what the new
        one begins with; its calls count as done. Raises what ended the session instead.
        """
        items = as_history(history)
        self._carrier.raise_if_over()
        self._microphone.reset()
        self._core.reset(items, now_ms())
        await self._redial()

    async def restart(self) -> None:
        """Move to a fresh connection with the same conversation, and wait until it is ready."""
        self._carrier.raise_if_over()
        self._core.desk.redial = "restart"
        await self._redial()

    async def _redial(self) -> None:
        before = self._core.connections
        self._carrier.work_off()
        await self._carrier.wait_until_ready(after=before)

    # Inside

    def _busy(self, when_busy: WhenBusy | None) -> str:
        return checked_when_busy(when_busy or self._core.desk.policy.when_busy)


def _request(instructions: str | None, metadata: dict[str, Any] | None) -> wire.ResponseCreate:
    given = {"instructions": instructions, "metadata": metadata}
    settings = {name: value for name, value in given.items() if value is not None}
    if not settings:
        return wire.ResponseCreate()
    return wire.ResponseCreate(response=wire.ResponseConfig.model_validate(settings))
