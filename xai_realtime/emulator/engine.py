"""One conversation as the service holds it, without I/O and clock. In: frames, times. Out: frames at their time.

Imports: the standard library, pydantic, rooms 0-3 and 7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from pydantic_core import from_json

from xai_realtime.defaults import VOICE_MODEL
from xai_realtime.emulator import failures
from xai_realtime.emulator.dialect import wire_for
from xai_realtime.emulator.failures import Refused
from xai_realtime.emulator.items import Items, audio_of
from xai_realtime.emulator.line import Hangup, Line
from xai_realtime.emulator.listening import Listener
from xai_realtime.emulator.reading import Fields, read_message
from xai_realtime.emulator.session import Session, updated
from xai_realtime.emulator.speaking import Speaker
from xai_realtime.emulator.wire import Entry
from xai_realtime.emulator.world import Ids, World
from xai_realtime.frames import Frame

__all__ = ["PING_MS", "Engine", "Hangup"]

PING_MS: Final = 15_000.0
CLOSE_NORMAL: Final = 1000
SEED_BITS: Final = 2**63
TRANSCRIPT_DELTA: Final = "response.output_audio_transcript.delta"


class Engine:
    """One connection to `/v1/realtime`: give it what the client sends, and fetch what is due.

    `query` are the parameters of the address (`model`, `conversation_id`). Times are milliseconds on any clock
    that does not go back. Nothing raises for what a client sends: it ends as an `error` event. Equal seeds, frames and
    times give equal bytes; how often `take` is called does not matter.
    """

    def __init__(self, world: World, query: Mapping[str, str], now_ms: float) -> None:
        ids = world.ids if world.seed is None else Ids(world.ids.below(SEED_BITS))
        wire = wire_for(world.dialect, ids.uuid)
        self._line = Line(world, ids, wire, now_ms)
        self._session = Session(ids.hex(), query.get("model") or VOICE_MODEL, detection=wire.detection)
        self._listener = Listener(self._line, lambda: self._session)
        self._items = Items(self._line, self._listener.listen_to)
        self._speaker = Speaker(
            self._line,
            self._items,
            lambda: self._session,
            on_end=self._keep,
            on_idle=self._listener.timed_out,
        )
        self._listener.speaker = self._speaker
        self._heard_ms = now_ms
        self._replay: tuple[str, ...] = ()
        self._handlers: dict[str, Callable[[Fields], None]] = {
            "session.update": self._session_update,
            "input_audio_buffer.append": lambda given: self._listener.append(audio_of(given)),
            "input_audio_buffer.commit": lambda given: self._listener.commit(),
            "input_audio_buffer.clear": lambda given: self._listener.clear(),
            "conversation.item.create": self._item_create,
            "conversation.item.delete": self._items.delete,
            "conversation.item.truncate": self._item_truncate,
            "response.create": self._response_create,
            "response.cancel": self._speaker.cancel,
            "pong": lambda given: None,
        }
        self._greet(query.get("conversation_id"))

    def _greet(self, wanted_id: str | None) -> None:
        line = self._line
        holder = self._session.id
        kept = None if wanted_id is None else line.world.resume_conversation(wanted_id, line.now_ms, holder)
        conversation_id = line.ids.uuid()
        if kept is not None and wanted_id is not None:
            conversation_id, self._replay = wanted_id, kept
        greeting = [
            line.wire.session_created(self._session, line.epoch_ms),
            line.wire.conversation_created(conversation_id),
        ]
        for events in reversed(greeting) if line.world.quirks.conversation_first else greeting:
            line.send(*events)
        self._ping()
        limits = line.world.limits
        line.after(limits.max_duration_s * 1000, self._time_is_up)
        if limits.idle_timeout_s is not None:
            line.after(limits.idle_timeout_s * 1000, self._check_idle)

    def receive(self, frame: Frame, now_ms: float) -> None:
        """Take in a frame of the client, whatever it holds."""
        self._line.advance(now_ms)
        if self._line.is_over:
            return
        self._heard_ms = self._line.now_ms
        event_id: str | None = None
        try:
            if not frame.is_text:
                self._binary(frame.data)
                return
            message = read_message(frame, self._line.world.limits.max_message_bytes)
            given = message.get("event_id")
            event_id = given if isinstance(given, str) else None
            self._dispatch(message)
        except Refused as refused:
            self._line.fail(refused.failure, event_id)

    def _binary(self, audio: bytes) -> None:
        limit = self._line.world.limits.max_message_bytes
        if len(audio) > limit:
            raise failures.too_large(len(audio), limit)
        self._listener.append(audio)

    def _dispatch(self, message: dict[str, Any]) -> None:
        name = message.get("type")
        handler = self._handlers.get(name) if isinstance(name, str) else None
        if handler is None:
            raise failures.unknown_event(name if isinstance(name, str) else None)
        handler(Fields(message))

    def next_due_ms(self) -> float | None:
        """When `take` has something next, None when only the client can bring that about."""
        return self._line.next_due_ms()

    def take(self, now_ms: float) -> list[Frame | Hangup]:
        """What is due up to `now_ms`, in order. After a Hangup nothing more comes."""
        self._line.advance(now_ms)
        return self._line.fetch()

    def disconnected(self, now_ms: float, lost: Iterable[Frame] = ()) -> None:
        """The connection is over; what can be resumed is kept.

        `lost` are frames that were taken and did not reach the client: with what was never taken they are as
        good as not said.
        """
        self._line.advance(now_ms)
        waiting = (piece for piece in self._line.fetch() if isinstance(piece, Frame))
        self._keep(untold_words((*lost, *waiting)))
        self._line.hang_up(Hangup(CLOSE_NORMAL, ""))
        self._line.fetch()

    def _session_update(self, given: Fields) -> None:
        before, after = self._session, updated(self._session, given.needed_object("session"))
        has_other_ears = (before.detection, before.input_format) != (after.detection, after.input_format)
        if has_other_ears:
            self._listener.commit_stopped()
        self._session = after
        if has_other_ears:
            self._listener.reset()
        self._replay_items()
        self._line.send(*self._line.wire.session_updated(self._session, self._line.epoch_ms))

    def _replay_items(self) -> None:
        """The assistant's words of a resumed conversation, as new items; what the user said is not kept."""
        line, texts, self._replay = self._line, self._replay, ()
        for text in texts:
            entry = Entry(line.ids.uuid(), "message", "assistant", "completed", [{"type": "text", "text": text}])
            line.send(*line.wire.item_added(entry, line.last_item_id))

    def _item_create(self, given: Fields) -> None:
        self._speaker.item_created(self._items.create(given))

    def _item_truncate(self, given: Fields) -> None:
        if not self._line.world.quirks.ignores_truncate:
            self._items.truncate(given)

    def _response_create(self, given: Fields) -> None:
        """A request; without turn detection it commits what was said and answers that."""
        heard = None if self._speaker.is_busy else self._listener.commit_buffer()
        self._speaker.create(given, *(heard or ()))

    def _keep(self, untold: Mapping[str, str] = MappingProxyType({})) -> None:
        """Keep what the assistant said, but for the words at the end of items that the client was not told."""
        line, conversation = self._line, self._line.conversation
        if self._session.is_resumable and conversation.conversation_id is not None:
            spoken = (item for item in conversation.items if item.kind == "message" and item.role == "assistant")
            texts = (item.text.removesuffix(untold.get(item.id, "")) for item in spoken)
            kept = tuple(text for text in texts if text)
            line.world.keep_conversation(conversation.conversation_id, kept, line.now_ms, self._session.id)

    def _ping(self) -> None:
        line = self._line
        line.send(*line.wire.ping(line.epoch_ms))
        if line.wire.knows_ping:
            line.after(PING_MS, self._ping)

    def _time_is_up(self) -> None:
        self._keep()
        self._end(failures.session_over(self._line.world.limits.max_duration_s))

    def _check_idle(self) -> None:
        limit_s = self._line.world.limits.idle_timeout_s or 0.0
        left_ms = self._heard_ms + limit_s * 1000 - self._line.now_ms
        if left_ms > 0:
            self._line.after(left_ms, self._check_idle)
        else:
            self._end(failures.session_idle(limit_s))

    def _end(self, failure: failures.Failure) -> None:
        self._line.fail(failure)
        self._line.hang_up(Hangup(CLOSE_NORMAL, failure.code or ""))


def untold_words(frames: Iterable[Frame]) -> dict[str, str]:
    """By item, the words in these frames. A scenario's own events may hold anything."""
    words: dict[str, str] = {}
    for frame in frames:
        event = from_json(frame.data) if frame.is_text else {}
        item_id, delta = event.get("item_id"), event.get("delta")
        if event.get("type") == TRANSCRIPT_DELTA and isinstance(item_id, str) and isinstance(delta, str):
            words[item_id] = words.get(item_id, "") + delta
    return words
