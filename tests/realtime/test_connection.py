"""The typed wire over a memory pair: events both ways, bad inputs, ends, logs."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.bad_inputs import BAD
from tests.tapes import URL
from xai_realtime.errors import (
    AudioDecodeError,
    ClosedByServerError,
    ClosedByUsError,
    ConnectionBrokenError,
    LocalProtocolError,
)
from xai_realtime.events import realtime
from xai_realtime.events._base import BinaryAudio, InvalidEvent, UnknownEvent
from xai_realtime.frames import Frame
from xai_realtime.realtime.connection import RealtimeConnection
from xai_realtime.transport.base import ChannelRequest
from xai_realtime.transport.memory import MemoryChannel, memory_pair

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def line(buffer: int = 64) -> AsyncIterator[tuple[RealtimeConnection, MemoryChannel]]:
    transport, server = memory_pair(buffer=buffer)
    with anyio.fail_after(5):
        async with transport, transport.open(ChannelRequest(URL)) as channel:
            _, peer = await server.accept()
            yield RealtimeConnection(channel), peer


@pytest.mark.behaviour("connection-thirteen-bad-inputs")
async def test_bad_inputs_are_values_each_and_leave_the_line_usable() -> None:
    assert len(BAD) == 13
    async with line() as (connection, peer):
        for name, (data, kind) in BAD.items():
            await peer.send(Frame(data))
            event: Any = await connection.receive()
            assert type(event) is kind, name
            if isinstance(event, InvalidEvent):
                assert event.size_bytes == len(data), name
                assert data.startswith(event.raw) and len(event.raw) <= 64 * 1024, name
            elif isinstance(event, UnknownEvent):
                assert event.raw == data, name
            else:
                with pytest.raises(AudioDecodeError):
                    event.audio
            await peer.send(Frame(b'{"type":"ping","timestamp":1}'))
            assert await connection.receive() == realtime.Ping(type="ping", timestamp=1), name
            await connection.send(realtime.ResponseCreate())
            assert await peer.receive() == Frame(b'{"type":"response.create"}'), name
        assert "16777216 bytes" in event.reason


async def test_events_pass_both_ways() -> None:
    async with line() as (connection, peer):
        assert connection.subprotocol is None and connection.last_frame is None
        await connection.send(realtime.SessionUpdate(session=realtime.SessionConfig(voice="eve", tools=[])))
        await connection.send({"type": "own", "x": None})
        await connection.send_audio(b"\0\1\2")
        sent = [json.loads((await peer.receive()).data) for _ in range(3)]
        assert sent == [
            {"type": "session.update", "session": {"voice": "eve", "tools": []}},
            {"type": "own", "x": None},
            {"type": "input_audio_buffer.append", "audio": "AAEC"},
        ]
        await peer.send(Frame(b"\3\4", False))
        assert await connection.receive() == BinaryAudio(b"\3\4")
        assert connection.last_frame == Frame(b"\3\4", False)
        with pytest.raises(LocalProtocolError):
            await connection.send({"type": "x", "y": object()})


@pytest.mark.parametrize(
    ("code", "is_ordinary"), [(1000, True), (1001, True), (1006, False), (1008, False), (1011, False)]
)
async def test_iteration_ends_at_an_ordinary_close_and_raises_at_another(code: int, is_ordinary: bool) -> None:
    async with line() as (connection, peer):
        await peer.send(Frame(b'{"type":"ping"}'))
        await peer.aclose(code, "why")
        seen: list[Any] = []
        try:
            async for event in connection:
                seen.append(event.type)
        except ClosedByServerError as closed:
            assert not is_ordinary
            assert (closed.code, closed.reason) == (code, "why")
        else:
            assert is_ordinary
        assert seen == ["ping"]
        with pytest.raises(ClosedByServerError):
            await connection.receive()


async def test_iteration_ends_when_we_close_and_raises_when_the_line_breaks() -> None:
    async with line() as (connection, _):
        await connection.aclose(4000, "enough")
        assert [event async for event in connection] == []
        with pytest.raises(ClosedByUsError) as caught:
            await connection.send(realtime.ResponseCreate())
        assert (caught.value.code, caught.value.reason) == (4000, "enough")
    async with line() as (connection, peer):
        peer.break_off()
        with pytest.raises(ConnectionBrokenError):
            async for _ in connection:
                raise AssertionError("an event")


@pytest.mark.behaviour("logs-hold-no-content")
async def test_log_has_one_debug_line_an_event_with_type_ids_and_sizes_and_no_content(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="xai_realtime")
    async with line() as (connection, peer):
        await connection.send(realtime.SessionUpdate(session=realtime.SessionConfig(instructions="CANARY")))
        await connection.send(
            realtime.ConversationItemCreate(item=realtime.FunctionCallOutputItem(call_id="call_9", output="CANARY"))
        )
        await connection.send({"type": "own\nforged", "item_id": "item_1", "text": "CANARY"})
        await connection.send({"no": "type"})
        await connection.send_audio(b"CANARY")
        for data in (
            b'{"type":"response.output_audio_transcript.delta","event_id":"e1","item_id":"i1","response_id":"r1",'
            b'"delta":"CANARY"}',
            b'{"type":"CANARY unknown","item_id":"x"}'.replace(b"CANARY ", b""),
            b'{"type":"ping","timestamp":"CANARY"}',
            b'{"type":"ping","event_id":"%s\\nforged"}' % (b"e" * 500),
            b"CANARY no json",
        ):
            await peer.send(Frame(data))
            await connection.receive()
        await peer.send(Frame(b"CANARY", False))
        await connection.receive()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 11
    assert all(record.levelno == logging.DEBUG and record.name == "xai_realtime.realtime" for record in caplog.records)
    assert "CANARY" not in "".join(lines) and "Q0FOQVJZ" not in "".join(lines)
    assert not any("\n" in line for line in lines)
    assert lines[0] == "sent session.update, 61 bytes"
    assert lines[2] == r"sent own\nforged, 57 bytes item_id=item_1"
    assert lines[3] == "sent (no type), 13 bytes"
    assert lines[4] == "sent input_audio_buffer.append, 55 bytes"
    assert lines[5].endswith("bytes event_id=e1 response_id=r1 item_id=i1")
    assert lines[6].startswith("received unknown (UnknownEvent), ")
    assert lines[7].startswith("received ping (InvalidEvent), ")
    assert lines[8].endswith(f"event_id={'e' * 80}")
    assert lines[9].startswith("received (no type) (InvalidEvent), ")
    assert lines[10] == "received (binary), 6 bytes"


async def test_nothing_is_logged_when_debug_is_off(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="xai_realtime")
    async with line() as (connection, peer):
        await connection.send(realtime.ResponseCreate())
        await connection.send_audio(b"\1")
        await peer.send(Frame(b'{"type":"ping"}'))
        await connection.receive()
    assert caplog.records == []
