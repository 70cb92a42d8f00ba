"""What the agent says, and what of it is heard. In: audio and text of replies. Out: session events, truncations.

Imports: rooms 0-1, protocol.
"""

from __future__ import annotations

from typing import Any, Final

from xai_realtime.audio import AudioFormat
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.desk import Desk, forget_oldest, snapshot
from xai_realtime.protocol.heard import HeardText
from xai_realtime.protocol.playback import Cut, Playback
from xai_realtime.protocol.reply import Reply
from xai_realtime.protocol.session_events import (
    AudioOutput,
    Interrupted,
    ItemUpdated,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    TranscriptDelta,
)

__all__ = ["AgentVoice"]

OPUS_PACKET_MS: Final = 20.0
REMEMBERED: Final = 64
PLAYBACK: Final = "playback"
SPOKEN_MS_PER_CHARACTER: Final = 65.0
"""How long text that has not been spoken yet will take, when nothing else tells: an estimate for cutting it."""


class AgentVoice:
    """The agent's audio and words, and the playback of both.

    `reply` is the one whose audio came last. What is cut off is told to the user at once, and to the server as far as
    it came over the connection in use.
    """

    __slots__ = ("_desk", "_finals", "_format", "_live", "_texts", "_whole", "is_speaking", "playback", "reply")

    def __init__(self, desk: Desk, format: AudioFormat) -> None:
        self._desk = desk
        self._format = format
        self.playback = Playback(format, mode=desk.policy.playback)
        self._texts: dict[str, HeardText] = {}
        self._live: dict[str, None] = {}
        self._finals: dict[str, None] = {}
        self._whole: dict[str, None] = {}
        self.is_speaking = False
        self.reply: Reply | None = None

    def audio(self, reply: Reply, item_id: str, audio: bytes, raw: Any, stated_ms: float | None = None) -> None:
        """A piece of audio of a reply that is passed on."""
        if not audio:
            return
        desk = self._desk
        reply.item_ids[item_id] = None
        self.reply = reply
        self._live[item_id] = None
        forget_oldest(self._live, REMEMBERED)
        duration_ms = (stated_ms or OPUS_PACKET_MS) if self._format.encoding == "opus" else None
        self.playback.received(item_id, reply.id, len(audio), desk.now_ms, duration_ms)
        if reply.first_audio_ms is None:
            reply.first_audio_ms = desk.now_ms
        if not self.is_speaking:
            self.is_speaking = True
            desk.tell(SpeechStarted("agent", item_id, raw=raw))
        desk.tell(AudioOutput(audio, item_id, reply.id, self._format.encoding, self._format.rate_hz, raw=raw))
        self._watch()

    def words(self, reply: Reply, item_id: str, piece: str, start_ms: float | None, raw: Any) -> None:
        """A piece of the transcript of a reply that is passed on."""
        if not piece:
            return
        reply.item_ids[item_id] = None
        self._text(item_id).add(piece, start_ms)
        item = self._desk.conversation.item(item_id)
        self._desk.tell(TranscriptDelta("assistant", item_id, item.text if item else piece, piece, reply.id, raw=raw))

    def final_words(self, reply: Reply, item_id: str, raw: Any) -> None:
        """The transcript of an item is complete."""
        item = self._desk.conversation.item(item_id)
        if item is not None:
            self._tell_final(item_id, item.text, reply.id, raw)

    def audio_done(self, item_id: str) -> None:
        """No more audio of this item will come."""
        self.playback.item_done(item_id)

    def reply_over(self, reply: Reply, raw: Any) -> None:
        """A reply has ended: what it said is final, and no more audio comes."""
        desk = self._desk
        for item_id in reply.item_ids:
            self.playback.item_done(item_id)
            item = desk.conversation.item(item_id)
            if item is None or item.kind != "message":
                continue
            if not reply.is_muted:
                self._all_came(item_id, item.text, reply, raw)
            elif item_id not in self._live and raw is not None and desk.policy.truncate:
                desk.send(wire.ConversationItemTruncate(item_id=item_id, content_index=0, audio_end_ms=0))
        self.check_playback()

    def _all_came(self, item_id: str, text: str, reply: Reply, raw: Any) -> None:
        """Nothing more comes of an item: of a reply that was broken off, the text may be ahead of the sound."""
        if isinstance(raw, wire.ResponseDone) and raw.response.status != "cancelled":
            self._whole[item_id] = None
            forget_oldest(self._whole, REMEMBERED)
        received_ms = int(self.playback.received_ms(item_id))
        heard = self._heard(item_id, received_ms, received_ms)
        if item_id in self._whole or heard == text.strip():
            self._tell_final(item_id, text, reply.id, raw)
        else:
            self._keep_heard(item_id, heard, reply.id, raw)

    def unheard(self, item_id: str) -> None:
        """An item of a reply that is not passed on any more: unless it was begun before, nobody hears a word of it."""
        item = self._desk.conversation.item(item_id)
        if item is not None and item.kind == "message" and item.heard is None:
            item.heard = ""

    def played(self, *, audio_bytes: int | None = None, ms: float | None = None) -> None:
        """The speaker of the user played that much more."""
        self.playback.played(audio_bytes=audio_bytes, ms=ms, now_ms=self._desk.now_ms)
        self._desk.stop_timer(PLAYBACK)
        self.check_playback()

    def check_playback(self) -> None:
        """Has everything been played that will come?"""
        if not self.is_speaking:
            return
        self.playback.finished(self._desk.now_ms)
        is_waiting = self.reply is not None and not self.reply.is_over and not self.reply.is_muted
        if is_waiting or self.playback.is_playing(self._desk.now_ms):
            self._watch()
        else:
            self._fall_silent()

    def cut(self, stopped: Reply | None, reason: str, raw: Any) -> bool:
        """Throw away what was not played; `stopped` is the reply that is not going on. True when something was cut."""
        desk = self._desk
        cuts = self.playback.flush(desk.now_ms)
        desk.stop_timer(PLAYBACK)
        for cut in cuts:
            self._cut_item(cut, reason, raw)
        if stopped is not None and not any(cut.response_id == stopped.id for cut in cuts):
            self._stop_unheard(stopped, reason, raw)
        if self.is_speaking:
            self._fall_silent(raw)
        return bool(cuts) or stopped is not None

    def _cut_item(self, cut: Cut, reason: str, raw: Any) -> None:
        text = self._heard(cut.item_id, cut.heard_ms, cut.received_ms)
        self._truncate(cut.item_id, cut.heard_ms)
        told = Interrupted(cut.response_id, cut.item_id, cut.heard_ms, cut.received_ms, text, reason, raw=raw)
        self._desk.tell(told)
        self._keep_heard(cut.item_id, text, cut.response_id, raw)

    def _truncate(self, item_id: str, heard_ms: int) -> None:
        """Tell the server what was heard, as far as it knows of the item and its sound."""
        if self._desk.policy.truncate and item_id in self._live:
            cut = wire.ConversationItemTruncate(item_id=item_id, content_index=0, audio_end_ms=heard_ms)
            self._desk.send(cut)

    def _stop_unheard(self, stopped: Reply, reason: str, raw: Any) -> None:
        """A reply was stopped of which nothing waits: its text may be ahead of the sound that came."""
        item_id = next(reversed(stopped.item_ids), None)
        if item_id is None:
            self._desk.tell(Interrupted(stopped.id, None, reason=reason, raw=raw))
            return
        received_ms = int(self.playback.received_ms(item_id))
        text = self._heard(item_id, received_ms, received_ms)
        self._truncate(item_id, received_ms)
        self._desk.tell(Interrupted(stopped.id, item_id, received_ms, received_ms, text, reason, raw=raw))
        self._keep_heard(item_id, text, stopped.id, raw)

    def _keep_heard(self, item_id: str, text: str, response_id: str, raw: Any) -> None:
        item = self._desk.conversation.item(item_id)
        if item is not None and item.kind == "message":
            item.heard = text
            self._tell_final(item_id, text, response_id, raw, is_interrupted=True)
            self._desk.tell(ItemUpdated(snapshot(item), raw=raw))

    def _heard(self, item_id: str, heard_ms: float, received_ms: float) -> str:
        """The words of an item that were heard; they may be ahead of its audio until all of it came."""
        text = self._texts.get(item_id)
        if text is None:
            return ""
        total_ms = received_ms
        if item_id not in self._whole:
            total_ms = max(received_ms, text.length_ms(SPOKEN_MS_PER_CHARACTER))
        return text.until(heard_ms, total_ms).strip()

    def forget_line(self) -> None:
        """The connection is gone: its items cannot be truncated any more; what came is played on."""
        self._live.clear()

    def reset(self) -> None:
        """Begin anew, without a word about what was playing."""
        self.playback.reset()
        self._desk.stop_timer(PLAYBACK)
        self._live.clear()
        self._texts.clear()
        self._finals.clear()
        self._whole.clear()
        self.reply = None
        if self.is_speaking:
            self._fall_silent()

    def _fall_silent(self, raw: Any = None) -> None:
        self.is_speaking = False
        item_id = None if self.reply is None else next(reversed(self.reply.item_ids), None)
        self._desk.stop_timer(PLAYBACK)
        self._desk.tell(SpeechStopped("agent", item_id, raw=raw))

    def _watch(self) -> None:
        ends_at_ms = self.playback.ends_at_ms(self._desk.now_ms)
        if ends_at_ms is not None:
            timers = self._desk.timers
            self._desk.has_new_timer = self._desk.has_new_timer or PLAYBACK not in timers
            timers[PLAYBACK] = ends_at_ms  # later each time, so that nobody needs to be woken for it

    def _text(self, item_id: str) -> HeardText:
        text = self._texts.get(item_id)
        if text is None:
            text = self._texts[item_id] = HeardText()
            forget_oldest(self._texts, REMEMBERED)
        return text

    def _tell_final(self, item_id: str, text: str, response_id: str, raw: Any, *, is_interrupted: bool = False) -> None:
        if item_id in self._finals or not text.strip():
            return
        self._finals[item_id] = None
        forget_oldest(self._finals, REMEMBERED)
        self._desk.tell(
            Transcript("assistant", text.strip(), item_id, response_id, is_interrupted=is_interrupted, raw=raw)
        )
