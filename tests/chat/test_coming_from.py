"""What people bring along from pipecat, videosdk and a call platform, said to chat: `docs/coming-from.md`."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from tests.chat.driving import (
    BACKENDS,
    DONE,
    JSON,
    MODEL,
    SSE,
    Told,
    asking,
    calls,
    chunk,
    run,
    said,
    sse,
    stop,
    usage,
    whole,
)
from tests.chat.running import answer, calling, check
from xai_realtime import AsyncClient, tool
from xai_realtime.chat.conversation import ChatConversation
from xai_realtime.chat.messages import InstructionConflictWarning
from xai_realtime.errors import ConfigurationError
from xai_realtime.models import RetiredModelWarning
from xai_realtime.protocol.chat_reply import ChatReply
from xai_realtime.protocol.chat_usage import ChatUsage
from xai_realtime.protocol.ledger import UsageLedger
from xai_realtime.transport.base import HttpRequest
from xai_realtime.transport.http import HttpTransport
from xai_realtime.transport.websocket import WebSocketTransport

OWN = "http://127.0.0.1:9/v1"


def either(request: HttpRequest) -> Told:
    """A stream for whoever wants one, else a whole answer."""
    return answer("Hello") if request.headers["Accept"] == SSE else whole()


async def every_verb(chat: Any, model: str = MODEL, **options: Any) -> None:
    """All that asks for an answer."""
    await chat.create(model, "hi", **options)
    await chat.text(model, "hi", **options)
    async with chat.stream(model, "hi", **options) as stream:
        await stream.finish()
    await chat.run(model, "hi", **options)


# Where it goes, and with what


@pytest.mark.behaviour("chat-address")
@BACKENDS
@pytest.mark.parametrize(
    ("client", "options", "url"),
    [
        ({}, {}, "https://api.x.ai/v1/chat/completions"),
        ({"base_url": OWN}, {}, f"{OWN}/chat/completions"),
        ({"base_url": f"{OWN}/"}, {"query": {"x": "1"}}, f"{OWN}/chat/completions?x=1"),
        ({"base_url": f"{OWN}?team=a"}, {"query": {"x": "1"}}, f"{OWN}/chat/completions?team=a&x=1"),
        ({}, {"url": "https://api.x.ai/v2/chat?own=1"}, "https://api.x.ai/v2/chat?own=1"),
        ({}, {"url": "https://api.x.ai/v2/chat?own=1", "query": {"x": "1"}}, "https://api.x.ai/v2/chat?own=1&x=1"),
    ],
)
def test_address_of_chat_is_that_of_the_client_unless_the_call_names_another(
    backend: str, client: dict[str, Any], options: dict[str, Any], url: str
) -> None:
    async def main() -> list[str]:
        async with asking(either, **client) as (chat, service):
            await every_verb(chat, **options)
            return [request.url for request in service.asked]

    assert run(main, backend) == [url] * 4


@pytest.mark.behaviour("chat-gateway-headers")
@BACKENDS
def test_organization_and_project_are_headers_of_the_client_or_of_the_call(backend: str) -> None:
    gateway = {"OpenAI-Organization": "org-1", "OpenAI-Project": "proj-1"}

    async def main() -> list[Any]:
        async with asking(either, default_headers=gateway) as (chat, service):
            await every_verb(chat)
            await every_verb(chat, headers={"OpenAI-Project": "proj-2"})
            for bad in ({"OpenAI-Project": "a\r\nX: b"}, {"Authorization": "Bearer other"}):
                with pytest.raises(ConfigurationError):
                    await chat.create(MODEL, "hi", headers=bad)
            keys = {request.headers["Authorization"] for request in service.asked}
            assert keys == {"Bearer xai-test-key"}
            return [tuple(request.headers[name] for name in gateway) for request in service.asked]

    assert run(main, backend) == [("org-1", "proj-1")] * 4 + [("org-1", "proj-2")] * 4


@pytest.mark.behaviour("chat-key-of-a-call")
@BACKENDS
def test_key_that_comes_with_a_call_is_for_that_call_alone(backend: str) -> None:
    async def main() -> list[str]:
        async with asking(either) as (chat, service):
            for key in ("key-of-one-ai", "key-of-another", "", None):
                await chat.create(MODEL, "hi", api_key=key)
            return [request.headers["Authorization"].removeprefix("Bearer ") for request in service.asked]

    assert run(main, backend) == ["key-of-one-ai", "key-of-another", "xai-test-key", "xai-test-key"]


@pytest.mark.behaviour("chat-own-transport")
@BACKENDS
def test_chat_goes_through_a_transport_of_ones_own_with_the_usual_times(backend: str) -> None:
    times: list[Any] = []

    def serve(request: httpx2.Request) -> httpx2.Response:
        times.append(request.extensions["timeout"])
        is_stream = json.loads(request.content).get("stream", False)
        pieces = [said("Hel"), said("lo"), stop(), DONE] if is_stream else whole("Hello").pieces
        body = b"".join(piece for piece in pieces if isinstance(piece, bytes))
        return httpx2.Response(200, headers={"Content-Type": SSE if is_stream else JSON}, content=body)

    async def main() -> list[str]:
        http = HttpTransport(httpx2_transport=httpx2.MockTransport(serve))
        async with AsyncClient(api_key="k", transport=WebSocketTransport(http=http)) as client:
            async with client.chat.stream(MODEL, "hi") as stream:
                reply = await stream.finish()
            return [(await client.chat.create(MODEL, "hi")).text, reply.text]

    assert run(main, backend) == ["Hello", "Hello"]
    assert times == [{"connect": 15.0, "read": 60.0, "write": 5.0, "pool": 5.0}] * 2


# Which model


@pytest.mark.behaviour("chat-model-is-named")
@BACKENDS
def test_model_has_no_default_and_is_named_with_each_question(backend: str) -> None:
    async def main() -> int:
        async with asking(either) as (chat, service):
            for verb in (chat.create, chat.text, chat.stream, chat.run):
                ask: Any = verb
                with pytest.raises(TypeError, match="model"):
                    await ask(messages="hi")
                with pytest.raises(ConfigurationError, match="a model is empty"):
                    await ask("", "hi")
            return len(service.asked)

    assert run(main, backend) == 0


@pytest.mark.behaviour("chat-stored-reference")
@BACKENDS
@pytest.mark.parametrize("model", ["grok.grok-4.6", "GROK.grok-4.6", "xai.grok-4.6", "grok-4.6"])
def test_reference_of_a_platform_asks_the_service_for_the_model_behind_its_dot(
    backend: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XAI_API_KEY", "xai-of-the-environment")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")

    async def main() -> list[tuple[str, str, str]]:
        async with asking(either, api_key=None) as (chat, service):
            await every_verb(chat, model, api_key="")
            sent = zip(service.asked, service.bodies, strict=True)
            return [(request.url, request.headers["Authorization"], body["model"]) for request, body in sent]

    expected = ("https://api.x.ai/v1/chat/completions", "Bearer xai-of-the-environment", "grok-4.6")
    assert run(main, backend) == [expected] * 4


@pytest.mark.behaviour("chat-stored-reference")
@BACKENDS
@pytest.mark.parametrize("model", ["grok.grok-3", "grok.grok-3-mini"])
def test_retired_model_of_a_platform_goes_out_as_it_is_named_with_a_warning(backend: str, model: str) -> None:
    async def main() -> tuple[str, str | None]:
        async with asking(whole()) as (chat, service):
            with pytest.warns(RetiredModelWarning, match=r"use grok-4\.3"):
                reply = await chat.create(model, "hi")
            return service.bodies[0]["model"], reply.model

    assert run(main, backend) == (model.removeprefix("grok."), "grok-4.6-0807")


@pytest.mark.behaviour("chat-stored-reference")
@BACKENDS
@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("openai.gpt-4o", "provider 'openai' is not known; known are grok, xai"),
        ("grok.", "names provider grok and no model"),
        ("grok", r"write grok\.<model>"),
        ("", "a model is empty"),
    ],
)
def test_reference_that_cannot_be_is_a_value_error_before_anything_is_sent(backend: str, model: str, says: str) -> None:
    async def main() -> int:
        async with asking(either) as (chat, service):
            with pytest.raises(ValueError, match=says) as caught:
                await chat.create(model, "hi")
            assert isinstance(caught.value, ConfigurationError)
            with pytest.raises(ValueError, match=says):
                chat.stream(model, "hi")
            return len(service.asked)

    assert run(main, backend) == 0


# The context


@tool
async def look(city: str) -> str:
    """The weather."""
    return f"sunny in {city}"


@pytest.mark.behaviour("chat-context")
@BACKENDS
def test_context_of_messages_and_tools_goes_out_and_grows_by_what_is_said_and_called(backend: str) -> None:
    async def main() -> None:
        stored = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello."}]
        talk = ChatConversation(stored, system="Be brief.", settings={"tools": [look], "tool_choice": "required"})
        for bad in ({"role": "agent", "content": "x"}, {"role": "user"}, ("user", 5)):
            with pytest.raises(ConfigurationError):
                talk.add(bad)
        talk.add_user("How is the weather in Rome?")
        async with asking(calling(("look", {"city": "Rome"})), answer("It is sunny.")) as (chat, service):
            await chat.run(MODEL, talk)
            first, second = service.bodies
        assert [message["role"] for message in first["messages"]] == ["system", "user", "assistant", "user"]
        assert [message["role"] for message in second["messages"]][4:] == ["assistant", "tool"]
        for body in (first, second):
            assert body["messages"][:3] == [{"role": "system", "content": "Be brief."}, *stored]
            assert [entry["function"]["name"] for entry in body["tools"]] == ["look"]
            assert body["tool_choice"] == "required"
        assert talk.messages[-1] == {"role": "assistant", "content": "It is sunny."}
        check(talk)

    run(main, backend)


@pytest.mark.behaviour("chat-beside")
@BACKENDS
@pytest.mark.parametrize(
    ("system", "sent"), [("Sum up.", "Sum up."), ("", "Be brief."), ("  ", "Be brief."), (None, "Be brief.")]
)
def test_question_beside_a_talk_has_its_own_instruction_and_limit_and_changes_nothing(
    backend: str, system: str | None, sent: str
) -> None:
    async def main() -> tuple[str | None, Any]:
        talk = ChatConversation([("user", "Hello"), ("assistant", "Hello.")], system="Be brief.")
        talk.settings = {"max_tokens": 500, "temperature": 0.5}
        before = talk.to_json()
        async with asking(whole("A greeting.")) as (chat, service):
            options: Any = {"system": system, "max_tokens": 50}
            if system == "Sum up.":
                with pytest.warns(InstructionConflictWarning):
                    text = await chat.text(MODEL, talk, **options)
            else:
                text = await chat.text(MODEL, talk, **options)
            assert (talk.to_json(), talk.settings) == (before, {"max_tokens": 500, "temperature": 0.5})
            return text, service.bodies[0]

    text, body = run(main, backend)
    assert text == "A greeting."
    assert body == {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": sent},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hello."},
        ],
        "max_completion_tokens": 50,
        "temperature": 0.5,
    }


# What comes back


@pytest.mark.behaviour("chat-nothing-is-lost")
@BACKENDS
def test_call_whose_function_is_null_or_missing_at_first_comes_out_whole(backend: str) -> None:
    parts: list[dict[str, Any]] = [
        {"index": 0, "id": "c1", "type": "function", "function": None},
        {"index": 0},
        {"index": 0, "function": {"name": "look", "arguments": None}},
        {"index": 0, "id": None, "function": {"name": None, "arguments": '{"city":'}},
        {"index": 0, "id": "", "function": {"arguments": '"Rome"}'}},
    ]

    async def main() -> ChatReply:
        async with asking(sse(*(chunk({"tool_calls": [part]}) for part in parts), stop("tool_calls"))) as (chat, _):
            async with chat.stream(MODEL, "hi") as stream:
                return await stream.finish()

    (call,) = run(main, backend).tool_calls
    assert (call.id, call.name, call.arguments) == ("c1", "look", '{"city":"Rome"}')


@pytest.mark.behaviour("chat-first-token")
@BACKENDS
@pytest.mark.parametrize(
    ("first", "text_ms"),
    [
        ({"reasoning_content": "hm"}, None),
        ({"content": "Hello"}, 300),
        ({"refusal": "No."}, None),
        (calls((0, "c1", "look", "{}")), None),
    ],
    ids=["thought", "word", "refusal", "call"],
)
def test_first_token_is_whatever_the_model_says_first_and_no_chunk_without_it(
    backend: str, first: dict[str, Any], text_ms: float | None
) -> None:
    async def main() -> ChatReply:
        early = [chunk({"role": "assistant", "content": ""}), chunk(choices=[])]
        async with asking(sse(0.1, *early, 0.2, chunk(first), 0.5, stop())) as (chat, _):
            async with chat.stream(MODEL, "hi") as stream:
                return await stream.finish()

    outcome = run(main, backend).outcome
    assert outcome is not None
    assert outcome.first_token_ms == pytest.approx(300) and outcome.total_ms == pytest.approx(800)
    assert outcome.first_text_ms == (None if text_ms is None else pytest.approx(text_ms))


@pytest.mark.behaviour("chat-usage-per-request")
@BACKENDS
def test_usage_of_each_request_begins_anew_and_what_is_not_stated_is_none(backend: str) -> None:
    async def main() -> tuple[list[ChatUsage], UsageLedger]:
        ledger = UsageLedger()
        stated = {**usage(12, 2, 7), "prompt_tokens_details": {"cached_tokens": 4}}
        script = (sse(said("a", id="one"), stop(usage=stated)), sse(said("b", id="two"), stop()))
        found = []
        async with asking(*script) as (chat, _):
            for _ in script:
                async with chat.stream(MODEL, "hi", ledger=ledger) as stream:
                    found.append((await stream.finish()).usage)
        return found, ledger

    (first, second), ledger = run(main, backend)
    assert (first.prompt_tokens, first.cached_tokens, first.reasoning_tokens, first.total_tokens) == (12, 4, 7, 21)
    assert second == ChatUsage()
    assert (second.prompt_tokens, second.cached_tokens, second.reasoning_tokens, second.is_known) == (
        *[None] * 3,
        False,
    )
    told = ledger.session.chat
    assert (told.requests, told.unknown_requests, told.total_tokens, told.reasoning_tokens) == (2, 1, 21, 7)


@pytest.mark.behaviour("bug-2")
@BACKENDS
def test_each_figure_of_usage_is_the_last_one_stated_wherever_it_comes(backend: str) -> None:
    stated: list[dict[str, Any]] = [
        {"prompt_tokens": 10, "completion_tokens": 5},
        {"prompt_tokens": 12, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 3}},
        {"completion_tokens_details": {"reasoning_tokens": 7}},
        {"total_tokens": 23, "prompt_tokens_details": None},
        {},
        {"prompt_tokens": 0, "completion_tokens_details": {"reasoning_tokens": 0}},
    ]

    async def main() -> tuple[ChatUsage, UsageLedger]:
        ledger = UsageLedger()
        late = [DONE, said("late", usage={"prompt_tokens": 99})]
        async with asking(sse(*(said("a", usage=each) for each in stated), stop(), *late, done=False)) as (chat, _):
            async with chat.stream(MODEL, "hi", ledger=ledger) as stream:
                return (await stream.finish()).usage, ledger

    found, ledger = run(main, backend)
    assert (found.prompt_tokens, found.completion_tokens, found.total_tokens) == (12, 4, 23)
    assert (found.cached_tokens, found.reasoning_tokens, found.output_tokens) == (3, 7, 11)
    assert (ledger.session.chat.requests, ledger.session.chat.total_tokens) == (1, 23)
