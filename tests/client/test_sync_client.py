"""The client without async, over a real socket: every wait is bounded by an alarm."""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from tests.client.blocking import PATIENCE_S, client_of, loop_threads, read_reply, said, until_done
from xai_realtime import AsyncClient, RealtimeConnection, RealtimeSession
from xai_realtime.audible import hear, speak
from xai_realtime.audio import silence
from xai_realtime.client import Realtime
from xai_realtime.emulator import Emulator
from xai_realtime.errors import (
    ClosedByServerError,
    ConfigurationError,
    TransportTimeoutError,
)
from xai_realtime.protocol.session_events import AudioOutput, ResponseDone, SessionReady, ToolFinished, Transcript
from xai_realtime.sync_client import Client, SyncRealtime, SyncRealtimeConnection, SyncRealtimeSession
from xai_realtime.sync_client import _thread as thread_module
from xai_realtime.virtual_time import run_virtual

pytestmark = pytest.mark.usefixtures("bounded")


# Talking


def test_session_holds_a_whole_turn_when_used_without_async(client: Client) -> None:
    with client.realtime.session(voice="eve") as session:
        session.send_text("Hello")
        spoken = b""
        for event in session:
            if isinstance(event, AudioOutput):
                spoken += event.audio
            elif isinstance(event, ResponseDone):
                break
        assert hear(spoken) == "You said: Hello"
        assert session.config.voice == "eve"
        assert [(item.role, item.text) for item in session.conversation.items] == [
            ("user", "Hello"),
            ("assistant", "You said: Hello"),
        ]
        assert session.usage.session.responses == 1
        assert session.cost is not None
        assert session.metrics.reply_ms.count == 1
        assert "Sync" in repr(session) and "Client http" in repr(client)


def test_session_hears_speech_when_it_is_given_audio(client: Client) -> None:
    with client.realtime.session() as session:
        session.send_audio(speak("Is it raining?", sample_rate_hz=48_000), rate_hz=48_000)
        session.send_audio(silence(1_500, 24_000))
        words = [event.text for event in until_done(session) if isinstance(event, Transcript)]
    assert words == ["Is it raining?", "You said: Is it raining?"]


def test_verbs_reach_the_session_when_they_are_called_without_async(client: Client) -> None:
    with client.realtime.session(turn_detection="manual") as session:
        assert session.update(instructions="Be brief.") == {"instructions": None}
        assert session.config.instructions == "Be brief."
        assert session.interrupt() is False
        session.pause_input()
        session.resume_input()
        session.send_audio(speak("Good morning"))
        session.end_turn()
        assert isinstance(read_reply(session)[-1], ResponseDone)
        session.reset([("user", "My name is Ada."), ("assistant", "Hello Ada.")])
        assert said(session, "Hello") == "You said: Hello"
        assert [item.text for item in session.conversation.items][:2] == ["My name is Ada.", "Hello Ada."]


def test_connection_speaks_the_typed_wire_without_async(client: Client) -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}
    with client.realtime.connect() as connection:
        assert connection.receive(timeout_s=PATIENCE_S).type == "session.created"
        connection.send({"type": "conversation.item.create", "item": item})
        connection.send({"type": "response.create"})
        connection.send_audio(silence(20, 24_000))
        audio = b""
        for event in connection:
            if event.type == "response.output_audio.delta":
                audio += event.audio  # type: ignore[union-attr]
            elif event.type == "response.done":
                break
        assert hear(audio) == "You said: Hello"
        assert connection.subprotocol is None
        assert connection.last_frame is not None and b"response.done" in connection.last_frame.data
        with pytest.raises(TransportTimeoutError):
            connection.receive(timeout_s=0.01)
        connection.close()
        assert list(connection) == []


def test_connection_raises_what_the_server_closed_it_with_when_it_was_no_ordinary_close(client: Client) -> None:
    with client.realtime.connect() as connection:
        connection.send(
            {
                "type": "conversation.item.create",
                "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hang up"}]},
            }
        )
        connection.send({"type": "response.create"})
        with pytest.raises(ClosedByServerError) as caught:
            list(connection)
    assert caught.value.code == 4_000


def test_client_secret_is_minted_and_used_when_there_is_no_async(emulator: Emulator) -> None:
    client = client_of(emulator)  # outside of `with`, where every call has the thread for itself
    secret = client.realtime.client_secret(expires_in_s=30)
    with Client(base_url=emulator.url, transport=client.transport) as other:
        with other.realtime.session(client_secret=secret) as session:
            assert isinstance(session.receive(PATIENCE_S), SessionReady)


# What runs where


