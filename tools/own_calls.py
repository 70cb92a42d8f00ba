"""The calls that are on the project's own tapes: what is asked, how it is answered, and when.

Each is a scenario for the emulator and a client that talks to it. A client acts a moment after it has heard what it
waits for, so that the same is said in virtual time and over a socket, whatever the computer does meanwhile.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import anyio

from xai_realtime import AsyncClient, RealtimeConnection
from xai_realtime.audible import speak
from xai_realtime.audio import bytes_for_ms, from_pcm16
from xai_realtime.emulator import DropSpec, ErrorSpec, Prompt, ToolRequest, Turn
from xai_realtime.errors import ConnectionClosedError
from xai_realtime.events.realtime import (
    AudioConfig,
    AudioFormatConfig,
    AudioInputConfig,
    AudioOutputConfig,
    ClientEvent,
    ClientItem,
    ConversationItemCreate,
    ConversationItemDelete,
    ConversationItemTruncate,
    FunctionCallItem,
    FunctionCallOutputItem,
    FunctionTool,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    InputTextPart,
    MessageItem,
    OutputTextPart,
    ResponseCancel,
    ResponseConfig,
    ResponseCreate,
    ResumptionConfig,
    SessionConfig,
    SessionUpdate,
    TranscriptionConfig,
    TurnDetectionConfig,
)
from xai_realtime.transport.faults import Fault

__all__ = ["CALLS", "OwnCall", "client_ids"]

REACTION_S: Final = 0.01
"""What a client takes to act on an event: far from the 100 ms beat of the emulator's speech."""
DRIFT: Final = 1.005
"""A microphone's clock is not the emulator's: no chunk comes at the very moment of a piece of speech."""
PAUSE_MS: Final = 700
"""Silence after a spoken turn, by which its end is known."""
LONG_LINES: Final = 50

Mark: TypeAlias = Callable[[str], None]
Talk: TypeAlias = Callable[[AsyncClient, Mark], Awaitable[None]]
Scenario: TypeAlias = Callable[[Prompt], Turn | str | None]


@dataclass(frozen=True)
class OwnCall:
    """One tape: what it shows, what the emulator answers, what the client does, and what the line does wrong."""

    shows: str
    scenario: Scenario
    talk: Talk
    faults: tuple[Fault, ...] = ()


