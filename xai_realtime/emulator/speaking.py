"""When the model speaks, and what it answers. In: wishes for a reply. Out: replies, one at a time. Imports: 0-3, 7."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from traceback import extract_tb
from typing import Final

from pydantic_core import to_json

from xai_realtime.emulator import failures
from xai_realtime.emulator.items import Created, Items
from xai_realtime.emulator.line import Hangup, Line, Step
from xai_realtime.emulator.reading import Fields
from xai_realtime.emulator.reply import Reply, Want, send_raw
from xai_realtime.emulator.scenario import Prompt, TableScenario, Turn
from xai_realtime.emulator.session import SERVER_TOOLS, Session
from xai_realtime.emulator.wire import ResponseState

__all__ = ["Speaker"]

logger: Final = logging.getLogger("xai_realtime.emulator")

MAX_METADATA: Final = 16
GREETING: Final = "Hello! How can I help you?"
FOLLOW_UP: Final = "Are you still there?"


class Speaker:
    """Decides on replies for one connection.

    `session` gives the settings in force. `on_end` is called after each reply, `on_idle` when the idle timeout ran out.
    """

    def __init__(
        self,
        line: Line,
        items: Items,
        session: Callable[[], Session],
        *,
        on_end: Callable[[], None],
        on_idle: Callable[[], None],
    ) -> None:
        self._line = line
        self._items = items
        self._session = session
        self._on_end = on_end
        self._on_idle = on_idle
        self._active: Reply | None = None
        self._queue: deque[Callable[[], None]] = deque()
        self._outputs: dict[str, str | None] = {}
        self._called: Turn | None = None
        self._held: Want | None = None
        self._early: dict[str, str] = {}
        self._unanswered: tuple[str, float] | None = None
        self._last_input = ""
        self._has_answered_audio = False
        self._idle: Step | None = None

    # What came in

    def new_input(self) -> None:
        """Something came that a `response.create` may answer."""
        self._has_answered_audio = False

    def item_created(self, created: Created) -> None:
        """The client made an item."""
        self.new_input()
        self._rest()
        if created.kind == "force_message":
            want = Want(is_interruptible=created.is_interruptible)
            self._when_free(lambda: self._begin(Turn(say=created.text), want))
        elif created.kind == "function_call_output":
            self._last_input = "output"
            if created.call_id in self._outputs:
                self._outputs[created.call_id] = created.text
            elif self._active is not None and created.call_id in self._active.calls:
                self._early[created.call_id] = created.text
            if self._held is not None and self._is_complete:
                want, self._held = self._held, None
                self._when_free(lambda: self._go_on(want))
        elif created.kind == "message" and created.role == "user":
            self._last_input = "user"
            self._unanswered = None

    def heard(self, text: str, audio_ms: float) -> None:
        """A turn was committed that only a request answers."""
        self.new_input()
        self._last_input = "user"
        self._unanswered = (text, audio_ms)

    @property
    def _is_complete(self) -> bool:
        return bool(self._outputs) and all(output is not None for output in self._outputs.values())

    @property
    def is_busy(self) -> bool:
        """Does a reply run?"""
        return self._active is not None

    def create(self, given: Fields, heard: str | None = None, audio_ms: float = 0.0) -> None:
        """`response.create`; `heard` is what the user just said. Raises Refused."""
        settings = given.object("response") or Fields({}, "response")
        settings.texts("modalities")
        metadata = settings.object("metadata")
        if metadata is not None and len(metadata.values) > MAX_METADATA:
            raise failures.out_of_range(metadata.path, f"at most {MAX_METADATA} pairs are allowed")
        if heard is None and self._unanswered is not None and self._last_input == "user":
            heard, audio_ms = self._unanswered
        want = Want(
            heard or "",
            audio_ms,
            metadata=None if metadata is None else dict(metadata.values),
            instructions=settings.text("instructions"),
            is_voice=heard is not None,
        )
        if heard is not None:
            self._last_input = "user"
            self._has_answered_audio = False
        if self._has_answered_audio and self._drops_requests:
            return
        if self._active is not None:
            raise failures.active_response(self._active.state.id)
        self._unanswered = None
        self._rest()
        if self._outputs and self._last_input != "user":
            if self._is_complete:
                self._go_on(want)
            else:
                self._held = want
            return
        self._answer(want, heard)
        self._has_answered_audio = heard is not None

    @property
    def _drops_requests(self) -> bool:
        """Is a request for what was answered already passed over in silence?"""
        return self._line.world.answers_commits and not self._session().detection.is_automatic

    def answer_voice(self, heard: str, audio_ms: float) -> None:
        """A voice turn was committed: it is answered without being asked."""
        self._last_input = "user"
        self._unanswered = None
        self._has_answered_audio = True
        want = Want(heard, audio_ms, is_voice=True)
        self._when_free(lambda: self._answer(want, heard))

    def speech_started(self) -> None:
        """The user speaks again: a reply that runs is broken off, unless it may not be."""
        reply = self._active
        if (
            reply is not None
            and not reply.is_dying
            and reply.want.is_interruptible
            and self._session().detection.interrupts
        ):
            reply.cancel(by_speech=True)
        self._rest()

    def begin_and_drop(self) -> None:
        """The user went on with a turn that seemed over: a reply had begun, and nothing more is heard of it."""
        line, session = self._line, self._session()
        conversation_id = line.conversation.conversation_id or ""
        state = ResponseState(line.ids.uuid(), conversation_id, session.output_format, session.voice)
        line.send(*line.wire.response_created(state))

    def cancel(self, given: Fields) -> None:
        """`response.cancel`. Raises Refused."""
        response_id = given.text("response_id")
        reply = self._active
        if reply is None or reply.is_dying or (response_id is not None and response_id != reply.state.id):
            raise failures.cancel_not_active()
        reply.cancel()

    # What goes out

    def _when_free(self, action: Callable[[], None]) -> None:
        if self._active is None:
            action()
        else:
            self._queue.append(action)

    def _answer(self, want: Want, heard: str | None = None) -> None:
        """Answer what the user said last, or `heard`."""
        said = list(self._line.conversation.transcripts())
        place = max((number for number, (role, _) in enumerate(said) if role == "user"), default=None)
        if heard is None:
            heard = "" if place is None else said[place][1]
        is_said = place is not None and said[place][1] == heard
        history = tuple(said[:place] if is_said else said)
        turn = self._turn(heard, want, history, ())
        self._begin(turn, want if want.is_voice else replace(want, text=heard))

    def _go_on(self, want: Want) -> None:
        """Speak about what the calls brought."""
        outputs = tuple(output or "" for output in self._outputs.values())
        turn, self._called, self._outputs = self._called, None, {}
        text = None if turn is None else turn.answer(outputs)
        if text is not None:
            self._begin(Turn(say=text), want)
            return
        said = list(self._line.conversation.transcripts())
        heard = next((text for role, text in reversed(said) if role == "user"), "")
        self._begin(self._turn(heard, want, tuple(said), outputs), want)

    def _turn(self, heard: str, want: Want, history: tuple[tuple[str, str], ...], outputs: tuple[str, ...]) -> Turn:
        """What the scenario answers; a table of turns has nothing for a silent user, so that is answered here."""
        scenario = self._line.world.scenario
        modality = "audio" if want.is_voice else "text"
        prompt = Prompt(heard, modality, history, outputs, want.instructions, self._session().functions)
        try:
            turn = checked(scenario.turn(prompt))
        except Exception as error:  # noqa: BLE001
            name, place = type(error).__name__, extract_tb(error.__traceback__)[-1]
            logger.error("the scenario failed: %s in line %s of %s", name, place.lineno, place.filename)
            self._line.fail(failures.scenario_failed(name))
            return Turn(silent=True)
        if turn.silent and not prompt.heard and not prompt.outputs and isinstance(scenario, TableScenario):
            return Turn(say=FOLLOW_UP if prompt.modality == "audio" else GREETING)
        return turn

    def _begin(self, turn: Turn, want: Want) -> None:
        line = self._line
        if turn.error is not None or turn.silent:
            line.after(turn.delay_ms, lambda: self._refuse(turn))
            return
        taken = next((name for name in self._session().functions if name in SERVER_TOOLS), None)
        if taken is not None:
            line.fail(failures.tool_name_taken(taken))
            turn = Turn(fail=True)
        self._active = Reply(line, self._items, self._session(), turn, want, self._ended)
        self._active.start()

    def _refuse(self, turn: Turn) -> None:
        """No reply: raw events, an error, the end of the connection, or nothing."""
        line, drop = self._line, turn.drop
        send_raw(line, turn.events, {})
        if turn.error is not None:
            line.fail(failures.Failure(turn.error.message, turn.error.code, turn.error.type))
        if drop is not None:
            farewell = Hangup(1006 if drop.code is None else drop.code, "", abrupt=drop.code is None)
            line.after(drop.after_ms, lambda: line.hang_up(farewell))

    def _ended(self, reply: Reply) -> None:
        self._active = None
        if reply.calls:
            outputs = {call_id: self._early.pop(call_id, None) for call_id in reply.calls}
            self._outputs, self._called, self._held = outputs, reply.turn, None
            self._last_input = ""
        self._on_end()
        if self._queue:
            self._queue.popleft()()
        else:
            self._arm()

    # The idle timeout

    def _arm(self) -> None:
        wait_ms = self._session().detection.idle_timeout_ms
        self._rest()
        if wait_ms:
            self._idle = self._line.after(wait_ms, self._on_idle)

    def _rest(self) -> None:
        if self._idle is not None:
            self._idle.call_off()
            self._idle = None


def checked(turn: Turn) -> Turn:
    """`turn`, when all of it can stand in JSON. Raises what the JSON writer raises."""
    to_json([turn.say, turn.then, [call.arguments for call in turn.calls], turn.events])
    return turn
