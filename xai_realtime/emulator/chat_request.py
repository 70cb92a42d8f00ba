"""What a client asks of the emulated chat. In: the body of a request. Out: ChatAsk, or a refusal.

No web framework here. Imports: the standard library, rooms 0 and 7.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from xai_realtime.emulator.chat_models import ChatModel, no_model, served_model
from xai_realtime.emulator.chat_quirks import ChatQuirks
from xai_realtime.emulator.failures import Refused
from xai_realtime.emulator.reading import Fields
from xai_realtime.emulator.rest import INVALID, Refusal
from xai_realtime.emulator.scenario import Prompt
from xai_realtime.errors import XaiRealtimeError

__all__ = ["ChatAsk", "Form", "invalid", "pieces_of", "read_request"]

MAX_TOOLS: Final = 128
MAX_STOPS: Final = 4
MAX_CHOICES: Final = 128
WHOLE: Final = 2**53
TOKENS_OF_A_MESSAGE: Final = 3
ROLES: Final = ("system", "user", "assistant", "tool", "function")
TOOL_CHOICES: Final = ("none", "auto", "required")
FORMS: Final = ("text", "json_object", "json_schema")
UNPROCESSABLE: Final = ("missing_required_parameter", "invalid_type")
PIECE: Final = re.compile(r"\S+\s*|\s+")
NO_SEARCH: Final = (
    "Live search is deprecated. Please switch to the Agent Tools API: https://docs.x.ai/docs/guides/tools/overview"
)
"""Source: vercel/ai#15713, with status 410 and no code."""
REASONING_REFUSES: Final = {
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "stop": "stop",
}


class Denied(XaiRealtimeError):
    """A request that is refused."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def invalid(message: str, status: int = 400) -> Denied:
    """A request that the service cannot honour."""
    return Denied(Refusal(status, INVALID, message))


@dataclass(frozen=True, slots=True)
class Form:
    """The form of an answer: `text`, `json_object`, or `json_schema` with its schema."""

    kind: str = "text"
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ChatAsk:
    """One request. `call_ids` are those whose outputs it brings, `choice` is a word or the name of a function."""

    model: ChatModel
    prompt: Prompt = field(repr=False)
    call_ids: tuple[str, ...] = ()
    tools: Mapping[str, Any] = field(default_factory=dict, repr=False)
    choice: str = "auto"
    is_parallel: bool = True
    is_stream: bool = False
    with_usage: bool = False
    is_deferred: bool = False
    choices: int = 1
    max_tokens: int | None = None
    stops: tuple[str, ...] = field(default=(), repr=False)
    form: Form = Form()
    effort: str | None = None
    prompt_tokens: int = 0
    service_tier: str | None = None


def pieces_of(text: str) -> list[str]:
    """A text in the emulator's tokens: words with the space behind them."""
    return PIECE.findall(text)


