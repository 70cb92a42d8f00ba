"""Chat on tapes: in its order and rhythm, compared field by field, without secrets, broken where a test wants it."""

from __future__ import annotations

import copy
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.http.peers import KEY
from tests.tapes import BACKENDS, leaves, on
from tools.own_chat import MODEL, PATIENT, get_swell, get_tide, get_wind
from xai_realtime import AsyncClient, Fault, MatchPolicy, faults, record, replay
from xai_realtime.cassette.tape import load_cassette
from xai_realtime.chat.taped import chats_of
from xai_realtime.cli.reports import check_tape
from xai_realtime.emulator import ChatQuirks, Emulator
from xai_realtime.errors import (
    ConfigurationError,
    ConnectionBrokenError,
    RateLimitError,
    RemoteProtocolError,
    ReplayIncompleteError,
    ReplayMismatchError,
)
from xai_realtime.protocol.chat_policy import ChatPolicy
from xai_realtime.transport.base import Channel, ChannelRequest, HttpRequest, HttpResponse, Transport
from xai_realtime.transport.faults import UnusedFaultError

FOLDER = Path(__file__).resolve().parents[2] / "cassettes" / "chat"
QUESTION = "Which is the longer day, 21 June or 21 July?"
ANSWER = "The 21st of June, by about half an hour."
TOOLS = [get_wind, get_swell, get_tide]
ONCE = ChatPolicy(max_retries=0)


def tape(name: str) -> Path:
    return FOLDER / f"emulator_{name}.jsonl"


async def timed(client: AsyncClient, question: str = QUESTION, **options: Any) -> tuple[list[tuple[float, str]], Any]:
    """The words of a streamed answer and when each came, from the request on; and the answer."""
    told: list[tuple[float, str]] = []
    start = anyio.current_time()
    async with client.chat.stream(MODEL, question, **options) as stream:
        async for piece in stream.text():
            told.append((round((anyio.current_time() - start) * 1000, 3), piece))
    return told, stream.reply


async def answered(transport: Transport, **options: Any) -> Any:
    """The answer to the question of the tape `stream`."""
    async with AsyncClient(transport=transport) as client:
        return (await timed(client, **options))[1]


# Order and time


@pytest.mark.behaviour("chat-tapes-rhythm")
@BACKENDS
@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_replay_keeps_the_rhythm_of_the_tape(backend: str, scale: float) -> None:
    async def main() -> tuple[list[tuple[float, str]], Any]:
        async with AsyncClient(transport=replay(tape("stream"), clock="virtual", scale=scale)) as client:
            return await timed(client)

    told, reply = on(backend, main)
    assert [at_ms for at_ms, _ in told] == pytest.approx([scale * (380 + 20 * place) for place in range(9)], abs=0.01)
    assert reply.outcome.first_token_ms == pytest.approx(300 * scale, abs=0.01)
    assert reply.outcome.first_text_ms == pytest.approx(380 * scale, abs=0.01)
    assert (reply.text, reply.reasoning) == (ANSWER, "Midsummer is in June.")


@BACKENDS
def test_replay_at_once_gives_the_same_answer_without_waiting(backend: str) -> None:
    async def main() -> Any:
        with anyio.fail_after(5):
            return await answered(replay(tape("stream")))

    reply = anyio.run(main, backend=backend)
    assert reply.text == ANSWER
    assert reply.usage.total_tokens == 26


@pytest.mark.behaviour("chat-tapes-causal")
@BACKENDS
def test_second_answer_of_a_run_is_not_had_before_the_first(backend: str) -> None:
    second = list(load_cassette(tape("parallel_tools")).exchanges.values())[1].request

    with pytest.raises(ReplayMismatchError) as caught:
        on(backend, partial(sent, "parallel_tools", second.body))
    assert "messages" in (caught.value.where or "")

    async def whole() -> Any:
        async with AsyncClient(transport=replay(tape("parallel_tools"), clock="virtual")) as client:
            return await client.chat.run(MODEL, "How is the sea at Sines?", tools=TOOLS)

    assert on(backend, whole).text == "That is 9 knots two metres high at 16:40."


