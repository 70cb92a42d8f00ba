"""Messages to events and back: what decodes to what, what goes out, and the stated limits."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.generate.small import asyncapi, event, module
from tests.tapes import COMMITTED
from xai_realtime.cassette.tape import load_cassette
from xai_realtime.codec import (
    MAX_JSON_DEPTH,
    MAX_NUMBER_DIGITS,
    Codec,
    encode_audio_append,
    realtime_codec,
    stt_codec,
    tts_codec,
)
from xai_realtime.defaults import MAX_ERROR_PAYLOAD_BYTES, MAX_MESSAGE_BYTES
from xai_realtime.errors import AudioDecodeError, LocalProtocolError
from xai_realtime.events import realtime, stt, tts
from xai_realtime.events._base import BinaryAudio, InvalidEvent, UnknownEvent
from xai_realtime.frames import Frame

decode = realtime_codec.decode
VALUES = pytest.mark.behaviour("codec-everything-is-a-value")


def text(value: str | bytes) -> Frame:
    return Frame(value.encode() if isinstance(value, str) else value)


@VALUES
@pytest.mark.parametrize(
    ("data", "name"),
    [
        ('{"type":"unheard.of","x":1}', "unheard.of"),
        ('{"type":"ping","type":"later"}', "later"),
        ('{"type":""}', ""),
        ('{"type":5}', None),
        ('{"type":null}', None),
        ('{"type":true}', None),
        ('{"type":["ping"]}', None),
        ('{"type":{}}', None),
        ("{}", None),
        ("[]", None),
        ('[{"type":"ping"}]', None),
        ("null", None),
        ("5", None),
        ('"ping"', None),
    ],
)
def test_message_without_a_type_that_the_spec_knows_is_an_unknown_event(data: str, name: str | None) -> None:
    found = decode(text(data))
    assert found == UnknownEvent(name, data.encode())
    assert type(realtime_codec.decode_client(text(data))) is UnknownEvent


@VALUES
@pytest.mark.parametrize(
    ("data", "name", "path"),
    [
        ('{"type":"ping","timestamp":"soon"}', "ping", "timestamp"),
        ('{"type":"response.done","response":5}', "response.done", "response"),
        (
            '{"type":"response.done","response":{"id":"r","output":[{"id":5}]}}',
            "response.done",
            "response.output[0].id",
        ),
        ('{"type":"response.done"}', "response.done", "response"),
        ('{"type":"ping","x":NaN}', "ping", ""),
        ('{"type":"ping","timestamp":NaN}', "ping", "timestamp"),
        (
            '{"type":"session.created","session":{"id":"a","temperature":Infinity}}',
            "session.created",
            "session.temperature",
        ),
        ('{"type":"ping","x":-Infinity}', "ping", ""),
        ('{"type":"zzz","x":NaN}', None, ""),
        ('{"type":"ping"', None, ""),
        ("", None, ""),
        ("not json", None, ""),
        (b'{"type":"ping\xff"}', None, ""),
        (b"\xef\xbb\xbf{}", None, ""),
        ('{"type":"error","error":{"message":"\\ud800"}}', None, ""),
    ],
)
def test_message_that_cannot_be_read_is_an_invalid_event(data: str | bytes, name: str | None, path: str) -> None:
    frame = text(data)
    found = decode(frame)
    assert isinstance(found, InvalidEvent)
    assert found.path == path
    assert found.type == name or name is None
    assert found.reason
    assert (found.raw, found.size_bytes) == (frame.data, len(frame.data))


@VALUES
@settings(max_examples=120, deadline=None)
@given(data=st.binary(max_size=60) | st.text(max_size=30).map(str.encode), is_text=st.booleans())
def test_decoding_never_raises(data: bytes, is_text: bool) -> None:
    for found in (decode(Frame(data, is_text)), realtime_codec.decode_client(Frame(data, is_text))):
        assert isinstance(found, BinaryAudio if not is_text else UnknownEvent | InvalidEvent)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "type", "response", "usage", "delta", "item", "session"]), inner)
    ),
    max_leaves=8,
)


@VALUES
@settings(max_examples=120, deadline=None)
@given(
    name=st.sampled_from(sorted(realtime.SERVER_EVENTS)), fields=st.dictionaries(st.text(max_size=9), JSON), more=JSON
)
def test_decoding_never_raises_for_known_types_with_any_body(name: str, fields: dict[str, Any], more: Any) -> None:
    for field in ("response", "item", "session", "error", "delta", "part", "usage", "conversation"):
        found = decode(text(json.dumps({**fields, field: more, "type": name})))
        assert isinstance(found, InvalidEvent | realtime.SERVER_EVENTS[name])


@VALUES
@settings(max_examples=80, deadline=None)
@given(
    place=st.sampled_from(
        [
            (codec, *known)
            for codec, module in ((stt_codec, stt), (tts_codec, tts))
            for known in module.SERVER_EVENTS.items()
        ]
    ),
    field=st.sampled_from(["text", "words", "delta", "audio_timestamps", "error", "message", "replace"]),
    value=JSON,
)
def test_decoding_never_raises_for_speech_events_with_any_body(place: Any, field: str, value: Any) -> None:
    codec, name, shape = place
    found = codec.decode(text(json.dumps({"text": "", field: value, "type": name})))
    assert isinstance(found, InvalidEvent | shape)
    assert found.type in (name, None)


@VALUES
@pytest.mark.parametrize("any_codec", [realtime_codec, stt_codec, tts_codec], ids=["realtime", "stt", "tts"])
def test_binary_message_is_audio(any_codec: Codec[Any, Any]) -> None:
    found = any_codec.decode(Frame(b"\0\1", False))
    assert found == BinaryAudio(b"\0\1")
    assert found.type == "(binary)"
    assert any_codec.decode_client(Frame(b"\0\1", False)) == BinaryAudio(b"\0\1")


@VALUES
@pytest.mark.parametrize(
    ("any_codec", "data", "path"),
    [
        (stt_codec, '{"type":"transcript.partial"}', "text"),
        (stt_codec, '{"type":"transcript.partial","text":"x","words":[{"start":"soon"}]}', "words[0].start"),
        (stt_codec, '{"type":"transcript.done","duration":NaN}', "duration"),
        (stt_codec, '{"type":"error","error":{"code":NaN}}', ""),
        (tts_codec, '{"type":"audio.delta","delta":5}', "delta"),
        (tts_codec, '{"type":"audio.delta","audio_timestamps":{"graph_times":[[0,Infinity]]}}', ""),
        (tts_codec, '{"type":"session.updated","replace":[]}', "replace"),
    ],
)
def test_speech_message_that_cannot_be_read_says_where(any_codec: Codec[Any, Any], data: str, path: str) -> None:
    found = any_codec.decode(text(data))
    assert isinstance(found, InvalidEvent)
    assert found.path == path
    assert data not in repr(found)


@pytest.mark.behaviour("codec-limits-are-stated")
def test_depth_limit_is_the_stated_one() -> None:
    for opened, closed in (('{"a":', "}"), ("[", "]")):
        for levels, kind in (
            (MAX_JSON_DEPTH, UnknownEvent),
            (MAX_JSON_DEPTH + 1, InvalidEvent),
            (100_000, InvalidEvent),
        ):
            assert type(decode(text(opened * levels + "1" + closed * levels))) is kind
    inner = '{"a":' * (MAX_JSON_DEPTH - 1) + "1" + "}" * (MAX_JSON_DEPTH - 1)
    assert isinstance(decode(text(f'{{"type":"ping","x":{inner}}}')), realtime.Ping)
    assert isinstance(decode(text(f'{{"type":"ping","x":{{"a":{inner}}}}}')), InvalidEvent)


@pytest.mark.behaviour("codec-limits-are-stated")
@pytest.mark.parametrize("sign", ["", "-"])
def test_number_limit_is_the_stated_one(sign: str) -> None:
    at, over = (
        '{"type":"ping","x":' + sign + "7" * digits + "}" for digits in (MAX_NUMBER_DIGITS, MAX_NUMBER_DIGITS + 1)
    )
    if sign:
        at = at.replace("7", "", 1)
    assert isinstance(decode(text(at)), realtime.Ping)
    assert isinstance(decode(text(over)), InvalidEvent)
    assert isinstance(decode(text('{"type":"ping","timestamp":' + "7" * 5000 + "}")), InvalidEvent)


@pytest.mark.behaviour("codec-limits-are-stated")
def test_size_limit_is_the_stated_one_and_the_payload_is_kept_bounded() -> None:
    codec: Codec[Any, Any] = Codec(realtime, max_message_bytes=100_000)
    body = '{"type":"ping","x":"%s"}'
    at, over = (body % ("y" * (size - len(body) + 2)) for size in (100_000, 100_001))
    assert isinstance(codec.decode(text(at)), realtime.Ping)
    for is_text in (True, False):
        for read in (codec.decode, codec.decode_client):
            found = read(Frame(over.encode(), is_text))
            assert isinstance(found, InvalidEvent)
            assert found.reason == "a message of 100001 bytes is over the limit of 100000 bytes"
            assert (len(found.raw), found.size_bytes) == (MAX_ERROR_PAYLOAD_BYTES, 100_001)
    assert isinstance(decode(Frame(b" " * (MAX_MESSAGE_BYTES + 1))), InvalidEvent)


@pytest.mark.behaviour("codec-repr-shows-no-payload")
@pytest.mark.parametrize(
    "data",
    [
        '{"type":"unheard","said":"CANARY"}',
        '{"type":"ping","timestamp":"CANARY"}',
        '{"type":"ping","x":"CANARY"',
        '{"type":"response.output_audio.delta","item_id":"i","response_id":"r","delta":"CANARY=="}',
        '{"type":"ping","CANARY":NaN}',
        '{"type":"ping","x":"CANARY"}',
        "CANARY",
    ],
)
def test_repr_of_what_was_received_shows_neither_payload_nor_audio(data: str) -> None:
    found = decode(text(data))
    assert "CANARY" not in repr(found)
    assert "CANARY" not in getattr(found, "reason", "")
    assert "CANARY" not in repr(text(data))
    assert "CANARY" not in repr(decode(Frame(data.encode(), False)))


def test_type_of_an_unknown_event_is_kept_bounded() -> None:
    found = decode(text('{"type":"%s"}' % ("t" * 100_000)))
    assert isinstance(found, UnknownEvent)
    assert found.type == "t" * 256
    assert len(repr(found)) < 400
    assert len(found.raw) == 100_011


@VALUES
@pytest.mark.parametrize("payload", ["@@@", "A", "QQ=", "é", "A A="])
def test_bad_base64_is_an_error_of_its_reading_and_the_event_stands(payload: str) -> None:
    found = decode(
        text(json.dumps({"type": "response.output_audio.delta", "item_id": "i", "response_id": "r", "delta": payload}))
    )
    assert isinstance(found, realtime.ResponseOutputAudioDelta)
    with pytest.raises(AudioDecodeError) as caught:
        found.audio
    assert caught.value.characters == len(payload)
    assert payload not in str(caught.value)


# Sending.


@pytest.mark.behaviour("codec-sends-what-was-given")
@pytest.mark.parametrize(
    ("sent", "wire"),
    [
        (realtime.ResponseCreate(), '{"type":"response.create"}'),
        (realtime.SessionUpdate(session=realtime.SessionConfig()), '{"type":"session.update","session":{}}'),
        (
            realtime.SessionUpdate(session=realtime.SessionConfig(tools=[])),
            '{"type":"session.update","session":{"tools":[]}}',
        ),
        (
            realtime.SessionUpdate(
                session=realtime.SessionConfig(turn_detection=realtime.TurnDetectionConfig(type=None))
            ),
            '{"type":"session.update","session":{"turn_detection":{"type":null}}}',
        ),
        (
            realtime.ConversationItemCreate(
                item=realtime.MessageItem(role="user", content=[realtime.InputTextPart(text="hé\u2028")])
            ),
            '{"type":"conversation.item.create","item":{"type":"message","role":"user",'
            '"content":[{"type":"input_text","text":"hé\u2028"}]}}',
        ),
        ({"type": "own", "x": None, "y": [1.5, True]}, '{"type":"own","x":null,"y":[1.5,true]}'),
        (MappingProxyType({"type": "own"}), '{"type":"own"}'),
    ],
)
def test_encoding_sends_given_fields_only_and_none_as_null(sent: Any, wire: str) -> None:
    frame = realtime_codec.encode(sent)
    assert frame == Frame(wire.encode())
    if not isinstance(sent, Mapping):
        assert realtime_codec.decode_client(frame) == sent


@pytest.mark.parametrize(
    "sent",
    [
        {"type": "x", "y": float("nan")},
        {"type": "x", "y": float("inf")},
        {"type": "x", "y": object()},
        {"type": "x", "y": b"\xff"},
        {"type": "x", "y": "\ud800"},
        {"type": "x", "y": 10**5000},
    ],
    ids=["nan", "inf", "object", "bytes", "surrogate", "digits"],
)
def test_encoding_refuses_what_json_cannot_hold(sent: Any) -> None:
    with pytest.raises(LocalProtocolError, match="cannot"):
        realtime_codec.encode(sent)


def test_encoding_refuses_a_text_that_was_set_later_and_is_no_utf8() -> None:
    update = realtime.SessionUpdate(session=realtime.SessionConfig(instructions="x"))
    update.session.instructions = "\ud800"
    with pytest.raises(LocalProtocolError, match="no UTF-8"):
        realtime_codec.encode(update)


@pytest.mark.behaviour("codec-fast-append-equals-the-model")
@given(audio=st.binary(min_size=1, max_size=200))
def test_fast_append_equals_what_the_model_sends(audio: bytes) -> None:
    wanted = realtime_codec.encode(realtime.InputAudioBufferAppend(audio=realtime.encode_audio(audio)))
    for given_as in (audio, bytearray(audio), memoryview(audio)):
        assert encode_audio_append(given_as) == wanted


def test_client_frames_of_others_are_read_leniently() -> None:
    found = realtime_codec.decode_client(text('{"type":"response.create","new":1,"response":{"newer":{"x":2}}}'))
    assert isinstance(found, realtime.ResponseCreate)
    assert realtime_codec.encode(found).data == b'{"type":"response.create","response":{}}'
    wrong = realtime_codec.decode_client(text('{"type":"session.update","session":{"tools":5}}'))
    assert isinstance(wrong, InvalidEvent)
    assert isinstance(realtime_codec.decode_client(text('{"type":"response.create","x":NaN}')), InvalidEvent)
    assert isinstance(realtime_codec.decode_client(text('{"type":"ping"}')), UnknownEvent)


@pytest.mark.behaviour("codec-takes-a-users-module")
def test_codec_of_a_generated_module_knows_its_own_events(tmp_path: Path) -> None:
    own = module(
        asyncapi(
            server={"Sung": event("song.sung", {"verse": {"type": "integer"}}, ["verse"])},
            client={"Sing": event("song.sing", {"loud": {"type": "boolean"}})},
        ),
        tmp_path,
    )
    codec: Codec[Any, Any] = Codec(own)
    sung = codec.decode(text('{"type":"song.sung","verse":3}'))
    assert type(sung) is own.Sung and sung.verse == 3
    assert isinstance(codec.decode(text('{"type":"song.sung","verse":"x"}')), InvalidEvent)
    assert isinstance(codec.decode(text('{"type":"ping"}')), UnknownEvent)
    assert codec.encode(own.Sing(loud=True)).data == b'{"type":"song.sing","loud":true}'
    assert isinstance(decode(text('{"type":"song.sung","verse":3}')), UnknownEvent)


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_every_frame_of_a_committed_tape_is_an_event_without_undeclared_fields(path: Path) -> None:
    tape = load_cassette(path)
    for taped in tape.connections.values():
        for record in taped.frames:
            read = decode if record.direction == "in" else realtime_codec.decode_client
            found: Any = read(tape.frame(record))
            assert type(found) is (realtime.SERVER_EVENTS | realtime.CLIENT_EVENTS)[record.type]
            assert not found.model_extra


def test_integer_limit_is_no_setting_of_the_interpreter() -> None:
    kept = sys.get_int_max_str_digits()
    try:
        sys.set_int_max_str_digits(0)
        assert isinstance(decode(text('{"type":"ping","x":' + "7" * (MAX_NUMBER_DIGITS + 1) + "}")), InvalidEvent)
    finally:
        sys.set_int_max_str_digits(kept)
