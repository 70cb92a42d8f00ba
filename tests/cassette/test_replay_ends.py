"""A tape as a Transport: how connections open and end, and what may be left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from tests.tapes import (
    BACKENDS,
    REQUEST,
    URL,
    Close,
    In,
    Open,
    Out,
    append,
    event,
    heard,
    make_tape,
    message,
    on,
    talk,
)
from xai_realtime.cassette.matching import MatchPolicy
from xai_realtime.cassette.replay import replay
from xai_realtime.cassette.tape import Cassette
from xai_realtime.errors import (
    ClosedByServerError,
    ClosedByUsError,
    ConnectionBrokenError,
    ConnectionClosedError,
    HandshakeError,
    MessageTooLargeError,
    ReplayIncompleteError,
    ReplayMismatchError,
)
from xai_realtime.frames import Frame
from xai_realtime.transport.base import ChannelRequest

# The end.


async def listen(tape: Cassette, **options: Any) -> tuple[list[Frame], ConnectionClosedError]:
    frames: list[Frame] = []
    async with replay(tape, **options) as transport, transport.open(REQUEST) as channel:
        while True:
            try:
                frames.append(await channel.receive())
            except ConnectionClosedError as closed:
                with pytest.raises(type(closed)):
                    await channel.receive()
                return frames, closed


@pytest.mark.anyio
@pytest.mark.behaviour("replay-ends-as-recorded")
@pytest.mark.parametrize(
    ("close", "kind", "code", "reason"),
    [
        (None, ClosedByServerError, 1000, "end of the tape"),
        (Close("server", 1000, ""), ClosedByServerError, 1000, ""),
        (Close("server", 1011, "internal"), ClosedByServerError, 1011, "internal"),
        (Close("server", None, ""), ClosedByServerError, None, ""),
        (Close("network", None, "reset"), ConnectionBrokenError, None, "reset"),
        (Close("network", None, ""), ConnectionBrokenError, None, ""),
        (Close("client", 1009, "too big"), MessageTooLargeError, 1009, "too big"),
    ],
)
async def test_connection_ends_as_it_did_on_the_tape(
    tmp_path: Path, close: Close | None, kind: type[ConnectionClosedError], code: int | None, reason: str
) -> None:
    tape = make_tape(tmp_path / "t.jsonl", In(event("a")), *([close] if close else []))
    with anyio.fail_after(5):
        frames, closed = await listen(tape)
    assert len(frames) == 1
    assert isinstance(closed, kind)
    assert (closed.code, closed.reason) == (code, reason)


@pytest.mark.anyio
async def test_closed_channel_says_that_we_closed_it_and_wakes_its_reader(tmp_path: Path) -> None:
    with anyio.fail_after(5):
        async with replay(make_tape(tmp_path / "t.jsonl", In(event("a")), Close())) as transport:
            async with transport.open(REQUEST) as channel:
                assert await heard(channel) == "a"
                async with anyio.create_task_group() as group:

                    async def read() -> None:
                        with pytest.raises(ClosedByUsError):
                            await channel.receive()

                    group.start_soon(read)
                    await anyio.wait_all_tasks_blocked()
                    await channel.aclose(1001, "bye")
                    await channel.aclose()
                with pytest.raises(ClosedByUsError) as caught:
                    await channel.send(message(event("1")))
                assert (caught.value.code, caught.value.reason) == (1001, "bye")


@pytest.mark.anyio
@pytest.mark.behaviour("replay-nothing-is-left")
async def test_replay_fails_at_its_end_when_frames_are_left_unread_or_unsent(tmp_path: Path) -> None:
    tape = talk(tmp_path)
    with anyio.fail_after(5):
        with pytest.raises(ReplayIncompleteError) as caught:
            async with replay(tape) as transport, transport.open(REQUEST) as channel:
                assert await heard(channel) == "a"
    assert caught.value.unread == ("b (line 5)", "c (line 6)", "d (line 8)", "e (line 10)")
    assert caught.value.unsent == ("1 (line 4)", "2 (line 7)", "3 (line 9)")
    assert caught.value.line == 4
    assert f"{tape.path}:4: 4 frames were left unread and 3 unsent" in str(caught.value)
    assert "unsent 3 (line 9)" in str(caught.value)


@pytest.mark.anyio
async def test_replay_keeps_the_first_error_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        async with replay(talk(tmp_path)):
            raise KeyError("mine")


@pytest.mark.anyio
@pytest.mark.behaviour("replay-nothing-is-left")
async def test_replay_counts_audio_that_was_not_sent(tmp_path: Path) -> None:
    tape = make_tape(
        tmp_path / "t.jsonl", Out(append(b"\1\2")), Out(append(b"\3\4")), Out(event("1")), Out(append(b"\5"))
    )
    with anyio.fail_after(5):
        with pytest.raises(ReplayIncompleteError) as caught:
            async with replay(tape) as transport, transport.open(REQUEST) as channel:
                await channel.send(message(append(b"\1\2\3")))
    assert caught.value.unsent == ("1 bytes of audio (line 4)", "1 (line 5)", "1 bytes of audio (line 6)")


@pytest.mark.anyio
@pytest.mark.behaviour("replay-nothing-is-left")
@pytest.mark.parametrize(
    ("left", "policy", "is_error"),
    [
        (["ping"], None, False),
        (["ping", "ping"], None, False),
        (["ping", "a"], None, True),
        (["a", "ping"], None, True),
        (["a"], MatchPolicy(trailing=("a",)), False),
        (["ping"], MatchPolicy(trailing=()), True),
    ],
)
async def test_only_trailing_frames_that_the_policy_lists_may_stay_unread(
    tmp_path: Path, left: list[str], policy: MatchPolicy | None, is_error: bool
) -> None:
    tape = make_tape(tmp_path / "t.jsonl", In(event("first")), *(In(event(name)) for name in left))
    with anyio.fail_after(5):
        transport = replay(tape, policy=policy)
        async with transport.open(REQUEST) as channel:
            await channel.receive()
    assert bool(transport.report().unread) is is_error


@pytest.mark.anyio
@pytest.mark.behaviour("replay-nothing-is-left")
async def test_connection_that_was_never_opened_is_left_over(tmp_path: Path) -> None:
    tape = make_tape(
        tmp_path / "t.jsonl", Open(1), Open(2), In(event("a"), conn=2), Out(event("1"), conn=2), Open(3, status=503)
    )
    with anyio.fail_after(5):
        with pytest.raises(ReplayIncompleteError) as caught:
            async with replay(tape) as transport, transport.open(REQUEST):
                pass
    assert caught.value.unread == ("a (line 4)",)
    assert caught.value.unsent == (
        "the handshake of connection 2 (line 3)",
        "1 (line 5)",
        "the handshake of connection 3 (line 6)",
    )


# Handshakes.


@pytest.mark.anyio
@pytest.mark.behaviour("replay-refused-handshake")
@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (b'{"code":"invalid","error":"Incorrect API key"}', "invalid", "Incorrect API key"),
        (b'{"code":5,"error":{"message":"x"}}', None, "x"),
        (b"<html>", None, None),
        (b"", None, None),
    ],
)
async def test_refused_handshake_is_raised_with_status_headers_and_body(
    tmp_path: Path, body: bytes, code: str | None, said: str | None
) -> None:
    opened = Open(status=400, body=body, headers={"x-request-id": "r"})
    with anyio.fail_after(5):
        async with replay(make_tape(tmp_path / "t.jsonl", opened)) as transport:
            with pytest.raises(HandshakeError) as caught:
                async with transport.open(REQUEST):
                    raise AssertionError("opened")
    refusal = caught.value
    assert (refusal.status, refusal.code, refusal.message, refusal.body) == (400, code, said, body)
    assert refusal.headers == {"x-request-id": "r"}
    assert transport.report().connections == 1


@BACKENDS
@pytest.mark.parametrize(("scale", "due_s"), [(1.0, 2.0), (2.0, 4.0), (0.5, 1.0)])
def test_refused_handshake_is_answered_when_it_was(tmp_path: Path, backend: Any, scale: float, due_s: float) -> None:
    tape = make_tape(tmp_path / "t.jsonl", Open(1, at_ms=1000), Close(at_ms=1500), Open(2, at_ms=3000, status=503))

    async def main() -> float:
        async with replay(tape, clock="virtual", scale=scale) as transport:
            async with transport.open(REQUEST):
                pass
            with pytest.raises(HandshakeError):
                async with transport.open(REQUEST):
                    raise AssertionError("opened")
        return anyio.current_time()

    assert on(backend, main) == pytest.approx(due_s, abs=0.001)


OTHER = URL.replace("latest", "other")


@pytest.mark.anyio
@pytest.mark.behaviour("replay-several-connections")
async def test_connections_are_given_by_address_and_then_in_their_order(tmp_path: Path) -> None:
    tape = make_tape(
        tmp_path / "t.jsonl",
        Open(1),
        Open(2, url=OTHER),
        Open(3),
        *(In(event(str(conn)), conn=conn) for conn in (3, 2, 1)),
    )
    with anyio.fail_after(5):
        async with replay(tape) as transport:
            async with (
                transport.open(ChannelRequest(OTHER)) as second,
                transport.open(REQUEST) as first,
                transport.open(REQUEST) as third,
            ):
                assert [await heard(channel) for channel in (first, second, third)] == ["1", "2", "3"]
                with pytest.raises(ReplayMismatchError, match="no further connection"):
                    async with transport.open(REQUEST):
                        raise AssertionError("opened")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("url", "agrees"),
    [
        (URL, True),
        ("ws://127.0.0.1:5000/v1/realtime?model=grok-voice-latest", True),
        (URL.replace("/realtime", "/realtime/"), True),
        (OTHER, False),
        (URL + "&x=1", False),
        (URL.replace("model=", "modell="), False),
        (URL.replace("/v1/", "/v2/"), False),
        ("", False),
    ],
)
async def test_open_is_a_mismatch_when_path_or_query_differ(tmp_path: Path, url: str, agrees: bool) -> None:
    tape = make_tape(tmp_path / "t.jsonl", Open())
    transport = replay(tape)
    if agrees:
        async with transport.open(ChannelRequest(url)):
            return
    with pytest.raises(ReplayMismatchError) as caught:
        async with transport.open(ChannelRequest(url)):
            raise AssertionError("opened")
    assert (caught.value.line, caught.value.expected) == (2, URL)


@pytest.mark.anyio
async def test_open_takes_any_address_when_the_tape_knows_none(tmp_path: Path) -> None:
    async with replay(make_tape(tmp_path / "t.jsonl", Open(url=None))) as transport:
        async with transport.open(ChannelRequest("wss://anything.test/at/all?x=1")):
            pass


@pytest.mark.anyio
async def test_mismatched_address_shows_no_secret_of_its_query(tmp_path: Path) -> None:
    secret = "xai-CANARYcanaryCANARYcanary0123456789"
    with pytest.raises(ReplayMismatchError) as caught:
        async with replay(make_tape(tmp_path / "t.jsonl", Open())).open(ChannelRequest(f"{OTHER}&api_key={secret}")):
            raise AssertionError("opened")
    assert "CANARY" not in str(caught.value) + repr(caught.value)
