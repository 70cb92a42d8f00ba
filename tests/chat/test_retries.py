"""Trying again: what is tried, how long is waited, when an error surfaces, and the one second try for a late token."""

from __future__ import annotations

import random
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chat.driving import (
    BACKENDS,
    MODEL,
    Told,
    asked,
    asking,
    emulated,
    event,
    outcome_of,
    refusal,
    run,
    said,
    sse,
    stop,
    usage,
    whole,
)
from xai_realtime.emulator.speech_quirks import Refuse
from xai_realtime.errors import (
    ApiError,
    ClosedByServerError,
    ConfigurationError,
    ConnectError,
    ConnectionBrokenError,
    RateLimitError,
    RemoteProtocolError,
    ReplayError,
    ServerError,
    ServiceError,
    TransportTimeoutError,
)
from xai_realtime.protocol.chat_policy import ChatPolicy, Retries, may_be_billed
from xai_realtime.protocol.chat_reply import ChatReply

GOOD = sse(said("Hel"), said("lo"), stop(usage=usage()))
VERBS = pytest.mark.parametrize("verb", ["create", "stream"])


def good(verb: str) -> Told:
    return GOOD if verb == "stream" else whole("Hello")


UNAVAILABLE = refusal(200, {"code": "The service is currently unavailable", "error": "Try again."})
TRANSIENT = {
    "429": refusal(429, {"code": "c", "error": "Too many requests."}),
    "500": refusal(500),
    "502": refusal(502, b"<html>Bad gateway</html>", content_type="text/html"),
    "503": refusal(503, b""),
    "504": refusal(504),
    "unavailable with 200": UNAVAILABLE,
    "connect": ConnectError("cannot connect"),
    "connect timeout": TransportTimeoutError("connect", 15),
    "pool timeout": TransportTimeoutError("pool", 5),
}
FINAL = {
    "400": refusal(400),
    "401": refusal(401),
    "403": refusal(403),
    "404": refusal(404),
    "422": refusal(422),
    "credits": refusal(429, {"code": "c", "error": "Your team has used all its CREDITS."}),
    "credits in the code": refusal(429, {"code": "credits-exhausted", "error": "No."}),
    "spending limit": refusal(429, {"error": {"message": "Monthly spending limit reached", "code": "x"}}),
    "error with 200": refusal(200, {"code": "invalid-argument", "error": "No."}),
    "read timeout": TransportTimeoutError("read", 60),
    "write timeout": TransportTimeoutError("write", 5),
    "cut": ConnectionBrokenError(None, "cut"),
    "closed": ClosedByServerError(1006, ""),
    "local": ConfigurationError("no"),
}


@BACKENDS
@VERBS
@pytest.mark.parametrize("name", TRANSIENT)
def test_what_passes_is_tried_again_and_the_attempts_are_counted(backend: str, verb: str, name: str) -> None:
    reply, at_s = outcome_of(verb, TRANSIENT[name], TRANSIENT[name], good(verb), backend=backend)
    assert isinstance(reply, ChatReply), reply
    assert (reply.text, reply.attempts, len(at_s)) == ("Hello", 3, 3)
    assert 0 <= at_s[1] <= 0.5
    assert 0 <= at_s[2] - at_s[1] <= 1


@BACKENDS
@VERBS
@pytest.mark.parametrize("name", TRANSIENT)
def test_what_does_not_pass_surfaces_after_the_last_attempt(backend: str, verb: str, name: str) -> None:
    error, at_s = outcome_of(verb, TRANSIENT[name], backend=backend)
    assert isinstance(error, ApiError | ConnectError | TransportTimeoutError)
    assert len(at_s) == 3


@BACKENDS
@VERBS
@pytest.mark.parametrize("name", TRANSIENT)
def test_nothing_is_tried_again_without_retries(backend: str, verb: str, name: str) -> None:
    error, at_s = outcome_of(verb, TRANSIENT[name], good(verb), backend=backend, max_retries=0)
    assert isinstance(error, ApiError | ConnectError | TransportTimeoutError)
    assert at_s == [0]