@pytest.mark.behaviour("chat-tapes-causal")
@BACKENDS
def test_function_that_gives_back_something_else_is_told_so_by_the_tape(backend: str) -> None:
    async def get_wind(place: str) -> str:
        """Wind at a place."""
        return "a gale"

    async def main() -> None:
        async with AsyncClient(transport=replay(tape("parallel_tools"), clock="virtual")) as client:
            await client.chat.run(MODEL, "How is the sea at Sines?", tools=[get_wind, get_swell, get_tide])

    with pytest.raises(ReplayMismatchError) as caught:
        on(backend, main)
    assert (caught.value.where, caught.value.actual) == ("messages[2].content", "'a gale'")


@pytest.mark.behaviour("chat-tapes-causal")
def test_tape_with_a_request_that_never_came_is_not_used_up() -> None:
    async def gives_up() -> None:
        async with AsyncClient(transport=replay(tape("turned_away"), clock="virtual")) as client:
            with pytest.raises(RateLimitError):
                await timed(client, "And at Lagos?", policy=ONCE)

    with pytest.raises(ReplayIncompleteError) as caught:
        on("asyncio", gives_up)
    assert len(caught.value.unsent) == 2

    async def nothing() -> None:
        async with AsyncClient(transport=replay(tape("answer"))):
            pass

    with pytest.raises(ReplayIncompleteError):
        on("asyncio", nothing)


@BACKENDS
def test_retries_wait_in_virtual_time_as_the_tape_tells(backend: str) -> None:
    async def main() -> tuple[float, Any]:
        async with AsyncClient(transport=replay(tape("turned_away"), clock="virtual")) as client:
            _, reply = await timed(client, "And at Lagos?", policy=PATIENT)
            return anyio.current_time(), reply

    passed_s, reply = on(backend, main)
    assert passed_s == pytest.approx(3.36, abs=0.001)
    assert (reply.text, reply.attempts) == ("There it is calm.", 3)


# What was sent must agree


def first_body(name: str) -> dict[str, Any]:
    body = next(iter(load_cassette(tape(name)).exchanges.values())).request.body
    assert isinstance(body, dict)
    return body


def changed(body: Any, path: tuple[str | int, ...]) -> Any:
    """The body with another leaf at this path."""
    made = copy.deepcopy(body)
    inner = made
    for step in path[:-1]:
        inner = inner[step]
    leaf = inner[path[-1]]
    inner[path[-1]] = not leaf if isinstance(leaf, bool) else leaf + 1 if isinstance(leaf, int | float) else f"{leaf}x"
    return made


async def sent(name: str, body: Any, policy: MatchPolicy | None = None) -> None:
    """Send this as the first request of a tape."""
    transport = replay(tape(name), policy=policy)
    request = HttpRequest("POST", "https://api.x.ai/v1/chat/completions", body=json.dumps(body).encode())
    async with transport.request(request) as answer:
        assert answer.status == 200


@pytest.mark.behaviour("chat-tapes-matching")
@pytest.mark.parametrize("name", ["answer", "parallel_tools", "structured"])
def test_request_is_refused_when_any_leaf_of_it_is_another(name: str) -> None:
    body = first_body(name)
    paths = [path for path in leaves(body) if changed(body, path) != body]
    assert len(paths) > 5
    anyio.run(sent, name, body)
    for path in paths:
        with pytest.raises(ReplayMismatchError) as caught:
            anyio.run(sent, name, changed(body, path))
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
        assert caught.value.where in (place, place.rpartition(".")[0])


@pytest.mark.behaviour("chat-tapes-matching")
def test_field_that_is_to_be_ignored_may_be_another() -> None:
    body = first_body("answer") | {"temperature": 1.5}
    policy = MatchPolicy(ignore={"POST /v1/chat/completions": ("temperature",)})
    anyio.run(sent, "answer", body, policy)
    with pytest.raises(ReplayMismatchError):
        anyio.run(sent, "answer", body | {"top_p": 0.5}, policy)


@BACKENDS
def test_replay_with_fresh_ids_is_a_chat_of_its_own(backend: str) -> None:
    async def main() -> Any:
        async with AsyncClient(transport=replay(tape("parallel_tools"), clock="virtual", ids="fresh")) as client:
            async with client.chat.run(MODEL, "How is the sea at Sines?", tools=TOOLS) as run:
                async for _ in run:
                    pass
            return run

    one, two = on(backend, main), on(backend, main)
    ids = [[call.id for call in run.replies[0].tool_calls] for run in (one, two)]
    assert not set(ids[0]) & set(ids[1])
    assert one.reply.text == two.reply.text


# Secrets


