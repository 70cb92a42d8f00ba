"""The agent of examples/cascade_agent.py against the emulator: what it hears, says, stops and remembers."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest

from examples import cascade_agent as example
from xai_realtime import AsyncClient, run_virtual, tool
from xai_realtime.audible import hear
from xai_realtime.emulator import ChatQuirks, Emulator, Prompt, Refuse, ToolRequest, Turn
from xai_realtime.transport.base import Transport

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
STORY = "It was built four hundred years ago, when the river was still deep enough for the big ships."
TIDE = ("One moment.", "High tide in Porto is at 16:40.")
MICROSECOND_S = 1e-6


class Recorder(example.Loudspeaker):
    """A loudspeaker that remembers what it played, with a mark where it was emptied."""

    def __init__(self) -> None:
        super().__init__()
        self.played = bytearray()
        self.cuts: list[int] = []

    def play(self, frame: bytes) -> None:
        self.played += frame

    def flush(self) -> None:
        super().flush()
        self.cuts.append(len(self.played))


class Service:
    """The scenario of the example, and what it was asked."""

    def __init__(self, scenario: Callable[[Prompt], Turn | str] = example.service) -> None:
        self.prompts: list[Prompt] = []
        self._scenario = scenario

    def __call__(self, prompt: Prompt) -> Turn | str:
        self.prompts.append(prompt)
        return self._scenario(prompt)


@pytest.fixture
def tides(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The cities that the function was called for."""
    asked: list[str] = []

    @tool
    async def look_up_tide(city: str) -> str:
        """The time of the next high tide at a city."""
        asked.append(city)
        await anyio.sleep(0.2)
        return "16:40"

    monkeypatch.setattr(example, "look_up_tide", look_up_tide)
    return asked


async def call(
    client: AsyncClient, lines: Sequence[tuple[str, float | None]] = tuple(example.LINES)
) -> tuple[example.Agent, Recorder]:
    """Hold a call; the agent and its loudspeaker afterwards."""
    speaker = Recorder()
    agent = example.Agent(client, speaker)
    await agent.run(example.Caller(agent, lines).microphone())
    return agent, speaker


def in_process(service: Service, backend: str, lines: Any = tuple(example.LINES)) -> tuple[example.Agent, Recorder]:
    async def main() -> tuple[example.Agent, Recorder]:
        async with AsyncClient(transport=Emulator(service, seed=1).transport()) as client:
            return await call(client, lines)

    held: tuple[example.Agent, Recorder] = run_virtual(main, backend=backend)  # type: ignore[arg-type]
    return held


def check_call(agent: example.Agent, speaker: Recorder, service: Service, tides: list[str]) -> None:
    """All that must be true of a call with the lines of the example, however it was held."""
    asked, answers = agent.conversation.messages, agent.answers
    assert [message["content"] for message in asked if message["role"] == "user"] == [text for text, _ in example.LINES]
    assert len(answers) == 3

    assert tides == ["Porto"]
    assert answers[0].said == list(TIDE)
    (cut,) = speaker.cuts
    kept, (said,) = answers[1].said[0], answers[2].said
    assert answers[1].cut_ms is not None and answers[1].cut_ms >= 2_500
    assert STORY.startswith(f"{kept} ")
    assert said == f"My last word was {kept.split()[-1]}."

    before = hear(bytes(speaker.played[:cut]), sample_rate_hz=24_000)
    assert before is not None and before.startswith(f"{' '.join(TIDE)} {kept}")
    assert hear(bytes(speaker.played[cut:]), sample_rate_hz=24_000) == said

    known = service.prompts[-1].history
    assert [text for role, text in known if role == "assistant"][-1] == kept
    assert not any("river" in text for _, text in known)


@BACKENDS
@pytest.mark.behaviour("cascade-words")
@pytest.mark.behaviour("cascade-barge-in")
@pytest.mark.behaviour("cascade-heard")
def test_agent_says_what_was_written_and_keeps_what_was_heard_when_the_caller_breaks_in(
    backend: str, tides: list[str]
) -> None:
    service = Service()
    agent, speaker = in_process(service, backend)
    check_call(agent, speaker, service, tides)