@BACKENDS
@VERBS
@pytest.mark.parametrize("name", FINAL)
def test_what_will_not_pass_or_may_be_billed_is_never_tried_again(backend: str, verb: str, name: str) -> None:
    error, at_s = outcome_of(verb, FINAL[name], good(verb), backend=backend)
    assert isinstance(error, Exception)
    assert at_s == [0]


@BACKENDS
@VERBS
def test_retry_after_is_honoured_to_its_cap(backend: str, verb: str) -> None:
    script = [refusal(429, retry_after="7"), refusal(503, Retry_After="30"), good(verb)]
    reply, at_s = outcome_of(verb, *script, backend=backend)
    assert (reply.text, at_s) == ("Hello", [0, 7, 37])


@BACKENDS
@VERBS
def test_retry_after_may_be_a_date(backend: str, verb: str) -> None:
    dates = {"Date": "Fri, 20 Nov 2026 10:00:00 GMT", "Retry-After": "Fri, 20 Nov 2026 10:00:04 GMT"}
    reply, at_s = outcome_of(verb, refusal(429, **dates), good(verb), backend=backend)
    assert (reply.text, at_s) == ("Hello", [0, 4])


@BACKENDS
@VERBS
def test_retry_after_beyond_its_cap_surfaces_at_once(backend: str, verb: str) -> None:
    error, at_s = outcome_of(verb, refusal(429, retry_after="31"), good(verb), backend=backend)
    assert isinstance(error, RateLimitError)
    assert (error.retry_after_s, at_s) == (31, [0])


@BACKENDS
@VERBS
def test_endless_retry_after_ends_with_the_budget(backend: str, verb: str) -> None:
    error, at_s = outcome_of(verb, refusal(429, retry_after="25"), backend=backend, max_retries=1000)
    assert isinstance(error, RateLimitError)
    assert at_s == [0, 25, 50]


@BACKENDS
@VERBS
def test_endless_retry_after_of_nothing_ends_with_the_attempts(backend: str, verb: str) -> None:
    error, at_s = outcome_of(verb, refusal(429, retry_after="0"), backend=backend, max_retries=1100)
    assert isinstance(error, RateLimitError)
    assert (len(at_s), at_s[-1]) == (1101, 0)


