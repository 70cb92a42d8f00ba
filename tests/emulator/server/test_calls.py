"""Whole calls with the real engine, heard word by word: over a socket and in process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from xai_realtime import AsyncClient, ClosedByServerError, ConnectionBrokenError, RealtimeConnection, run_virtual
from xai_realtime.audible import hear, speak
from xai_realtime.audio import pcm16_to_pcma, pcm16_to_pcmu, pcma_to_pcm16, pcmu_to_pcm16
from xai_realtime.emulator import DropSpec, Emulator, Prompt, Turn

pytestmark = pytest.mark.anyio
FORMS = ("socket", "in process")
SCENARIO = Path(__file__).resolve().parents[3] / "examples" / "scenario.toml"
TOOL = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
G711 = {"audio/pcmu": (pcm16_to_pcmu, pcmu_to_pcm16), "audio/pcma": (pcm16_to_pcma, pcma_to_pcm16)}


def session(kind: str = "audio/pcm", rate: int = 24_000, **more: Any) -> dict[str, Any]:
    sound = {"format": {"type": kind, "rate": rate}}
    detection = {"type": "server_vad"}
    return {
        "type": "session.update",
        "session": {"turn_detection": detection, "audio": {"input": sound, "output": sound}, **more},
    }


@asynccontextmanager
async def calling(form: str, emulator: Emulator, **query: Any) -> AsyncIterator[RealtimeConnection]:
    with anyio.fail_after(20):
        if form == "in process":
            async with AsyncClient(transport=emulator.transport()).realtime.connect(**query) as connection:
                yield connection
        else:
            async with emulator, emulator.client().realtime.connect(**query) as connection:
                yield connection


async def reply(connection: RealtimeConnection) -> tuple[bytes, list[Any]]:
    """The audio of the next response, and all that came up to its end."""
    audio, events = b"", []
    while not events or events[-1].type != "response.done":
        events.append(await connection.receive())
        if events[-1].type == "response.output_audio.delta":
            audio += events[-1].audio
    return audio, events


async def write(connection: RealtimeConnection, text: str) -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    await connection.send({"type": "conversation.item.create", "item": item})
    await connection.send({"type": "response.create"})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.behaviour("emulator-voice-call")
async def test_voice_call_with_a_tool_is_heard_word_by_word(form: str) -> None:
    async with calling(form, Emulator(SCENARIO, pace="instant")) as connection:
        await connection.send(session(tools=[TOOL]))
        await connection.send_audio(speak("What is the weather in Porto?") + bytes(48_000))
        audio, events = await reply(connection)
        assert hear(audio) == "Let me check."
        call = next(event for event in events if event.type == "response.function_call_arguments.done")
        assert json.loads(call.arguments) == {"city": "Porto"}
        output = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        await connection.send({"type": "conversation.item.create", "item": output})
        await connection.send({"type": "response.create"})
        audio, _ = await reply(connection)
        assert hear(audio) == "In Porto: sunny"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", sorted(G711))
@pytest.mark.behaviour("emulator-voice-call")
async def test_voice_call_in_g711_is_heard_word_by_word_both_ways(form: str, kind: str) -> None:
    encode, decode = G711[kind]
    async with calling(form, Emulator(pace="instant")) as connection:
        await connection.send(session(kind, 8000))
        await connection.send_audio(encode(speak("One two three", sample_rate_hz=8000) + bytes(16_000)))
        audio, _ = await reply(connection)
    assert hear(decode(audio), sample_rate_hz=8000) == "You said: One two three"


@pytest.mark.parametrize(("code", "end"), [(1012, ClosedByServerError), (None, ConnectionBrokenError)])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.behaviour("emulator-link-ends")
async def test_scenario_drops_the_connection_in_the_middle_of_a_reply(
    form: str, code: int | None, end: type[Exception]
) -> None:
    emulator = Emulator(lambda prompt: Turn(say="a long answer " * 5, drop=DropSpec(300, code)))
    async with calling(form, emulator) as connection:
        await write(connection, "x")
        with pytest.raises(end):
            await reply(connection)


@pytest.mark.parametrize("form", FORMS)
async def test_scenario_that_fails_ends_in_an_error_event_and_the_call_goes_on(
    form: str, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(prompt: Prompt) -> str:
        if prompt.heard == "bad":
            raise RuntimeError("planted")
        return "fine"

    async with calling(form, Emulator(answer, pace="instant")) as connection:
        await write(connection, "bad")
        while (await connection.receive()).type != "error":
            pass
        await write(connection, "good")
        audio, _ = await reply(connection)
    assert hear(audio) == "fine"


@pytest.mark.behaviour("emulator-resumes")
async def test_conversation_is_resumed_by_another_connection_of_the_same_emulator() -> None:
    emulator = Emulator(pace="instant")
    transport = emulator.transport()
    resumable = session(resumption={"enabled": True})
    with anyio.fail_after(10):
        async with AsyncClient(transport=transport).realtime.connect() as connection:
            await connection.send(resumable)
            await write(connection, "remember me")
            _, events = await reply(connection)
            created = next(event for event in events if event.type == "conversation.created")
        resumed = AsyncClient(transport=transport).realtime.connect(conversation_id=created.conversation.id)
        async with resumed as connection:
            await connection.send(resumable)
            events = []
            while not events or events[-1].type != "session.updated":
                events.append(await connection.receive())
    assert events[1].conversation.id == created.conversation.id
    replayed = [event.item.content[0].text for event in events if event.type == "conversation.item.added"]
    assert replayed == ["You said: remember me"]


@pytest.mark.behaviour("emulator-deterministic-in-process")
def test_seeded_call_in_virtual_time_is_the_same_bytes_in_every_run() -> None:
    digests = set()

    async def main() -> None:
        sha = hashlib.sha256()
        async with AsyncClient(transport=Emulator(SCENARIO, seed=5).transport()).realtime.connect() as connection:

            async def take() -> Any:
                event = await connection.receive()
                assert connection.last_frame is not None
                sha.update(b"%.3f " % anyio.current_time() + connection.last_frame.data)
                return event

            await connection.send(session(tools=[TOOL]))
            async with anyio.create_task_group() as tasks:

                async def microphone() -> None:
                    sound = speak("What is the weather in Porto?") + bytes(96_000)
                    for start in range(0, len(sound), 960):
                        await connection.send_audio(sound[start : start + 960])
                        await anyio.sleep(0.02)

                tasks.start_soon(microphone)
                while (await take()).type != "response.done":
                    pass
                tasks.cancel_scope.cancel()
        digests.add((round(anyio.current_time(), 3), sha.hexdigest()))

    for _ in range(10):
        for backend in ("asyncio", "trio"):
            run_virtual(main, backend=backend)  # type: ignore[arg-type]
    assert len(digests) == 1


@pytest.mark.parametrize("form", FORMS)
async def test_bad_input_ends_in_errors_and_never_in_the_end_of_the_call(form: str) -> None:
    bad = [b"{", b"[]", b"null", b"[" * 100_000, b'{"type":3}', b'{"type":"no.such"}', b'{"type":"session.update"}']
    bad += [b'{"type":"input_audio_buffer.append","audio":"@@@"}', b'{"type":"input_audio_buffer.append"}']
    bad += [b'{"type":"conversation.item.create","item":{"type":"message","role":3}}', b'{"type":"response.cancel"}']
    async with calling(form, Emulator(pace="instant")) as connection:
        for data in bad:
            await connection._channel.send_text(data)
            while (await connection.receive()).type != "error":
                pass
        await connection.send_audio(b"\x00")  # half a sample
        await write(connection, "still here")
        audio, _ = await reply(connection)
    assert hear(audio) == "You said: still here"
