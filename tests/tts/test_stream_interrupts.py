"""Barge-in: a speech that is interrupted ends at once and is not heard in the next one."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.tts.driving import BACKENDS, LINES, Mouth, audio, gather, listen, mouth, run, served, writing
from xai_realtime.protocol.tts_text import Flush
from xai_realtime.tts.policy import TtsPolicy

OLD = "This old text is heard by nobody."
NEW = "Something new."


async def read(speech: Any, got: list[bytes]) -> None:
    async for chunk in speech:
        got.append(chunk)


async def interrupted(talk: Mouth, text: Any, after_s: float) -> tuple[Any, list[bytes]]:
    """Begin a speech, interrupt it from another task after a while; the listener must end in order at once."""
    speech, got = talk.stream(text), []
    ended: list[float] = []

    async def listener() -> None:
        await read(speech, got)
        ended.append(anyio.current_time())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener)
        await anyio.sleep(after_s)
        before_s = anyio.current_time()
        with anyio.fail_after(5):
            await speech.interrupt()
            assert anyio.current_time() == before_s
    assert not speech.was_interrupted or ended == [before_s]
    return speech, got


@pytest.mark.behaviour("bug-59", "bug-60")
@pytest.mark.parametrize(
    ("step_ms", "quirks"),
    [(20, {}), (70, {"in_flight_deltas": 9}), (50, {"done_after_clear": True}), (90, {"odd_cuts": True})],
    ids=str,
)
@BACKENDS
def test_interruption_at_every_20_ms_leaves_nothing_of_the_old_text_in_the_next(
    backend: str, step_ms: int, quirks: Any
) -> None:
    async def main() -> None:
        async with mouth(policy=TtsPolicy(max_age_s=1e6), tts_max_age_s=None, **quirks) as talk:
            assert await talk.heard(NEW) == NEW
            at_ms = 0
            while True:
                speech, got = await interrupted(talk, OLD, at_ms / 1000)
                assert await talk.heard(NEW) == NEW, f"after an interruption at {at_ms} ms"
                if not speech.was_interrupted:
                    break
                assert str(listen(b"".join(got), speech.config) or "") in ("", OLD) or got
                at_ms += step_ms
            assert at_ms > 1500
            assert len(talk.wire.requests) == 1

    run(main, backend)


@pytest.mark.behaviour("bug-59")
@BACKENDS
def test_socket_whose_clearing_is_not_confirmed_is_given_up(backend: str) -> None:
    async def main() -> None:
        async with mouth(no_clear_receipt=True, policy=TtsPolicy(clear_timeout_s=1.5)) as talk:
            await interrupted(talk, OLD, 1.0)
            assert await talk.heard(NEW) == NEW
            assert len(talk.wire.requests) == 2
            cleared = next(at for _, _, message, at in talk.wire.frames if message["type"] == "text.clear")
            again = next(at for conn, _, _, at in talk.wire.frames if conn == 2)
            assert again == pytest.approx(cleared + 1.5)

    run(main, backend)


@pytest.mark.behaviour("bug-56", "bug-60")
@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.5, 1.35, 3.0])
@BACKENDS
def test_interruption_closes_the_text_at_once_and_does_not_wait_for_its_next_piece(
    backend: str, after_s: float
) -> None:
    async def main() -> None:
        async with mouth() as talk:
            text = writing("One two three. ", "Four five. ", "Six.", pause_s=1.3)
            await interrupted(talk, text, after_s)
            assert text.closed_s == pytest.approx(after_s) or (after_s == 0 and text.given == [])
            assert "text.done" not in talk.wire.sent()
            assert talk.wire.sent().count("text.clear") == (0 if after_s < 1.3 else 1)
            assert await talk.heard(NEW) == NEW
            assert len(talk.wire.requests) == 1

    run(main, backend)


@BACKENDS
def test_interruption_before_anything_was_sent_puts_nothing_on_the_wire(backend: str) -> None:
    async def main() -> None:
        async with mouth() as talk:
            speech = talk.stream(OLD)
            await speech.interrupt()
            assert await gather(speech) == b""
            assert speech.was_interrupted
            assert talk.wire.frames == []
            assert talk.wire.requests == []

    run(main, backend)


@BACKENDS
def test_second_interruption_and_one_after_the_end_do_nothing(backend: str) -> None:
    async def main() -> None:
        async with mouth() as talk:
            speech, _ = await interrupted(talk, OLD, 0.7)
            await speech.interrupt()
            await anyio.sleep(1)
            assert talk.wire.sent().count("text.clear") == 1
            whole = talk.stream(NEW)
            await gather(whole)
            await whole.interrupt()
            await anyio.sleep(1)
            assert not whole.was_interrupted
            assert talk.wire.sent().count("text.clear") == 1

    run(main, backend)


@pytest.mark.behaviour("bug-59")
@BACKENDS
def test_listener_that_is_busy_with_a_chunk_is_interrupted_as_well(backend: str) -> None:
    async def main() -> None:
        async with mouth() as talk:
            speech, chunks = talk.stream(OLD), 0

            async def listener() -> None:
                nonlocal chunks
                async for _ in speech:
                    chunks += 1
                    await anyio.sleep(10)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listener)
                await anyio.sleep(0.5)
                await speech.interrupt()
                assert await talk.heard(NEW) == NEW, "it does not wait for the busy listener"
            assert chunks == 1
            assert len(talk.wire.requests) == 1

    run(main, backend)


@BACKENDS
def test_listener_may_interrupt_its_own_speech_and_so_may_the_text(backend: str) -> None:
    async def main() -> None:
        async with mouth() as talk:
            speech, chunks = talk.stream(OLD), 0
            async for _ in speech:
                chunks += 1
                await speech.interrupt()
            assert chunks == 1

            async def stops() -> Any:
                yield "One two. "
                await anyio.sleep(0.5)
                await own.interrupt()
                yield "never"

            own = talk.stream(stops())
            with anyio.fail_after(1):
                await gather(own)
            assert own.was_interrupted
            assert await talk.heard(NEW) == NEW
            assert "never" not in talk.wire.text()

    run(main, backend)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.behaviour("bug-59")
@BACKENDS
def test_loop_that_is_left_early_leaves_nothing_behind(backend: str) -> None:
    async def main() -> None:
        async with mouth() as talk:
            for context in (False, True):
                text = writing(OLD, *["more "] * 30, pause_s=0.2)
                speech = talk.stream(text)
                if context:
                    async with speech:
                        async for _ in speech.pieces():
                            break
                    assert text.closed_s == anyio.current_time()
                else:
                    async for _ in speech:
                        break
                assert await talk.heard(NEW) == NEW
                assert text.closed_s is not None
            assert len(talk.wire.requests) == 1
            assert talk.wire.sent().count("text.clear") == 2
            async with talk.stream("never begun"):
                pass
            with pytest.raises(ZeroDivisionError):
                async with talk.stream(OLD) as speech:
                    async for _ in speech:
                        raise ZeroDivisionError
            assert await talk.heard(NEW) == NEW

    run(main, backend)


@BACKENDS
def test_interruption_between_two_utterances_of_one_text_clears_nothing(backend: str) -> None:
    async def main() -> None:
        async with mouth() as talk:
            text = writing("One.", Flush(), "Two.", pause_s=0.01)
            text.pieces, text.pause_s = ("One.", Flush(), "Two."), 0.0

            async def slow() -> Any:
                yield "One."
                yield Flush()
                await anyio.sleep(60)
                yield "Two."

            speech, got = await interrupted(talk, slow(), 20)
            assert listen(b"".join(got), speech.config) == "One."
            assert await talk.heard(NEW) == NEW
            assert "text.clear" not in talk.wire.sent()

    run(main, backend)


@BACKENDS
def test_end_of_a_cleared_utterance_is_not_taken_for_that_of_the_next(backend: str) -> None:
    async def handler(peer: Any) -> None:
        await peer.until("text.clear")
        await peer.say({"type": "audio.clear"})
        await peer.until("text.done")
        await peer.say({"type": "audio.done", "trace_id": "old"})
        await anyio.sleep(1)
        await peer.say(audio(b"ab"), {"type": "audio.done", "trace_id": "new"})
        await peer.until("text.clear")
        await peer.say({"type": "audio.clear"})
        await peer.until("text.done")
        await peer.say({"type": "audio.done", "trace_id": "its own"})
        await peer.rest()

    async def main() -> None:
        async with served(handler) as talk:
            await interrupted(talk, OLD, 1)
            speech = talk.stream(NEW)
            assert await gather(speech) == b"ab"
            assert speech.trace_id == "new"
            await interrupted(talk, OLD, 1)
            began_s = anyio.current_time()
            assert await gather(talk.stream("...")) == b"", "an utterance without audio ends as well"
            assert anyio.current_time() == pytest.approx(began_s + talk.client._speech.policy.clear_timeout_s)

    run(main, backend)


@pytest.mark.behaviour("tts-cancelled")
@pytest.mark.parametrize("kind", ["str", "async"])
@BACKENDS
def test_listener_cancelled_at_every_20_ms_leaves_no_task_and_a_clean_socket(backend: str, kind: str) -> None:
    async def main() -> None:
        async with mouth() as talk:
            for at_ms in range(0, 1500, 20):
                text = writing(*LINES, pause_s=0.3)
                with anyio.move_on_after(at_ms / 1000):
                    await gather(talk.stream(OLD if kind == "str" else text))
                assert await talk.heard(NEW) == NEW
                assert kind == "str" or at_ms == 0 or text.closed_s is not None
            assert len(talk.wire.requests) == 1
        if backend == "asyncio":
            import asyncio

            assert len(asyncio.all_tasks()) == 1

    run(main, backend)