@BACKENDS
@VERBS
def test_wait_is_drawn_at_random_up_to_a_bound_that_doubles(
    backend: str, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chances = iter([1.0, 0.5, 0.0, 1.0])
    monkeypatch.setattr(random, "random", lambda: next(chances))
    _, at_s = outcome_of(
        verb, refusal(503), backend=backend, max_retries=3, first_delay_s=2, max_delay_s=3, retry_budget_s=10
    )
    assert at_s == [0, 2, 3.5, 3.5]


@given(
    chances=st.lists(st.floats(0, 1), min_size=1, max_size=40),
    first=st.floats(0, 100),
    most=st.floats(0, 100),
    budget=st.floats(0, 100),
    retries=st.integers(0, 40),
)
def test_waits_stay_within_bound_budget_and_count(
    chances: list[float], first: float, most: float, budget: float, retries: int
) -> None:
    policy = ChatPolicy(first_delay_s=first, max_delay_s=most, retry_budget_s=budget, max_retries=retries)
    state, spent = Retries(policy), 0.0
    for number, chance in enumerate(chances, 1):
        wait_s = state.wait_s(ServerError("x", status=503), chance)
        if wait_s is None:
            bound_s = min(most, first * 2 ** (number - 1))
            assert number > retries or spent + bound_s * chance > budget
            assert state.attempts == number
            return
        assert 0 <= wait_s <= min(most, first * 2 ** (number - 1)) + 1e-9
        spent += wait_s
        assert spent <= budget + 1e-9
        assert state.attempts == number + 1


@pytest.mark.parametrize("delay_s", [0, 0.5])
def test_wait_is_found_however_many_attempts_were_made(delay_s: float) -> None:
    policy = ChatPolicy(max_retries=5000, first_delay_s=delay_s, max_delay_s=0, retry_budget_s=1)
    retries = Retries(policy)
    waits = [retries.wait_s(ServerError("x", status=500), 1.0) for _ in range(5001)]
    assert waits == [0.0] * 5000 + [None]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ServerError("x", status=500), False),
        (RateLimitError("x", status=429), False),
        (ConnectError("x"), False),
        (ReplayError("x"), False),
        (ConfigurationError("x"), False),
        (TransportTimeoutError("connect", 1), False),
        (TransportTimeoutError("pool", 1), False),
        (TransportTimeoutError("read", 1), True),
        (TransportTimeoutError("write", 1), True),
        (ConnectionBrokenError(None, "x"), True),
        (RemoteProtocolError("x"), True),
        (ServiceError("x", "y"), True),
        (KeyboardInterrupt(), True),
    ],
)
def test_what_was_turned_away_or_never_arrived_is_not_billed(error: BaseException, expected: bool) -> None:
    assert may_be_billed(error) is expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_retries", -1),
        ("max_retries", 1.5),
        ("max_retries", True),
        ("max_retries", None),
        ("first_delay_s", -1),
        ("max_delay_s", float("inf")),
        ("retry_after_max_s", float("nan")),
        ("retry_budget_s", "1"),
        ("retry_budget_s", True),
        ("first_token_timeout_s", 0),
        ("first_token_timeout_s", -5),
    ],
)
def test_policy_refuses_values_that_make_no_sense_and_names_them(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        ChatPolicy(**{name: value})


# Never after output


BROKEN_LATER = {
    "error": event({"code": "c", "error": "The service is currently unavailable"}),
    "cut": ConnectionBrokenError(None, "cut"),
    "silence": TransportTimeoutError("read", 60),
    "connect": ConnectError("odd, but possible"),
    "malformed": b"data: {nothing\n\n",
}


@BACKENDS
@pytest.mark.parametrize("is_bounded", [False, True])
@pytest.mark.parametrize("name", BROKEN_LATER)
def test_nothing_is_tried_again_once_output_has_begun(backend: str, name: str, is_bounded: bool) -> None:
    script = [sse(0.1, said("Hel"), 0.1, BROKEN_LATER[name]), GOOD]
    error, at_s = outcome_of(
        "stream", *script, backend=backend, max_retries=9, first_token_timeout_s=5 if is_bounded else None
    )
    assert isinstance(error, Exception)
    assert at_s == [0]


@BACKENDS
@VERBS
def test_emulator_that_refuses_twice_is_answered_by_the_third_request(backend: str, verb: str) -> None:
    async def main() -> tuple[ChatReply, float]:
        began_s = anyio.current_time()
        async with emulated(lambda prompt: "Hello", refuse=(Refuse(status=429, retry_after_s=2, times=2),)) as chat:
            return await asked(chat, verb), anyio.current_time() - began_s

    reply, took_s = run(main, backend)
    assert (reply.text, reply.attempts) == ("Hello", 3)
    assert took_s >= 4


@BACKENDS
def test_policy_of_the_call_goes_before_that_of_the_client(backend: str) -> None:
    async def main() -> int:
        async with asking(refusal(503), chat_policy=ChatPolicy(max_retries=5)) as (chat, service):
            with pytest.raises(ServerError):
                await chat.create(MODEL, "hi", policy=ChatPolicy(max_retries=1, first_delay_s=0))
            return len(service.asked)

    assert run(main, backend) == 2


@BACKENDS
def test_defer_is_tried_again_too(backend: str) -> None:
    async def main() -> str:
        async with emulated(refuse=(Refuse(status=503, times=1),)) as chat:
            return await chat.defer(MODEL, "hi")

    assert run(main, backend)
