"""Damaged frames: what each kind of damage is to the typed client, and frames that cannot be damaged so."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.lines import broken_line, event
from xai_realtime.codec import realtime_codec
from xai_realtime.defaults import MAX_MESSAGE_BYTES
from xai_realtime.errors import AudioDecodeError, ConfigurationError, MessageTooLargeError
from xai_realtime.events import InvalidEvent, UnknownEvent
from xai_realtime.events.realtime import ResponseOutputAudioDelta
from xai_realtime.frames import Frame
from xai_realtime.transport._corruption import corrupted, event_type
from xai_realtime.transport.faults import Corruption, Fault

pytestmark = pytest.mark.behaviour("fault-corrupt")

DELTA = event(
    "response.output_audio.delta",
    response_id="resp_1",
    item_id="item_1",
    output_index=0,
    content_index=0,
    delta=base64.b64encode(bytes(480)).decode(),
)
DONE = event("response.done", response={"id": "resp_1", "output": [{"id": "item_1", "type": "message"}]})


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("bad_json", InvalidEvent),
        ("bad_utf8", InvalidEvent),
        ("unknown_type", UnknownEvent),
        ("missing_field", InvalidEvent),
        ("wrong_type", InvalidEvent),
    ],
)
@pytest.mark.parametrize("frame", [DELTA, DONE], ids=["delta", "done"])
async def test_damaged_event_is_a_value_that_says_so(
    how: Corruption, kind: type[InvalidEvent | UnknownEvent], frame: Frame
) -> None:
    async with broken_line(Fault.corrupt(how, at=1)) as (_, channel, server):
        await server.send(frame)
        await server.send(frame)
        damaged, whole = await channel.receive(), await channel.receive()
    decoded = realtime_codec.decode(damaged)
    assert type(decoded) is kind
    assert whole == frame


@pytest.mark.anyio
async def test_bad_base64_leaves_the_event_readable_and_its_audio_not() -> None:
    async with broken_line(Fault.corrupt("bad_base64", on="response.output_audio.delta")) as (_, channel, server):
        await server.send(DELTA)
        decoded = realtime_codec.decode(await channel.receive())
    assert isinstance(decoded, ResponseOutputAudioDelta)
    with pytest.raises(AudioDecodeError):
        _ = decoded.audio


@pytest.mark.anyio
@pytest.mark.behaviour("fault-errors-are-those-of-a-live-line")
async def test_oversize_ends_the_line_as_a_message_over_the_limit_does() -> None:
    async with broken_line(Fault.corrupt("oversize", at=2)) as (_, channel, server):
        for _ in range(3):
            await server.send(DONE)
        assert await channel.receive() == DONE
        for _ in range(2):
            with pytest.raises(MessageTooLargeError) as over:
                await channel.receive()
            assert (over.value.limit_bytes, over.value.size_bytes) == (MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES + 1)
        with pytest.raises(Exception, match="1009"):
            await server.receive()


@pytest.mark.anyio
async def test_oversize_of_the_client_reaches_the_server_with_its_size_alone_wrong() -> None:
    async with broken_line(Fault.corrupt("oversize", on="response.create")) as (_, channel, server):
        await channel.send(event("response.create"))
        arrived = await server.receive()
    assert len(arrived.data) == MAX_MESSAGE_BYTES + 1
    assert json.loads(arrived.data) == {"type": "response.create"}


@pytest.mark.parametrize(
    ("how", "field", "changed"),
    [
        ("missing_field", "response.output.0.id", {"id": "r", "output": [{"type": "message"}]}),
        ("missing_field", "response.output.0", {"id": "r", "output": []}),
        ("wrong_type", "response.output", {"id": "r", "output": 7}),
        ("wrong_type", "response.id", {"id": [None], "output": [{"id": "i", "type": "message"}]}),
        ("bad_base64", "response.id", {"id": "*not base64*", "output": [{"id": "i", "type": "message"}]}),
    ],
)
def test_field_is_found_by_its_path(how: Corruption, field: str, changed: dict[str, Any]) -> None:
    frame = event("response.done", response={"id": "r", "output": [{"id": "i", "type": "message"}]})
    damaged = json.loads(corrupted(frame, how, field).data)
    assert damaged == {"type": "response.done", "response": changed}


@pytest.mark.parametrize(
    ("frame", "how", "field", "words"),
    [
        (Frame(b"\0", False), "bad_json", None, "binary"),
        (Frame(b"no json"), "unknown_type", None, "no JSON object"),
        (Frame(b"[1]"), "missing_field", None, "no JSON object"),
        (event("x.y"), "missing_field", None, "needs field=: x.y"),
        (Frame(b"{}"), "wrong_type", None, "needs field=: the message"),
        (event("response.done"), "bad_base64", None, "needs field="),
        (DONE, "missing_field", "response.none", "without the field 'response.none'"),
        (DONE, "wrong_type", "response.output.5.id", "without the field"),
        (DONE, "wrong_type", "response.output.x", "without the field"),
        (DONE, "wrong_type", "type.x", "without the field"),
        (DONE, "bad_base64", "response", "no text"),
    ],
)
def test_frame_that_cannot_be_damaged_so_is_a_mistake_of_the_plan(
    frame: Frame, how: Corruption, field: str | None, words: str
) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        corrupted(frame, how, field)
    assert words in str(wrong.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, st.sampled_from(["", " ", "\n\n      "]))
def test_bad_json_is_never_json_and_bad_utf8_never_utf8(value: Any, space: str) -> None:
    frame = Frame((space + json.dumps(value) + space * 9).encode())
    with pytest.raises(ValueError):
        json.loads(corrupted(frame, "bad_json", None).data)
    with pytest.raises(UnicodeDecodeError):
        corrupted(frame, "bad_utf8", None).data.decode()


@pytest.mark.parametrize("frame", [Frame(b""), Frame(b"{"), Frame(b"[]"), Frame(b'{"type":1}'), Frame(b"{}", False)])
def test_message_without_a_readable_type_has_none(frame: Frame) -> None:
    assert event_type(frame) == ""
