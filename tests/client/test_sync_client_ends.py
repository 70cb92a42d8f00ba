"""The client without async, and its ends: Ctrl-C, exceptions, exits, forks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from tests.client.blocking import PATIENCE_S, client_of, loop_threads, said, until_done
from xai_realtime.emulator import Emulator
from xai_realtime.errors import (
    ClosedByUsError,
    ConfigurationError,
    HandshakeError,
    TransportTimeoutError,
)
from xai_realtime.protocol.session_events import AudioOutput, Transcript
from xai_realtime.sync_client import Client, SyncRealtimeSession
from xai_realtime.sync_client import _thread as thread_module
from xai_realtime.transport.base import Channel, ChannelRequest, Transport

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.usefixtures("bounded")


def interrupt() -> None:
    """What Ctrl-C does."""
    os.kill(os.getpid(), signal.SIGINT)


def test_session_goes_on_when_ctrl_c_broke_off_a_wait(client: Client) -> None:
    def ring() -> str:
        """Rings."""
        interrupt()
        return "done"

    with client.realtime.session(tools=[ring]) as session:
        session.send_text("Call ring")
        with pytest.raises(KeyboardInterrupt):
            for _ in session:
                pass
        assert any(isinstance(event, Transcript) for event in until_done(session))
        assert said(session, "Still there?") == "You said: Still there?"


class Endless(Transport):
    """Opens nothing, tells of Ctrl-C, and remembers that it was broken off."""

    needs_key = False
    was_broken_off = False

    @asynccontextmanager
    async def open(self, request: ChannelRequest) -> AsyncIterator[Channel]:
        interrupt()
        try:
            await anyio.sleep_forever()
        finally:
            self.was_broken_off = True
        yield  # type: ignore[misc]


@pytest.mark.parametrize("kind", ["connect", "session"])
def test_opening_is_broken_off_when_ctrl_c_comes(kind: str) -> None:
    transport = Endless()
    with Client(transport=transport) as client:
        with pytest.raises(KeyboardInterrupt):
            with getattr(client.realtime, kind)():
                raise AssertionError("opened")
    assert transport.was_broken_off


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_what_the_body_raises_comes_out_as_it_is_and_others_talk_on(
    emulator: Emulator, client: Client, error: type[BaseException]
) -> None:
    raised = error("planted")
    with client.realtime.session() as other:
        with pytest.raises(error) as caught:
            with client_of(emulator) as second, second.realtime.session(), second.realtime.connect():
                raise raised
        assert caught.value is raised
        assert said(other, "Hello") == "You said: Hello"


def test_entering_raises_what_refused_the_connection(emulator: Emulator) -> None:
    with Client(base_url=emulator.url, api_key="xai-invalid") as client:
        with pytest.raises(HandshakeError):
            with client.realtime.session():
                raise AssertionError("opened")
        with pytest.raises(HandshakeError):
            with client.realtime.connect():
                raise AssertionError("opened")


def test_reading_and_leaving_raise_what_broke_the_session(client: Client) -> None:
    def observe(direction: str, event: Any) -> None:
        if event.type == "response.done":
            raise LookupError("planted")

    with client.realtime.session(observer=observe) as session:
        session.send_text("Hello")
        with pytest.raises(LookupError, match="planted"):
            list(session)
    with pytest.raises(LookupError, match="planted"):
        with client.realtime.session(observer=observe) as session:
            session.send_text("Hello")
            until_closed(session)


def until_closed(session: SyncRealtimeSession) -> None:
    while not session._inner._inbox.has_ended:
        session.pause_input()


def test_session_tells_what_it_used_when_it_is_over(client: Client) -> None:
    with client.realtime.session() as session:
        said(session, "Hello")
        session.close()
        assert all(not isinstance(event, AudioOutput) for event in session)
    assert session.usage.session.responses == 1
    assert session.metrics.reply_ms.count == 1
    assert list(session) == []
    with pytest.raises(ClosedByUsError):
        session.receive()
    with pytest.raises(ClosedByUsError):
        session.send_text("Anyone?")


def test_session_refuses_what_is_out_of_order(client: Client) -> None:
    session = client.realtime.session()
    with pytest.raises(ConfigurationError, match="entered"):
        next(session)
    with session:
        with pytest.raises(TransportTimeoutError):
            while True:
                session.receive(timeout_s=0.01)
    with pytest.raises(ConfigurationError, match="entered already"):
        session.__enter__()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
# What was handed to the loop in the moment in which it ended is never begun.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_waiting_ends_and_a_new_client_works_when_the_thread_was_ended_by_a_tool(emulator: Emulator) -> None:
    def leave() -> str:
        """Ends the program."""
        raise SystemExit

    with pytest.raises(ClosedByUsError):
        with client_of(emulator) as client, client.realtime.session(tools=[leave]) as session:
            session.send_text("Call leave")
            with pytest.raises(ClosedByUsError, match="thread"):
                list(session)
            with pytest.raises(ClosedByUsError, match="thread"):
                session.send_text("Anyone?")
    with client_of(emulator) as client, client.realtime.session() as session:
        assert said(session, "Hello") == "You said: Hello"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_the_body_raises_comes_out_when_the_thread_is_gone(emulator: Emulator) -> None:
    def leave() -> str:
        """Ends the program."""
        raise SystemExit

    with pytest.raises(LookupError, match="planted"):
        with client_of(emulator) as client, client.realtime.session(tools=[leave]) as session:
            session.send_text("Call leave")
            with pytest.raises(ClosedByUsError, match="thread"):
                list(session)
            for thread in loop_threads():
                thread.join(PATIENCE_S)
            raise LookupError("planted")


def test_wait_ends_with_the_thread_when_its_work_had_not_begun() -> None:
    thread = thread_module.LoopThread()
    never_begun: Future[None] = Future()
    thread._pending.add(never_begun)
    thread.stop()
    with pytest.raises(ClosedByUsError, match="thread"):
        thread_module.wait_for(never_begun)
    with pytest.raises(ClosedByUsError, match="thread"):
        thread.start(anyio.sleep_forever)
    thread.stop()


def test_entering_raises_why_there_is_no_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise OSError("too many open files")

    monkeypatch.setattr(anyio, "run", fail)
    with pytest.raises(OSError, match="too many"):
        with Client(transport=Emulator().transport()):
            raise AssertionError("entered")


def run(emulator: Emulator, code: str) -> subprocess.CompletedProcess[str]:
    """A program of its own; `client` stands in it."""
    head = f"from xai_realtime.sync_client import Client\nclient = Client(base_url={emulator.url!r}, api_key='xai-x')\n"
    environment = {**os.environ, "NO_PROXY": "*"}
    return subprocess.run(
        [sys.executable, "-c", head + code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=20
    )


def test_program_ends_at_once_and_in_silence_when_it_left_a_session_open(emulator: Emulator) -> None:
    code = "session = client.realtime.session().__enter__()\nprint(type(next(session)).__name__)"
    done = run(emulator, code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "SessionReady\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
def test_forked_process_has_a_thread_of_its_own(emulator: Emulator) -> None:
    code = """
import os, warnings
from xai_realtime.errors import ClosedByUsError
warnings.simplefilter("ignore")
with client.realtime.session() as before:
    child = os.fork()
    if not child:
        try:
            before.send_text("Hello")
        except ClosedByUsError:
            with client.realtime.session() as session:
                print(type(next(session)).__name__, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    before.send_text("Hello")
    print("parent", type(next(before)).__name__)
"""
    done = run(emulator, code)
    assert (done.stdout, done.returncode) == ("SessionReady\nparent SessionReady\n", 0), done.stderr
