"""Clients with one bug each, planted into the session for the time of a test, and the check that must notice.

`plant()` swaps something of the session for something wrong and gives it back afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from tests.mutants import checks, checks_of_audio, checks_of_lines
from tests.mutants.checks import Check
from xai_realtime.audio import AudioFormat
from xai_realtime.codec import Codec
from xai_realtime.errors import ServiceError
from xai_realtime.events import realtime as wire
from xai_realtime.events._base import ClientModel
from xai_realtime.frames import Frame
from xai_realtime.protocol import _receiving, session
from xai_realtime.protocol.agent_voice import AgentVoice
from xai_realtime.protocol.desk import Desk
from xai_realtime.protocol.floor import Floor
from xai_realtime.protocol.ledger import UsageLedger, _Count
from xai_realtime.protocol.reply import Wish
from xai_realtime.protocol.ring import MicrophoneRing
from xai_realtime.protocol.session import SessionCore
from xai_realtime.protocol.tool_ledger import ANNOUNCED, ANSWERED, FINISHED, ToolLedger
from xai_realtime.realtime._microphone import Microphone

__all__ = ["MUTANTS", "Mutant"]

Wrong = Callable[..., Any]


@dataclass(frozen=True)
class Mutant:
    """A planted bug: what it does wrong, how it is planted, the check that fails over it, and what that says."""

    name: str
    breaks: str
    plant: Callable[[], AbstractContextManager[Any]]
    caught_by: Check
    says: str


def swapped(owner: Any, name: str, make: Callable[[Any], Wrong]) -> Callable[[], AbstractContextManager[Any]]:
    """Plants `make(the right one)` as `owner.name`."""
    return lambda: patch.object(owner, name, make(getattr(owner, name)))


def handled(kind: type, make: Callable[[Any], Wrong]) -> Callable[[], AbstractContextManager[Any]]:
    """Plants another handler for one class of server events."""
    return lambda: patch.dict(_receiving.HANDLERS, {kind: make(_receiving.HANDLERS[kind])})


# What is planted: each takes the right function and makes the wrong one.


def reads_usage_of_the_response_alone(right: Wrong) -> Wrong:
    return lambda ledger, name, top, nested, **more: right(ledger, name, None, nested, **more)


def takes_the_first_usage_object(right: Wrong) -> Wrong:
    return lambda ledger, name, top, nested, **more: right(ledger, name, nested if top is None else top, None, **more)


def sums_the_running_count(right: Wrong) -> Wrong:
    return lambda count, figure_s, index, **more: figure_s


def forgets_that_a_call_ran(right: Wrong) -> Wrong:
    def complete(ledger: ToolLedger, call: Any, raw: Any) -> None:
        call.state = ANNOUNCED
        right(ledger, call, raw)

    return complete


def continues(times: int) -> Callable[[Wrong], Wrong]:
    def make(right: Wrong) -> Wrong:
        def enqueue(floor: Floor, wish: Wish, **more: Any) -> None:
            for _ in range(times if wish.kind == "continuation" else 1):
                right(floor, wish, **more)

        return enqueue

    return make


def continues_after_any_output(right: Wrong) -> Wrong:
    return lambda ledger, response_id: any(call.state == ANSWERED for call in ledger._of(response_id))


def answers_at_once(right: Wrong) -> Wrong:
    def finished(ledger: ToolLedger, call_id: str, output: str, **more: Any) -> None:
        right(ledger, call_id, output, **more)
        call = ledger._calls[call_id]
        if call.state == FINISHED:
            call.state = ANSWERED
            ledger._desk.send_item(wire.FunctionCallOutputItem(call_id=call_id, output=output))

    return finished


def answers_under_the_item(right: Wrong) -> Wrong:
    def send_item(desk: Desk, item: Any) -> str:
        if isinstance(item, wire.FunctionCallOutputItem):
            [called] = [one for one in desk.conversation.items if one.call_id == item.call_id]
            item = item.model_copy(update={"call_id": called.id})
        return str(right(desk, item))

    return send_item


def quotes_texts(right: Wrong) -> Wrong:
    return lambda ledger, call_id, output, **more: right(ledger, call_id, json.dumps(output), **more)


def drops_calls_without_arguments(right: Wrong) -> Wrong:
    return lambda ledger, call, raw: right(ledger, call, raw) if call.arguments else None


def keeps_mistakes_to_itself(right: Wrong) -> Wrong:
    def finished(ledger: ToolLedger, call_id: str, output: str, *, is_error: bool, responds: bool) -> None:
        if not is_error:
            right(ledger, call_id, output, is_error=is_error, responds=responds)

    return finished


def asks_twice(right: Wrong) -> Wrong:
    def end_turn(core: SessionCore, wish: Wish, when_busy: str, now_ms: float) -> None:
        right(core, wish, when_busy, now_ms)
        core.floor.enqueue(Wish("reply", request=wire.ResponseCreate()))

    return end_turn


def leaves_nulls_out(right: Wrong) -> Wrong:
    def encode(codec: Codec[Any, Any], event: Any) -> Frame:
        if not isinstance(event, ClientModel):
            return right(codec, event)  # type: ignore[no-any-return]
        return Frame(event.model_dump_json(by_alias=True, exclude_unset=True, exclude_none=True).encode())

    return encode


def commits_the_microphone(right: Wrong) -> Wrong:
    def text(core: SessionCore, *given: Any, **more: Any) -> None:
        core.desk.send(wire.InputAudioBufferCommit())
        right(core, *given, **more)

    return text


def takes_snapshots_as_final(right: Wrong) -> Wrong:
    return lambda core, event: right(core, event.model_copy(update={"status": "completed"}))


def never_sends_an_empty_list(right: Wrong) -> Wrong:
    def reconfigure(core: SessionCore, setup: Any, update: Any, now_ms: float) -> None:
        right(core, setup, update if update.session.tools else None, now_ms)

    return reconfigure


def ends_over_any_error(right: Wrong) -> Wrong:
    def end(core: SessionCore, event: Any) -> None:
        core.desk.finish = ServiceError("error", "the service sent an error")

    return end


def truncates_at_what_was_received(right: Wrong) -> Wrong:
    return lambda voice, cut, *more: right(voice, cut._replace(heard_ms=cut.received_ms), *more)


def passes_late_audio_on(right: Wrong) -> Wrong:
    def audio(core: SessionCore, event: Any) -> None:
        core.floor.reply(event.response_id).is_muted = False
        right(core, event)

    return audio


def always_cancels(right: Wrong) -> Wrong:
    def interrupt(floor: Floor, *given: Any, **more: Any) -> Any:
        if floor.open is None:
            floor._desk.send(wire.ResponseCancel())
        return right(floor, *given, **more)

    return interrupt


def forgets_what_was_heard(right: Wrong) -> Wrong:
    def keep(voice: AgentVoice, item_id: str, *more: Any) -> None:
        right(voice, item_id, *more)
        item = voice._desk.conversation.item(item_id)
        assert item is not None
        item.heard = None

    return keep


def averages_pairs(right: Wrong) -> Wrong:
    return lambda microphone, audio, *more: right(microphone, bytes(audio)[: len(audio) // 2], *more)


def sends_before_the_receipt(right: Wrong) -> Wrong:
    def microphone(core: SessionCore, audio: bytes, audio_ms: float, now_ms: float) -> bool:
        return bool(right(core, audio, audio_ms, now_ms)) or core.line == "configuring"

    return microphone


def resends_nothing(right: Wrong) -> Wrong:
    def reconnect(ring: MicrophoneRing) -> Any:
        ring.discard_sent()
        return right(ring)

    return reconnect


def tells_twice(right: Wrong) -> Wrong:
    return lambda core: right(core) * 2


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "usage-of-the-response",
        "It reads usage inside the response, where the service leaves it empty.",
        swapped(UsageLedger, "response_done", reads_usage_of_the_response_alone),
        checks_of_audio.usage_is_read_where_it_is_stated,
        "read from response.usage, which is empty",
    ),
    Mutant(
        "empty-usage-hides",
        "It takes the first usage object there is, also when it is empty.",
        swapped(UsageLedger, "response_done", takes_the_first_usage_object),
        checks_of_audio.empty_usage_hides_nothing,
        "an empty object masks",
    ),
    Mutant(
        "seconds-summed",
        "It adds up a count that runs on over the conversation.",
        swapped(_Count, "added_s", sums_the_running_count),
        checks_of_audio.running_count_of_seconds_is_not_summed,
        "summed in place of its differences",
    ),
    Mutant(
        "call-runs-again",
        "It runs a call again at its next announcement.",
        swapped(ToolLedger, "_complete", forgets_that_a_call_ran),
        checks.call_runs_once,
        "times for one call id",
    ),
    Mutant(
        "no-continuation",
        "It sends outputs and does not ask for the answer.",
        swapped(Floor, "enqueue", continues(0)),
        checks.one_continuation_follows_the_last_output,
        "no response.create followed the last output",
    ),
    Mutant(
        "early-continuation",
        "It asks for the answer after the first of two outputs.",
        swapped(ToolLedger, "_wants_answer", continues_after_any_output),
        checks.one_continuation_follows_the_last_output,
        "response.create went out before the last output",
    ),
    Mutant(
        "two-continuations",
        "It asks for the answer twice.",
        swapped(Floor, "enqueue", continues(2)),
        checks.one_continuation_follows_the_last_output,
        "2 response.create followed the last output",
    ),
    Mutant(
        "early-output",
        "It sends an output while the reply that called still runs.",
        swapped(ToolLedger, "finished", answers_at_once),
        checks.output_waits_for_the_end_of_its_reply,
        "before the response.done of the reply that called",
    ),
    Mutant(
        "output-under-the-item",
        "It names the item of a call in place of the call.",
        swapped(Desk, "send_item", answers_under_the_item),
        checks.output_names_its_call,
        "names the item id of its call",
    ),
    Mutant(
        "quoted-output",
        "It writes a text that a function returned as JSON.",
        swapped(ToolLedger, "finished", quotes_texts),
        checks.text_of_a_tool_goes_out_as_it_is,
        "went out in quotes",
    ),
    Mutant(
        "empty-arguments-dropped",
        "It ignores a call whose arguments are empty.",
        swapped(ToolLedger, "_complete", drops_calls_without_arguments),
        checks.call_with_empty_arguments_is_answered,
        "the call with empty arguments was dropped",
    ),
    Mutant(
        "unknown-tool-unanswered",
        "It gives no output where it has no function.",
        swapped(ToolLedger, "finished", keeps_mistakes_to_itself),
        checks.call_of_an_unknown_tool_is_answered,
        "the call of an unknown tool got no output",
    ),
    Mutant(
        "two-replies-to-a-turn",
        "It asks twice for the reply to one turn.",
        swapped(SessionCore, "end_turn", asks_twice),
        checks.turn_by_hand_gets_one_reply,
        "one turn by hand got 2 replies",
    ),
    Mutant(
        "null-left-out",
        "It leaves out what is null, and with it manual turns.",
        swapped(Codec, "encode", leaves_nulls_out),
        checks.turns_by_hand_are_configured_so,
        "turn_detection went out as {}",
    ),
    Mutant(
        "text-commits-audio",
        "It commits the microphone before it sends a text.",
        swapped(SessionCore, "text", commits_the_microphone),
        checks.text_leaves_the_microphone_alone,
        "send_text sent input_audio_buffer.commit",
    ),
    Mutant(
        "snapshot-is-final",
        "It takes a transcript in progress as final.",
        handled(wire.ConversationItemInputAudioTranscriptionCompleted, takes_snapshots_as_final),
        checks.transcript_is_final_once,
        "a snapshot in_progress was taken as final",
    ),
    Mutant(
        "tools-stay",
        "It sends no empty list, so tools can never be taken away.",
        swapped(SessionCore, "reconfigure", never_sends_an_empty_list),
        checks.tools_can_be_taken_away,
        "update(tools=()) sent nothing",
    ),
    Mutant(
        "error-ends-it",
        "It ends over any error event.",
        handled(wire.Error, ends_over_any_error),
        checks.error_event_leaves_the_session_running,
        "an error event ended the session",
    ),
    Mutant(
        "truncates-too-late",
        "It truncates where the received audio ends, not where the played audio does.",
        swapped(AgentVoice, "_cut_item", truncates_at_what_was_received),
        checks_of_audio.truncation_says_what_was_played,
        "had been played",
    ),
    Mutant(
        "stale-audio",
        "It passes on what comes late of an interrupted reply.",
        handled(wire.ResponseOutputAudioDelta, passes_late_audio_on),
        checks_of_audio.nothing_of_an_interrupted_reply_is_passed_on,
        "stale audio of an interrupted reply",
    ),
    Mutant(
        "cancels-nothing",
        "It cancels when no reply runs.",
        swapped(Floor, "interrupt", always_cancels),
        checks_of_audio.nothing_is_cancelled_when_nothing_runs,
        "response.cancel was sent with no reply running",
    ),
    Mutant(
        "heard-text-forgotten",
        "It keeps all words of a reply that was cut off.",
        swapped(AgentVoice, "_keep_heard", forgets_what_was_heard),
        checks_of_audio.heard_text_is_kept,
        "of an interrupted reply, heard was",
    ),
    Mutant(
        "two-bytes-a-sample",
        "It counts G.711 with two bytes a sample.",
        lambda: patch.object(AudioFormat, "sample_bytes", property(lambda form: 2)),
        checks_of_audio.audio_of_the_phone_lasts_as_long_as_it_sounds,
        "wrong bytes a sample",
    ),
    Mutant(
        "mono-averaged",
        "It takes mono for stereo and averages pairs of samples.",
        swapped(Microphone, "take", averages_pairs),
        checks_of_audio.microphone_audio_goes_out_as_it_was_given,
        "averaged as if it were stereo",
    ),
    Mutant(
        "early-microphone",
        "It sends audio while the configuration is on its way.",
        swapped(SessionCore, "microphone", sends_before_the_receipt),
        checks_of_audio.microphone_waits_for_the_receipt_of_the_configuration,
        "were sent before session.updated",
    ),
    Mutant(
        "audio-lost",
        "It forgets the microphone's audio when the line drops.",
        swapped(MicrophoneRing, "reconnect", resends_nothing),
        checks_of_lines.microphone_audio_survives_a_cut,
        "neither sent again nor reported as lost",
    ),
    Mutant(
        "told-twice",
        "It tells the conversation to a new connection twice.",
        swapped(session, "seeds", tells_twice),
        checks_of_lines.conversation_is_told_anew_once,
        "was told to the new connection 2 times",
    ),
)