class Caller:
    """The client's end of one connection: it listens all the time, and speaks in one audio format."""

    def __init__(self, connection: RealtimeConnection, rate_hz: int, encoding: Literal["pcm", "pcmu"]) -> None:
        self.connection = connection
        self._rate_hz = rate_hz
        self._encoding: Literal["pcm", "pcmu"] = encoding
        self._heard: list[Any] = []
        self._seen = 0
        self._is_over = False
        self._news = anyio.Event()

    async def listen(self) -> None:
        """Take in what comes until the line is over."""
        try:
            while True:
                self._heard.append(await self.connection.receive())
                self._tell()
        except ConnectionClosedError:
            self._is_over = True
            self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    @property
    def conversation_id(self) -> str:
        """The conversation's id, as the service told it."""
        created = next(event for event in self._heard if event.type == "conversation.created")
        return str(created.conversation.id)

    async def hear(self, name: str, count: int = 1) -> Any:
        """Wait for an event behind those that were waited for (the `count`-th of its type), and then a moment."""
        while True:
            for place in range(self._seen, len(self._heard)):
                if self._heard[place].type == name:
                    count -= 1
                    if not count:
                        self._seen = place + 1
                        await anyio.sleep(REACTION_S)
                        return self._heard[place]
            self._seen = len(self._heard)
            if self._is_over:
                raise RuntimeError(f"the line was over before {name} came")
            await self._news.wait()

    async def hear_end(self) -> None:
        """Wait until the other side ends the line."""
        while not self._is_over:
            await self._news.wait()

    async def send(self, event: ClientEvent, answer: str | None = None) -> Any:
        """Send an event, and wait for its answer."""
        await self.connection.send(event)
        return None if answer is None else await self.hear(answer)

    async def item(self, item: ClientItem, **more: Any) -> Any:
        """Make an item; its receipt."""
        return await self.send(ConversationItemCreate(item=item, **more), "conversation.item.added")

    async def ask(self, text: str) -> Any:
        """Ask in writing; the end of the reply."""
        await self.item(user(text))
        return await self.send(ResponseCreate(), "response.done")

    def sound(self, text: str, pause_ms: int = PAUSE_MS) -> bytes:
        """`text` as speech in the format of the session, with silence behind it."""
        pcm = speak(text, sample_rate_hz=self._rate_hz) + bytes(bytes_for_ms(pause_ms, self._rate_hz))
        return from_pcm16(pcm, self._encoding)

    def _whole(self, sound: bytes, size: int) -> bytes:
        """`sound` with silence up to a whole number of chunks, as a microphone gives it."""
        missing = -len(sound) % size
        return sound + from_pcm16(bytes(missing * (2 if self._encoding == "pcmu" else 1)), self._encoding)

    async def say(self, sound: bytes, chunk_ms: int = 200) -> None:
        """Send audio as a microphone does, at the pace of speech."""
        size = bytes_for_ms(chunk_ms, self._rate_hz, encoding=self._encoding)
        sound = self._whole(sound, size)
        for at in range(0, len(sound), size):
            await self.connection.send_audio(sound[at : at + size])
            await anyio.sleep(chunk_ms / 1000 * DRIFT)

    async def interrupt(self, text: str, item_id: str, heard_ms: int, mark: Mark) -> None:
        """Speak into a reply, and say how much of it was heard."""
        mark("barge-in")
        sound = self.sound(text)
        first = bytes_for_ms(200, self._rate_hz, encoding=self._encoding)
        await self.connection.send_audio(sound[:first])
        await self.hear("response.done")
        cut = ConversationItemTruncate(item_id=item_id, content_index=0, audio_end_ms=heard_ms)
        await self.send(cut, "conversation.item.truncated")
        await anyio.sleep(0.18)
        await self.say(sound[first:])
        await self.hear("response.done")


def user(text: str, **more: Any) -> MessageItem:
    """A written message of the user."""
    return MessageItem(role="user", content=[InputTextPart(text=text)], **more)


def output(call_id: str, text: str, **more: Any) -> FunctionCallOutputItem:
    """What a call brought."""
    return FunctionCallOutputItem(call_id=call_id, output=text, **more)


def tool(name: str, *parameters: str) -> FunctionTool:
    """A function that takes texts."""
    properties = {parameter: {"type": "string"} for parameter in parameters}
    schema = {"type": "object", "properties": properties, "required": list(parameters)}
    return FunctionTool(name=name, description=f"Use it to {name.replace('_', ' ')}.", parameters=schema)


def answers(table: Mapping[str, Turn | str]) -> Scenario:
    """A scenario that knows its texts by heart; what is not in the table fails, and the recording with it."""

    def turn(prompt: Prompt) -> Turn | str:
        return table[prompt.heard]

    return turn


@asynccontextmanager
async def calling(
    client: AsyncClient,
    *,
    by_hand: bool = False,
    rate_hz: Literal[8000, 16000, 24000] = 8000,
    encoding: Literal["pcm", "pcmu"] = "pcm",
    instructions: str = "Answer in one short sentence.",
    tools: Sequence[FunctionTool] = (),
    is_resumable: bool = False,
    conversation_id: str | None = None,
) -> AsyncIterator[Caller]:
    """Open a connection and configure it; close it at the end."""
    form = AudioFormatConfig(type=f"audio/{encoding}", rate=rate_hz)
    heard = AudioInputConfig(format=form, transcription=TranscriptionConfig(model="grok-transcribe"))
    given: dict[str, Any] = {"tools": list(tools)} if tools else {}
    if is_resumable:
        given["resumption"] = ResumptionConfig(enabled=True)
    session = SessionConfig(
        instructions=instructions,
        voice="eve",
        turn_detection=TurnDetectionConfig(type=None if by_hand else "server_vad"),
        audio=AudioConfig(input=heard, output=AudioOutputConfig(format=form)),
        **given,
    )
    async with client.realtime.connect(conversation_id=conversation_id) as connection:
        caller = Caller(connection, rate_hz, encoding)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(caller.listen)
            await caller.hear("ping")
            await caller.send(SessionUpdate(session=session), "session.updated")
            yield caller
            await connection.aclose()