def read_request(quirks: ChatQuirks, body: bytes) -> ChatAsk | Refusal:
    """What a request asks for, or why it is refused."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return Refusal(400, INVALID, "Failed to parse the request body as JSON.")
    if not isinstance(given, dict):
        return Refusal(422, INVALID, "Failed to deserialize the JSON body: expected an object.")
    try:
        return asked(quirks, Fields(given))
    except Denied as denied:
        return denied.refusal
    except Refused as refused:
        status = 422 if refused.failure.code in UNPROCESSABLE else 400
        return Refusal(status, INVALID, refused.failure.message)


def asked(quirks: ChatQuirks, given: Fields) -> ChatAsk:
    """Raises Denied and Refused."""
    name = given.needed_text("model")
    messages = messages_of(given, quirks)
    model = served_model(name, serves_retired=quirks.retired_models == "served")
    if model is None:
        raise Denied(no_model(name, quirks.unknown_model_status))
    if given.object("search_parameters") is not None:
        raise Denied(Refusal(410, "", NO_SEARCH))
    effort = check_sampling(given, model)
    tools = tools_of(given)
    is_stream, is_deferred = bool(given.flag("stream")), bool(given.flag("deferred"))
    options = given.object("stream_options")
    if is_stream and is_deferred:
        raise invalid("A deferred request cannot be streamed.")
    limits = [given.whole(name, 1, WHOLE) for name in ("max_completion_tokens", "max_tokens")]
    prompt_tokens = sum(tokens_of(message) for message in messages) + tokens_of_tools(tools)
    if prompt_tokens > quirks.context_tokens:
        raise invalid(
            f"This model's maximum prompt length is {quirks.context_tokens} but the request contains "
            f"{prompt_tokens} tokens."
        )
    prompt, call_ids = prompt_of(messages, tuple(tools))
    return ChatAsk(
        model=model,
        prompt=prompt,
        call_ids=call_ids,
        tools=tools,
        choice=choice_of(given, tools),
        is_parallel=given.flag("parallel_tool_calls") is not False,
        is_stream=is_stream,
        with_usage=options is not None and bool(options.flag("include_usage")),
        is_deferred=is_deferred,
        choices=given.whole("n", 1, MAX_CHOICES) or 1,
        max_tokens=next((limit for limit in limits if limit is not None), None),
        stops=stops_of(given),
        form=form_of(given),
        effort=effort,
        prompt_tokens=prompt_tokens,
        service_tier=given.one_of("service_tier", ("default", "priority")),
    )


def messages_of(given: Fields, quirks: ChatQuirks) -> list[Fields]:
    """The messages, each with a role and content that are known."""
    messages = given.objects("messages")
    if messages is None:
        raise invalid("Failed to deserialize the JSON body: missing field `messages`.", 422)
    if not messages:
        raise invalid("Invalid request content: messages must not be empty.")
    known = (*ROLES, "developer") if quirks.takes_developer else ROLES
    for message in messages:
        role = message.needed_text("role")
        if role not in known:
            listed = ", ".join(f"`{name}`" for name in known)
            raise invalid(f"{message.path}.role: unknown variant `{role[:40]}`, expected one of {listed}", 422)
        text_in(message)
        message.objects("tool_calls")
        if role == "tool":
            message.needed_text("tool_call_id")
    return messages


def text_in(message: Fields) -> str:
    """What a message says: its text, or its text parts joined."""
    if isinstance(message.values.get("content"), list):
        parts = message.objects("content") or []
        return " ".join(part.needed_text("text") for part in parts if part.needed_text("type") == "text")
    return message.text("content") or ""


def tokens_of(message: Fields) -> int:
    """What a message counts."""
    calls = message.values.get("tool_calls")
    written = json.dumps(calls) if calls else ""
    return TOKENS_OF_A_MESSAGE + len(pieces_of(text_in(message))) + len(pieces_of(written))


def tokens_of_tools(tools: Mapping[str, Any]) -> int:
    """What the functions count."""
    return len(pieces_of(json.dumps(tools))) if tools else 0


def check_sampling(given: Fields, model: ChatModel) -> str | None:
    """Refuse what the model does not take; returns the effort that it thinks with."""
    given.number("temperature", 0, 2)
    given.number("top_p", 0, 1)
    given.whole("top_logprobs", 0, 8)
    given.flag("logprobs")
    given.whole("seed", -WHOLE, WHOLE)
    given.object("logit_bias")
    given.text("user")
    given.text("prompt_cache_key")
    for name in ("presence_penalty", "frequency_penalty"):
        given.number(name, -2, 2)
    effort = given.text("reasoning_effort")
    if effort is not None and not model.efforts:
        raise unsupported(model, "reasoningEffort")
    given.one_of("reasoning_effort", model.efforts)
    for name, told in REASONING_REFUSES.items():
        if model.reasons(effort) and given.values.get(name) is not None:
            raise unsupported(model, told)
    return effort


def unsupported(model: ChatModel, parameter: str) -> Denied:
    """A parameter that a model does not take."""
    return invalid(f"Model {model.name} does not support parameter {parameter}.")


def stops_of(given: Fields) -> tuple[str, ...]:
    """The texts at which an answer ends."""
    if isinstance(given.values.get("stop"), str):
        return (given.needed_text("stop"),)
    stops = tuple(given.texts("stop") or ())
    if len(stops) > MAX_STOPS:
        raise invalid(f"Invalid 'stop': at most {MAX_STOPS} texts are allowed.")
    return stops


def tools_of(given: Fields) -> dict[str, Any]:
    """The functions by name, each with its schema."""
    tools: dict[str, Any] = {}
    entries = given.objects("tools") or []
    if len(entries) > MAX_TOOLS:
        raise invalid(f"Invalid 'tools': at most {MAX_TOOLS} are allowed, the request has {len(entries)}.")
    for entry in entries:
        kind = entry.needed_text("type")
        if kind == "live_search":
            raise Denied(Refusal(410, "", NO_SEARCH))
        if kind != "function":
            raise invalid(f"{entry.path}.type: unknown variant `{kind[:40]}`, expected `function`", 422)
        function = entry.needed_object("function")
        name = function.needed_text("name")
        if name == "tool_search":
            raise invalid(f"The function name {name} is reserved for the {name} tool")
        schema = function.object("parameters")
        if schema is not None:
            refuse_root(schema.values, f"The parameters of function {name}")
        tools[name] = {} if schema is None else dict(schema.values)
    return tools


def refuse_root(schema: Mapping[str, Any], what: str) -> None:
    """Refuse alternatives at the root of a schema of which one is no object."""
    for keyword in ("anyOf", "oneOf"):
        branches = schema.get(keyword)
        if isinstance(branches, list) and not all(
            isinstance(branch, dict) and branch.get("type") == "object" for branch in branches
        ):
            raise invalid(f"{what} must be an object: {keyword} at the root has a branch that is none.")


def choice_of(given: Fields, tools: Mapping[str, Any]) -> str:
    """`tool_choice`: a word, or the name of a function."""
    chosen = given.values.get("tool_choice")
    if chosen is None:
        return "auto" if tools else "none"
    if not tools:
        raise invalid("Invalid request content: A tool_choice was set on the request but no tools were specified.")
    if isinstance(chosen, str):
        return given.one_of("tool_choice", TOOL_CHOICES) or "auto"
    name = (
        Fields(given.needed_object("tool_choice").values, "tool_choice").needed_object("function").needed_text("name")
    )
    if name not in tools:
        raise invalid(f"tool_choice names the function {name[:80]}, which is not among the tools.")
    return name


def form_of(given: Fields) -> Form:
    """`response_format`."""
    form = given.object("response_format")
    if form is None:
        return Form()
    form.needed_text("type")
    kind = form.one_of("type", FORMS) or "text"
    if kind != "json_schema":
        return Form(kind)
    schema = form.needed_object("json_schema").needed_object("schema").values
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            raise invalid(f"The schema of response_format must be an object: {keyword} at the root is not allowed.")
    return Form(kind, schema)


def prompt_of(messages: Sequence[Fields], tools: tuple[str, ...]) -> tuple[Prompt, tuple[str, ...]]:
    """What a scenario is asked, and the calls that were answered since."""
    last = next((at for at in reversed(range(len(messages))) if messages[at].values["role"] == "user"), None)
    before = [message for at, message in enumerate(messages) if at != last and (last is None or at < last)]
    history = tuple(
        (message.values["role"], text_in(message))
        for message in before
        if message.values["role"] in ("user", "assistant") and text_in(message)
    )
    answers: list[Fields] = []
    for message in reversed(messages):
        if message.values["role"] != "tool":
            break
        answers.insert(0, message)
    instructions = " ".join(text_in(message) for message in messages if message.values["role"] == "system") or None
    heard = "" if last is None else text_in(messages[last])
    prompt = Prompt(heard, "text", history, tuple(text_in(answer) for answer in answers), instructions, tools)
    return prompt, tuple(answer.needed_text("tool_call_id") for answer in answers)