@pytest.mark.behaviour("chat-tapes-redaction")
@BACKENDS
def test_secrets_are_on_no_tape_when_they_pass_in_question_and_answer(backend: str, tmp_path: Path) -> None:
    path, other = tmp_path / "t.jsonl", "hunter2hunter2"

    def echo(prompt: Any) -> str:
        return f"You gave me {KEY} and {other} today."

    async def main() -> tuple[str, str]:
        emulator = Emulator(echo, seed=1, chat=ChatQuirks(reasoning=f"The key is {KEY} indeed."))
        taping = record(path, emulator.transport(), origin="emulator", service="chat", secrets=[other])
        async with AsyncClient(transport=taping, api_key=KEY) as client:
            _, streamed = await timed(client, f"My key is {KEY}", headers={"X-Api-Key": KEY})
            whole = await client.chat.create(MODEL, f"My word is {other}", user=KEY)
        return streamed.text, whole.text

    told = on(backend, main)
    assert all(KEY in text and other in text for text in told)
    written = path.read_text()
    assert KEY not in written
    assert other not in written
    assert check_tape(path).findings == []

    async def again() -> tuple[str, str]:
        async with AsyncClient(transport=replay(path, secrets=[other]), api_key=KEY) as client:
            _, streamed = await timed(client, f"My key is {KEY}")
            return streamed.text, (await client.chat.create(MODEL, f"My word is {other}", user=KEY)).text

    for text in on(backend, again):
        assert KEY not in text
        assert "You gave me" in text


class Cut(Transport):
    """A line whose answers come in pieces of a few bytes."""

    needs_key = False

    def __init__(self, inner: Transport, size: int) -> None:
        self._inner = inner
        self._size = size

    def open(self, request: ChannelRequest) -> AbstractAsyncContextManager[Channel]:
        raise NotImplementedError

    @asynccontextmanager
    async def request(self, request: HttpRequest) -> AsyncIterator[HttpResponse]:
        async with self._inner.request(request) as answer:
            yield HttpResponse(answer.status, answer.headers, self._pieces(answer))

    async def _pieces(self, answer: HttpResponse) -> AsyncIterator[bytes]:
        async for piece in answer:
            for at in range(0, len(piece), self._size):
                yield piece[at : at + self._size]


