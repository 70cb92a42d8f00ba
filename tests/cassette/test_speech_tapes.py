"""Tapes of the two speech sockets: recorded, imported, played, checked, broken on purpose."""

from __future__ import annotations

import base64
import json
import wave
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.cassette.captures import as_jsonl, check, tape_of
from tests.tapes import BACKENDS, URL, Close, Entry, In, Open, Out, make_tape, message, on
from xai_realtime.cassette.checking import check_cassette
from xai_realtime.cassette.ids import IdNames
from xai_realtime.cassette.recording import record
from xai_realtime.cassette.redaction import Redactor
from xai_realtime.cassette.replay import replay
from xai_realtime.cassette.services import codec_of, pcm_rate_hz, service_of
from xai_realtime.cassette.tape import Cassette, load_cassette
from xai_realtime.codec import stt_codec, tts_codec
from xai_realtime.errors import ConfigurationError, ReplayMismatchError
from xai_realtime.events import InvalidEvent, realtime, stt, tts
from xai_realtime.frames import Frame
from xai_realtime.player import Moment, play
from xai_realtime.transport._corruption import corrupted
from xai_realtime.transport.base import ChannelRequest
from xai_realtime.transport.faults import Fault
from xai_realtime.transport.memory import memory_pair

STT = "wss://api.x.ai/v1/stt?sample_rate=16000&encoding=pcm&interim_results=true"
TTS = "wss://api.x.ai/v1/tts?language=auto&codec=pcm&sample_rate=24000"
STREAM = "3f0e7e3c-0d6e-4f51-9d0e-6a3c1b6d9f10"
TRACE = "0af7651916cd43dd8448eb211c80319c"
SPOKEN = bytes(range(256)) * 50
POLICY = Redactor(environ={}).policy


def partial(text: str, *, is_final: bool = False, speech_final: bool = False) -> dict[str, Any]:
    words = [{"text": text, "start": 0.1, "end": 0.4, "confidence": 0.9}]
    flags = {"is_final": is_final, "speech_final": speech_final, "start": 0.1, "duration": 0.3}
    return {"type": "transcript.partial", "text": text, "words": words, **flags}


def audio_delta(audio: bytes, **more: Any) -> dict[str, Any]:
    return {"type": "audio.delta", "delta": base64.b64encode(audio).decode(), **more}


HEARD: list[Entry] = [
    Open(url=STT),
    In({"type": "transcript.created", "id": STREAM}),
    *(Out(Frame(SPOKEN[at : at + 3200], False)) for at in range(0, len(SPOKEN), 3200)),
    In(partial("hel")),
    Out({"type": "finalize"}),
    In(partial("hello", is_final=True, speech_final=True)),
    Out({"type": "audio.done"}),
    In({"type": "transcript.done", "text": "", "words": [], "duration": 0.4}),
    Close("server"),
]
ASKED: list[Entry] = [
    Open(url=TTS),
    Out({"type": "session.update", "replace": {"xAI": "ex A I"}}),
    In({"type": "session.updated", "replace": {"xAI": "ex A I"}}),
    Out({"type": "text.delta", "delta": "Hello"}),
    Out({"type": "text.done"}),
    In(audio_delta(SPOKEN[:4800])),
    In({"type": "audio.delta", "delta": "", "audio_timestamps": {"graph_chars": ["H"], "graph_times": [[0.0, 0.1]]}}),
    In(audio_delta(SPOKEN[4800:9600])),
    In({"type": "audio.done", "trace_id": TRACE}),
    Out({"type": "text.clear"}),
    In({"type": "audio.clear"}),
    Close(),
]
TAPES = {"stt": HEARD, "tts": ASKED}
EACH = pytest.mark.parametrize("service", TAPES)


def tape(folder: Path, service: str, stated: str | None = None) -> Cassette:
    return make_tape(folder / f"{service}.jsonl", *TAPES[service], service=stated or service, redaction=POLICY)


# Which service.


@pytest.mark.behaviour("tape-service-by-address")
@pytest.mark.parametrize(
    ("stated", "url", "service"),
    [
        ("realtime", URL, "realtime"),
        ("realtime", STT, "stt"),
        ("realtime", "wss://api.x.ai/v1/tts/", "tts"),
        ("mixed", "wss://api.x.ai/v1/tts?x=stt", "tts"),
        ("stt", "wss://gateway.example/voice", "stt"),
        ("stt", None, "stt"),
        ("stt", "wss://[malformed/tts", "stt"),
        ("mixed", None, None),
        ("chat", "wss://gateway.example/voice", None),
    ],
)
def test_service_is_told_by_the_address_then_by_the_header(stated: str, url: str | None, service: str | None) -> None:
    assert service_of(stated, url) == service
    codec = {"stt": stt_codec, "tts": tts_codec}
    if service in codec or service is None:
        assert codec_of(stated, url) is codec.get(service or "")


