"""What is true of every session, whatever its program was. In: a record of one. Out: the laws it broke."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from tests.session.model import LAST, Record, answer_to
from xai_realtime.events import realtime as wire
from xai_realtime.protocol.server_errors import read_error
from xai_realtime.protocol.session_events import (
    AudioOutput,
    Interrupted,
    ItemCreated,
    Reconnected,
    ResponseDone,
    ResponseStarted,
    SessionReady,
    SessionWarning,
    SpeechStarted,
    SpeechStopped,
    ToolCalled,
    ToolFinished,
    Transcript,
)

__all__ = ["broken_laws"]

WARNINGS = ("connection_lost", "no_reply")


def comes_to_rest(record: Record) -> Iterator[str]:
    core = record.talk.session._core
    if not record.is_quiet:
        waiting = [wish.kind for wish in core.floor.wishes]
        pending = [call.state for call in core.calls.pending]
        yield (
            f"it never came to rest: line {core.line}, floor {core.floor.state}, input {core.user.state}, "
            f"wishes {waiting}, calls {pending}, speaking {core.voice.is_speaking}"
        )
    if record.talk.has_ended:
        yield f"it ended with {record.talk.error!r}"
    if core.desk.unconfirmed:
        yield f"items were sent that the server never confirmed: {list(core.desk.unconfirmed)}"


def replies_begin_and_end_once(record: Record) -> Iterator[str]:
    begun: dict[str, bool] = {}
    for _, event in record.talk.told:
        if isinstance(event, ResponseStarted):
            if event.response_id in begun:
                yield f"{event.response_id} began twice"
            if not all(begun.values()):
                yield f"{event.response_id} began while another one ran"
            begun[event.response_id] = False
        elif isinstance(event, ResponseDone):
            if begun.get(event.response_id) is not False:
                yield f"{event.response_id} ended {'twice' if event.response_id in begun else 'and never began'}"
            begun[event.response_id] = True
    if not all(begun.values()):
        yield f"a reply never ended: {[name for name, is_over in begun.items() if not is_over]}"


def audio_belongs_to_a_reply_that_runs(record: Record) -> Iterator[str]:
    running: set[str] = set()
    for at_ms, event in record.talk.told:
        if isinstance(event, ResponseStarted):
            running.add(event.response_id)
        elif isinstance(event, ResponseDone | Interrupted):
            running.discard(event.response_id or "")
        elif isinstance(event, AudioOutput) and event.response_id not in running:
            yield f"audio of {event.response_id} at {at_ms:.0f} ms, when it did not run"


def speech_begins_and_ends_in_turn(record: Record) -> Iterator[str]:
    is_speaking = False
    for at_ms, event in record.talk.told:
        if isinstance(event, SpeechStarted | SpeechStopped) and event.who == "agent":
            if is_speaking == isinstance(event, SpeechStarted):
                yield f"the agent {type(event).__name__} twice at {at_ms:.0f} ms"
            is_speaking = not is_speaking
    if is_speaking:
        yield "the agent never stopped speaking"


def transcripts_are_final_once(record: Record) -> Iterator[str]:
    finals = Counter((event.role, event.item_id) for event in record.talk.of(Transcript) if not event.is_revision)
    yield from (
        f"{count} final transcripts of one item of the {role}" for (role, _), count in finals.items() if count > 1
    )


def items_are_told_once(record: Record) -> Iterator[str]:
    created = Counter(event.item.id for event in record.talk.of(ItemCreated))
    yield from (f"ItemCreated {count} times for {name}" for name, count in created.items() if count > 1)


def wishes_are_answered_once(record: Record) -> Iterator[str]:
    """A reply in full is never given twice, and a wish goes unanswered only when something stopped a reply."""
    whole = Counter(text for text, is_whole in replies(record) if is_whole)
    unsure = sum(not asked.is_sure for asked in record.asked)
    for asked in record.asked:
        times = whole[asked.answer]
        # To a fresh line, a continuation is a request like any other: the emulator answers what was said last.
        may_repeat = record.is_mixed and (asked.kind == "fetch" or record.cuts > 0)
        if times > 1 + unsure and not may_repeat:
            yield f"{asked.kind} {asked.text!r} was answered {times} times in full"
    known = {asked.answer for asked in record.asked} | {answer_to(text) for _, text in record.said} | {"One moment"}
    if not unsure:
        yield from (f"a reply to nothing: {text!r}" for text in whole if text not in known)
    missing = [asked for asked in record.asked if asked.epoch == record.epoch and asked.is_sure]
    missing = [
        asked for asked in missing if not whole[asked.answer] and not (record.is_mixed and asked.kind == "fetch")
    ]
    if len(missing) > excuses(record):
        yield f"never answered: {[(one.kind, one.text) for one in missing]}, with {excuses(record)} excuses"


def replies_are_asked_for_once(record: Record) -> Iterator[str]:
    """Without anything that stops or repeats one: a request for each wish and each reply that called functions."""
    if record.epoch or record.cuts or record.stops:
        return
    refused = sum(isinstance(event, wire.Error) for way, event in messages(record) if way == "in")
    requests = sum(isinstance(event, wire.ResponseCreate) for way, event in messages(record) if way == "out")
    by_hand = record.setting.manual
    asked = sum(one.kind in ("text", "fetch", "respond") or (one.kind == "voice" and by_hand) for one in record.asked)
    continued = len({event.response_id for event in record.talk.of(ToolCalled)})
    may_be_spared = record.setting.answers_commits
    spared = sum(one.kind == "voice" and (may_be_spared or not one.is_sure) for one in record.asked) if by_hand else 0
    least = min(1, continued) if record.is_mixed else continued  # outputs that come together are answered together
    if not asked + least - spared <= requests <= asked + continued + refused:
        yield f"{requests} requests for {asked} wishes and {continued} replies with calls, {refused} refused"


def messages(record: Record) -> Iterator[tuple[str, Any]]:
    """The events of the wire and their ways."""
    return ((way, event) for _, way, event in record.wire)


def replies(record: Record) -> Iterator[tuple[str, bool]]:
    """The text of each reply that said something, and whether it was said in full."""
    spoken = {event.response_id: event for event in record.talk.of(Transcript) if event.role == "assistant"}
    for done in record.talk.of(ResponseDone):
        words = spoken.get(done.response_id)
        if words is not None:
            yield words.text, done.status == "completed" and not words.is_interrupted


def excuses(record: Record) -> int:
    """How many wishes may have gone unanswered: those stopped before they began or after, and requests passed over."""
    cancelled = sum(done.status != "completed" for done in record.talk.of(ResponseDone))
    cut_late = sum(event.reason in ("speech", "interrupt") for event in record.talk.of(Interrupted))
    dropped = sum(event.code == "no_reply" for event in record.talk.of(SessionWarning))
    asked = {one.answer for one in record.asked}
    aside = {answer_to(text) for _, text in record.said} - asked  # a request made again answers what was said last
    others = sum(is_whole and text in aside for text, is_whole in replies(record)) if record.cuts else 0
    return cancelled + cut_late + dropped + others + record.stops


def functions_run_once(record: Record) -> Iterator[str]:
    yield from (f"{name!r} was fetched {count} times" for name, count in Counter(record.runs).items() if count > 1)
    called = Counter(event.call_id for event in record.talk.of(ToolCalled))
    finished = Counter(event.call_id for event in record.talk.of(ToolFinished))
    yield from (f"ToolCalled {count} times for one call" for count in called.values() if count > 1)
    yield from (f"ToolFinished {count} times for one call" for count in finished.values() if count > 1)
    if not record.epoch and called != finished:
        yield f"called {len(called)}, finished {len(finished)}"


def outputs_go_out_once(record: Record) -> Iterator[str]:
    for number, events in enumerate(connections(record)):
        outputs = Counter(
            event.item.call_id
            for way, event in events
            if way == "out"
            and isinstance(event, wire.ConversationItemCreate)
            and isinstance(event.item, wire.FunctionCallOutputItem)
        )
        yield from (f"{count} outputs for one call on connection {number}" for count in outputs.values() if count > 1)


def connections(record: Record) -> list[list[tuple[str, Any]]]:
    """The events of the wire, connection by connection."""
    cut: list[list[tuple[str, Any]]] = []
    for way, event in messages(record):
        if isinstance(event, wire.SessionCreated):
            cut.append([])
        cut[-1].append((way, event))
    return cut


def truncations_are_within_bounds(record: Record) -> Iterator[str]:
    for events in connections(record):
        received_ms: Counter[str] = Counter()
        for way, event in events:
            if isinstance(event, wire.ResponseOutputAudioDelta):
                received_ms[event.item_id] += len(event.audio) / 48
            elif way == "out" and isinstance(event, wire.ConversationItemTruncate):
                had = received_ms[event.item_id]
                if event.audio_end_ms > had:
                    yield f"truncated at {event.audio_end_ms} ms, of an item with {had:.0f} ms on this connection"


def service_has_nothing_to_complain_about(record: Record) -> Iterator[str]:
    for way, event in messages(record):
        if way == "in" and isinstance(event, wire.Error) and not read_error(event).is_benign:
            yield f"the service said: {read_error(event).message}"
    for warning in record.talk.of(SessionWarning):
        if warning.code not in WARNINGS:
            yield f"warning {warning.code}: {warning.message}"
    has_right = record.setting.manual and record.setting.answers_commits
    if not (has_right or record.is_mixed) and any(
        warning.code == "no_reply" for warning in record.talk.of(SessionWarning)
    ):
        yield "a request got no reply, although this service passes none over"


def both_sides_know_the_same(record: Record) -> Iterator[str]:
    """What this side takes for the conversation is what the service answers from, and what was written stands in it."""
    prompt = record.prompts[-1]
    if prompt.heard != LAST:
        yield f"the last words were answered as {prompt.heard!r}"
        return
    spoken = [item for item in record.talk.session.conversation.items if item.kind == "message"]
    mine = [(item.role, item.said().strip()) for item in spoken if item.said().strip()]
    place = mine.index(("user", LAST))
    theirs = [(role, text.strip()) for role, text in prompt.history if text.strip()]
    mine = mine[:place]
    is_passed = any(done.reason == "next_response" for done in record.talk.of(ResponseDone))
    if record.cuts or is_passed or dict(record.setting.quirks).get("late_deltas"):
        # What is cut short while it is told anew, or goes on after a truncation, the service may remember otherwise.
        mine, theirs = ([one for one in side if one[0] == "user"] for side in (mine, theirs))
    if mine != theirs:
        yield f"this side has {mine}, the service has {theirs}"
    written = [text for epoch, text in record.said if epoch == record.epoch]
    known = [item.text for item in spoken if item.role == "user"]
    if Counter(written) - Counter(known):
        yield f"said and not in the conversation: {list((Counter(written) - Counter(known)).elements())}"
    doubled = [text for text in set(written) if known.count(text) > 1]
    if doubled:
        yield f"in the conversation twice: {doubled}, of {known}"


def reconnects_are_told(record: Record) -> Iterator[str]:
    told = len(record.talk.of(Reconnected)) + len(record.talk.of(SessionReady))
    made = sum(any(isinstance(event, wire.SessionUpdated) for _, event in events) for events in connections(record))
    if told != made:
        yield f"{made} connections were configured, {told} were told"


LAWS: tuple[Callable[[Record], Iterator[str]], ...] = (
    comes_to_rest,
    replies_begin_and_end_once,
    audio_belongs_to_a_reply_that_runs,
    speech_begins_and_ends_in_turn,
    transcripts_are_final_once,
    items_are_told_once,
    wishes_are_answered_once,
    replies_are_asked_for_once,
    functions_run_once,
    outputs_go_out_once,
    truncations_are_within_bounds,
    service_has_nothing_to_complain_about,
    both_sides_know_the_same,
    reconnects_are_told,
)


def broken_laws(record: Record) -> list[str]:
    """Each law that does not hold, as a sentence; a session that did not come to rest is judged by that alone."""
    if not record.is_quiet or record.talk.has_ended:
        return list(comes_to_rest(record))
    return [f"{law.__name__}: {sentence}" for law in LAWS for sentence in law(record)]