@pytest.mark.behaviour("chat-tapes-redaction")
@pytest.mark.parametrize("size", [1, 7, 64])
def test_key_that_a_stream_cuts_through_is_on_no_tape(size: int, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"

    async def main() -> str:
        emulator = Emulator(lambda prompt: f"Né {KEY}", seed=1)
        taping = record(path, Cut(emulator.transport(), size), origin="emulator", service="chat")
        async with AsyncClient(transport=taping, api_key=KEY) as client:
            return str((await timed(client))[1].text)

    assert KEY in on("asyncio", main)
    written = path.read_text()
    assert not any(KEY[at : at + 12] in written for at in range(len(KEY) - 12))
    assert check_tape(path).findings == []
    assert on("asyncio", partial(answered, replay(path, clock="virtual"))).text.startswith("Né ")


# Faults


@pytest.mark.behaviour("chat-tapes-faults")
@BACKENDS
def test_answer_breaks_where_the_fault_stands(backend: str) -> None:
    async def main() -> tuple[Any, ...]:
        broken = faults(replay(tape("stream"), clock="virtual"), requests=[Fault.cut(at=8)], fail_unused=True)
        async with AsyncClient(transport=broken) as client:
            async with client.chat.stream(MODEL, QUESTION) as stream:
                with pytest.raises(ConnectionBrokenError):
                    await stream.finish()
        return stream.reply, broken.report()

    reply, report = on(backend, main)
    assert (reply.text, reply.outcome.status) == ("The 21st of ", "failed")
    assert not reply.usage.is_complete
    assert [(done.conn, done.frame, done.at_ms) for done in report.done] == [(1, 8, pytest.approx(440, abs=0.01))]
    assert report.left


@pytest.mark.behaviour("chat-tapes-faults")
@BACKENDS
@pytest.mark.parametrize(
    ("fault", "text", "error"),
    [
        (Fault.drop(at=6), "The of June, by about half an hour.", None),
        (Fault.duplicate(at=6), "The 21st 21st of June, by about half an hour.", None),
        (Fault.delay(500, at=6), ANSWER, None),
        (Fault.stall(700, at=6), ANSWER, None),
        (Fault.cut(at=6, after=True), "The 21st ", ConnectionBrokenError),
        (Fault.cut(at_ms=430), "The 21st of ", ConnectionBrokenError),
        (Fault.delay(500, at_ms=430), ANSWER, None),
        (Fault.corrupt("bad_json", at=6), "The ", RemoteProtocolError),
        (Fault.corrupt("bad_utf8", at=6), "The ", RemoteProtocolError),
    ],
    ids=str,
)
def test_faults_of_answers_do_what_they_say(backend: str, fault: Fault, text: str, error: Any) -> None:
    async def main() -> tuple[Any, float]:
        broken = faults(replay(tape("stream"), clock="virtual"), requests=[fault])
        try:
            async with AsyncClient(transport=broken) as client:
                async with client.chat.stream(MODEL, QUESTION) as stream:
                    try:
                        await stream.finish()
                    except Exception as raised:  # noqa: BLE001
                        assert error is not None and isinstance(raised, error)
                    else:
                        assert error is None
        except ReplayIncompleteError:
            assert fault.kind == "corrupt"  # the client left an answer that it cannot read
        assert [injection.fault for injection in broken.trace] == [fault]
        return stream.reply, anyio.current_time()

    reply, passed_s = on(backend, main)
    assert reply.text == text
    if fault.kind in ("delay", "stall"):
        assert passed_s > 0.85


@pytest.mark.behaviour("chat-tapes-faults")
@BACKENDS
def test_refusal_in_place_of_an_answer_is_tried_again(backend: str) -> None:
    async def main() -> Any:
        plan = [Fault.refuse(429, {"code": "x", "error": "busy"}, headers={"Retry-After": "3"})]
        broken = faults(replay(tape("stream"), clock="virtual"), requests=plan)
        reply = await answered(broken)
        return reply, anyio.current_time()

    reply, passed_s = on(backend, main)
    assert (reply.text, reply.attempts) == (ANSWER, 2)
    assert passed_s > 3


@pytest.mark.behaviour("chat-tapes-faults")
@BACKENDS
def test_answer_that_stalls_for_ever_ends_by_the_deadline_of_the_reader(backend: str) -> None:
    async def main() -> str:
        broken = faults(replay(tape("stream"), clock="virtual"), requests=[Fault.stall(at=8)])
        async with AsyncClient(transport=broken) as client:
            async with client.chat.stream(MODEL, QUESTION) as stream:
                with anyio.move_on_after(60):
                    await stream.finish()
        return stream.reply.text

    assert on(backend, main) == "The 21st of "


@pytest.mark.behaviour("chat-tapes-faults")
@pytest.mark.parametrize(
    "fault",
    [
        Fault.close(at=1),
        Fault.reorder(at=1),
        Fault.cut(on="response.done"),
        Fault.drop(at=1, direction="out"),
        Fault.corrupt("bad_base64", at=1),
        "cut",
    ],
    ids=str,
)
def test_fault_that_cannot_happen_to_an_answer_is_a_mistake(fault: Any) -> None:
    with pytest.raises(ConfigurationError):
        faults(replay(tape("stream")), requests=[fault])


def test_fault_that_no_answer_reached_is_told() -> None:
    async def main() -> None:
        await answered(faults(replay(tape("stream")), requests=[Fault.cut(at=99)], fail_unused=True))

    with pytest.raises(UnusedFaultError):
        on("asyncio", main)


@pytest.mark.behaviour("chat-tapes-faults")
def test_recording_of_a_broken_answer_says_so_and_replays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"

    async def main(transport: Transport) -> Any:
        async with AsyncClient(transport=transport) as client:
            async with client.chat.stream(MODEL, QUESTION) as stream:
                with pytest.raises(ConnectionBrokenError):
                    await stream.finish()
        return stream.reply.text

    broken = faults(replay(tape("stream"), clock="virtual"), requests=[Fault.cut(at=8)])
    assert on("asyncio", partial(main, record(path, broken))) == "The 21st of "
    assert load_cassette(path).header.origin == "derived"
    assert on("asyncio", partial(main, replay(path, clock="virtual"))) == "The 21st of "
    (chat,) = chats_of(load_cassette(path).exchanges.values())
    assert chat.reply is not None
    assert chat.reply.outcome is not None
    assert chat.reply.outcome.status == "failed"