@pytest.mark.behaviour("tape-speech-media")
@pytest.mark.parametrize(
    ("service", "query", "direction", "rate_hz"),
    [
        ("stt", "", "out", 16_000),
        ("stt", "sample_rate=8000&encoding=PCM", "out", 8_000),
        ("stt", "encoding=mulaw&sample_rate=8000", "out", None),
        ("stt", "encoding=opus", "out", None),
        ("stt", "multichannel=true&channels=2", "out", None),
        ("stt", "sample_rate=fast", "out", None),
        ("stt", "sample_rate=5", "out", None),
        ("stt", "sample_rate=99999999999999999999", "out", None),
        ("stt", "", "in", None),
        ("tts", "", "in", None),
        ("tts", "codec=pcm", "in", 24_000),
        ("tts", "codec=pcm&sample_rate=44100", "in", 44_100),
        ("tts", "codec=pcm", "out", None),
        ("realtime", "codec=mp3", "in", 24_000),
        (None, "", "out", 24_000),
    ],
)
def test_rate_of_pcm_is_read_from_the_query(
    service: str | None, query: str, direction: Any, rate_hz: int | None
) -> None:
    assert pcm_rate_hz(service, f"wss://api.x.ai/v1/x?{query}", direction) == rate_hz


# Media, ids, checks.


@pytest.mark.behaviour("tape-speech-media")
@pytest.mark.parametrize("stated", ["stt", "realtime", "mixed"])
def test_microphone_audio_of_a_speech_tape_is_a_wav_file_at_the_rate_of_the_query(tmp_path: Path, stated: str) -> None:
    tape(tmp_path, "stt", stated)
    assert [path.name for path in (tmp_path / "stt.media").iterdir()] == ["conn1.out.16000hz.wav"]
    with wave.open(str(tmp_path / "stt.media" / "conn1.out.16000hz.wav")) as file:
        assert (file.getframerate(), file.readframes(10_000)) == (16_000, SPOKEN)


@pytest.mark.behaviour("tape-speech-media")
@pytest.mark.parametrize(
    ("codec", "name"), [("pcm", "conn1.in.24000hz.wav"), ("mp3", "conn1.in.raw"), ("mulaw", "conn1.in.raw")]
)
def test_base64_audio_of_a_speech_tape_stands_beside_it(tmp_path: Path, codec: str, name: str) -> None:
    entries = [Open(url=f"wss://api.x.ai/v1/tts?language=en&codec={codec}"), *ASKED[1:]]
    loaded = make_tape(tmp_path / "t.jsonl", *entries, service="tts")
    assert [path.name for path in (tmp_path / "t.media").iterdir()] == [name]
    lines = (tmp_path / "t.jsonl").read_text()
    assert base64.b64encode(SPOKEN[:4800]).decode() not in lines
    back = [loaded.value(frame) for frame in loaded.connections[1].frames if frame.type == "audio.delta"]
    assert back == [entry.value for entry in ASKED if isinstance(entry, In) and entry.value["type"] == "audio.delta"]


@EACH
def test_ids_of_a_speech_tape_are_names_and_its_words_are_not(tmp_path: Path, service: str) -> None:
    names = IdNames()
    for entry in TAPES[service]:
        if isinstance(entry, In) and isinstance(entry.value, dict):
            named = names.canonical(entry.value)
            assert isinstance(named, dict)
            assert {key for key in named if named[key] != entry.value[key]} <= {"id", "trace_id"}
    assert dict(names.names) == {STREAM if service == "stt" else TRACE: "id_1"}


@pytest.mark.behaviour("tape-service-by-address")
@EACH
@pytest.mark.parametrize("stated", [None, "realtime", "mixed"])
def test_check_finds_nothing_on_a_speech_tape(tmp_path: Path, service: str, stated: str | None) -> None:
    report = check_cassette(tape(tmp_path, service, stated).path)
    assert report.findings == []
    assert report.notes == ["ids are kept as the service minted them"]


# Recording and playing.


