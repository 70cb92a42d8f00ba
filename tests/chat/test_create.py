"""Whole answers: `client.chat.create` and `client.chat.text`, what goes out, what comes back, and how errors look."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from tests.chat.driving import (
    BACKENDS,
    JSON,
    MODEL,
    SSE,
    Told,
    asking,
    calls,
    emulated,
    refusal,
    run,
    sse,
    usage,
    whole,
)
from xai_realtime.chat.conversation import ChatConversation
from xai_realtime.errors import (
    ApiError,
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RemoteProtocolError,
    ServerError,
)
from xai_realtime.protocol.chat_policy import ChatPolicy
from xai_realtime.protocol.chat_reply import ChatReply
from xai_realtime.protocol.ledger import UsageLedger

ONCE = ChatPolicy(max_retries=0)


def answered_with(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> Told:
    return whole(choices=[{"index": 0, "message": message, "finish_reason": finish}], **more)


@pytest.mark.behaviour("ask-32")
@BACKENDS
def test_create_gives_a_typed_answer_with_everything_that_the_service_said(backend: str) -> None:
    async def main() -> ChatReply:
        told = answered_with(
            {"role": "assistant", "content": "Four.", "reasoning_content": "2 and 2"},
            usage={**usage(12, 1, 228), "cost_in_usd_ticks": 12_345},
            citations=["https://example.org/a"],
            service_tier="priority",
            system_fingerprint="fp_1",
        )
        async with asking(told) as (chat, _):
            return await chat.create("grok-latest", "What is 2 + 2?", service_tier="priority")

    reply = run(main, backend)
    assert (reply.text, reply.reasoning, reply.finish_reason) == ("Four.", "2 and 2", "stop")
    assert (reply.id, reply.model, reply.created_s) == ("chat-id-1", "grok-4.6-0807", 1_790_000_000)
    assert (reply.citations, reply.service_tier, reply.system_fingerprint) == (
        ("https://example.org/a",),
        "priority",
        "fp_1",
    )
    assert (reply.usage.total_tokens, reply.usage.output_tokens, reply.usage.cost_in_usd_ticks) == (241, 229, 12_345)
    assert reply.usage.is_complete
    assert (reply.outcome.status, reply.outcome.reason, reply.attempts) == ("complete", "stop", 1)


@BACKENDS
def test_create_measures_its_time_until_the_whole_answer_is_there(backend: str) -> None:
    async def main() -> ChatReply:
        told = whole()
        told.pieces, told.after_s = [0.25, *told.pieces], 0.5
        async with asking(told) as (chat, _):
            return await chat.create(MODEL, "hi")

    outcome = run(main, backend).outcome
    assert (outcome.first_token_ms, outcome.first_text_ms, outcome.total_ms) == (750, 750, 750)


@BACKENDS
def test_text_gives_the_words_alone_and_none_where_there_are_none(backend: str) -> None:
    async def main() -> list[str | None]:
        nothing = answered_with({"role": "assistant", "content": None})
        async with asking(whole("Hello"), nothing) as (chat, _):
            return [await chat.text(MODEL, "hi"), await chat.text(MODEL, "hi")]

    assert run(main, backend) == ["Hello", None]


ENDS = [
    ("stop", {"content": "all of it"}, ("complete", "stop")),
    ("end_turn", {"content": "all of it"}, ("complete", "end_turn")),
    ("length", {"content": "half of"}, ("truncated", "length")),
    ("content_filter", {"content": ""}, ("refused", "content_filter")),
    ("stop", {"content": None, "refusal": "I will not."}, ("refused", "refusal")),
    ("tool_calls", {"content": "", **calls((0, "call_1", "look", "{}"))}, ("complete", "tool_calls")),
    (None, {"content": "well"}, ("complete", "")),
]


@BACKENDS
@pytest.mark.parametrize(("finish", "message", "expected"), ENDS)
def test_create_says_in_the_outcome_how_the_answer_ended(
    backend: str, finish: str | None, message: dict[str, Any], expected: tuple[str, str]
) -> None:
    async def main() -> ChatReply:
        async with asking(answered_with(message, finish)) as (chat, _):
            return await chat.create(MODEL, "hi")

    reply = run(main, backend)
    assert (reply.outcome.status, reply.outcome.reason) == expected
    assert reply.text == (message["content"] or "")
    assert reply.refusal == message.get("refusal", "")


@BACKENDS
def test_create_keeps_content_beside_calls_and_several_choices(backend: str) -> None:
    async def main() -> ChatReply:
        first = {"content": "One moment.", **calls((0, "call_1", "look", '{"a": 1}'), (1, "call_2", "look", ""))}
        choices = [
            {"index": 1, "message": {"content": "other"}, "finish_reason": "length"},
            {"index": 0, "message": first, "finish_reason": "tool_calls"},
        ]
        async with asking(whole(choices=choices)) as (chat, _):
            return await chat.create(MODEL, "hi", n=2)

    reply = run(main, backend)
    assert reply.text == "One moment."
    assert [(call.id, call.name, call.arguments) for call in reply.tool_calls] == [
        ("call_1", "look", '{"a": 1}'),
        ("call_2", "look", "{}"),
    ]
    assert [(choice.text, choice.status) for choice in reply.choices] == [
        ("One moment.", "complete"),
        ("other", "truncated"),
    ]


@BACKENDS
@pytest.mark.parametrize("choices", [None, []])
def test_create_calls_an_answer_without_choices_truncated_and_keeps_its_usage(backend: str, choices: Any) -> None:
    async def main() -> ChatReply:
        async with asking(whole(choices=choices)) as (chat, _):
            return await chat.create(MODEL, "hi")

    reply = run(main, backend)
    assert (reply.outcome.status, reply.outcome.reason, reply.text) == ("truncated", "empty", "")
    assert reply.usage.total_tokens == 14


@BACKENDS
def test_create_parses_what_was_to_be_structured(backend: str) -> None:
    class City(BaseModel):
        name: str

    async def main() -> list[ChatReply]:
        async with asking(whole('{"name": "Oslo"}'), whole('{"nam')) as (chat, _):
            return [await chat.create(MODEL, "hi", response_format=City) for _ in range(2)]

    fits, fits_not = run(main, backend)
    assert (fits.parsed, fits.outcome.status) == (City(name="Oslo"), "complete")
    assert (fits_not.parsed, fits_not.outcome.status) == (None, "unparsed")
    assert "nam" not in repr(fits_not.outcome)


@BACKENDS
def test_request_is_a_post_with_key_json_and_the_settings_that_were_given_alone(backend: str) -> None:
    async def main() -> Any:
        async with asking(whole(), default_headers={"x-own": "a"}) as (chat, service):
            await chat.create(MODEL, "hi", temperature=0.5, headers={"X-More": "b"}, query={"trace": "1"})
            return service.asked[0]

    request = run(main, backend)
    assert (request.method, request.url) == ("POST", "https://api.x.ai/v1/chat/completions?trace=1")
    assert request.headers == {
        "Content-Type": JSON,
        "Accept": JSON,
        "x-own": "a",
        "X-More": "b",
        "Authorization": "Bearer xai-test-key",
    }
    assert json.loads(request.body) == {
        "model": MODEL,
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0.5,
    }


@BACKENDS
def test_stream_request_accepts_events_and_asks_for_usage(backend: str) -> None:
    async def main() -> Any:
        async with asking(sse()) as (chat, service):
            async with chat.stream(MODEL, "hi"):
                pass
            return service.asked[0].headers["Accept"], service.bodies[0]

    accept, body = run(main, backend)
    assert accept == SSE
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


@pytest.mark.behaviour("ask-27")
@BACKENDS
def test_tool_choice_goes_out_with_tools_alone(backend: str) -> None:
    look = {"name": "look", "parameters": {"type": "object", "properties": {}}}

    async def main() -> Any:
        async with asking(whole()) as (chat, service):
            await chat.create(MODEL, "hi", tool_choice="auto", parallel_tool_calls=False)
            await chat.create(MODEL, "hi", tool_choice="auto", parallel_tool_calls=False, tools=[look])
            return service.bodies

    without, with_tools = run(main, backend)
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(without)
    assert (with_tools["tool_choice"], with_tools["parallel_tool_calls"]) == ("auto", False)


@pytest.mark.behaviour("bug-6")
@BACKENDS
def test_settings_of_client_conversation_and_call_come_in_this_order_and_extra_wins(backend: str) -> None:
    async def main() -> Any:
        settings = {"temperature": 0.1, "top_p": 0.1, "seed": 1, "max_tokens": 1}
        async with asking(whole(), chat_settings=settings) as (chat, service):
            talk = ChatConversation([("user", "hi")], settings={"top_p": 0.2, "seed": 2, "max_tokens": 2})
            await chat.create(MODEL, talk, seed=3, max_tokens=3, extra={"max_tokens": 4, "x_new": [1]})
            await chat.create(MODEL, talk)
            return service.bodies

    first, second = run(main, backend)
    assert (first["temperature"], first["top_p"], first["seed"]) == (0.1, 0.2, 3)
    assert (first["max_tokens"], first["x_new"]) == (4, [1])
    assert "max_completion_tokens" not in first
    assert (second["max_completion_tokens"], second["seed"]) == (2, 2)
    assert "max_tokens" not in second


@BACKENDS
def test_conversation_is_not_changed_by_create(backend: str) -> None:
    async def main() -> tuple[int, int]:
        talk = ChatConversation([("user", "hi")])
        before = len(talk.outgoing())
        async with asking(whole()) as (chat, _):
            await chat.create(MODEL, talk, system="Be brief.")
        return before, len(talk.outgoing())

    assert run(main, backend) == (1, 1)


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"model": "acme.grok"}, "provider 'acme' is not known"),
    ({"model": ""}, "a model is empty"),
    ({"messages": []}, "is empty; at least one message is needed"),
    ({"temperature": 3}, "temperature"),
    ({"deferred": True}, "call `defer`"),
    ({"extra": {"stream": True}}, "extra cannot change `stream`"),
    ({"url": "ftp://x"}, "scheme 'ftp'"),
    ({"headers": {"Authorization": "Bearer x"}}, "api_key="),
    ({"api_key": "with blank"}, "api_key is malformed"),
]


@BACKENDS
@pytest.mark.parametrize(("options", "says"), MISTAKES)
def test_mistake_is_told_before_anything_is_sent(backend: str, options: dict[str, Any], says: str) -> None:
    async def main() -> int:
        given = {"model": MODEL, "messages": "hi", **options}
        async with asking(whole()) as (chat, service):
            for verb in (chat.create, chat.text):
                with pytest.raises(ConfigurationError, match=says):
                    await verb(**given)
            return len(service.asked)

    assert run(main, backend) == 0


@BACKENDS
@pytest.mark.parametrize(("options", "says"), [pair for pair in MISTAKES if "extra" not in pair[0]])
def test_mistake_in_a_stream_or_a_run_is_told_when_it_is_made(backend: str, options: dict[str, Any], says: str) -> None:
    async def main() -> int:
        given = {"model": MODEL, "messages": "hi", **options}
        async with asking(sse()) as (chat, service):
            for verb in (chat.stream, chat.run):
                with pytest.raises(ConfigurationError, match=says if "deferred" not in options else "deferred"):
                    verb(**given)
            return len(service.asked)

    assert run(main, backend) == 0


# Errors, whatever their shape

STATUSES = [
    (400, ApiError),
    (401, AuthenticationError),
    (403, PermissionDeniedError),
    (404, NotFoundError),
    (405, ApiError),
    (413, ApiError),
    (415, ApiError),
    (422, ApiError),
    (429, RateLimitError),
    (500, ServerError),
    (502, ServerError),
    (503, ServerError),
]
SHAPES: list[tuple[str, bytes, str, str | None, str | None]] = [
    ("flat", b'{"code": "invalid-argument", "error": "It is wrong."}', JSON, "invalid-argument", "It is wrong."),
    (
        "openai",
        b'{"error": {"message": "It is wrong.", "type": "bad", "param": null, "code": "c1"}}',
        JSON,
        "c1",
        "It is wrong.",
    ),
    ("message", b'{"error": "It is wrong."}', JSON, None, "It is wrong."),
    ("detail", b'{"detail": "It is wrong."}', JSON, None, "It is wrong."),
    ("text", b"It is\n wrong.", "text/plain", None, "It is wrong."),
    ("html", b"<html><body>Bad gateway</body></html>", "text/html", None, None),
    ("empty", b"", JSON, None, None),
    ("broken", b'{"code": "inv', JSON, None, None),
]


@BACKENDS
@pytest.mark.parametrize("is_streamed", [False, True])
def test_refusal_of_every_status_and_shape_is_typed_with_its_words_and_request_id(
    backend: str, is_streamed: bool
) -> None:
    async def main() -> list[tuple[type[ApiError], Any, ApiError, int]]:
        found = []
        for status, kind in STATUSES:
            for _, body, content_type, code, message in SHAPES:
                told = refusal(status, content_type=content_type, x_request_id="req-7")
                told.pieces = [body[:5], body[5:]]
                async with asking(told, chat_policy=ONCE) as (chat, service):
                    with pytest.raises(ApiError) as caught:
                        if is_streamed:
                            async with chat.stream(MODEL, "hi"):
                                raise AssertionError("it was entered")
                        else:
                            await chat.create(MODEL, "hi")
                    found.append((kind, (status, code, message), caught.value, len(service.asked)))
        return found

    found = run(main, backend)
    assert len(found) == len(STATUSES) * len(SHAPES)
    for kind, expected, error, asked in found:
        assert type(error) is kind
        assert (error.status, error.code, error.message) == expected
        assert (error.request_id, asked) == ("req-7", 1)


@BACKENDS
def test_wrong_key_is_an_authentication_error_though_its_status_is_400(backend: str) -> None:
    async def main() -> ApiError:
        told = refusal(400, {"code": "invalid-argument", "error": "Incorrect API key provided: xa***ey."})
        async with asking(told) as (chat, _):
            with pytest.raises(AuthenticationError) as caught:
                await chat.create(MODEL, "hi")
        return caught.value

    assert run(main, backend).status == 400


@BACKENDS
@pytest.mark.parametrize("is_streamed", [False, True])
def test_error_with_status_200_is_an_error(backend: str, is_streamed: bool) -> None:
    async def main() -> tuple[ApiError, int]:
        told = refusal(
            200, {"code": "Client specified an invalid argument", "error": "No such thing."}, x_request_id="r"
        )
        async with asking(told) as (chat, service):
            with pytest.raises(ApiError) as caught:
                if is_streamed:
                    async with chat.stream(MODEL, "hi"):
                        raise AssertionError("it was entered")
                else:
                    await chat.create(MODEL, "hi")
            return caught.value, len(service.asked)

    error, asked = run(main, backend)
    assert (error.status, error.message, error.request_id, asked) == (200, "No such thing.", "r", 1)


EXPLAINED = [
    (
        400,
        "Model grok-4.5 does not support parameter presencePenalty.",
        "presence_penalty cannot go to grok-4.5: reasoning models take no penalties",
    ),
    (400, "This model's maximum prompt length is 5 but the request contains 9 tokens.", "ChatConversation.trim"),
    (429, "Your team has used all available credits.", "asking again does not help"),
    (404, "The model grok-9 does not exist.", "client.models lists those it does"),
]


@BACKENDS
@pytest.mark.parametrize(("status", "message", "note"), EXPLAINED)
@pytest.mark.parametrize("is_streamed", [False, True])
def test_refusal_carries_a_note_on_what_may_help(
    backend: str, status: int, message: str, note: str, is_streamed: bool
) -> None:
    async def main() -> ApiError:
        async with asking(refusal(status, {"code": "c", "error": message})) as (chat, _):
            with pytest.raises(ApiError) as caught:
                if is_streamed:
                    async with chat.stream("grok-4.5", "hi", presence_penalty=1):
                        raise AssertionError("it was entered")
                else:
                    await chat.create("grok-4.5", "hi", presence_penalty=1)
            return caught.value

    error = run(main, backend)
    assert note in " ".join(error.__notes__)


@BACKENDS
@pytest.mark.parametrize(
    "body", [b"<html>Hello</html>", b"Hello", b"", b"[]", b"null", b'{"choices": 3}', b'{"choices": [{"message": 3}]}']
)
def test_answer_that_cannot_be_read_is_an_error_without_its_text(backend: str, body: bytes) -> None:
    async def main() -> RemoteProtocolError:
        async with asking(Told([body] if body else [], headers={"Content-Type": JSON})) as (chat, service):
            with pytest.raises(RemoteProtocolError) as caught:
                await chat.create(MODEL, "hi")
            assert len(service.asked) == 1
        return caught.value

    error = run(main, backend)
    assert f"{len(body)} bytes" in str(error)
    assert "Hello" not in str(error)


# What was used


@pytest.mark.behaviour("ask-31")
@BACKENDS
def test_ledger_is_told_once_what_a_request_used(backend: str) -> None:
    async def main() -> UsageLedger:
        ledger = UsageLedger()
        async with asking(whole(usage={**usage(), "cost_in_usd_ticks": 5})) as (chat, _):
            await chat.create(MODEL, "hi", ledger=ledger)
        return ledger

    chat = run(main, backend).session.chat
    assert (chat.requests, chat.unknown_requests, chat.incomplete_requests) == (1, 0, 0)
    assert (chat.total_tokens, chat.cost_in_usd_ticks, chat.models) == (14, 5, ("grok-4.6-0807",))


@BACKENDS
def test_ledger_counts_a_request_that_may_be_billed_as_unknown_and_one_that_was_refused_not_at_all(
    backend: str,
) -> None:
    async def main() -> list[int]:
        ledger = UsageLedger()
        found = []
        for told in (refusal(400), refusal(503), Told([b"?"], headers={"Content-Type": JSON})):
            async with asking(told, chat_policy=ONCE) as (chat, _):
                with pytest.raises((ApiError, RemoteProtocolError)):
                    await chat.create(MODEL, "hi", ledger=ledger)
            found.append(ledger.session.chat.unknown_requests)
        async with asking(Told([], after_s=30)) as (chat, _):
            with anyio.move_on_after(1):
                await chat.create(MODEL, "hi", ledger=ledger)
        found.append(ledger.session.chat.unknown_requests)
        assert ledger.session.chat.requests == ledger.session.chat.unknown_requests
        return found

    assert run(main, backend) == [0, 0, 1, 2]


@BACKENDS
def test_deferred_answer_is_told_to_the_ledger_once_however_often_it_is_fetched(backend: str) -> None:
    async def main() -> UsageLedger:
        ledger = UsageLedger()
        async with emulated() as chat:
            name = await chat.defer(MODEL, "hi")
            assert await chat.deferred(name, ledger=ledger) is None
            await chat.wait_deferred(name, ledger=ledger)
            await chat.deferred(name, ledger=ledger)
        return ledger

    chat = run(main, backend).session.chat
    assert (chat.requests, chat.unknown_requests) == (1, 0)
    assert chat.total_tokens
