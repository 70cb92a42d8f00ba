"""The emulated chat over time and over a real socket: pace, deferred answers, virtual time, cancellation."""

from __future__ import annotations

import json
from typing import Any

import anyio
import httpx2
import pytest

from tests.emulator.chat.driving import LOOK, ask, chat, complete, get
from xai_realtime import run_virtual
from xai_realtime.emulator import ChatQuirks, DropSpec, Emulator, Refuse, Turn
from xai_realtime.transport.base import HttpRequest

BACKENDS = ("asyncio", "trio")


async def moments(emulator: Emulator, **fields: Any) -> list[float]:
    """When each piece of an answer came, in milliseconds since it was asked for."""
    start_s = anyio.current_time()
    request = HttpRequest("POST", "http://emulator/v1/chat/completions", {}, json.dumps(chat(**fields)).encode())
    async with emulator.transport().request(request) as answer:
        return [round((anyio.current_time() - start_s) * 1000) async for _ in answer]


@pytest.mark.behaviour("emulator-chat-time")
@pytest.mark.parametrize("backend", BACKENDS)
def test_tokens_come_at_their_time_at_real_pace(backend: Any) -> None:
    turn = Turn(say="a b c", delay_ms=1000)
    cases: list[tuple[dict[str, Any], list[float]]] = [
        ({}, [1300, 1320, 1340, 1340, 1340]),
        ({"chat": ChatQuirks(first_token_ms=5000, token_ms=0)}, [6000] * 5),
        ({"pace": "instant"}, [1000] * 5),
        ({"pace": "instant", "chat": ChatQuirks(token_ms=100)}, [1000, 1100, 1200, 1200, 1200]),
    ]
    for options, expected in cases:
        emulator = Emulator(lambda prompt: turn, seed=1, **options)
        found = run_virtual(lambda emulator=emulator: moments(emulator, stream=True), backend=backend)
        assert found == expected


@pytest.mark.behaviour("emulator-chat-time")
@pytest.mark.parametrize("backend", BACKENDS)
def test_whole_answer_comes_when_its_last_token_would(backend: Any) -> None:
    emulator = Emulator(lambda prompt: "a b c", seed=1)
    assert run_virtual(moments, emulator, backend=backend) == [360]
    failing = Emulator(lambda prompt: Turn(fail=True, delay_ms=500), seed=1)
    assert run_virtual(moments, failing, backend=backend) == [500]


@pytest.mark.behaviour("emulator-chat-deferred")
@pytest.mark.parametrize("backend", BACKENDS)
def test_deferred_answer_is_pending_then_there_for_a_day(backend: Any) -> None:
    async def main() -> list[Any]:
        emulator = Emulator(seed=1)
        told = await complete("later", emulator=emulator, deferred=True)
        assert set(told.json) == {"request_id"}
        path = f"/chat/deferred-completion/{told.json['request_id']}"
        seen: list[Any] = []
        for wait_s in (0, 0.999, 0.001, 86_399, 1):
            await anyio.sleep(wait_s)
            answer = await get(emulator, path)
            seen.append(
                (answer.status, answer.json["choices"][0]["message"]["content"] if answer.status == 200 else "")
            )
        assert (await get(emulator, path)).status == 404
        assert (await get(emulator, "/chat/deferred-completion/none")).json["error"].endswith("none does not exist.")
        return seen

    said = "You said: later"
    assert run_virtual(main, backend=backend) == [(202, ""), (202, ""), (200, said), (200, said), (404, "")]


@pytest.mark.behaviour("emulator-chat-deferred")
def test_deferred_request_that_fails_answers_so_when_it_is_asked_for() -> None:
    async def main() -> tuple[int, bytes, int]:
        emulator = Emulator(lambda prompt: Turn(fail=True), seed=1, chat=ChatQuirks(deferred_ms=0))
        told = await complete(emulator=emulator, deferred=True)
        answer = await get(emulator, f"/chat/deferred-completion/{told.json['request_id']}")
        pending = await get(emulator, "/chat/deferred-completion/x")
        return answer.status, answer.body[:7], pending.status

    assert run_virtual(main) == (503, b'{"code"', 404)


