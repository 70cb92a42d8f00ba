"""Answers that are fetched later. In: a request for one. Out: the answer, or None while it is not ready.

Imports: rooms 0-5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from xai_realtime.chat._formats import answer_model, response_format
from xai_realtime.chat.asking import Asking, now_ms, parsed_reply, read_answer, tried
from xai_realtime.chat.request import ChatRequest
from xai_realtime.models import PROVIDERS, ModelRef
from xai_realtime.protocol.chat_policy import ChatPolicy, Retries
from xai_realtime.protocol.chat_reply import ChatReply, fold_completion
from xai_realtime.transport.base import HttpRequest, Transport
from xai_realtime.transport.rest import ask_whole

if TYPE_CHECKING:
    from xai_realtime.events import chat

__all__ = ["fetched"]

PENDING: Final = 202


async def fetched(
    transport: Transport, request: HttpRequest, form: Any = None, policy: ChatPolicy | None = None
) -> ChatReply | None:
    """The answer, read by the form that was asked for; None while the service says that it is pending."""
    provider = next(iter(PROVIDERS))
    # Before it is fetched: a mistake must not cost an answer that can be fetched once.
    body = {} if form is None else {"response_format": response_format(form)}
    asked = ChatRequest(ModelRef(provider.name, "deferred"), provider, body, answer=answer_model(form))
    asking = Asking(transport, request, asked, policy or ChatPolicy())

    async def once() -> chat.ChatCompletion | None:
        from xai_realtime.events import chat

        answer = await ask_whole(transport, request)
        return None if answer.status == PENDING else read_answer(request, answer, chat.ChatCompletion)

    started_ms = now_ms()
    completion = await tried(once, asking, Retries(asking.policy))
    if completion is None:
        return None
    return parsed_reply(fold_completion(completion, started_ms=started_ms, now_ms=now_ms()), asked)