# The calls


async def text_turn(client: AsyncClient, mark: Mark) -> None:
    """A written question and a spoken answer."""
    async with calling(client, by_hand=True, rate_hz=24000) as caller:
        await caller.ask("Which way is north?")


async def voice_turn(client: AsyncClient, mark: Mark) -> None:
    """Two spoken questions, two spoken answers."""
    async with calling(client, rate_hz=16000) as caller:
        for question in ("Who is there?", "And who else?"):
            await caller.say(caller.sound(question))
            await caller.hear("response.done")


async def client_ids(client: AsyncClient, mark: Mark, seed: int = 1) -> None:
    """Every id that a client may choose, and what refers to it."""
    drawn = random.Random(seed)

    def new() -> str:
        return str(uuid.UUID(int=drawn.getrandbits(128), version=4))

    question, answer, call, result, last = (new() for _ in range(5))
    call_id = f"call-{new()}-0"
    async with calling(client, by_hand=True, tools=[tool("look_up_tide", "port")]) as caller:
        await caller.item(user("When is high tide in Faro?", id=question), event_id=new())
        arguments = '{"port": "Faro"}'
        await caller.item(FunctionCallItem(id=call, call_id=call_id, name="look_up_tide", arguments=arguments))
        await caller.item(output(call_id, "16:40", id=result), event_id=new())
        said = MessageItem(role="assistant", content=[OutputTextPart(text="At 16:40.")], id=answer)
        await caller.item(said, previous_item_id=question)
        await caller.item(user("And low tide?", id=last), previous_item_id=answer)
        note = ResponseConfig(metadata={"question": "2"})
        done = await caller.send(ResponseCreate(event_id=new(), response=note), "response.done")
        spoken = done.response.output[0].id
        cut = ConversationItemTruncate(event_id=new(), item_id=spoken, content_index=0, audio_end_ms=400)
        await caller.send(cut, "conversation.item.truncated")
        await caller.send(ConversationItemDelete(event_id=new(), item_id=question), "conversation.item.deleted")


async def tool_call(client: AsyncClient, mark: Mark) -> None:
    """A spoken preamble, a call, and the answer that needs it."""
    async with calling(client, by_hand=True, tools=[tool("get_wind", "place")]) as caller:
        await caller.item(user("How strong is the wind in Sines?"))
        await caller.send(ResponseCreate())
        call = await caller.hear("response.function_call_arguments.done")
        await caller.hear("response.done")
        await caller.item(output(call.call_id, "It blows at 12 knots."))
        await caller.send(ResponseCreate(), "response.done")


async def parallel_calls(client: AsyncClient, mark: Mark) -> None:
    """Three calls in one response; their outputs in another order, and one request for the answer."""
    tools = [tool("get_wind", "place"), tool("get_tide", "place")]
    async with calling(client, by_hand=True, tools=tools) as caller:
        await caller.item(user("Wind in Faro and Lagos, tide in Faro?"))
        await caller.send(ResponseCreate())
        calls = [await caller.hear("response.function_call_arguments.done") for _ in range(3)]
        await caller.hear("response.done")
        for number, text in ((2, "high at 16:40"), (0, "9 knots"), (1, "14 knots")):
            await caller.item(output(calls[number].call_id, text))
        await caller.send(ResponseCreate(), "response.done")


async def barge_in_early(client: AsyncClient, mark: Mark) -> None:
    """The user speaks into the first word of a reply."""
    async with calling(client) as caller:
        await caller.say(caller.sound("Tell a tale"))
        delta = await caller.hear("response.output_audio.delta", 2)
        await caller.interrupt("No, a joke", delta.item_id, 120, mark)


