"""Chat without async, over real sockets: every wait is bounded by an alarm."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from pydantic import BaseModel

from tests.client.blocking import PATIENCE_S, client_of, loop_threads
from xai_realtime.chat.conversation import ChatConversation
from xai_realtime.emulator import ChatQuirks, Emulator, Prompt, ToolRequest, Turn
from xai_realtime.errors import ClosedByUsError, ConfigurationError, NotFoundError, ServiceError
from xai_realtime.models import RetiredModelWarning
from xai_realtime.protocol.chat_outcome import ReasoningDelta, TextDelta
from xai_realtime.protocol.chat_policy import ChatPolicy
from xai_realtime.protocol.ledger import UsageLedger
from xai_realtime.protocol.session_events import ToolCalled, ToolFinished
from xai_realtime.sync_client import Client
from xai_realtime.transport.base import Channel, ChannelRequest, HttpRequest, HttpResponse, Transport

pytestmark = pytest.mark.usefixtures("bounded")

MODEL = "grok-4.6"
ECHO = "You said: Hello there, how are you today?"
HELLO = "Hello there, how are you today?"


class Weather(BaseModel):
    """A structured answer."""

    response: str
    degrees: int


def brain(prompt: Prompt) -> Turn | str:
    if prompt.heard.startswith("Call "):
        names = prompt.heard.removeprefix("Call ").split()
        calls = tuple(ToolRequest(name, {"city": "Porto"} if name != "ring" else {}) for name in names)
        return Turn(say="Wait. ", calls=calls, then="So {output}")
    if prompt.heard == "As JSON":
        return '{"response": "Sunny in Porto.", "degrees": 24}'
    return f"You said: {prompt.heard}"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    quirks = ChatQuirks(reasoning="Let me think.", deferred_ms=1)
    with anyio.from_thread.start_blocking_portal() as portal:
        with portal.wrap_async_context_manager(Emulator(brain, pace="instant", chat=quirks)) as running:
            yield running


def chunk(text: str) -> bytes:
    """A piece of a stream."""
    told = {"id": "a", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]}
    return b"data: " + json.dumps(told).encode() + b"\n\n"


class Halting(Transport):
    """An answer of two words. Before the second, `on_wait` is called, and it comes when `go_on` is set."""

    needs_key = False

    def __init__(self, on_wait: Any = lambda: None) -> None:
        self.go_on = threading.Event()
        self.waits = threading.Event()
        self.closed: list[str] = []
        self._on_wait = on_wait

    def open(self, request: ChannelRequest) -> AbstractAsyncContextManager[Channel]:
        raise NotImplementedError

    @asynccontextmanager
    async def request(self, request: HttpRequest) -> AsyncIterator[HttpResponse]:
        try:
            yield HttpResponse(200, (("content-type", "text/event-stream"),), self._body())
        finally:
            self.closed.append("response")

    async def _body(self) -> AsyncIterator[bytes]:
        try:
            yield chunk("One ")
            self.waits.set()
            self._on_wait()
            await anyio.to_thread.run_sync(self.go_on.wait, 4 * PATIENCE_S, abandon_on_cancel=True)
            yield chunk("two.") + b"data: [DONE]\n\n"
        finally:
            self.closed.append("body")


def interrupt() -> None:
    """What Ctrl-C does."""
    os.kill(os.getpid(), signal.SIGINT)


def test_chat_answers_when_used_without_async(client: Client) -> None:
    ledger = UsageLedger()
    reply = client.chat.create(MODEL, HELLO, ledger=ledger)
    assert (reply.text, reply.reasoning, reply.finish_reason) == (ECHO, "Let me think.", "stop")
    assert len(ledger.chat_requests) == 1
    assert client.chat.text(MODEL, [("user", HELLO)]) == ECHO
    assert client.chat.create(MODEL, "As JSON", response_format=Weather).parsed == Weather(
        response="Sunny in Porto.", degrees=24
    )
    request_id = client.chat.defer(MODEL, HELLO)
    assert client.chat.wait_deferred(request_id, every_s=0.01).text == ECHO
    again = client.chat.deferred(request_id)
    assert again is not None
    assert again.text == ECHO
    with pytest.raises(NotFoundError):
        client.chat.deferred("unknown")


def test_stream_is_told_piece_by_piece_when_used_without_async(client: Client) -> None:
    with client.chat.stream(MODEL, HELLO) as stream:
        assert "Sync" in repr(stream)
        assert "open" in repr(stream)
        told = list(stream)
        assert "".join(delta.text for delta in told if isinstance(delta, TextDelta)) == ECHO
        assert "".join(delta.text for delta in told if isinstance(delta, ReasoningDelta)) == "Let me think."
        assert len(told) > 5
        assert stream.outcome is not None
        assert stream.outcome.is_complete
        assert stream.model == MODEL
        assert stream.usage.is_complete
    assert (stream.reply.text, stream.parsed) == (ECHO, None)
    assert list(stream) == []


def test_words_fields_and_partial_values_share_one_pass_without_async(client: Client) -> None:
    with client.chat.stream(MODEL, HELLO) as stream:
        words = stream.text()
        assert next(words) == "You "
        assert next(stream.text()) == "said: "
        assert stream.finish().text == ECHO
        assert list(words) == []
    with client.chat.stream(MODEL, "As JSON", response_format=Weather) as stream:
        pieces = list(stream.text_of("response"))
        assert "".join(pieces) == "Sunny in Porto."
        assert len(pieces) > 1
        assert stream.parsed == Weather(response="Sunny in Porto.", degrees=24)
    with client.chat.stream(MODEL, "As JSON", response_format=Weather) as stream:
        values = list(stream.partials())
    assert values[-1] == {"response": "Sunny in Porto.", "degrees": 24}
    assert len(values) > 2


def test_run_calls_functions_in_worker_threads_when_used_without_async(client: Client) -> None:
    threads: list[threading.Thread] = []
    asked: list[tuple[str, str]] = []

    def get_weather(city: str) -> str:
        """Weather of a city."""
        threads.append(threading.current_thread())
        return f"it is sunny in {city}."

    def get_tide(city: str) -> str:
        """Never called."""
        raise AssertionError(city)

    def approve(call: ToolCalled) -> bool | str:
        threads.append(threading.current_thread())
        asked.append((call.name, call.arguments))
        return call.name == "get_weather" or "no tides today"

    talk = ChatConversation()
    talk.add_user("Call get_weather get_tide")
    run = client.chat.run(MODEL, talk, tools=[get_weather, get_tide], approve=approve)
    assert "Sync" in repr(run)
    reply = run.finish()
    assert reply.text.startswith("So it is sunny in Porto.")
    assert "no tides today" in reply.text
    assert sorted(asked) == [("get_tide", '{"city":"Porto"}'), ("get_weather", '{"city":"Porto"}')]
    assert not set(threads) & {threading.main_thread(), *loop_threads()}
    assert run.conversation is talk
    assert [message["role"] for message in talk.messages] == ["user", "assistant", "tool", "tool", "assistant"]
    assert [len(reply.tool_calls) for reply in run.replies] == [2, 0]


def test_run_tells_what_happens_when_it_is_read_without_async(client: Client) -> None:
    def get_weather(city: str) -> str:
        """Weather of a city."""
        return "rain."

    with client.chat.run(MODEL, "Call get_weather", tools=[get_weather]) as run:
        kinds = [type(event) for event in run]
        assert [kind for kind in kinds if kind in (ToolCalled, ToolFinished)] == [ToolCalled, ToolFinished]
        assert run.finish().text == "So rain."
    with client.chat.run(MODEL, "Call get_weather", tools=[get_weather]) as run:
        assert "".join(run.text()) == "Wait. So rain."


def test_run_that_is_cancelled_from_another_thread_ends_in_order(client: Client) -> None:
    rings, go_on = threading.Event(), threading.Event()

    def ring() -> str:
        """Rings for long."""
        rings.set()
        go_on.wait(PATIENCE_S)
        return "done"

    def stop() -> None:
        rings.wait(PATIENCE_S)
        run.cancel()

    with client.chat.run(MODEL, "Call ring", tools=[ring]) as run:
        stopper = threading.Thread(target=stop)
        stopper.start()
        events = list(run)
        stopper.join(PATIENCE_S)
        go_on.set()
    assert any(isinstance(event, ToolCalled) for event in events)
    assert len(run.replies) == 1


def test_stream_that_is_cancelled_from_another_thread_ends_in_order() -> None:
    transport = Halting()

    def stop() -> None:
        transport.waits.wait(PATIENCE_S)
        stream.cancel()

    with Client(transport=transport) as client, client.chat.stream(MODEL, HELLO) as stream:
        stopper = threading.Thread(target=stop)
        stopper.start()
        assert list(stream.text()) == ["One "]
        stopper.join(PATIENCE_S)
        assert stream.outcome is not None
        assert stream.outcome.status == "cancelled"
    assert transport.closed == ["body", "response"]


@pytest.mark.parametrize("kind", ["stream", "run"])
def test_nothing_is_lost_when_ctrl_c_broke_off_a_wait_for_an_answer(kind: str) -> None:
    transport = Halting(interrupt)
    with Client(transport=transport) as client, getattr(client.chat, kind)(MODEL, HELLO) as answer:
        words = []
        with pytest.raises(KeyboardInterrupt):
            words += [next(answer).text]
            next(answer)
        transport.go_on.set()
        words += answer.text()
        assert words == ["One ", "two."]
        assert answer.reply.outcome.is_complete


@pytest.mark.parametrize("kind", ["stream", "run"])
def test_connection_is_given_back_when_ctrl_c_leaves_an_answer(kind: str) -> None:
    transport = Halting(interrupt)
    with Client(transport=transport) as client:
        with pytest.raises(KeyboardInterrupt):
            with getattr(client.chat, kind)(MODEL, HELLO) as answer:
                for _ in answer:
                    pass
        assert transport.closed == ["body", "response"]
        assert answer.reply.text == "One "


def test_error_amid_an_answer_is_raised_and_what_came_stays() -> None:
    class Failing(Halting):
        async def _body(self) -> AsyncIterator[bytes]:
            yield chunk("One ")
            yield b'data: {"code": "The service is currently unavailable", "error": "planted"}\n\n'

    with Client(transport=Failing()) as client:
        with client.chat.stream(MODEL, HELLO) as stream:
            with pytest.raises(ServiceError):
                stream.finish()
            assert stream.reply.text == "One "
        with pytest.raises(ServiceError):
            client.chat.run(MODEL, HELLO).finish()


def test_answer_says_what_is_missing_when_it_is_read_before_it_is_entered(client: Client) -> None:
    with pytest.raises(ConfigurationError, match="before it is entered"):
        next(client.chat.stream(MODEL, HELLO))
    with pytest.raises(ConfigurationError, match="before it is entered"):
        next(client.chat.run(MODEL, HELLO))
    assert client.chat.stream(MODEL, HELLO).reply.text == ""


def test_mistake_is_known_before_anything_is_sent(client: Client) -> None:
    with pytest.raises(ConfigurationError):
        client.chat.stream(MODEL, HELLO, temperature=9)
    with pytest.raises(ConfigurationError):
        client.chat.run(MODEL, HELLO, max_rounds=0)


@pytest.mark.parametrize("kind", ["create", "text", "defer", "stream", "run"])
def test_warning_of_a_retired_model_names_the_line_of_the_caller(client: Client, kind: str) -> None:
    with pytest.warns(RetiredModelWarning, match=r"grok-4\.3") as caught:
        getattr(client.chat, kind)("grok-3", HELLO)
    assert [warning.filename for warning in caught] == [__file__]


def test_models_are_listed_when_used_without_async(client: Client) -> None:
    assert MODEL in {model.id for model in client.models.list()}
    assert client.models.get(MODEL).id == MODEL
    assert MODEL in {model.id for model in client.models.language_models()}
    assert client.models.language_model(MODEL).completion_text_token_price


def test_settings_of_the_client_hold_for_its_chats(emulator: Emulator) -> None:
    policy = ChatPolicy(max_retries=0)
    with client_of(emulator, chat_settings={"max_tokens": 2}, chat_policy=policy) as client:
        reply = client.chat.create(MODEL, HELLO)
        assert reply.outcome is not None
        assert (reply.text.strip(), reply.outcome.reason) == ("You said:", "length")


def test_stream_cannot_be_read_on_when_its_loop_is_gone() -> None:
    transport = Halting()
    client = Client(transport=transport)
    with client:
        stream = client.chat.stream(MODEL, HELLO)
        with stream:
            assert next(stream)
        assert list(stream) == []
    with pytest.raises(ConfigurationError, match="entered already"):
        stream.__enter__()
    with pytest.raises(ClosedByUsError):
        stream._held.start(anyio.lowlevel.checkpoint)  # nothing is open any more
