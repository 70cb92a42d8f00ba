"""A voice agent of three parts: ears (speech to text), a brain (chat with a function), a mouth (text to speech).

The answer is spoken while it is written. When the user breaks in all three stop, and the conversation keeps what was
heard. Run it: `python examples/cascade_agent.py` (the emulator is the service and a script is the caller, in virtual
time). With `--live` and XAI_API_KEY set Grok answers your microphone, 16-bit mono PCM at 24 kHz (wear headphones):
`arecord -q -t raw -f S16_LE -r 24000 | python examples/cascade_agent.py --live | aplay -q -t raw -f S16_LE -r 24000`.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import AsyncIterator, Sequence

import anyio

import xai_realtime as xai
from xai_realtime.audible import speak
from xai_realtime.chat.conversation import ChatConversation
from xai_realtime.emulator import Emulator, Prompt, ToolRequest, Turn
from xai_realtime.protocol.chat_outcome import TextDelta

LIVE = "--live" in sys.argv[1:]
MODEL = "grok-4.6"
SYSTEM = "You are on the phone. Answer in one or two short sentences, without any markup."
RATE_HZ, FRAME_S = 24_000, 0.02
HEARD = (xai.SttInterim, xai.SttSegment, xai.SttUtterance)
FRAME_BYTES = round(RATE_HZ * FRAME_S) * 2


def note(text: str) -> None:
    """A line for the person who watches; the sound goes to standard output."""
    print(text, file=sys.stderr if LIVE else sys.stdout)


@xai.tool
async def look_up_tide(city: str) -> str:
    """The time of the next high tide at a city."""
    await anyio.sleep(0.2)
    return "16:40"


class Loudspeaker:
    """Plays 20 ms after 20 ms, so that what was heard is known. A sound card would take the place of `play`."""

    def __init__(self) -> None:
        self.waiting = bytearray()
        self.played_bytes = 0
        self.silent = anyio.Event()
        self.silent.set()

    def write(self, audio: bytes) -> None:
        """Have this played behind all that waits."""
        if not self.waiting:
            self.silent = anyio.Event()
        self.waiting += audio

    def flush(self) -> None:
        """Forget what waits."""
        self.waiting.clear()
        self.silent.set()

    def play(self, frame: bytes) -> None:
        """What a listener hears."""
        if LIVE:
            sys.stdout.buffer.write(frame)
            sys.stdout.buffer.flush()

    async def run(self) -> None:
        """Play for ever."""
        next_s = anyio.current_time()
        while True:
            if frame := bytes(self.waiting[:FRAME_BYTES]):
                self.play(frame)
                self.played_bytes += len(frame)
                del self.waiting[:FRAME_BYTES]
                if not self.waiting:
                    self.silent.set()
            next_s = max(next_s + FRAME_S, anyio.current_time())
            await anyio.sleep_until(next_s)


class Answer:
    """One answer: the brain writes, the mouth speaks, the loudspeaker plays, to the end or until the user breaks in."""

    def __init__(self, agent: Agent, question: str) -> None:
        self.heard_at_s = anyio.current_time()
        self.latency_ms: float | None = None
        self.cut_ms: float | None = None
        self.said: list[str] = []
        self.is_over = anyio.Event()
        self.conversation = agent.conversation.add_user(question)
        self._first = len(agent.conversation)
        self._speaker = agent.speaker
        self._before_bytes = agent.speaker.played_bytes
        self._run = agent.client.chat.run(MODEL, agent.conversation, tools=[look_up_tide])
        self._speech = agent.client.tts.stream(self._words(), timestamps=True)

    @property
    def played_ms(self) -> float:
        """How much of it was played."""
        return (self._speaker.played_bytes - self._before_bytes) / 2 / RATE_HZ * 1000

    def _texts(self) -> list[str]:
        """What of it stands in the conversation: a text before each round of calls, and the last one."""
        messages = self.conversation.messages[self._first :]
        return [message["content"] for message in messages if message["role"] == "assistant" and message["content"]]

    async def _words(self) -> AsyncIterator[str | xai.Flush]:
        async for event in self._run:
            match event:
                case TextDelta():
                    yield event.text
                case xai.ToolCalled():
                    note(f"       (calls {event.name} {event.arguments})")
                    yield xai.Flush()  # what was said so far is spoken while the function works

    async def give(self) -> None:
        """Think and speak."""
        try:
            async with self._run, self._speech:
                async for chunk in self._speech:
                    if self.latency_ms is None:
                        self.latency_ms = (anyio.current_time() - self.heard_at_s) * 1000
                    self._speaker.write(chunk)
                await self._speaker.silent.wait()
        except xai.XaiRealtimeError as error:
            note(f"       (the answer breaks off: {error})")
            self._cut()
        if self.cut_ms is not None:
            self._keep_what_was_heard(self.cut_ms)
        self.said = self._texts()
        note(f"agent: {' '.join(self.said)}{'' if self.cut_ms is None else ' -- cut off'}")
        if self.latency_ms is not None:
            note(f"       (first audio {self.latency_ms:.0f} ms after the end of the question)")
        self.is_over.set()

    def _cut(self) -> None:
        """Be silent at once."""
        self.cut_ms = self.played_ms if self.cut_ms is None else self.cut_ms
        self._speaker.flush()

    async def interrupt(self) -> None:
        """The user speaks: stop loudspeaker, mouth and brain, in this order, and wait until they are silent."""
        if not self.is_over.is_set():
            self._cut()
            await self._speech.interrupt()
            await self._run.cancel()
            await self.is_over.wait()

    def _keep_what_was_heard(self, cut_ms: float) -> None:
        """Cut the texts of this answer, the last one first, to the words whose end was played."""
        heard = sum(word.end_s is not None and word.end_s * 1000 <= cut_ms for word in self._speech.words)
        texts = self._texts()
        for place in reversed(range(len(texts))):
            words = texts[place].split()
            left = heard - sum(len(text.split()) for text in texts[:place])
            if left < len(words):
                self.conversation.heard(" ".join(words[: max(0, left)]))
            if left > 0:
                break


class Agent:
    """Listens as long as the microphone gives audio, and answers. A word of the user stops the answer."""

    def __init__(self, client: xai.AsyncClient, speaker: Loudspeaker) -> None:
        self.client = client
        self.speaker = speaker
        self.conversation = ChatConversation(system=SYSTEM)
        self.answers: list[Answer] = []

    async def run(self, microphone: AsyncIterator[bytes]) -> None:
        """Hold the call."""
        await self.client.models.get(MODEL)  # opens the connection, and tells whether the key is good
        await self.client.tts.prewarm(timestamps=True)
        async with self.client.stt.stream(sample_rate=RATE_HZ) as ears, anyio.create_task_group() as tasks:
            tasks.start_soon(self.speaker.run)
            tasks.start_soon(self._listen, ears, microphone)
            async for event in ears:
                if isinstance(event, HEARD) and event.text.strip() and self.answers:
                    await self.answers[-1].interrupt()
                if isinstance(event, xai.SttUtterance) and event.text.strip():
                    note(f"user:  {event.text}")
                    self.answers.append(Answer(self, event.text))
                    tasks.start_soon(self.answers[-1].give)
            for answer in self.answers:
                await answer.is_over.wait()
            tasks.cancel_scope.cancel()

    async def _listen(self, ears: xai.SttStream, microphone: AsyncIterator[bytes]) -> None:
        async for frame in microphone:
            await ears.send(frame)
        await ears.finish()


class Caller:
    """Says its lines: one when the agent has answered the one before, or so many milliseconds into the answer."""

    def __init__(self, agent: Agent, lines: Sequence[tuple[str, float | None]]) -> None:
        self.agent, self.lines = agent, lines

    def may_speak(self, number: int, into_ms: float | None) -> bool:
        if not number or len(self.agent.answers) < number:
            return not number
        last = self.agent.answers[-1]
        return last.is_over.is_set() if into_ms is None else last.played_ms >= into_ms

    async def microphone(self) -> AsyncIterator[bytes]:
        for number, (text, into_ms) in enumerate((*self.lines, ("", None))):
            while not self.may_speak(number, into_ms):
                yield bytes(FRAME_BYTES)
                await anyio.sleep(FRAME_S)
            audio = speak(text, sample_rate_hz=RATE_HZ) if text else b""
            for at in range(0, len(audio), FRAME_BYTES):
                yield audio[at : at + FRAME_BYTES]
                await anyio.sleep(FRAME_S)


def service(prompt: Prompt) -> Turn | str:
    """What the emulator's brain says."""
    if "tide" in prompt.heard:
        call = ToolRequest("look_up_tide", {"city": "Porto"})
        return Turn(say="One moment.", calls=(call,), then="High tide in Porto is at {output}.")
    if "harbour" in prompt.heard:
        return "It was built four hundred years ago, when the river was still deep enough for the big ships."
    said = [text for role, text in prompt.history if role == "assistant"]
    return f"My last word was {said[-1].split()[-1]}."


LINES = [("When is high tide?", None), ("Tell me about the harbour.", None), ("Wait, what was that?", 2_500)]


async def standard_input() -> AsyncIterator[bytes]:
    """What another program takes from the microphone."""
    while frame := await anyio.to_thread.run_sync(sys.stdin.buffer.read, FRAME_BYTES, abandon_on_cancel=True):
        yield frame


async def main() -> None:
    async with xai.AsyncClient(transport=None if LIVE else Emulator(service, seed=1).transport()) as client:
        agent = Agent(client, Loudspeaker())
        await agent.run(standard_input() if LIVE else Caller(agent, LINES).microphone())
    waits_ms = [answer.latency_ms for answer in agent.answers if answer.latency_ms is not None] or [0.0]
    note(f"end of speech to first audio: at least {min(waits_ms):.0f} ms, median {statistics.median(waits_ms):.0f} ms")


if __name__ == "__main__":
    anyio.run(main) if LIVE else xai.run_virtual(main)
