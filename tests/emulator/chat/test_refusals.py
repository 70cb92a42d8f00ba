"""What the emulated chat refuses, with the status and in the words of the service."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.chat.driving import LOOK, ask, chat, complete, get
from xai_realtime.emulator import ChatQuirks, Emulator, Refuse

pytestmark = pytest.mark.anyio

INVALID = "Client specified an invalid argument"
PLAIN = "grok-4.20-non-reasoning"


def function(name: str, **parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


@pytest.mark.behaviour("emulator-chat-refusals")
@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"model": None}, 422, "'model'"),
        ({"model": "gpt-4o"}, 404, "The model gpt-4o does not exist or your team does not have access to it."),
        ({"messages": None}, 422, "missing field `messages`"),
        ({"messages": []}, 400, "must not be empty"),
        ({"messages": "hi"}, 422, "expected an array"),
        ({"messages": [{"content": "x"}]}, 422, "messages[0].role"),
        ({"messages": [{"role": "developer", "content": "x"}]}, 422, "unknown variant `developer`, expected one of"),
        ({"messages": [{"role": "user", "content": 5}]}, 422, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, 422, "content[0].text"),
        ({"messages": [{"role": "tool", "content": "x"}]}, 422, "messages[0].tool_call_id"),
        ({"temperature": 3}, 400, "temperature"),
        ({"temperature": "hot"}, 422, "temperature"),
        ({"top_p": 1.5}, 400, "top_p"),
        ({"n": 0}, 400, "'n'"),
        ({"top_logprobs": 9}, 400, "top_logprobs"),
        ({"presence_penalty": 3, "model": PLAIN}, 400, "presence_penalty"),
        ({"presence_penalty": 1}, 400, "Model grok-4.6 does not support parameter presencePenalty."),
        ({"frequency_penalty": 0}, 400, "Model grok-4.6 does not support parameter frequencyPenalty."),
        ({"stop": ["x"], "model": "grok-4.5"}, 400, "Model grok-4.5 does not support parameter stop."),
        ({"stop": ["x"] * 5, "model": PLAIN}, 400, "at most 4"),
        ({"reasoning_effort": "low", "model": PLAIN}, 400, "does not support parameter reasoningEffort."),
        ({"reasoning_effort": "none"}, 400, "reasoning_effort"),
        ({"search_parameters": {"mode": "auto"}}, 410, "Live search is deprecated. Please switch to the Agent Tools"),
        ({"tools": [{"type": "live_search"}]}, 410, "Live search is deprecated"),
        ({"tools": [{"type": "web_search"}]}, 422, "unknown variant `web_search`"),
        ({"tools": [{"type": "function", "name": "flat"}]}, 422, "tools[0].function"),
        (
            {"tools": [function("tool_search")]},
            400,
            "The function name tool_search is reserved for the tool_search tool",
        ),
        ({"tools": [function("x", anyOf=[{"type": "string"}])]}, 400, "anyOf at the root"),
        ({"tools": [LOOK] * 129}, 400, "at most 128"),
        ({"tool_choice": "auto"}, 400, "A tool_choice was set on the request but no tools were specified."),
        ({"tools": [LOOK], "tool_choice": "maybe"}, 400, "tool_choice"),
        ({"tools": [LOOK], "tool_choice": {"type": "function", "function": {"name": "x"}}}, 400, "not among the tools"),
        ({"response_format": {"type": "xml"}}, 400, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, 422, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"anyOf": []}}}},
            400,
            "anyOf at the root is not allowed",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"properties": 5}}}},
            400,
            "a JSON schema could not be read",
        ),
        ({"stream": True, "deferred": True}, 400, "cannot be streamed"),
        ({"service_tier": "gold"}, 400, "service_tier"),
    ],
)
async def test_request_is_refused_as_the_service_does(fields: dict[str, Any], status: int, said: str) -> None:
    told = await ask(Emulator(seed=1, pace="instant"), "POST", "/chat/completions", {**chat(), **fields})
    assert told.status == status, told.body
    assert said in told.json["error"]
    assert set(told.json) == ({"error"} if status == 410 else {"code", "error"})
    assert told.headers["x-request-id"]


@pytest.mark.behaviour("emulator-chat-refusals")
async def test_parameters_of_other_models_are_taken_where_they_fit() -> None:
    fields = {"presence_penalty": 1, "frequency_penalty": -1, "stop": ["zzz"], "logit_bias": {"5": 1}, "seed": -3}
    assert (await complete(model=PLAIN, **fields)).status == 200
    assert (await complete(model="grok-4.3", reasoning_effort="none", stop="zzz")).status == 200
    assert (await complete(reasoning_effort="xhigh", tools=[function("x", anyOf=[{"type": "object"}])])).status == 200
    assert (await complete(tools=[], response_format={"type": "text"})).status == 200


@pytest.mark.behaviour("emulator-chat-refusals")
@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b"[]", 422), (b"", 400), (b" " * 1_100_000, 413)])
async def test_body_that_is_no_request_is_refused(body: bytes, status: int) -> None:
    told = await ask(Emulator(), "POST", "/chat/completions", body)
    assert (told.status, set(told.json)) == (status, {"code", "error"})


@pytest.mark.behaviour("emulator-chat-refusals")
async def test_wrong_key_and_wrong_method_are_refused_as_everywhere() -> None:
    assert (await ask(Emulator(), "POST", "/chat/completions", chat(), key="xai-invalid")).status == 400
    assert (await get(Emulator(), "/chat/completions")).status == 405


@pytest.mark.behaviour("emulator-chat-refusals")
async def test_quirks_change_what_is_refused() -> None:
    quirks = ChatQuirks(takes_developer=True, unknown_model_status=400, context_tokens=10)
    emulator = Emulator(seed=1, pace="instant", chat=quirks)
    assert (await complete([{"role": "developer", "content": "x"}], emulator=emulator)).status == 200
    assert (await complete(model="x", emulator=emulator)).status == 400
    told = await complete("word " * 20, emulator=emulator)
    assert told.json == {
        "code": INVALID,
        "error": "This model's maximum prompt length is 10 but the request contains 23 tokens.",
    }


@pytest.mark.behaviour("emulator-chat-refusals-asked")
async def test_refusals_that_are_asked_for_come_as_often_as_said_on_their_paths() -> None:
    rules = (
        Refuse(status=429, retry_after_s=2, path="/chat/completions"),
        Refuse(status=500, body="<html>", content_type="text/html", path="/chat"),
        Refuse(status=503, path="/models"),
        Refuse(status=502, path="/language-models", times=2),
        Refuse(status=504),
    )
    emulator = Emulator(seed=1, pace="instant", chat=ChatQuirks(refuse=rules))
    told = await complete(emulator=emulator)
    assert (told.status, told.headers["retry-after"]) == (429, "2")
    told = await get(emulator, "/chat/deferred-completion/x")
    assert (told.status, told.body, told.headers["content-type"].partition(";")[0]) == (500, b"<html>", "text/html")
    assert (await get(emulator, "/models/grok-4.6")).status == 503
    assert [(await get(emulator, "/language-models/grok-4.6")).status for _ in range(4)] == [502, 502, 504, 200]
    assert (await complete(emulator=emulator)).status == 200
    assert (await get(emulator, "/tts/voices")).status == 200


@pytest.mark.behaviour("emulator-chat-refusals-asked")
@pytest.mark.parametrize("stream", [False, True])
async def test_error_comes_with_status_200_as_often_as_said(stream: bool) -> None:
    emulator = Emulator(seed=1, pace="instant", chat=ChatQuirks(error_in_body=2))
    for _ in range(2):
        told = await complete(emulator=emulator, stream=stream)
        assert (told.status, told.headers["content-type"]) == (200, "application/json")
        assert told.json == {"code": "The service is currently unavailable", "error": "An error that was asked for."}
    assert b"You said" in (await complete("x", emulator=emulator)).body