@pytest.mark.anyio
@pytest.mark.behaviour("tape-speech-media")
@pytest.mark.parametrize("stated", ["stt", "realtime"])
async def test_recording_a_speech_socket_keeps_audio_ids_and_spec(tmp_path: Path, stated: str) -> None:
    inner, server = memory_pair()
    with anyio.fail_after(5):
        async with (
            record(tmp_path / "t.jsonl", inner, service=stated) as transport,
            transport.open(ChannelRequest(STT, "stt")) as channel,
        ):
            _, peer = await server.accept()
            await peer.send(message({"type": "transcript.created", "id": STREAM}))
            await channel.receive()
            await channel.send(Frame(SPOKEN[:3200], False))
    loaded = load_cassette(tmp_path / "t.jsonl")
    wanted = {"stt": stt.SPEC_SHA256, "realtime": realtime.SPEC_SHA256}
    assert (loaded.header.service, loaded.header.spec_sha256) == (stated, wanted[stated])
    received, sent = loaded.connections[1].frames
    assert received.value == {"type": "transcript.created", "id": "id_1"}
    assert sent.media is not None and sent.media.file == "conn1.out.16000hz.wav"
    assert check_cassette(loaded.path).ok


@BACKENDS
@EACH
@pytest.mark.behaviour("tape-speech-plays")
@pytest.mark.parametrize("clock", ["instant", "virtual"])
def test_speech_tape_plays_through_the_typed_client(tmp_path: Path, service: str, backend: str, clock: Any) -> None:
    loaded = tape(tmp_path, service)
    moments: list[Moment] = []
    playback = on(backend, lambda: play(loaded, clock=clock, observer=moments.append))
    check(playback)
    frames = loaded.connections[1].frames
    assert playback.untyped_sends == 0
    assert len(moments) == len(frames)
    module = {"stt": stt, "tts": tts}[service]
    wanted = [module.SERVER_EVENTS[frame.type] for frame in frames if frame.direction == "in"]
    assert [type(moment.event) for moment in moments if moment.direction == "in"] == wanted
    assert [conversation.items for conversation in playback.conversations] == [()]


@BACKENDS
@EACH
@pytest.mark.behaviour("tape-speech-plays")
def test_recording_a_replay_of_a_speech_tape_gives_its_bytes_again(tmp_path: Path, service: str, backend: str) -> None:
    loaded = tape(tmp_path, service)

    async def again() -> None:
        target = tmp_path / "again.jsonl"
        await play(loaded, clock="virtual", around=lambda taped: record(target, taped, keep_ids=True))

    on(backend, again)
    assert (tmp_path / "again.jsonl").read_bytes() == loaded.path.read_bytes()


@pytest.mark.anyio
@pytest.mark.behaviour("tape-speech-plays")
async def test_playing_counts_what_its_own_socket_does_not_know(tmp_path: Path) -> None:
    loaded = make_tape(
        tmp_path / "t.jsonl",
        Open(1, url=STT),
        Open(2, url=TTS),
        In({"type": "transcript.done"}, conn=1),
        In({"type": "audio.delta", "delta": ""}, conn=1),
        In({"type": "transcript.done"}, conn=2),
        In({"type": "audio.delta", "delta": 5}, conn=2),
        Out({"type": "audio.done"}, conn=1),
        Out({"type": "audio.done"}, conn=2),
    )
    with anyio.fail_after(5):
        playback = await play(loaded)
    assert (playback.unknown_events, playback.invalid_events, playback.untyped_sends) == (2, 1, 1)


