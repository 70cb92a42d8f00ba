"""One chat request on its way: tried again where that does no harm, its answer read. In: a request. Out: an answer.

Imports: rooms 0-5, anyio.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import anyio
from anyio.lowlevel import current_token
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from xai_realtime.chat.request import ChatRequest, explain
from xai_realtime.codec import chat_codec
from xai_realtime.errors import ApiError, RemoteProtocolError, XaiRealtimeError
from xai_realtime.events._base import InvalidEvent, ServerModel
from xai_realtime.events._chat import ChatStreamError
from xai_realtime.protocol.chat_policy import ChatPolicy, Retries, may_be_billed
from xai_realtime.protocol.chat_reply import ChatReply, fold_completion
from xai_realtime.protocol.ledger import UsageLedger
from xai_realtime.transport._http_errors import api_error
from xai_realtime.transport.base import HttpRequest, Transport
from xai_realtime.transport.rest import Answer, ask_whole

__all__ = ["Asking", "ask", "loop_clock", "now_ms", "parsed_reply", "read_answer", "report", "tried"]

R = TypeVar("R")
ModelT = TypeVar("ModelT", bound=ServerModel)

MAX_PLACES: Final = 5
"""So many places are named at which an answer does not fit."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What is needed to ask: a transport, the request over HTTP and what it was made of, the policy, the ledger."""

    transport: Transport = field(repr=False)
    request: HttpRequest
    asked: ChatRequest
    policy: ChatPolicy
    ledger: UsageLedger | None = field(default=None, repr=False)


def now_ms() -> float:
    """Milliseconds of the event loop's clock."""
    return anyio.current_time() * 1000


def loop_clock() -> Callable[[], float]:
    """The clock of the event loop that runs, in seconds: `anyio.current_time`, which looks for the loop each time."""
    clock: Callable[[], float] = getattr(current_token().native_token, "time", anyio.current_time)
    return clock


async def tried(
    work: Callable[[], Awaitable[R]],
    asking: Asking,
    retries: Retries,
    *,
    pause: Callable[[float], Awaitable[None]] = anyio.sleep,
) -> R:
    """What `work` gives, tried again as the policy says after a `pause`; an error that surfaces tells what may help."""
    while True:
        try:
            return await work()
        except XaiRealtimeError as error:
            wait_s = retries.wait_s(error, random.random())
            if wait_s is None:
                if isinstance(error, ApiError):
                    explain(error, asking.asked.body)
                raise
        await pause(wait_s)


async def ask(asking: Asking) -> ChatReply:
    """The whole answer to a request that has no stream. Raises as `Chat.create` does."""
    started_ms = now_ms()
    retries = Retries(asking.policy)

    async def once() -> Any:
        from xai_realtime.events import chat

        try:
            answer = await ask_whole(asking.transport, asking.request)
            return read_answer(asking.request, answer, chat.ChatCompletion)
        except BaseException as error:
            if may_be_billed(error):
                report(ChatReply(), asking)
            raise

    completion = await tried(once, asking, retries)
    reply = fold_completion(completion, started_ms=started_ms, now_ms=now_ms())
    reply = parsed_reply(replace(reply, attempts=retries.attempts), asking.asked)
    report(reply, asking)
    return reply


def read_answer(request: HttpRequest, answer: Answer, expected: type[ModelT]) -> ModelT:
    """The message in a body. Raises ApiError for an error with status 200, RemoteProtocolError for anything else."""
    said = chat_codec.decode(answer.body, expected)
    if isinstance(said, ChatStreamError):
        raise api_error(request, answer.status, answer.headers, answer.body)
    if isinstance(said, InvalidEvent):
        raise unreadable("the answer", said)
    return said


def unreadable(what: str, said: InvalidEvent) -> RemoteProtocolError:
    """The error that something unreadable is; it says where, and never what."""
    where = f" at {said.path}" if said.path else ""
    return RemoteProtocolError(f"{what} cannot be read: {said.reason}{where} ({said.size_bytes} bytes)")


def parsed_reply(reply: ChatReply, asked: ChatRequest) -> ChatReply:
    """The answer with what it says as a value, where it was to be structured.

    What does not fit makes the outcome `unparsed`. A refusal, and an answer that was cut, are not read.
    """
    form = asked.body.get("response_format")
    is_json = isinstance(form, dict) and form.get("type") in ("json_schema", "json_object")
    outcome = reply.outcome
    if not is_json or outcome is None or outcome.status != "complete" or reply.tool_calls:
        return reply
    try:
        value = from_json(reply.text, allow_inf_nan=False) if asked.answer is None else _read(asked.answer, reply.text)
    except Exception as error:  # noqa: BLE001 - validators of the form may raise anything
        return replace(reply, outcome=replace(outcome, status="unparsed", reason="unparsed", error=error))
    return replace(reply, parsed=value)


def _read(model: type[BaseModel], text: str) -> BaseModel:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        places = [each["loc"] for each in error.errors(include_url=False, include_context=False, include_input=False)]
    # Raised out here, since the error of the validation itself holds what the model said.
    names = _field_names(model.model_json_schema())
    shown = dict.fromkeys(_place(place, names) for place in places)
    more = ", ..." if len(shown) > MAX_PLACES else ""
    raise ValueError(f"the answer does not fit {model.__name__}: {', '.join([*shown][:MAX_PLACES])}{more}")


def _place(place: Sequence[str | int], names: Collection[str]) -> str:
    """Where an answer does not fit, in names of the form alone: others may be words of the model."""
    return ".".join(str(step) if isinstance(step, int) or step in names else "*" for step in place) or "(all)"


def _field_names(schema: Any) -> set[str]:
    """The names of all fields that a schema knows."""
    if isinstance(schema, list):
        return set().union(*map(_field_names, schema))
    if not isinstance(schema, dict):
        return set()
    own = schema.get("properties")
    return set(own if isinstance(own, dict) else ()).union(*map(_field_names, schema.values()))


def report(reply: ChatReply, asking: Asking) -> None:
    """Tell the ledger what a request used; of an empty reply, that this is not known. Once for each request."""
    if asking.ledger is not None:
        name = reply.id or f"chat-{len(asking.ledger.chat_requests) + 1}"
        asking.ledger.chat_done(name, reply.usage, model=reply.model or asking.asked.ref.name)
