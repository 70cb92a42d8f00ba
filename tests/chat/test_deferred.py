"""Answers that are fetched later: asked for, polled, read, given up."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from tests.chat.driving import BACKENDS, JSON, Told, asking, emulated, refusal, run, usage, whole
from xai_realtime import (
    ApiError,
    ConfigurationError,
    NotFoundError,
    RemoteProtocolError,
    ServerError,
    TransportTimeoutError,
)
from xai_realtime.emulator import Refuse
from xai_realtime.protocol.chat_policy import ChatPolicy
from xai_realtime.protocol.ledger import UsageLedger

MODEL = "grok-4.6"
PENDING = Told((), 202)
TAKEN = Told([b'{"request_id":"r-1"}'], headers={"Content-Type": JSON})


class Mood(BaseModel):
    mood: int


@BACKENDS
@pytest.mark.behaviour("deferred-fetched")
def test_deferred_answer_is_not_there_until_it_is_ready(backend: str) -> None:
    async def main() -> None:
        async with emulated(lambda prompt: f"You said {prompt.heard}", deferred_ms=5000) as chat:
            request_id = await chat.defer(MODEL, "hello", temperature=0.5)
            assert await chat.deferred(request_id) is None
            await anyio.sleep(5)
            reply = await chat.deferred(f" {request_id} ")
            assert reply is not None and reply.text == "You said hello"
            assert reply.outcome is not None and reply.outcome.is_complete
            assert reply.model == MODEL and reply.usage.is_complete and reply.usage.total_tokens

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("deferred-fetched")
def test_waiting_for_a_deferred_answer_polls_until_it_is_there(backend: str) -> None:
    async def main() -> None:
        async with asking(TAKEN, PENDING, PENDING, whole("Later.")) as (chat, service):
            request_id = await chat.defer(MODEL, "hello")
            reply = await chat.wait_deferred(request_id, every_s=3)
            assert (request_id, reply.text) == ("r-1", "Later.")
            asked = service.asked[0].body
            assert isinstance(asked, bytes)
            assert json.loads(asked) == {
                "model": MODEL,
                "messages": [{"role": "user", "content": "hello"}],
                "deferred": True,
            }
            assert service.at_ms[1:] == [0, 3000, 6000]
            polls = service.asked[1:]
            assert {request.method for request in polls} == {"GET"}
            assert {request.url for request in polls} == {"https://api.x.ai/v1/chat/deferred-completion/r-1"}
            assert all(request.headers["Authorization"] == "Bearer xai-test-key" for request in polls)

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("deferred-fetched")
def test_id_of_a_deferred_answer_stays_one_part_of_the_address(backend: str) -> None:
    async def main() -> None:
        async with asking(whole()) as (chat, service):
            await chat.deferred("a b?c#d%e")
            assert service.asked[0].url == "https://api.x.ai/v1/chat/deferred-completion/a%20b%3Fc%23d%25e"
            await chat.deferred("r", url="https://api.x.ai/v2/later/r", headers={"X-Own": "1"}, api_key="other")
            assert service.asked[1].url == "https://api.x.ai/v2/later/r"
            assert service.asked[1].headers["X-Own"] == "1"
            assert service.asked[1].headers["Authorization"] == "Bearer other"

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("deferred-unknown")
def test_unknown_id_is_not_found(backend: str) -> None:
    async def main() -> None:
        async with emulated() as chat:
            with pytest.raises(NotFoundError) as caught:
                await chat.deferred("unknown")
            assert caught.value.status == 404
            assert not any("model" in note for note in getattr(caught.value, "__notes__", [])), "it is no model"
            with pytest.raises(NotFoundError):
                await chat.wait_deferred("unknown")
            for wrong in ("", "  ", "a/b", None, 7):
                with pytest.raises(ConfigurationError, match="request_id"):
                    await chat.deferred(wrong)  # type: ignore[arg-type]

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("deferred-bounded")
@pytest.mark.parametrize(("every_s", "polls"), [(4, [0, 4000, 8000, 10000]), (600, [0, 10000]), (10, [0, 10000])])
def test_waiting_ends_after_its_time_with_a_last_look(backend: str, every_s: float, polls: list[float]) -> None:
    async def main() -> None:
        async with asking(PENDING) as (chat, service):
            with pytest.raises(TransportTimeoutError, match="deferred answer") as caught:
                await chat.wait_deferred("r-1", every_s=every_s, timeout_s=10)
            assert (caught.value.phase, caught.value.timeout_s) == ("deferred answer", 10)
            assert service.at_ms == polls
            for options in ({"every_s": 0}, {"timeout_s": -1}, {"every_s": True}, {"timeout_s": float("nan")}):
                with pytest.raises(ConfigurationError, match="numbers above 0"):
                    await chat.wait_deferred("r-1", **options)

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("deferred-bounded")
def test_answer_can_be_fetched_after_waiting_was_cancelled(backend: str) -> None:
    async def main() -> None:
        async with emulated(lambda prompt: "Later.", deferred_ms=30_000) as chat:
            request_id = await chat.defer(MODEL, "hello")
            with anyio.move_on_after(7) as scope:
                await chat.wait_deferred(request_id)
            assert scope.cancelled_caught and anyio.current_time() == pytest.approx(7)
            reply = await chat.wait_deferred(request_id)
            assert reply.text == "Later." and anyio.current_time() == pytest.approx(31, abs=1.01)

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("deferred-structured")
def test_deferred_answer_is_read_by_the_form_that_was_asked_for(backend: str) -> None:
    async def main() -> None:
        async with emulated(lambda prompt: '{"mood": 3}') as chat:
            request_id = await chat.defer(MODEL, "hello", response_format=Mood)
            reply = await chat.wait_deferred(request_id, response_format=Mood)
            assert reply.parsed == Mood(mood=3)
            as_json = await chat.deferred(request_id, response_format="json")
            assert as_json is not None and as_json.parsed == {"mood": 3}
            unread = await chat.deferred(request_id)
            assert unread is not None and unread.parsed is None and unread.text == '{"mood": 3}'
        async with asking(whole("Fine.")) as (chat, service):
            misfit = await chat.deferred("r-1", response_format=Mood)
            assert misfit is not None and misfit.parsed is None
            assert misfit.outcome is not None and misfit.outcome.status == "unparsed"
            asked = len(service.asked)
            with pytest.raises(ConfigurationError, match="response_format"):
                await chat.deferred("r-1", response_format="yaml")
            assert len(service.asked) == asked, "a mistake costs no answer that can be fetched once"

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("deferred-retried")
def test_polling_gets_over_what_may_pass(backend: str) -> None:
    async def main() -> None:
        script = (PENDING, refusal(503), refusal(429, Retry_After="2"), whole("Later."))
        async with asking(*script) as (chat, service):
            assert (await chat.wait_deferred("r-1")).text == "Later."
            assert len(service.asked) == 4
        async with asking(refusal(503)) as (chat, service):
            with pytest.raises(ServerError):
                await chat.wait_deferred("r-1")
            assert len(service.asked) == 1 + ChatPolicy().max_retries

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("deferred-retried")
def test_request_for_a_deferred_answer_is_tried_again(backend: str) -> None:
    async def main() -> None:
        policy = ChatPolicy(max_retries=1)
        async with asking(refusal(429, Retry_After="2"), TAKEN) as (chat, service):
            assert await chat.defer(MODEL, "hello", policy=policy) == "r-1"
            assert service.at_ms == [0, 2000]
        async with asking(refusal(500)) as (chat, service):
            with pytest.raises(ServerError):
                await chat.defer(MODEL, "hello", policy=policy)
            assert len(service.asked) == 2

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("deferred-odd")
@pytest.mark.parametrize(
    ("body", "kind", "error"),
    [
        (b'{"code":"bad","error":"No."}', JSON, ApiError),
        (b"<html>busy</html>", "text/html", RemoteProtocolError),
        (b"", JSON, RemoteProtocolError),
        (b"[]", JSON, RemoteProtocolError),
        (b'{"request_id": 7}', JSON, RemoteProtocolError),
    ],
)
def test_odd_answers_to_deferred_requests_are_typed_errors(
    backend: str, body: bytes, kind: str, error: type[Exception]
) -> None:
    async def main() -> None:
        async with asking(Told([body], headers={"Content-Type": kind})) as (chat, _):
            with pytest.raises(error):
                await chat.defer(MODEL, "hello", policy=ChatPolicy(max_retries=0))
            if b"request_id" not in body:
                with pytest.raises(error):
                    await chat.deferred("r-1")

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("deferred-odd")
def test_deferred_request_is_not_made_by_the_wrong_method(backend: str) -> None:
    async def main() -> None:
        async with asking(whole()) as (chat, service):
            with pytest.raises(ConfigurationError, match="defer"):
                await chat.create(MODEL, "hello", deferred=True)
            with pytest.raises(ConfigurationError, match="deferred"):
                chat.stream(MODEL, "hello", deferred=True)
            assert service.asked == []

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("deferred-fetched")
def test_failure_of_a_deferred_answer_surfaces_when_it_is_fetched(backend: str) -> None:
    async def main() -> None:
        rule = Refuse(status=400, path="/chat", body='{"code":"bad","error":"No."}', times=9)
        async with emulated(refuse=(rule,)) as chat:
            with pytest.raises(ApiError) as caught:
                await chat.deferred("r-1")
            assert caught.value.status == 400
        tools = json.loads(b'[{"type":"function","function":{"name":"look","parameters":{"type":"object"}}}]')
        call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": ""}}
        message: dict[str, Any] = {"role": "assistant", "content": "Wait.", "tool_calls": [call]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        async with asking(TAKEN, whole(choices=[choice])) as (chat, _):
            await chat.defer(MODEL, "hello", tools=tools, response_format=Mood)
            reply = await chat.wait_deferred("r-1", response_format=Mood)
            assert reply.text == "Wait." and reply.parsed is None
            assert [(made.id, made.name, made.arguments) for made in reply.tool_calls] == [("c1", "look", "{}")]

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("deferred-usage")
def test_ledger_takes_a_deferred_answer_once_however_often_it_is_fetched(backend: str) -> None:
    async def main() -> None:
        ledger = UsageLedger()
        async with asking(PENDING, whole(usage=usage(7, 3))) as (chat, _):
            await chat.wait_deferred("r-1", ledger=ledger)
            await chat.deferred("r-1", ledger=ledger)
            assert [entry.usage.total_tokens for entry in ledger.chat_requests.values()] == [10]

    run(main, backend)