async def barge_in_late(client: AsyncClient, mark: Mark) -> None:
    """The user speaks into the end of a reply, and most of it was heard."""
    async with calling(client) as caller:
        await caller.say(caller.sound("Tell a tale"))
        delta = await caller.hear("response.output_audio.delta", 22)
        await caller.interrupt("I know", delta.item_id, 2100, mark)


async def take_back(client: AsyncClient, mark: Mark) -> None:
    """The user pauses, and goes on before the reply could be heard: one turn, and one reply dropped in silence."""
    async with calling(client) as caller:
        await caller.say(caller.sound("Is the gate", 750) + caller.sound("open now?"))
        await caller.hear("response.done")


async def manual_mode(client: AsyncClient, mark: Mark) -> None:
    """Turns that the client ends: one committed, one cleared, one whose reply is called off."""
    async with calling(client, by_hand=True) as caller:
        await caller.say(caller.sound("First floor", 0))
        await caller.send(InputAudioBufferCommit(), "input_audio_buffer.committed")
        await caller.send(ResponseCreate(), "response.done")
        await caller.say(caller.sound("Forget", 0))
        await caller.send(InputAudioBufferClear(), "input_audio_buffer.cleared")
        await caller.say(caller.sound("Top floor", 0))
        await caller.send(InputAudioBufferCommit(), "input_audio_buffer.committed")
        await caller.hear("response.output_audio.delta", 5)
        await caller.send(ResponseCancel(), "response.done")


async def resumption(client: AsyncClient, mark: Mark) -> None:
    """A line that breaks in the middle of a reply, and the same conversation on a second one."""
    async with calling(client, by_hand=True, is_resumable=True) as caller:
        conversation_id = caller.conversation_id
        await caller.ask("My name is Ines.")
        await caller.item(user("Count to a hundred."))
        await caller.send(ResponseCreate())
        await caller.hear_end()
    await anyio.sleep(0.5)
    async with calling(client, by_hand=True, is_resumable=True, conversation_id=conversation_id) as caller:
        await caller.ask("Are you still there?")


async def error_recovery(client: AsyncClient, mark: Mark) -> None:
    """Wishes that cannot be met, a reply that fails, an error in place of one; and then all is well."""
    async with calling(client, by_hand=True) as caller:
        await caller.send(ResponseCancel(event_id="cancel-nothing"), "error")
        cut = ConversationItemTruncate(event_id="cut-nothing", item_id="no-such-item", content_index=0, audio_end_ms=1)
        await caller.send(cut, "error")
        await caller.send(ConversationItemCreate(item=output("no-such-call", "42")), "error")
        await caller.ask("Fail, please.")
        await caller.item(user("Refuse, please."))
        await caller.send(ResponseCreate(), "error")
        await caller.ask("Be well.")


async def long_call(client: AsyncClient, mark: Mark) -> None:
    """A dictation: the microphone rests while the model speaks."""
    async with calling(client, rate_hz=8000, encoding="pcmu", instructions="Take notes.") as caller:
        for number in range(1, LONG_LINES + 1):
            await caller.say(caller.sound(dictated(number), 1000), chunk_ms=800)
            await caller.hear("response.done")


THINGS: Final = ("brass lamps", "coils of rope", "charts of the coast", "tins of paint", "spare oars", "signal flags")


def dictated(number: int) -> str:
    """A line of an inventory."""
    there, elsewhere = THINGS[number % 6], THINGS[(number * 5 + 2) % 6]
    many, more = number * 7 % 23 + 2, number * 11 % 17 + 2
    return (
        f"Line {number}. The store room on deck {number % 4 + 1} holds {many} {there} in good order, "
        f"and {more} {elsewhere} that somebody should look at before the end of the month."
    )


def noted(prompt: Prompt) -> str:
    """The answer to a line of the inventory."""
    return f"{prompt.heard.partition('.')[0]} is noted."


