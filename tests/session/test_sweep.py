"""Barge-in at every 20 ms of a reply: what is played, what the server is told, and what comes next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import anyio
import pytest

from tests.session.driving import BACKENDS, RATE_HZ, Talk, run, talking
from xai_realtime import Manual, ServerVad
from xai_realtime.audible import duration_ms, hear, speak, words
from xai_realtime.emulator import Emulator, Quirks
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.session_events import (
    AudioOutput,
    Interrupted,
    ResponseDone,
    ResponseStarted,
    SessionWarning,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    TranscriptDelta,
)

STORY = "One two three four five six. Seven eight nine ten."
ANSWER = "All right then."
TURNS = {"tell": STORY, "stop": ANSWER}
STORY_MS = int(duration_ms(STORY))
FIRST_AUDIO_MS = 500
LAST_MS = FIRST_AUDIO_MS + STORY_MS + 120
BYTES_PER_MS = RATE_HZ * 2 // 1000


class Sight(NamedTuple):
    """What the sweep looks at: the talk, and every event of the wire with its time and direction."""

    talk: Talk
    wire: list[tuple[float, str, Any]]
    at_ms: int


def barge_in(backend: str, at_ms: int, *, by_voice: bool, pace: str, late_deltas: int) -> Sight:
    """Ask for the story, break in `at_ms` after asking, and have the next reply to its end."""
    seen: list[tuple[float, str, Any]] = []

    async def main() -> Sight:
        emulator = Emulator(scripted_turns, seed=1, pace=pace, quirks=Quirks(late_deltas=late_deltas))
        async with talking(
            emulator=emulator,
            turn_detection=ServerVad() if by_voice else Manual(),
            observer=lambda way, event: seen.append((anyio.current_time() * 1000, way, event)),
        ) as talk:
            await talk.session.send_text("tell")
            await anyio.sleep(at_ms / 1000)
            if by_voice:
                await talk.speak("stop", 1_000, frame_ms=40)
            else:
                await talk.session.interrupt()
                await talk.session.send_text("stop")
            await talk.next(Transcript, role="assistant", text=ANSWER)
            await anyio.sleep(1.5)
            return Sight(talk, seen, at_ms)

    sight: Sight = run(main, backend)
    return sight


def scripted_turns(prompt: Any) -> str:
    return TURNS[prompt.heard]


def check(sight: Sight) -> None:
    """Everything that must hold, wherever the user broke in."""
    talk = sight.talk
    assert talk.error is None
    errors = [event.error.code for event in talk.received if isinstance(event, wire.Error)]
    assert errors in ([], ["response_cancel_not_active"])
    assert talk.of(SessionWarning) == []
    place, heard_ms = speaker(talk)
    check_audio(talk, place)
    check_truncation(sight, heard_ms)
    check_history(talk)
    check_speaking(talk)


def speaker(talk: Talk) -> tuple[int | None, float]:
    """A loudspeaker of the test's own: where it was told to stop, and how much of the story it had played by then."""
    story_id = story_of(talk)
    busy_until_ms = played_ms = 0.0
    for place, (now_ms, event) in enumerate(talk.told):
        if isinstance(event, AudioOutput) and event.response_id == story_id:
            busy_until_ms = max(busy_until_ms, now_ms) + len(event.audio) / BYTES_PER_MS
            played_ms += len(event.audio) / BYTES_PER_MS
        elif isinstance(event, Interrupted):
            return place, played_ms - max(0.0, busy_until_ms - now_ms)
    return None, played_ms


def story_of(talk: Talk) -> str:
    return next(event.response.id for event in talk.received if isinstance(event, wire.ResponseCreated))


def check_audio(talk: Talk, cut_at: int | None) -> None:
    """Not a byte of the story after the stop; the next reply whole, as it was spoken."""
    story_id = story_of(talk)
    after = [] if cut_at is None else [event for _, event in talk.told[cut_at + 1 :]]
    stale = [event for event in after if isinstance(event, AudioOutput | TranscriptDelta)]
    assert [event for event in stale if event.response_id == story_id] == []
    assert speak(STORY, sample_rate_hz=RATE_HZ).startswith(talk.audio(story_id))
    rest = b"".join(event.audio for event in talk.of(AudioOutput) if event.response_id != story_id)
    assert rest == speak(ANSWER, sample_rate_hz=RATE_HZ)
    if cut_at is not None:
        assert hear(b"".join(event.audio for event in after if isinstance(event, AudioOutput))) == ANSWER
    else:
        assert talk.audio(story_id) in (b"", speak(STORY, sample_rate_hz=RATE_HZ))


