"""Items that the client makes, deletes and cuts. In: client events. Out: their events, or Refused. Imports: 0-3, 7."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from xai_realtime.audible import text_until
from xai_realtime.emulator import failures
from xai_realtime.emulator.line import Line
from xai_realtime.emulator.reading import Fields
from xai_realtime.emulator.wire import Entry
from xai_realtime.errors import AudioDecodeError
from xai_realtime.events._base import decode_audio
from xai_realtime.events.realtime import ConversationItemDeleted
from xai_realtime.protocol.conversation import Item

__all__ = ["Created", "Items", "Spoken"]

KINDS: Final = ("message", "function_call", "function_call_output", "force_message")
ROLES: Final = ("user", "assistant", "system")
ROOT: Final = "root"
MAX_INDEX: Final = 10_000
MAX_AUDIO_MS: Final = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Created:
    """What a client's item is: its kind and role, the text of a message, the call that an output answers."""

    id: str
    kind: str
    role: str
    text: str = ""
    call_id: str | None = None
    is_interruptible: bool = True


@dataclass(slots=True)
class Spoken:
    """The sound of an item so far; `scale` is how much longer it is than its text would be."""

    audio_ms: float = 0.0
    scale: float = 1.0


class Items:
    """The items of one connection.

    `answerable` holds the calls that may be answered, `spoken` the sound of each spoken item. `listen` hears the
    text of a piece of input audio.
    """

    def __init__(self, line: Line, listen: Callable[[bytes], str]) -> None:
        self._line = line
        self._listen = listen
        self.answerable: set[str] = set()
        self._answered: set[str] = set()
        self.spoken: dict[str, Spoken] = {}

    def find(self, item_id: str) -> Item | None:
        """The item under an id."""
        return next((item for item in self._line.conversation.items if item.id == item_id), None)

    def create(self, given: Fields) -> Created:
        """Take a client's item into the conversation. Raises Refused."""
        item = given.needed_object("item")
        kind = item.one_of("type", KINDS)
        if kind is None:
            raise failures.missing(item.place("type"))
        previous = given.text("previous_item_id")
        if previous is not None and previous != ROOT and self.find(previous) is None:
            raise failures.item_not_found(previous)
        item_id = item.text("id")
        if item_id and self.find(item_id) is not None:
            raise failures.item_exists(item_id)
        entry = Entry(item_id or self._line.ids.uuid(), kind, "user", "completed")
        if kind == "force_message":
            text = " ".join(part.needed_text("text") for part in item.objects("content") or [])
            return Created(entry.id, kind, "assistant", text, is_interruptible=item.flag("interruptible") is not False)
        if kind == "message":
            text = self._read_message(item, entry)
            previous = None if previous == ROOT else previous or self._line.last_item_id
        else:
            text = self._read_call(item, entry)
            previous = None
        self._line.send(*self._line.wire.item_added(entry, previous))
        return Created(entry.id, kind, entry.role, text, entry.answers or entry.call_id)

    def _read_message(self, item: Fields, entry: Entry) -> str:
        entry.role = item.one_of("role", ROLES) or "user"
        entry.content = [self._part(part) for part in item.objects("content") or []]
        said = (part.get("text") or part.get("transcript") or "" for part in entry.content)
        return " ".join(text for text in said if text)

    def _part(self, part: Fields) -> dict[str, Any]:
        """A content part as it is echoed: audio is heard, and its transcript stands in its place."""
        kind = part.needed_text("type")
        if kind in ("input_text", "output_text", "text"):
            return {"type": kind, "text": part.needed_text("text")}
        if kind in ("input_audio", "output_audio", "audio"):
            audio = part.text("audio")
            heard = self._listen(audio_of(part)) if audio else part.text("transcript")
            return {"type": kind, "transcript": heard or ""}
        return {"type": kind}

    def _read_call(self, item: Fields, entry: Entry) -> str:
        entry.call_id = item.needed_text("call_id")
        entry.role = "tool"
        if entry.kind == "function_call":
            entry.name, entry.arguments = item.needed_text("name"), item.text("arguments") or ""
            self.answerable.add(entry.call_id)
            return ""
        entry.output = item.needed_text("output")
        entry.answers = self._answered_by(entry.call_id)
        return entry.output

    def _answered_by(self, call_id: str) -> str:
        """The call that an output answers. Raises Refused.

        What the service does with an id that names no call is not known. Some clients shorten long ids, so here it
        stands for the first call that waits for its output; with no call waiting there is nothing it could mean.
        """
        calls = self._line.conversation.tool_calls
        if call_id not in self.answerable and all(call.call_id != call_id for call in calls):
            waiting = (call.call_id for call in calls if call.output is None and call.call_id in self.answerable)
            call_id = next((name for name in waiting if name not in self._answered), "") or call_id
        if call_id not in self.answerable:
            raise failures.call_not_found(call_id)
        self._answered.add(call_id)
        return call_id

    def delete(self, given: Fields) -> None:
        """Take an item out. Raises Refused, and then there is no receipt."""
        item_id = given.needed_text("item_id")
        if self.find(item_id) is None:
            raise failures.item_not_found(item_id)
        for event in self._line.wire.item_deleted(item_id):
            self._line.send_untold(event)
        self._line.conversation.receive(ConversationItemDeleted(type="conversation.item.deleted", item_id=item_id))

    def truncate(self, given: Fields) -> None:
        """Cut what was spoken to what was heard. Raises Refused."""
        item_id = given.needed_text("item_id")
        content_index = given.whole("content_index", 0, MAX_INDEX) or 0
        end_ms = given.needed_whole("audio_end_ms", 0, MAX_AUDIO_MS)
        item = self.find(item_id)
        if item is None:
            raise failures.item_not_found(item_id)
        if item.kind != "message" or item.role != "assistant":
            raise failures.not_truncated("only assistant messages can be truncated")
        if content_index:
            raise failures.not_truncated(f"the item has no content part {content_index}")
        sound = self.spoken.get(item_id) or Spoken()
        if end_ms > sound.audio_ms:
            raise failures.not_truncated(f"audio content of {sound.audio_ms:g}ms is already shorter than {end_ms}ms")
        kept = text_until(item.text, end_ms / sound.scale).strip()
        sound.audio_ms = float(end_ms)
        self._line.send(*self._line.wire.item_truncated(item_id, content_index, end_ms, kept))


def audio_of(given: Fields) -> bytes:
    """The bytes of the field `audio`. Raises Refused."""
    try:
        return decode_audio(given.needed_text("audio"))
    except AudioDecodeError as error:
        raise failures.audio_format_refused(given.place("audio"), str(error)) from None
