"""What ends a session for good, what it outlives, and that no error gives the key away."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import anyio
import pytest

from tests.session.breakable import AT_ONCE, Line, breakable
from tests.session.driving import BACKENDS, run
from tests.session.handmade import served
from xai_realtime import AsyncClient, Reconnect, SessionPolicy
from xai_realtime.emulator import Emulator
from xai_realtime.errors import (
    ClosedByServerError,
    ConnectError,
    ConnectionBrokenError,
    ConnectionClosedError,
    HandshakeError,
    LocalProtocolError,
    RedirectRefusedError,
    ServiceError,
    TransportTimeoutError,
)
from xai_realtime.protocol.session_events import Reconnected, SessionReady, SessionWarning
from xai_realtime.realtime._verdict import END, LIMIT, LOST, retry_after_s, verdict
from xai_realtime.transport.faults import Fault, faults

CANARY = "xai-canary-4Fq9ZpW2"
NO_CREDITS: dict[str, Any] = {"status": 429, "message": "You have run out of credits"}


# Which errors are final

FINAL = [
    *(pytest.param(HandshakeError("no", status=status), id=f"HTTP {status}") for status in (400, 401, 403, 404)),
    pytest.param(HandshakeError("no", **NO_CREDITS), id="quota"),
    pytest.param(HandshakeError("no", status=429, code="insufficient_quota"), id="quota by code"),
    pytest.param(RedirectRefusedError("elsewhere", status=302), id="redirect"),
    *(pytest.param(ClosedByServerError(code), id=f"close {code}") for code in (1008, 3000, 4001, 4003)),
]
OUTLIVED = [
    *(pytest.param(HandshakeError("no", status=status), id=f"HTTP {status}") for status in (429, 500, 502, 503)),
    pytest.param(ConnectError("no route"), id="no connection"),
    pytest.param(TransportTimeoutError("open", 10), id="timeout"),
    pytest.param(ConnectionBrokenError(None, "gone"), id="broken"),
    *(pytest.param(ClosedByServerError(code), id=f"close {code}") for code in (1001, 1006, 1011, 1012, 1013)),
    pytest.param(ClosedByServerError(None), id="close without a code"),
]


@pytest.mark.behaviour("ask-42", "ends-for-good")
@pytest.mark.parametrize("error", FINAL)
@BACKENDS
def test_error_that_comes_again_ends_the_session_at_once(backend: str, error: Exception) -> None:
    async def main() -> None:
        async with breakable() as (talk, line):
            if isinstance(error, ConnectionClosedError):
                line.cut(error)
            else:
                line.refusals.append(error)
                line.cut()
            assert await talk.ended() is error
            assert len(line.requests) == (1 if isinstance(error, ConnectionClosedError) else 2)

    run(main, backend)


REFUSALS = [case for case in [*FINAL, *OUTLIVED] if not isinstance(case.values[0], ConnectionClosedError)]


@pytest.mark.behaviour("ask-42", "ends-for-good")
@pytest.mark.parametrize("error", REFUSALS)
@BACKENDS
def test_first_connection_is_tried_once_whatever_its_error(backend: str, error: Exception) -> None:
    async def main() -> None:
        line = Line(Emulator().transport())
        line.refusals.append(error)
        with pytest.raises(type(error)) as caught:
            async with AsyncClient(transport=line) as client, client.realtime.session():
                pytest.fail("it was entered")
        assert caught.value is error
        assert len(line.requests) == 1

    run(main, backend)


@pytest.mark.behaviour("bug-61", "outlives")
@pytest.mark.parametrize("error", OUTLIVED)
@BACKENDS
def test_error_that_passes_is_outlived(backend: str, error: Exception) -> None:
    async def main() -> None:
        async with breakable() as (talk, line):
            if isinstance(error, ConnectionClosedError):
                line.cut(error)
            else:
                line.refusals.append(error)
                line.cut()
            assert (await talk.next(Reconnected)).reason == "connection_lost"
            assert [event.code for event in talk.of(SessionWarning)][-1] == "connection_lost"
            assert type(error).__name__ in [event.message for event in talk.of(SessionWarning)][-1]

    run(main, backend)


@pytest.mark.behaviour("outlives")
@pytest.mark.parametrize("error", [ClosedByServerError(1011), ConnectionBrokenError(None, "gone")])
@BACKENDS
def test_iterator_raises_the_error_when_no_reconnecting_is_wanted(backend: str, error: Exception) -> None:
    async def main() -> None:
        async with breakable(policy=SessionPolicy(reconnect=None)) as (talk, line):
            line.cut(error)
            assert await talk.ended() is error
            assert len(line.requests) == 1

    run(main, backend)


@pytest.mark.behaviour("ask-42", "ends-for-good")
@pytest.mark.parametrize("code", ["invalid_api_key", "authentication_error", "insufficient_quota"])
@BACKENDS
def test_error_event_over_key_or_quota_ends_the_session_with_the_words_of_the_service(backend: str, code: str) -> None:
    async def main() -> None:
        async with served() as (talk, server):
            await server.refuses(code, "Not with this key")
            error = await talk.ended()
            assert isinstance(error, ServiceError)
            assert (error.code, error.message, server.connections) == (code, "Not with this key", 1)

    run(main, backend)


@pytest.mark.behaviour("session-limit")
@pytest.mark.parametrize("close", [1000, 1001, 1008])
@BACKENDS
def test_close_after_the_error_of_the_limit_is_the_limit_whatever_its_code(backend: str, close: int) -> None:
    async def main() -> None:
        async with served(policy=SessionPolicy(reconnect=AT_ONCE)) as (talk, server):
            await server.say("error", error={"type": "max_duration", "message": "The session is over"})
            assert server._channel is not None
            await server._channel.aclose(close)
            assert (await talk.next(Reconnected)).reason == "session_limit"

    run(main, backend)


@pytest.mark.behaviour("session-end-in-order")
@BACKENDS
def test_server_that_closes_in_order_before_the_session_was_ready_is_an_error(backend: str) -> None:
    async def main() -> None:
        async with breakable(wait_until_ready=False) as (talk, line):
            while line.current is None:
                await anyio.lowlevel.checkpoint()
            line.cut(ClosedByServerError(1000))
            assert isinstance(await talk.ended(), ClosedByServerError)
            assert talk.of(SessionReady) == []

    run(main, backend)


def test_verdict_tells_limit_end_and_loss_apart() -> None:
    assert verdict(ClosedByServerError(1000), is_at_limit=True) == LIMIT
    assert verdict(ClosedByServerError(1000), is_at_limit=False) == END
    assert verdict(ClosedByServerError(1012), is_at_limit=False) == LOST
    assert verdict(LocalProtocolError("mine"), is_at_limit=True) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"retry-after": "3"}, 3), ({"Retry-After": "3.5"}, 0), ({"Retry-After": "٣"}, 0), ({"Date": "3"}, 0), ({}, 0)],
)
def test_retry_after_is_read_as_whole_seconds_alone(headers: dict[str, str], seconds: float) -> None:
    assert retry_after_s(HandshakeError("no", status=503, headers=headers)) == seconds


def test_retry_after_is_nothing_when_the_error_is_no_refusal() -> None:
    assert retry_after_s(ConnectError("down")) == retry_after_s(None) == 0


# Secrets

PLANS = [
    pytest.param([Fault.refuse(401, {"code": "401", "error": "bad key"}, conn=2)], id="401"),
    pytest.param([Fault.refuse(400, {"code": "400", "error": "bad key"}, conn=2)], id="400"),
    pytest.param([Fault.close(1011, "broken", at_ms=1000)], id="closed"),
    pytest.param([Fault.stall(at_ms=500, conn=2)], id="stalled"),
]


@pytest.mark.behaviour("ask-41", "no-secret-in-errors")
@pytest.mark.parametrize("plan", PLANS)
@BACKENDS
def test_key_is_in_no_error_log_repr_or_event_of_a_session_that_fails(
    backend: str, plan: list[Fault], caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    async def main() -> None:
        line = faults(Emulator(seed=1).transport(), [Fault.cut(at_ms=500), *plan])
        policy = SessionPolicy(reconnect=Reconnect(first_delay_s=0, max_attempts=1), ready_timeout_s=2)
        async with AsyncClient(transport=line, api_key=CANARY) as client:
            session = client.realtime.session(policy=policy, instructions=f"never say {CANARY}")
            try:
                async with session:
                    with anyio.move_on_after(30):
                        async for event in session:
                            seen.append(f"{event!r} {event}")
            except Exception as error:  # noqa: BLE001 - every error is looked at
                seen.extend([repr(error), str(error), *traceback.format_exception(error)])
            seen.extend([repr(session), repr(client), repr(session.config), repr(session._core.outage)])

    with caplog.at_level(logging.DEBUG):
        run(main, backend)
    text = "\n".join([*seen, *(record.getMessage() for record in caplog.records)])
    assert "SessionReady" in text
    assert "Reconnected" in text or "Error" in text
    assert CANARY not in text