@BACKENDS
@pytest.mark.behaviour("cascade-words")
def test_agent_holds_the_same_call_over_real_sockets(
    backend: str, tides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("uvicorn", reason="the emulator is an extra")
    monkeypatch.setattr(example, "FRAME_S", 0.004)
    service = Service()

    async def main() -> tuple[example.Agent, Recorder]:
        with anyio.fail_after(30):
            async with Emulator(service, seed=1, pace="instant") as emulator, emulator.client() as client:
                return await call(client)

    check_call(*anyio.run(main, backend=backend), service, tides)


@BACKENDS
@pytest.mark.slow
@pytest.mark.behaviour("cascade-latency")
def test_agent_answers_over_real_sockets_in_the_time_that_the_emulator_takes(backend: str, tides: list[str]) -> None:
    pytest.importorskip("uvicorn", reason="the emulator is an extra")
    service = Service()

    async def main() -> tuple[example.Agent, Recorder]:
        with anyio.fail_after(60):
            async with Emulator(service, seed=1) as emulator, emulator.client() as client:
                return await call(client)

    agent, speaker = anyio.run(main, backend=backend)
    check_call(agent, speaker, service, tides)
    waits_ms = [answer.latency_ms or 0.0 for answer in agent.answers]
    assert 500 < statistics.median(waits_ms) < 1_500


@BACKENDS
@pytest.mark.behaviour("cascade-latency")
def test_agent_tells_how_long_each_first_audio_took(
    backend: str, tides: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """300 ms to the first token, 20 ms for each further one, 200 ms to the first audio: those of the emulator."""
    agent, _ = in_process(Service(), backend)
    assert [round(answer.latency_ms or 0.0) for answer in agent.answers] == [540, 640, 580]
    assert "(first audio 540 ms after the end of the question)" in capsys.readouterr().out


async def interrupted_after(transport: Transport, question: str, wait_s: float) -> tuple[example.Answer, bytes, bytes]:
    """Ask, break in so long after, ask something else; the answer that was cut, what was played before and after."""
    async with AsyncClient(transport=transport) as client, anyio.create_task_group() as tasks:
        speaker = Recorder()
        agent = example.Agent(client, speaker)
        tasks.start_soon(speaker.run)
        first = example.Answer(agent, question)
        tasks.start_soon(first.give)
        await anyio.sleep(wait_s)
        with anyio.fail_after(1):
            await first.interrupt()
        cut = len(speaker.played)
        second = example.Answer(agent, "Tell me about the harbour.")
        await second.give()
        assert second.said == [STORY]
        assert agent.conversation.open_calls == ()
        tasks.cancel_scope.cancel()
    return first, bytes(speaker.played[:cut]), bytes(speaker.played[cut:])


MOMENTS: Sequence[float] = [0, MICROSECOND_S, 0.01, 0.2, *(0.3 + number * 0.25 + MICROSECOND_S for number in range(14))]
"""From before anything was asked to the last sound, 3.4 s later; the function works from 0.32 s to 0.52 s."""


@BACKENDS
@pytest.mark.parametrize("wait_s", MOMENTS)
@pytest.mark.behaviour("cascade-barge-in")
@pytest.mark.behaviour("cascade-heard")
def test_interruption_at_any_moment_keeps_the_words_that_were_played(
    backend: str, wait_s: float, tides: list[str]
) -> None:
    async def main() -> tuple[example.Answer, bytes, bytes]:
        return await interrupted_after(Emulator(Service(), seed=1).transport(), "When is high tide?", wait_s)

    answer, before, after = run_virtual(main, backend=backend)  # type: ignore[arg-type]
    kept = " ".join(answer.said).split()
    heard = (hear(before, sample_rate_hz=24_000) or "").split()
    assert " ".join(TIDE).split()[: len(kept)] == kept
    assert heard[: len(kept)] == kept
    assert len(heard) <= len(kept) + 1
    assert hear(after, sample_rate_hz=24_000) == STORY
    assert tides == (["Porto"] if wait_s > 0.32 else [])


@BACKENDS
@pytest.mark.behaviour("cascade-words")
def test_agent_speaks_before_and_after_several_calls_of_one_round(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = itertools.count()

    @tool
    def look_up_tide(city: str) -> str:
        """The time of the next high tide at a city."""
        return f"{city} {next(counter)}"

    def scenario(prompt: Prompt) -> Turn:
        calls = tuple(ToolRequest("look_up_tide", {"city": city}) for city in ("Porto", "Faro"))
        return Turn(calls=calls, then="There it is.")

    monkeypatch.setattr(example, "look_up_tide", look_up_tide)
    agent, speaker = in_process(Service(scenario), backend, [("When is high tide?", None)])
    assert [message["role"] for message in agent.conversation.messages] == [
        "user", "assistant", "tool", "tool", "assistant"
    ]  # fmt: skip
    assert hear(bytes(speaker.played), sample_rate_hz=24_000) == "There it is."


@BACKENDS
@pytest.mark.behaviour("cascade-heard")
def test_agent_goes_on_with_the_call_when_an_answer_breaks_off(
    backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first request is refused; each later one ends with an error in its stream, the first words spoken by then."""
    refused = Refuse(status=400, body='{"code": "no", "error": "refused"}', path="/chat")
    quirks = ChatQuirks(token_ms=150, fails_after=12, refuse=(refused,))

    async def main() -> tuple[example.Agent, Recorder]:
        async with AsyncClient(transport=Emulator(Service(), seed=1, chat=quirks).transport()) as client:
            return await call(client, [("Hello?", None), ("Tell me about the harbour.", None)])

    agent, speaker = run_virtual(main, backend=backend)  # type: ignore[arg-type]
    heard = (hear(bytes(speaker.played), sample_rate_hz=24_000) or "").split()
    (kept,) = agent.answers[1].said
    assert agent.answers[0].said == []
    assert 2 <= len(kept.split()) < 12 and STORY.startswith(kept)
    assert len(heard) - 1 <= len(kept.split()) and heard[: len(kept.split())] == kept.split()
    assert [message["role"] for message in agent.conversation.messages] == ["user", "user", "assistant"]
    assert capsys.readouterr().out.count("(the answer breaks off: ") == 2