TALE: Final = "There once was a cat who sailed a boat to the moon."
CALLS: Final[Mapping[str, OwnCall]] = {
    "emulator_text_turn": OwnCall(
        "A written question and a spoken answer, PCM at 24 kHz.",
        answers({"Which way is north?": "North is where the moss grows."}),
        text_turn,
    ),
    "emulator_voice_turn": OwnCall(
        "Two spoken turns under server VAD, PCM at 16 kHz both ways.",
        answers({"Who is there?": "It is me, Ada.", "And who else?": "Nobody else is here."}),
        voice_turn,
    ),
    "emulator_client_ids": OwnCall(
        "Items, calls and events under ids that the client chose, and what refers to them later.",
        answers({"And low tide?": "Low tide is at 22:55."}),
        client_ids,
    ),
    "emulator_tool_call": OwnCall(
        "A call behind a spoken preamble, its output, and the answer that uses it.",
        answers(
            {
                "How strong is the wind in Sines?": Turn(
                    say="Let me look.", calls=(ToolRequest("get_wind", {"place": "Sines"}),), then="{output}"
                )
            }
        ),
        tool_call,
    ),
    "emulator_parallel_calls": OwnCall(
        "Three calls in one response, answered in another order, and one spoken answer to all of them.",
        answers(
            {
                "Wind in Faro and Lagos, tide in Faro?": Turn(
                    calls=(
                        ToolRequest("get_wind", {"place": "Faro"}),
                        ToolRequest("get_wind", {"place": "Lagos"}),
                        ToolRequest("get_tide", {"place": "Faro"}),
                    ),
                    then="That is {output}.",
                )
            }
        ),
        parallel_calls,
    ),
    "emulator_duplicate_announcements": OwnCall(
        "One call announced even more often than usual: a placed fault doubles four of its events.",
        answers(
            {
                "How strong is the wind in Sines?": Turn(
                    calls=(ToolRequest("get_wind", {"place": "Sines"}),), then="{output}"
                )
            }
        ),
        tool_call,
        faults=(
            Fault.duplicate(on="response.output_item.added"),
            Fault.duplicate(times=2, on="conversation.item.added", nth=2),
            Fault.duplicate(on="response.function_call_arguments.done"),
            Fault.duplicate(on="response.output_item.done"),
        ),
    ),
    "emulator_barge_in_early": OwnCall(
        "The user speaks into the first word of a reply, which is cut to nothing.",
        answers({"Tell a tale": TALE, "No, a joke": "Knock."}),
        barge_in_early,
    ),
    "emulator_barge_in_late": OwnCall(
        "The user speaks into a reply of which two seconds were heard; those words are kept.",
        answers({"Tell a tale": TALE, "I know": "Very well."}),
        barge_in_late,
    ),
    "emulator_take_back": OwnCall(
        "The user goes on after a pause: the same item grows, and the reply that was begun is dropped silently.",
        answers({"Is the gate": "It is shut.", "Is the gate open now?": "Yes, it is open."}),
        take_back,
    ),
    "emulator_manual_mode": OwnCall(
        "Turns that the client ends: committed, cleared, and a reply that it calls off.",
        answers({"First floor": "Going up.", "Top floor": "Up we go, to the very top."}),
        manual_mode,
    ),
    "emulator_resumption": OwnCall(
        "A line that breaks in the middle of a reply, and the conversation resumed on a second one.",
        answers(
            {
                "My name is Ines.": "Hello Ines.",
                "Count to a hundred.": Turn(say="One, two, three, four.", drop=DropSpec(after_ms=830)),
                "Are you still there?": "Yes, I am.",
            }
        ),
        resumption,
    ),
    "emulator_error_recovery": OwnCall(
        "Refused wishes, a failed reply and an error in place of one; the conversation goes on.",
        answers(
            {
                "Fail, please.": Turn(say="I am", fail=True),
                "Refuse, please.": Turn(error=ErrorSpec("The model is resting.", "internal_error", "internal_error")),
                "Be well.": "I am well.",
            }
        ),
        error_recovery,
    ),
    "emulator_long_call": OwnCall(
        "Ten minutes of audio in one call, G.711 both ways: a dictation, each line of which is acknowledged.",
        noted,
        long_call,
    ),
}
