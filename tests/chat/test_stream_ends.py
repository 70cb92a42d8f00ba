"""How streams end before their time: cancelled, left, cut with their task; what is given back, and what is not kept."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import anyio
import pytest

from tests.chat.driving import (
    BACKENDS,
    DONE,
    MODEL,
    Hang,
    Service,
    asking,
    event,
    refusal,
    run,
    said,
    sse,
    stop,
    tasks_living,
)
from xai_realtime import AsyncClient
from xai_realtime.chat.stream import ChatStream
from xai_realtime.emulator import ChatQuirks, Emulator
from xai_realtime.errors import ConnectionBrokenError, ServiceError
from xai_realtime.protocol.chat_policy import ChatPolicy
from xai_realtime.protocol.ledger import UsageLedger

LONG = sse(said("a"), said("b"), Hang(), done=False)


async def turns(count: int = 10) -> None:
    """Let what is ending end."""
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


# In virtual time


@pytest.mark.behaviour("bug-27")
@BACKENDS
def test_cancelling_one_stream_leaves_the_others(backend: str) -> None:
    async def main() -> tuple[list[str], list[ChatStream]]:
        told: list[str] = []
        slow = [piece for number in range(5) for piece in (0.1, said(str(number)))]
        async with asking(sse(*slow, stop())) as (chat, service):
            streams = [chat.stream(MODEL, "hi") for _ in range(3)]

            async def read(place: int) -> None:
                async with streams[place] as stream:
                    async for text in stream.text():
                        told.append(f"{place}{text}")

            async with anyio.create_task_group() as tasks:
                for place in range(3):
                    tasks.start_soon(read, place)
                await anyio.sleep(0.25)
                assert service.open_answers == 3
                await streams[1].cancel()
                await turns()
                assert service.open_answers == 2, "its connection is given back at once"
        return told, streams

    told, streams = run(main, backend)
    assert [text for text in told if text[0] == "1"] == ["10", "11"]
    assert sorted(told) == sorted([f"{place}{number}" for place in (0, 2) for number in range(5)] + ["10", "11"])
    outcomes = [stream.outcome.status for stream in streams if stream.outcome is not None]
    assert outcomes == ["complete", "cancelled", "complete"]
    assert streams[1].reply.text == "01"


@BACKENDS
def test_stream_that_follows_a_cancelled_one_is_whole(backend: str) -> None:
    async def main() -> list[str]:
        found = []
        async with asking(LONG, sse(said("c"), stop())) as (chat, _):
            for _ in range(2):
                async with chat.stream(MODEL, "hi") as stream:
                    async for text in stream.text():
                        if text == "b":
                            await stream.cancel()
                found.append(f"{stream.reply.text} {stream.outcome.status if stream.outcome else None}")
        return found

    assert run(main, backend) == ["ab cancelled", "c complete"]


@BACKENDS
def test_cancel_tells_what_had_come_and_then_ends_in_order(backend: str) -> None:
    async def main() -> tuple[list[str], str, float]:
        async with asking(sse(said("a") + said("b") + said("c"), 0.1, said("late"), done=False)) as (chat, _):
            async with chat.stream(MODEL, "hi") as stream:
                told = []
                async for text in stream.text():
                    if not told:
                        await stream.cancel()
                        await stream.cancel()
                        await anyio.sleep(1)
                    told.append(text)
            assert stream.outcome is not None and stream.outcome.total_ms is not None
            return told, stream.outcome.status, stream.outcome.total_ms

    assert run(main, backend) == (["a", "b", "c"], "cancelled", 1000)


@BACKENDS
def test_cancel_before_entering_asks_nothing(backend: str) -> None:
    async def main() -> tuple[int, Any, int]:
        ledger = UsageLedger()
        async with asking(LONG) as (chat, service):
            stream = chat.stream(MODEL, "hi", ledger=ledger)
            await stream.cancel()
            async with stream:
                assert stream.outcome is not None, "it is over as soon as it is entered"
                assert [delta async for delta in stream] == []
            return len(service.asked), stream.outcome, ledger.session.chat.requests

    asked, outcome, requests = run(main, backend)
    assert (asked, outcome.status, requests) == (0, "cancelled", 0)


@BACKENDS
@pytest.mark.parametrize("is_bounded", [False, True])
@pytest.mark.parametrize("how", ["cancel", "task"])
def test_stream_may_be_cancelled_at_every_moment(backend: str, how: str, is_bounded: bool) -> None:
    # Waits for the next attempt until 1000 ms, for the head until 1500, for pieces until 3000.
    policy = ChatPolicy(first_token_timeout_s=10 if is_bounded else None)

    async def at(ms: int) -> tuple[int, str, str, bool, int]:
        ledger = UsageLedger()
        answer = sse(0.5, said("a"), 0.5, said("b"), 0.5, stop(), after_s=0.5)
        async with asking(refusal(429, retry_after="1"), answer) as (chat, service):
            stream = chat.stream(MODEL, "hi", policy=policy, ledger=ledger)
            scope = anyio.CancelScope()
            living = tasks_living()

            async def read() -> None:
                with scope:
                    async with stream:
                        async for _ in stream:
                            pass

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                await anyio.sleep(ms / 1000)
                await (stream.cancel() if how == "cancel" else turns(0))
                if how == "task":
                    scope.cancel()
            await turns()
            assert tasks_living() == living
            assert scope.cancelled_caught is (how == "task" and ms < 3000)
            outcome = stream.outcome
            assert outcome is not None and outcome.total_ms is not None
            assert abs(outcome.total_ms - min(ms, 3000)) < 1
            requests = ledger.session.chat.requests
            return len(service.asked), outcome.status, stream.reply.text, stream.reply.was_asked_twice, requests

    async def main() -> list[tuple[int, str, str, bool, int]]:
        return [await at(ms) for ms in (0, 1, 500, 999, 1001, 1499, 1501, 1999, 2001, 2499, 2501, 2999, 3001)]

    none, first, second = (1, "cancelled", "", False), (2, "cancelled", "", False), (2, "cancelled", "a", False)
    found = run(main, backend)
    assert [entry[:4] for entry in found[1:]] == [
        *[none] * 3,
        *[first] * 4,
        *[second] * 2,
        *[(2, "cancelled", "ab", False)] * 2,
        (2, "complete", "ab", False),
    ]
    assert found[0][0] <= 1
    # What was turned away, and not asked again, is not billed.
    assert [entry[4] for entry in found[2:]] == [0] * 2 + [1] * 9


@BACKENDS
def test_leaving_early_counts_as_cancelling_and_gives_the_connection_back(backend: str) -> None:
    async def main() -> tuple[str, str, Service]:
        async with asking(LONG) as (chat, service):
            async with chat.stream(MODEL, "hi") as stream:
                await anext(stream)
                assert service.open_answers == 1
            assert service.open_answers == 0
            assert stream.outcome is not None
            return stream.outcome.status, stream.reply.text, service

    status, text, service = run(main, backend)
    assert (status, text) == ("cancelled", "a")
    assert service.log == ["begun", "body", "answer"]


@BACKENDS
def test_error_of_the_body_comes_out_bare_and_counts_as_cancelling(backend: str) -> None:
    async def main() -> list[Any]:
        found: list[Any] = []
        for transport in (Service(LONG), Emulator(lambda prompt: "a b c d", seed=1).transport()):
            async with AsyncClient(api_key="k", transport=transport) as client:
                stream = client.chat.stream(MODEL, "hi")
                with pytest.raises(KeyError) as caught:
                    async with stream:
                        async for _ in stream:
                            raise KeyError("mine")
                assert stream.outcome is not None
                found.append((str(caught.value), stream.outcome.status))
        return found

    assert run(main, backend) == [("'mine'", "cancelled")] * 2


@BACKENDS
def test_bound_around_a_single_step_leaves_the_stream_readable(backend: str) -> None:
    async def main() -> tuple[list[str], int]:
        told, late = [], 0
        emulator = Emulator(lambda prompt: "a b c", seed=1, chat=ChatQuirks(first_token_ms=100, token_ms=1000))
        async with AsyncClient(transport=emulator.transport()) as client:
            async with client.chat.stream(MODEL, "hi") as stream:
                texts = aiter(stream)
                while True:
                    try:
                        with anyio.fail_after(0.3):
                            told.append((await anext(texts)).text)  # type: ignore[union-attr]
                    except TimeoutError:
                        late += 1
                    except StopAsyncIteration:
                        return told, late

    told, late = run(main, backend)
    assert ("".join(told), late > 3) == ("a b c", True)


@BACKENDS
def test_parts_that_are_left_leave_nothing_behind(backend: str) -> None:
    async def main() -> int:
        async with asking(LONG) as (chat, service):
            living = tasks_living()
            for name in ("text", "partials", "text_of"):
                async with chat.stream(MODEL, "hi") as stream:
                    parts = stream.text_of("a") if name == "text_of" else getattr(stream, name)()
                    with anyio.move_on_after(1):
                        async for _ in parts:
                            break
                    del parts
                gc.collect()
                await turns()
            assert tasks_living() == living
            return service.open_answers

    assert run(main, backend) == 0


@BACKENDS
def test_failure_surfaces_after_what_came_before_it_and_once(backend: str) -> None:
    async def main() -> tuple[list[str], str, Any]:
        told: list[str] = []
        async with asking(sse(said("a") + said("b") + event({"code": "c", "error": "It broke."}))) as (chat, _):
            async with chat.stream(MODEL, "hi") as stream:
                with pytest.raises(ServiceError, match=r"It broke\.") as caught:
                    async for text in stream.text():
                        told.append(text)
                assert [delta async for delta in stream] == []
                await stream.finish()
            assert stream.outcome is not None
            assert stream.outcome.error is caught.value
            return told, stream.outcome.status, stream.reply.text

    assert run(main, backend) == (["a", "b"], "failed", "ab")


@BACKENDS
def test_whatever_the_transport_raises_makes_the_stream_failed(backend: str) -> None:
    async def main() -> list[Any]:
        found: list[Any] = []
        for error in (ConnectionBrokenError(None, "cut"), OSError("odd"), ValueError("odder")):
            async with asking(sse(said("a"), error)) as (chat, _):
                async with chat.stream(MODEL, "hi") as stream:
                    with pytest.raises(type(error)) as caught:
                        await stream.finish()
                assert stream.outcome is not None
                found.append((caught.value is error, stream.outcome.status, stream.outcome.error is error))
        return found

    assert run(main, backend) == [(True, "failed", True)] * 3


@BACKENDS
def test_error_while_the_body_is_closed_does_not_spoil_an_answer_that_is_there(backend: str) -> None:
    class Sticky(Service):
        async def _pieces(self, told: Any) -> AsyncGenerator[bytes, None]:
            try:
                async with aclosing(super()._pieces(told)) as pieces:
                    async for piece in pieces:
                        yield piece
            finally:
                raise ConnectionBrokenError(None, "while it was closed")

    async def main() -> list[str]:
        found = []
        for last in ([DONE], [DONE, Hang()], [DONE, ConnectionBrokenError(None, "late")]):
            service = Sticky(sse(said("a"), stop(), *last, done=False))
            async with AsyncClient(api_key="k", transport=service) as client:
                async with client.chat.stream(MODEL, "hi") as stream:
                    reply = await stream.finish()
                assert service.open_answers == 0
                found.append(f"{reply.text} {reply.outcome.status if reply.outcome else None}")
        async with AsyncClient(api_key="k", transport=Sticky(LONG)) as client:
            async with client.chat.stream(MODEL, "hi") as stream:
                await anext(stream)
            found.append(f"{stream.reply.text} {stream.outcome.status if stream.outcome else None}")
        return found

    assert run(main, backend) == [*["a complete"] * 3, "a cancelled"]


@BACKENDS
def test_cancel_in_the_moment_in_which_the_answer_begins_stops_the_stream_and_nobody_else(backend: str) -> None:
    async def main() -> tuple[list[Any], Any, int]:
        streams: list[ChatStream] = []

        def cancel() -> None:
            # What cancel() does, from another task in this very turn of the loop.
            scope = streams[0]._scope
            assert scope is not None
            streams[0]._is_cancelled = True
            scope.cancel()

        answer = sse(cancel, said("a"), Hang(), done=False)
        async with asking(answer, chat_policy=ChatPolicy(first_token_timeout_s=5)) as (chat, service):
            streams.append(chat.stream(MODEL, "hi"))
            async with streams[0] as stream:
                await anyio.sleep(1)
                told = [delta async for delta in stream]
            return told, stream.outcome, len(service.asked)

    told, outcome, asked = run(main, backend)
    assert ([delta.text for delta in told], outcome.status, asked) == (["a"], "cancelled", 1)


@BACKENDS
def test_end_of_the_body_is_waited_for_a_moment_and_no_longer(backend: str) -> None:
    async def main() -> list[tuple[float, float | None]]:
        found = []
        for late in ([], [0.05], [0.05, b": bye\n\n"], [Hang()], [30, said("late")]):
            async with asking(sse(said("a"), stop(), DONE, *late, done=False)) as (chat, service):
                began_s = anyio.current_time()
                async with chat.stream(MODEL, "hi") as stream:
                    reply = await stream.finish()
                    assert service.log == ["begun", "body"], "the body is let go as soon as the answer is over"
                assert reply.outcome is not None
                found.append((round(anyio.current_time() - began_s, 3), reply.outcome.total_ms))
        return found

    assert run(main, backend) == [(0, 0), (0.05, 0), (0.05, 0), (0.1, 0), (0.1, 0)]


@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("is_cancelled", [False, True])
@BACKENDS
def test_many_streams_at_once_leave_no_task(backend: str, is_cancelled: bool, count: int) -> None:
    async def main() -> tuple[int, int, dict[str, int], int]:
        ledger = UsageLedger()
        quirks = ChatQuirks(first_token_ms=300, token_ms=100)
        emulator = Emulator(lambda prompt: f"one two three {prompt.heard}", seed=1, chat=quirks)
        ends: dict[str, int] = {}
        async with AsyncClient(transport=emulator.transport()) as client:
            before = tasks_living()

            async def talk(number: int) -> None:
                async with client.chat.stream(MODEL, f"n{number}", ledger=ledger) as stream:
                    async for text in stream.text():
                        if is_cancelled and text == "two ":
                            await stream.cancel()
                reply = stream.reply
                assert reply.text == ("one two " if is_cancelled else f"one two three n{number}")
                assert reply.outcome is not None
                ends[reply.outcome.status] = ends.get(reply.outcome.status, 0) + 1

            async with anyio.create_task_group() as tasks:
                for number in range(count):
                    tasks.start_soon(talk, number)
            await turns()
            return before, tasks_living(), ends, ledger.session.chat.requests

    before, after, ends, requests = run(main, backend)
    assert before == after
    assert ends == {"cancelled" if is_cancelled else "complete": count}
    assert requests == count