@pytest.mark.behaviour("emulator-chat-deferred")
def test_only_so_many_deferred_answers_and_calls_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from xai_realtime.emulator import chat_app

    monkeypatch.setattr(chat_app, "MAX_DEFERRED", 1)
    monkeypatch.setattr(chat_app, "MAX_CALLS", 1)

    async def main() -> list[int]:
        emulator = Emulator(seed=1, pace="instant", chat=ChatQuirks(deferred_ms=0))
        made = [(await complete(emulator=emulator, deferred=True)).json["request_id"] for _ in range(2)]
        weather = [await complete("weather in Rome", emulator=emulator, tools=[LOOK]) for _ in range(2)]
        said = []
        for told in weather:
            message = told.json["choices"][0]["message"]
            output = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "sun"}
            talk = [{"role": "user", "content": "weather in Rome"}, message, output]
            said.append(
                (await complete(talk, emulator=emulator, tools=[LOOK])).json["choices"][0]["message"]["content"]
            )
        assert said == ["sun", "sun"]
        return [(await get(emulator, f"/chat/deferred-completion/{name}")).status for name in made]

    assert run_virtual(main) == [404, 200]


@pytest.mark.behaviour("emulator-chat-time")
@pytest.mark.parametrize("backend", BACKENDS)
def test_hundreds_of_streams_run_at_once_and_leave_nothing_when_half_are_left_early(backend: Any) -> None:
    async def main() -> tuple[float, int]:
        emulator = Emulator(lambda prompt: "word " * 40, seed=1)
        request = HttpRequest("POST", "http://emulator/v1/chat/completions", {}, json.dumps(chat(stream=True)).encode())
        whole = 0

        async def one(number: int) -> None:
            nonlocal whole
            async with emulator.transport().request(request) as answer:
                body = b""
                async for piece in answer:
                    body += piece
                    if number % 2:
                        return
                whole += body.endswith(b"data: [DONE]\n\n")

        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(one, number)
        return anyio.current_time(), whole

    at_s, whole = run_virtual(main, backend=backend)
    assert (at_s, whole) == (pytest.approx(0.3 + 39 * 0.02), 100)


# Over a real socket


@pytest.mark.anyio
@pytest.mark.behaviour("emulator-chat-socket")
async def test_chat_is_served_over_a_real_socket_streamed_deferred_and_cut() -> None:
    turns = {"cut": Turn(say="a b", drop=DropSpec()), "hi": Turn(say="Hello there.")}
    emulator = Emulator(
        lambda prompt: turns[prompt.heard],
        seed=1,
        pace="instant",
        chat=ChatQuirks(deferred_ms=0, refuse=(Refuse(status=429, retry_after_s=1),)),
    )
    headers = {"Authorization": "Bearer k"}
    with anyio.fail_after(20):
        async with emulator, httpx2.AsyncClient(base_url=emulator.url, headers=headers, trust_env=False) as client:
            refused = await client.post("chat/completions", json=chat())
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            whole = await client.post("chat/completions", json=chat())
            assert whole.json()["choices"][0]["message"]["content"] == "Hello there."
            async with client.stream("POST", "chat/completions", json=chat(stream=True)) as answer:
                lines = [line async for line in answer.aiter_lines() if line]
            assert lines[-1] == "data: [DONE]"
            said = [json.loads(line[6:])["choices"][0]["delta"].get("content", "") for line in lines[:-1]]
            assert "".join(said) == "Hello there."
            deferred = await client.post("chat/completions", json=chat(deferred=True))
            done = await client.get(f"chat/deferred-completion/{deferred.json()['request_id']}")
            assert done.json()["object"] == "chat.completion"
            for stream in (True, False):
                with pytest.raises(httpx2.RemoteProtocolError):
                    await client.post("chat/completions", json=chat("cut", stream=stream))
            assert (await client.get("language-models/grok-4.6")).json()["id"] == "grok-4.6"


@pytest.mark.anyio
@pytest.mark.behaviour("emulator-chat-scenario")
async def test_prompt_of_the_scenario_ends_with_the_last_words_of_the_user() -> None:
    asked: list[Any] = []
    emulator = Emulator(lambda prompt: asked.append(prompt), pace="instant")
    await ask(emulator, "POST", "/chat/completions", chat([{"role": "assistant", "content": "only me"}]))
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "u"}}]
    parts.append({"type": "text", "text": "here"})
    await ask(emulator, "POST", "/chat/completions", chat([{"role": "user", "content": parts}]))
    assert [(prompt.heard, prompt.history, prompt.instructions) for prompt in asked] == [
        ("", (("assistant", "only me"),), None),
        ("look here", (), None),
    ]