def test_sync_tools_and_approval_run_in_worker_threads_when_the_model_calls(client: Client) -> None:
    ran: dict[str, threading.Thread] = {}

    def clock() -> str:
        """What time it is."""
        ran["tool"] = threading.current_thread()
        return "noon"

    def approve(call: Any) -> bool | str:
        ran["approve"] = threading.current_thread()
        return True if call.name == "clock" else "not today"

    async def bell() -> str:
        """Rings."""
        return "ding"

    with client.realtime.session(tools=[clock, bell], approve=approve) as session:
        assert said(session, "Call clock") == "It says noon"
        session.send_text("Call bell")
        outputs = [event.output for event in until_done(session) if isinstance(event, ToolFinished)]
    assert [json.loads(output) for output in outputs] == [{"error": "not today"}]
    assert not {thread.name for thread in ran.values()} & {"MainThread", "xai_realtime.Client"}


def test_iteration_fetches_in_one_call_all_that_waits(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    is_done = threading.Event()
    calls: list[Any] = []
    original = thread_module.LoopThread.call

    def counted(self: Any, work: Callable[[], Any]) -> Any:
        calls.append(work)
        return original(self, work)

    def observe(direction: str, event: Any) -> None:
        if event.type == "response.done":
            is_done.set()

    with client.realtime.session(observer=observe) as session:
        session.send_text("a long sentence with many words in it, so that it takes a while to say")
        assert is_done.wait(PATIENCE_S)
        monkeypatch.setattr(thread_module.LoopThread, "call", counted)
        events = read_reply(session)
    assert len(events) > 10
    assert len(calls) <= 3


def test_two_clients_share_one_thread_when_they_are_used_in_turns_in_one_thread(emulator: Emulator) -> None:
    with client_of(emulator) as first, client_of(emulator) as second:
        with first.realtime.session() as one, second.realtime.session() as two:
            assert len(loop_threads()) == 1
            one.send_text("one")
            two.send_text("two")
            assert [event.text for event in until_done(two) if isinstance(event, Transcript)] == ["You said: two"]
            assert [event.text for event in until_done(one) if isinstance(event, Transcript)] == ["You said: one"]
        assert len(loop_threads()) == 1


def test_two_clients_talk_at_once_when_each_has_a_thread(emulator: Emulator) -> None:
    results: dict[str, str | None] = {}
    both_are_in = threading.Barrier(2, timeout=PATIENCE_S)

    def talk(word: str) -> None:
        with client_of(emulator) as client, client.realtime.session() as session:
            both_are_in.wait()
            results[word] = said(session, word)
            both_are_in.wait()

    threads = [threading.Thread(target=talk, args=(word,)) for word in ("left", "right")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * PATIENCE_S)
    assert results == {"left": "You said: left", "right": "You said: right"}


# Where it has no place


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_client_is_refused_when_an_event_loop_runs_in_the_thread(emulator: Emulator, backend: str) -> None:
    client = client_of(emulator)
    session = client.realtime.session()

    async def main() -> None:
        for call in (
            Client,
            client.__enter__,
            client.realtime.session,
            client.realtime.connect,
            session.__enter__,
            client.realtime.client_secret,
            lambda: session.cost,
        ):
            with pytest.raises(ConfigurationError, match="AsyncClient"):
                call()

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_client_works_in_a_worker_thread_when_an_event_loop_runs_elsewhere(emulator: Emulator, backend: str) -> None:
    def work() -> str | None:
        with client_of(emulator) as client, client.realtime.session() as session:
            return said(session, "Hello")

    assert anyio.run(anyio.to_thread.run_sync, work, backend=backend) == "You said: Hello"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_client_is_refused_when_time_is_virtual(backend: str) -> None:
    client = Client(transport=Emulator().transport())

    async def main() -> None:
        with pytest.raises(ConfigurationError, match="virtual time"):
            client.__enter__()
        with pytest.raises(ConfigurationError, match="virtual time"):
            await anyio.to_thread.run_sync(client.__enter__)

    run_virtual(main, backend=backend)  # type: ignore[arg-type]


# The same words


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Client, AsyncClient),
        (SyncRealtime.connect, Realtime.connect),
        (SyncRealtime.session, Realtime.session),
        (SyncRealtime.client_secret, Realtime.client_secret),
    ],
)
def test_options_are_those_of_the_async_client(ours: Any, theirs: Any) -> None:
    def options(of: Any) -> list[tuple[str, Any, Any]]:
        return [(name, option.kind, option.default) for name, option in inspect.signature(of).parameters.items()]

    assert options(ours) == options(theirs)


@pytest.mark.parametrize(
    ("ours", "theirs"), [(SyncRealtimeSession, RealtimeSession), (SyncRealtimeConnection, RealtimeConnection)]
)
def test_every_public_word_has_its_like_without_async(ours: type, theirs: type) -> None:
    words = {"close" if name == "aclose" else name for name in vars(theirs) if not name.startswith("_")}
    assert words <= set(dir(ours))
    for name in words & set(vars(ours)):
        assert inspect.getdoc(getattr(ours, name)), name