def check_truncation(sight: Sight, heard_ms: float) -> None:
    """The server is told at most once, and never of more than came and was played."""
    received_bytes, truncates, cancels = 0, 0, 0
    for _, way, event in sight.wire:
        if way == "in" and isinstance(event, wire.ResponseOutputAudioDelta):
            received_bytes += len(event.audio)
        elif isinstance(event, wire.ConversationItemTruncate):
            truncates += 1
            assert event.audio_end_ms <= received_bytes / BYTES_PER_MS
            assert heard_ms - 1.01 < event.audio_end_ms < heard_ms + 0.01
        elif isinstance(event, wire.ResponseCancel):
            cancels += 1
    told = sight.talk.of(Interrupted)
    assert len(told) <= 1 and truncates <= 1 and cancels <= 1
    assert truncates == 1 or not any(event.item_id for event in told)


def check_history(talk: Talk) -> None:
    """What was heard is a beginning of the story and ends with a whole word; the rest of the talk is as it was said."""
    for event in talk.of(Interrupted):
        assert is_beginning(event.heard_text)
        truly_heard = sum(word.end_ms <= event.heard_ms for word in words(STORY))
        assert abs(len(event.heard_text.split()) - truly_heard) <= 1
    said = [(item.role, item.said()) for item in talk.session.conversation.items]
    story = [text for role, text in said if role == "assistant" and text != ANSWER]
    assert all(is_beginning(text) for text in story)
    assert len(story) <= 1
    assert [text for _, text in said if text not in story] == ["tell", "stop", ANSWER]


def is_beginning(text: str) -> bool:
    return (STORY + " ").startswith(text + " ") or not text


def check_speaking(talk: Talk) -> None:
    """Speech of the agent begins and ends in turn; every reply that began ends once."""
    speech = [event for _, event in talk.told if isinstance(event, SpeechStarted | SpeechStopped)]
    for who in ("agent", "user"):
        kinds = [type(event) for event in speech if event.who == who]
        assert kinds == [SpeechStarted, SpeechStopped] * (len(kinds) // 2)
    started = [event.response_id for event in talk.of(ResponseStarted)]
    done = [event.response_id for event in talk.of(ResponseDone)]
    assert len(set(done)) == len(done)
    assert set(started) <= set(done)


def sweep(backend: str, positions: Iterable[int], *, by_voice: bool, pace: str, late_deltas: int) -> None:
    broken = {}
    for at_ms in positions:
        try:
            check(barge_in(backend, at_ms, by_voice=by_voice, pace=pace, late_deltas=late_deltas))
        except AssertionError as error:
            broken[at_ms] = error
    if broken:
        first = next(iter(broken))
        raise AssertionError(f"broken at {list(broken)} ms; first of all at {first} ms") from broken[first]


@pytest.mark.behaviour("interruption-sweep")
@pytest.mark.parametrize(("by_voice", "backend"), [(True, "asyncio"), (False, "trio")], ids=["voice", "hand"])
def test_reply_is_cut_cleanly_at_every_20_ms(by_voice: bool, backend: str) -> None:
    sweep(backend, range(0, LAST_MS, 20), by_voice=by_voice, pace="real", late_deltas=2)


@pytest.mark.behaviour("interruption-sweep")
@pytest.mark.parametrize(("by_voice", "backend"), [(True, "trio"), (False, "asyncio")], ids=["voice", "hand"])
def test_playback_is_cut_cleanly_at_every_100_ms_when_the_reply_came_at_once(by_voice: bool, backend: str) -> None:
    sweep(backend, range(10, LAST_MS, 100), by_voice=by_voice, pace="instant", late_deltas=0)


@pytest.mark.slow
@pytest.mark.behaviour("interruption-sweep")
@pytest.mark.parametrize("late_deltas", [0, 1, 9])
@pytest.mark.parametrize("pace", ["real", "instant"])
@pytest.mark.parametrize("by_voice", [True, False], ids=["voice", "hand"])
@BACKENDS
def test_reply_is_cut_cleanly_wherever_the_user_breaks_in(
    backend: str, by_voice: bool, pace: str, late_deltas: int
) -> None:
    sweep(backend, range(0, LAST_MS, 10), by_voice=by_voice, pace=pace, late_deltas=late_deltas)