@pytest.mark.anyio
@pytest.mark.behaviour("tape-speech-plays")
@pytest.mark.parametrize("sizes", [(1, 12_799), (6400, 6400), (12_800,), (320,) * 40])
async def test_microphone_audio_agrees_as_one_stream_however_it_is_cut(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    with anyio.fail_after(5):
        async with replay(tape(tmp_path, "stt")) as transport, transport.open(ChannelRequest(STT, "stt")) as channel:
            assert stt_codec.decode(await channel.receive()).type == "transcript.created"
            at = 0
            for size in sizes:
                await channel.send(Frame(SPOKEN[at : at + size], False))
                at += size
            assert stt_codec.decode(await channel.receive()).type == "transcript.partial"
            await channel.send(message({"type": "finalize"}))
            assert stt_codec.decode(await channel.receive()).type == "transcript.partial"
            await channel.send(message({"type": "audio.done"}))
            assert stt_codec.decode(await channel.receive()).type == "transcript.done"


@pytest.mark.anyio
@pytest.mark.behaviour("tape-speech-plays")
@pytest.mark.parametrize(
    "sent", [Frame(SPOKEN[1:3201], False), message({"type": "audio.done"}), Frame(SPOKEN[:3200], True)]
)
async def test_other_audio_than_on_the_tape_is_a_mismatch(tmp_path: Path, sent: Frame) -> None:
    with anyio.fail_after(5), pytest.raises(ReplayMismatchError):
        async with replay(tape(tmp_path, "stt")) as transport, transport.open(ChannelRequest(STT, "stt")) as channel:
            await channel.receive()
            await channel.send(sent)


# Importing.


def lines(entries: list[Entry], *, directed: bool) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for entry in entries:
        if isinstance(entry, In) and isinstance(entry.value, Frame):
            data = base64.b64encode(entry.value.data).decode()
            found.append({"dir": entry.direction, "kind": "binary", "data": data, "encoding": "base64"})
        elif isinstance(entry, In):
            found.append({"dir": entry.direction, "data": entry.value} if directed else entry.value)
    return found


@EACH
@pytest.mark.behaviour("tape-speech-import")
@pytest.mark.parametrize("directed", [True, False])
@pytest.mark.parametrize("has_url", [True, False])
def test_capture_of_a_speech_socket_becomes_a_tape_of_it(
    tmp_path: Path, service: str, directed: bool, has_url: bool
) -> None:
    url = {"stt": STT, "tts": TTS}[service] if has_url else None
    loaded = tape_of(as_jsonl(tmp_path, *lines(TAPES[service], directed=directed)), url=url)
    module = {"stt": stt, "tts": tts}[service]
    assert (loaded.header.service, loaded.header.spec_sha256) == (service, module.SPEC_SHA256)
    wanted = [entry.direction for entry in TAPES[service] if isinstance(entry, In)]
    assert [frame.direction for frame in loaded.connections[1].frames] == wanted
    assert list(loaded.connections) == [1]
    assert check_cassette(loaded.path).ok
    names = [path.name for path in (tmp_path / "tape.media").iterdir()]
    is_wav = has_url or service == "stt"
    assert names == [
        {"stt": "conn1.out.16000hz.wav", "tts": "conn1.in.24000hz.wav" if is_wav else "conn1.in.raw"}[service]
    ]


@pytest.mark.behaviour("tape-speech-import")
def test_second_transcript_created_begins_a_connection(tmp_path: Path) -> None:
    loaded = tape_of(as_jsonl(tmp_path, *2 * lines(HEARD[1:2], directed=False)))
    assert list(loaded.connections) == [1, 2]


@pytest.mark.behaviour("tape-speech-import")
def test_service_of_a_capture_is_told_by_a_handshake_before_the_events(tmp_path: Path) -> None:
    opening = {"kind": "open", "url": TTS}
    loaded = tape_of(as_jsonl(tmp_path, opening, {"type": "audio.done"}, {"type": "transcript.done"}, {"type": "x"}))
    assert loaded.header.service == "tts"
    assert [frame.direction for frame in loaded.connections[1].frames] == ["in", "in", "in"]
    alone = tape_of(as_jsonl(tmp_path, {"type": "error", "message": "m"}, {"type": "x"}))
    assert alone.header.service == "realtime"


# Faults.


@pytest.mark.behaviour("fault-speech-events")
@pytest.mark.parametrize(
    ("on_type", "direction"),
    [("transcript.partial", "in"), ("audio.clear", "in"), ("finalize", "out"), ("text.delta", "out")],
)
def test_fault_takes_the_direction_of_a_speech_event(on_type: str, direction: Any) -> None:
    assert Fault.drop(on=on_type).direction == direction
    with pytest.raises(ConfigurationError, match=on_type):
        Fault.drop(on=on_type, direction="in" if direction == "out" else "out")


@pytest.mark.behaviour("fault-speech-events")
def test_fault_on_an_event_of_both_sides_takes_the_direction_that_is_given() -> None:
    assert Fault.drop(on="audio.done").direction == "in"
    assert Fault.drop(on="audio.done", direction="out").direction == "out"


@pytest.mark.behaviour("fault-speech-events")
def test_fault_damages_the_fields_of_speech_events() -> None:
    delta, text = message(audio_delta(b"\1\2")), message(partial("x"))
    assert json.loads(corrupted(delta, "bad_base64", None).data)["delta"] == "*not base64*"
    assert "text" not in json.loads(corrupted(text, "missing_field", None).data)
    assert isinstance(stt_codec.decode(corrupted(text, "wrong_type", None)), InvalidEvent)
    update = message({"type": "session.update", "replace": {}})
    assert json.loads(corrupted(update, "missing_field", None).data) == {"type": "session.update"}
    with pytest.raises(ConfigurationError, match=r"audio\.done has no such field"):
        corrupted(message({"type": "audio.done"}), "missing_field", None)
