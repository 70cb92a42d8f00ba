"""The body of a chat request: settings on four levels, one limit of tokens, forms of answers, hints for refusals."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, RootModel

from tests.chat.bodies import chat_body
from xai_realtime.chat.conversation import ChatConversation
from xai_realtime.chat.request import chat_request, explain
from xai_realtime.errors import ApiError, ConfigurationError, NotFoundError, RateLimitError
from xai_realtime.models import ModelRef, Provider, Providers, RetiredModelWarning

MODEL = "grok-4.6"
OTHER = Provider("other", "https://other.example/v1", token_field="max_tokens", has_developer_role=True)


class Answer(BaseModel):
    """What is asked for."""

    city: str
    degrees: float = 0.0


def body(**options: Any) -> dict[str, Any]:
    return chat_body(MODEL, "hi", **options)


def call(**settings: Any) -> dict[str, Any]:
    return chat_body(MODEL, "hi", call=settings)


# What is sent


@pytest.mark.behaviour("chat-request-unset")
def test_body_holds_nothing_that_was_not_given() -> None:
    assert body() == {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.behaviour("chat-request-unset")
def test_none_goes_out_as_null_over_what_a_level_before_gave() -> None:
    assert body(client={"temperature": 1, "seed": 7}, call={"temperature": None})["temperature"] is None
    made = call(stop=None, user=None, reasoning_effort=None, response_format=None, service_tier=None)
    assert [made[name] for name in ("stop", "user", "reasoning_effort", "response_format")] == [None] * 4


@pytest.mark.behaviour("chat-request-order")
def test_later_level_wins_and_extra_wins_over_all() -> None:
    levels: dict[str, Any] = {
        "defaults": {"temperature": 0.1, "seed": 1, "top_p": 0.1, "user": "d"},
        "client": {"temperature": 0.2, "seed": 2, "top_p": 0.2},
        "conversation": {"temperature": 0.3, "seed": 3},
        "call": {"temperature": 0.4},
    }
    made = body(**levels, extra={"user": "x", "brand_new": [1]})
    assert (made["user"], made["top_p"], made["seed"], made["temperature"]) == ("x", 0.2, 3, 0.4)
    assert made["brand_new"] == [1]
    assert body(**levels, extra={"model": "own", "temperature": 9})["temperature"] == 9


@pytest.mark.behaviour("chat-request-order")
def test_settings_of_a_conversation_stand_between_client_and_call() -> None:
    talk = ChatConversation([("user", "hi")], settings={"seed": 3, "top_p": 0.3, "user": "talk"})
    made = chat_body(MODEL, talk, client={"seed": 2, "user": "client"}, conversation={"top_p": 0.4}, call={"seed": 5})
    assert (made["seed"], made["top_p"], made["user"]) == (5, 0.4, "talk")


@pytest.mark.behaviour("chat-request-tokens", "bug-6", "bug-26")
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_limit_of_tokens_goes_out_under_the_name_of_the_provider_and_never_as_null(name: str) -> None:
    providers = Providers(OTHER)
    for model, sent in ((MODEL, "max_completion_tokens"), ("other.m", "max_tokens")):
        made = chat_body(model, "hi", call={name: 5}, providers=providers)
        assert {key: made[key] for key in made if "tokens" in key} == {sent: 5}
    assert "max_completion_tokens" not in call(**{name: None})


@pytest.mark.behaviour("chat-request-tokens", "bug-6")
def test_limit_of_tokens_of_a_later_level_replaces_the_one_before_whatever_its_name() -> None:
    made = body(client={"max_tokens": 100}, call={"max_completion_tokens": 50})
    assert {key: made[key] for key in made if "tokens" in key} == {"max_completion_tokens": 50}
    assert "max_completion_tokens" not in body(client={"max_tokens": 100}, call={"max_tokens": None})
    made = body(call={"max_tokens": 100}, extra={"max_tokens": 7})
    assert {key: made[key] for key in made if "tokens" in key} == {"max_tokens": 7}
    assert call(max_tokens=4, max_completion_tokens=None)["max_completion_tokens"] == 4


@pytest.mark.behaviour("chat-request-tokens")
def test_both_names_of_the_limit_at_once_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="are one setting: give one of the two"):
        call(max_tokens=5, max_completion_tokens=5)


@pytest.mark.behaviour("chat-request-usage", "bug-29")
def test_usage_is_asked_for_with_every_stream_and_never_without_one() -> None:
    made = body(stream=True)
    assert (made["stream"], made["stream_options"]) == (True, {"include_usage": True})
    assert "stream_options" not in body() and "stream" not in body()
    assert "stream_options" not in body(client={"stream_options": {"include_usage": True}})
    quiet = body(stream=True, call={"stream_options": {"include_usage": False, "x": 1}})
    assert quiet["stream_options"] == {"include_usage": False, "x": 1}
    assert body(stream=True, call={"stream_options": None})["stream_options"] is None


@pytest.mark.behaviour("chat-request-levels")
def test_stream_cannot_be_changed_by_extra_and_does_not_go_with_deferred() -> None:
    for stream in (True, False):
        with pytest.raises(ConfigurationError, match="extra cannot change `stream`"):
            body(stream=stream, extra={"stream": not stream})
        assert body(stream=stream, extra={"stream": stream})["stream"] is stream
    with pytest.raises(ConfigurationError, match="a deferred request has no stream"):
        body(stream=True, call={"deferred": True})
    assert call(deferred=True)["deferred"] is True


# What is refused


@pytest.mark.behaviour("chat-request-ranges")
@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("temperature", (0, 2, 0.7), (-0.1, 2.1, True, "1", math.nan, math.inf)),
        ("top_p", (1, 0.001), (0, 1.1, False)),
        ("n", (1, 8), (0, 1.5, True)),
        ("max_tokens", (1, 10**6), (0, -1, 2.0)),
        ("stop", ("a", ["a"], ("a", "b", "c", "d")), ("", [], ["a"] * 5, ["a", ""], [1], 5)),
        ("presence_penalty", (-2, 2), (-2.1, 3)),
        ("frequency_penalty", (-2, 2.0), (2.5, "0")),
        ("logit_bias", ({"50": 1},), ([("50", 1)], {50: 1})),
        ("logprobs", (True, False), (1, "yes")),
        ("top_logprobs", (0, 8), (-1, 9, True)),
        ("seed", (0, -5, 10**12), (1.5, "1", True)),
        ("user", ("u",), ("", 5)),
        ("parallel_tool_calls", (), (1,)),
        ("reasoning_effort", ("none", "xhigh", "another"), ("", 5)),
        ("deferred", (True,), ("yes",)),
        ("search_parameters", ({"mode": "off"},), ("off",)),
        ("web_search_options", ({},), (True,)),
        ("service_tier", ("priority", "default", "new"), ("",)),
        ("prompt_cache_key", ("k",), (5,)),
        ("stream_options", (), ([],)),
    ],
)
def test_setting_is_taken_in_its_range_and_refused_outside(
    name: str, good: tuple[Any, ...], bad: tuple[Any, ...]
) -> None:
    for value in good:
        sent = call(**{name: value})["max_completion_tokens" if name == "max_tokens" else name]
        assert sent == ([value] if name == "stop" and isinstance(value, str) else value)
    for value in bad:
        with pytest.raises(ConfigurationError) as caught:
            call(**{name: value})
        assert str(caught.value).startswith(f"{name} is ")
        assert "allowed are " in str(caught.value)


@pytest.mark.behaviour("chat-request-ranges")
def test_refused_values_that_may_tell_of_a_person_are_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        call(stop=["secret words", 5])
    assert "secret" not in str(caught.value)


@pytest.mark.behaviour("chat-request-levels")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"call": {"top_k": 5}}, "'top_k' is no setting of chat; use extra="),
        ({"call": [1]}, "the settings of the call are a list"),
        ({"extra": [1]}, "extra is no mapping"),
        ({"extra": {1: 2}}, "extra is no mapping"),
        ({"system": 5}, "system is a int"),
        ({"developer_as": "assistant"}, "developer_as is 'assistant'"),
    ],
)
def test_level_that_is_none_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        body(**options)
    assert said in str(caught.value)


# Models


@pytest.mark.behaviour("chat-request-model")
def test_model_may_be_a_reference_and_its_provider_must_be_known() -> None:
    ref = ModelRef.parse("other.some.model", Providers(OTHER))
    request = chat_request(ref, "hi", providers=Providers(OTHER))
    assert (request.body["model"], request.provider, request.ref) == ("some.model", OTHER, ref)
    assert chat_body("grok.grok-4.6", "hi")["model"] == MODEL
    with pytest.raises(ConfigurationError, match="provider 'other' of the model is not known here"):
        chat_request(ref, "hi")
    with pytest.raises(ConfigurationError, match="names provider grok and no model"):
        chat_request(ModelRef.read("grok."), "hi")


@pytest.mark.behaviour("chat-request-model")
def test_retired_model_warns_once_at_the_line_of_the_caller() -> None:
    with pytest.warns(RetiredModelWarning) as caught:
        chat_body("grok-3", "hi")
    assert [entry.filename for entry in caught] == [__file__]
    with pytest.warns(RetiredModelWarning) as caught:
        request = chat_request("grok.grok-3", "hi")
    assert [entry.filename for entry in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chat_body(request.ref, "hi")


def test_request_shows_no_text_in_its_repr() -> None:
    assert "private" not in repr(chat_request(MODEL, "private words"))


# The form of an answer


@pytest.mark.behaviour("chat-request-format")
def test_pydantic_model_goes_out_as_a_strict_json_schema_and_is_kept() -> None:
    request = chat_request(MODEL, "hi", call={"response_format": Answer})
    assert request.answer is Answer
    assert request.body["response_format"] == {
        "type": "json_schema",
        "json_schema": {
            "name": "Answer",
            "schema": {
                "description": "What is asked for.",
                "type": "object",
                "properties": {"city": {"type": "string"}, "degrees": {"type": "number", "default": 0.0}},
                "required": ["city"],
            },
            "strict": True,
        },
    }
    assert chat_request(MODEL, "hi").answer is None


@pytest.mark.behaviour("chat-request-format")
@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("json", {"type": "json_object"}),
        ("text", {"type": "text"}),
        ({"type": "json_object"}, {"type": "json_object"}),
        (
            {"type": "object", "title": "A fine answer!", "properties": {}},
            {
                "type": "json_schema",
                "json_schema": {
                    "name": "A_fine_answer",
                    "schema": {"type": "object", "title": "A fine answer!", "properties": {}},
                    "strict": True,
                },
            },
        ),
        (
            {"type": "object", "title": 5},
            {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": {"type": "object", "title": 5}, "strict": True},
            },
        ),
        (
            {"type": "json_schema", "json_schema": {"schema": {"type": "object"}, "strict": False}},
            {"type": "json_schema", "json_schema": {"schema": {"type": "object"}, "strict": False}},
        ),
    ],
)
def test_form_of_an_answer_goes_out_in_the_words_of_the_wire(given: Any, sent: Any) -> None:
    assert call(response_format=given)["response_format"] == sent


class Either(RootModel[Answer | dict[str, int]]):
    pass


class Bad(BaseModel):
    reader: type[object] | Any = None
    maker: Any = None

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> Any:
        return handler({"type": "callable"})


@pytest.mark.behaviour("chat-request-format")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Either, "the schema of response_format has anyOf at its root, which the service refuses"),
        ({"oneOf": [{"type": "object"}]}, "has oneOf at its root"),
        ({"type": "json_schema", "json_schema": {"schema": {"anyOf": []}}}, "has anyOf at its root"),
        ({"type": "json_schema"}, "needs json_schema={'schema': {...}}"),
        ({"name": "x"}, "neither a JSON Schema nor the wire's own object"),
        ("xml", "response_format is 'xml'"),
        (5, "response_format is a int"),
        (int, "response_format is a type"),
        (Bad, "Bad cannot be described"),
    ],
)
def test_form_that_the_service_refuses_is_refused_before_it_is_sent(given: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        call(response_format=given)
    assert said in str(caught.value)


# Refusals of the service, explained


def refusal(message: str | None, kind: type[ApiError] = ApiError, status: int = 400) -> ApiError:
    return kind("no", status=status, message=message)


@pytest.mark.behaviour("chat-request-explained")
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            refusal("Model grok-4.5 does not support parameter presencePenalty."),
            "presence_penalty cannot go to grok-4.5: reasoning models take no penalties. Leave it out, or use a model "
            "that does not reason.",
        ),
        (refusal("Model grok-4.5 does not support parameter stop."), "stop cannot go to grok-4.5"),
        (refusal("Model m does not support parameter reasoningEffort."), "differs from model to model. Leave it out."),
        (refusal("Model m does not support parameter newThing."), "new_thing cannot go to m: the model does not"),
        (
            refusal("This model's maximum prompt length is 10 but the request contains 20 tokens."),
            "The messages have 20 tokens and the model takes 10: shorten them with ChatConversation.trim",
        ),
        (refusal("Live search is deprecated. Please switch", ApiError, 410), "leave search_parameters out"),
        (refusal("A tool_choice was set on the request but no tools were specified."), "Give tools="),
        (refusal("The function name tool_search is reserved for the tool_search tool"), "another name"),
        (refusal("root anyOf"), "put it into a field of an object"),
        (refusal("messages[0].role: unknown variant `developer`", ApiError, 422), "no developer role"),
        (refusal("Your team has used all available credits", RateLimitError, 429), "asking again does not help"),
        (refusal("The model grok-3 does not exist", NotFoundError, 404), "Model grok-3 was retired on 2026-05-15"),
    ],
)
def test_refusal_is_explained_with_what_to_do(error: ApiError, said: str) -> None:
    hint = explain(error, {"model": "grok-3", "messages": []})
    assert hint is not None and said in hint
    assert error.__notes__ == [hint]
    explain(error, {"model": "grok-3"})
    assert error.__notes__ == [hint]


@pytest.mark.behaviour("chat-request-explained")
def test_unknown_model_is_explained_and_what_nobody_knows_is_left_alone() -> None:
    unknown = refusal("The model x does not exist or your team does not have access to it.")
    assert "does not serve model 'x'" in str(explain(unknown, {"model": "x"}))
    for error in (refusal("Something else"), refusal(None), refusal("nothing at this path", NotFoundError, 404)):
        assert explain(error, {"model": "x"}) is None
        assert not hasattr(error, "__notes__")
    assert explain(refusal("model not found"), {}) is None


# Laws


LEVEL = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.none() | st.floats(0, 2),
        "seed": st.none() | st.integers(),
        "max_tokens": st.none() | st.integers(1, 99),
    },
)


@given(st.lists(LEVEL, min_size=4, max_size=4), st.booleans())
def test_body_has_the_last_value_of_every_setting_and_one_limit_at_most(levels: list[Any], stream: bool) -> None:
    names = ("defaults", "client", "conversation", "call")
    made = body(stream=stream, **dict(zip(names, levels, strict=True)))
    for name in ("temperature", "seed"):
        given_values = [level[name] for level in levels if name in level]
        assert (name in made) is bool(given_values)
        if given_values:
            assert made[name] == given_values[-1]
    limits = [level["max_tokens"] for level in levels if "max_tokens" in level]
    assert made.get("max_completion_tokens") == (limits[-1] if limits else None)
    assert "max_tokens" not in made
