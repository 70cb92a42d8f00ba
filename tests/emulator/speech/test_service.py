"""The speech services as clients reach them: REST, real sockets, in process, in virtual time."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest

from tests.emulator.speech.test_stt_engine import interleaved
from tests.emulator.speech.test_uploads import wav
from xai_realtime import HandshakeError, WebSocketTransport, run_virtual
from xai_realtime.audible import duration_ms, hear, speak, words
from xai_realtime.audio import silence
from xai_realtime.codec import stt_codec, tts_codec
from xai_realtime.emulator import Emulator, Refuse, SpeechQuirks, speech_app, speech_rest
from xai_realtime.errors import ClosedByServerError, ConnectionBrokenError
from xai_realtime.events._base import InvalidEvent, UnknownEvent
from xai_realtime.frames import Frame
from xai_realtime.transport.base import Channel, ChannelRequest, HttpRequest

pytestmark = pytest.mark.anyio
FORMS = ("socket", "in process")
BOUNDARY = "0123456789abcdef"


def form(*fields: tuple[str, str], file: bytes | None = None, kind: str = "audio/wav") -> bytes:
    """A form, its file last."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields
    ]
    body = "".join(parts).encode()
    if file is not None:
        head = f'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: {kind}'
        body += f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + file + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


async def ask(
    emulator: Emulator, method: str, path: str, body: bytes | dict[str, Any] = b"", *, key: str = "k", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Ask the emulator in process."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    if data.startswith(b"--"):
        headers["content-type"] = f"multipart/form-data; boundary={BOUNDARY}"
    request = HttpRequest(method, f"http://emulator/v1{path}", {"Authorization": f"Bearer {key}", **headers}, data)
    with anyio.fail_after(10):
        async with emulator.transport().request(request) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers}, await answer.read(10**8)


async def transcribe(*fields: tuple[str, str], file: bytes | None, emulator: Emulator | None = None) -> tuple[int, Any]:
    status, _, content = await ask(emulator or Emulator(seed=1), "POST", "/stt", form(*fields, file=file))
    return status, json.loads(content)


@asynccontextmanager
async def opened(how: str, emulator: Emulator, service: str, query: str = "") -> AsyncIterator[Channel]:
    """A channel to a speech socket, over a real line or in process."""
    with anyio.fail_after(10):
        if how == "in process":
            request = ChannelRequest(f"ws://emulator/v1/{service}?{query}", service)
            async with emulator.transport().open(request) as channel:
                yield channel
        else:
            async with emulator:
                url = f"{emulator.ws_url}/{service}?{query}"
                request = ChannelRequest(url, service, {"Authorization": "Bearer k"})
                async with WebSocketTransport().open(request) as channel:
                    yield channel


async def received(channel: Channel, codec: Any, last: str) -> list[dict[str, Any]]:
    """Events up to one of the type `last`, all of which decode."""
    events: list[dict[str, Any]] = []
    while not events or events[-1]["type"] != last:
        frame = await channel.receive()
        assert not isinstance(codec.decode(frame), UnknownEvent | InvalidEvent)
        events.append(json.loads(frame.data))
    return events


def message(**fields: Any) -> Frame:
    return Frame(json.dumps(fields).encode())


@pytest.mark.behaviour("emulator-speech-sockets")
@pytest.mark.parametrize("how", FORMS)
async def test_transcription_socket_carries_a_whole_stream(how: str) -> None:
    query = "sample_rate=16000&keyterm=one&keyterm=two&interim_results=true"
    async with opened(how, Emulator(), "stt", query) as channel:
        await received(channel, stt_codec, "transcript.created")
        audio = speak("A whole stream.", sample_rate_hz=16_000) + silence(500, 16_000)
        for at in range(0, len(audio), 3200):
            await channel.send(Frame(audio[at : at + 3200], is_text=False))
        await channel.send(message(type="audio.done"))
        events = await received(channel, stt_codec, "transcript.done")
        assert [event["text"] for event in events if event.get("speech_final")] == ["A whole stream."]
        with pytest.raises(ClosedByServerError) as caught:
            await channel.receive()
        assert caught.value.code == 1000


@pytest.mark.behaviour("emulator-speech-sockets")
@pytest.mark.parametrize("how", FORMS)
async def test_speech_socket_speaks_several_utterances(how: str) -> None:
    async with opened(how, Emulator(pace="instant"), "tts", "language=en&codec=pcm&voice=Eve") as channel:
        for text in ("The first.", "The second."):
            await channel.send(message(type="text.delta", delta=text))
            await channel.send(message(type="text.done"))
            events = await received(channel, tts_codec, "audio.done")
            audio = b"".join(base64.b64decode(event["delta"]) for event in events[:-1])
            assert hear(audio) == text


@pytest.mark.behaviour("emulator-speech-sockets")
@pytest.mark.parametrize("how", FORMS)
async def test_connection_is_cut_after_audio_done_as_a_lost_line_is(how: str) -> None:
    emulator = Emulator(speech=SpeechQuirks(cut_at_end="before_done"))
    async with opened(how, emulator, "stt") as channel:
        await received(channel, stt_codec, "transcript.created")
        await channel.send(message(type="audio.done"))
        with pytest.raises(ConnectionBrokenError):
            await channel.receive()


@pytest.mark.behaviour("emulator-speech-handshake")
@pytest.mark.parametrize("how", FORMS)
@pytest.mark.parametrize(
    ("service", "query", "status", "said"),
    [
        ("stt", "endpointing=9000", 400, "endpointing"),
        ("stt", "&".join(["keyterm=x"] * 101), 400, "keyterm"),
        ("tts", "codec=pcm", 400, "language"),
        ("tts", "language=en&codec=pcm&voice=nobody", 404, "nobody"),
    ],
)
async def test_bad_query_is_refused_at_the_handshake(
    how: str, service: str, query: str, status: int, said: str
) -> None:
    with pytest.raises(HandshakeError) as caught:
        async with opened(how, Emulator(), service, query):
            pass
    assert caught.value.status == status
    assert said in (caught.value.message or "")
    assert set(json.loads(caught.value.body)) == {"code", "error"}


@pytest.mark.behaviour("emulator-speech-refusals")
@pytest.mark.parametrize("how", FORMS)
async def test_refusals_that_are_asked_for_come_as_often_as_said_then_all_is_well(how: str) -> None:
    page = Refuse(status=503, body="<html>busy</html>", content_type="text/html", retry_after_s=3, path="/stt")
    emulator = Emulator(speech=SpeechQuirks(refuse=(page, Refuse(status=429, times=2))))
    with pytest.raises(HandshakeError) as caught:
        async with opened(how, emulator, "stt"):
            pass
    assert (caught.value.status, caught.value.body) == (503, b"<html>busy</html>")
    assert caught.value.headers["retry-after"] == "3"
    assert caught.value.headers["content-type"].startswith("text/html")
    assert (await ask(emulator, "GET", "/models"))[0] == 200
    status, _, body = await ask(emulator, "GET", "/tts/voices")
    assert (status, set(json.loads(body))) == (429, {"code", "error"})
    assert (await ask(emulator, "POST", "/stt", form()))[0] == 429
    assert (await ask(emulator, "GET", "/tts/voices"))[0] == 200


@pytest.mark.behaviour("emulator-speech-refusals")
async def test_custom_voices_alone_are_refused_where_the_rule_is_for_them() -> None:
    gated = Refuse(status=403, path="/custom-voices", times=2)
    emulator = Emulator(speech=SpeechQuirks(refuse=(gated,)))
    assert (await ask(emulator, "GET", "/tts/voices"))[0] == 200
    assert (await ask(emulator, "GET", "/custom-voices/abcd1234/audio"))[0] == 403
    assert (await ask(emulator, "GET", "/custom-voices"))[0] == 403
    assert (await ask(emulator, "GET", "/custom-voices"))[0] == 200


@pytest.mark.behaviour("emulator-speech-virtual")
def test_half_an_hour_of_transcription_takes_no_time_in_virtual_time() -> None:
    async def main() -> tuple[float, str]:
        emulator = Emulator(seed=1, speech=SpeechQuirks(stt_idle_timeout_s=1800))
        request = ChannelRequest("ws://emulator/v1/stt", "stt")
        async with emulator.transport().open(request) as channel:
            events: list[dict[str, Any]] = []
            while not events or events[-1].get("type") != "error":
                events.append(json.loads((await channel.receive()).data))
        return anyio.current_time(), events[-1]["message"]

    at_s, said = run_virtual(main)
    assert at_s == pytest.approx(1800.15)
    assert said == "ASR stream timed out"


@pytest.mark.behaviour("emulator-stt-rest")
async def test_upload_is_transcribed_with_words_and_duration() -> None:
    audio = silence(500, 16_000) + speak("One file. Two words.", sample_rate_hz=16_000) + silence(900, 16_000)
    audio += speak("The end.", sample_rate_hz=16_000)
    status, told = await transcribe(("diarize", "true"), ("model", "grok-voice-transcribe-2.0"), file=wav(audio))
    assert status == 200
    assert (told["text"], told["language"]) == ("One file. Two words. The end.", "en")
    assert told["duration"] == round(len(audio) / 32_000, 2)
    assert told["words"][0] == {"text": "One", "start": 0.5, "end": 0.74, "confidence": 0.99, "speaker": 0}
    assert set(told) == {"text", "language", "duration", "words"}
    silent = await transcribe(("format", "true"), ("language", "de"), file=wav(bytes(32_000)))
    assert silent == (200, {"text": "", "language": "de", "duration": 1.0})


@pytest.mark.behaviour("emulator-stt-rest")
async def test_raw_upload_of_two_channels_is_merged_by_time_and_told_by_channel() -> None:
    left = speak("Left first.", sample_rate_hz=8000)
    right = silence(1500, 8000) + speak("Right second.", sample_rate_hz=8000)
    fields = [("audio_format", "pcm"), ("sample_rate_hertz", "8000"), ("multichannel", "true"), ("channels", "2")]
    status, told = await transcribe(*fields, file=interleaved(left, right))
    assert (status, told["text"]) == (200, "Left first. Right second.")
    assert [(channel["index"], channel["text"]) for channel in told["channels"]] == [
        (0, "Left first."),
        (1, "Right second."),
    ]
    assert [word["text"] for word in told["words"]] == ["Left", "first.", "Right", "second."]
    mixed = await transcribe(*fields[:2], ("channels", "2"), file=interleaved(left, right))
    assert mixed[1]["text"] == "Left first. Right second."
    assert told["language"] == "en"
    assert not any("language" in channel for channel in told["channels"])


@pytest.mark.behaviour("emulator-stt-language")
@pytest.mark.parametrize("language", ["pt-BR", ""])
async def test_answer_states_the_language_that_was_detected_when_asked(language: str) -> None:
    emulator = Emulator(seed=1, speech=SpeechQuirks(language=language))
    audio = interleaved(speak("Bom dia.", sample_rate_hz=8000), bytes(100))
    fields = [("audio_format", "pcm"), ("sample_rate", "8000"), ("multichannel", "true"), ("channels", "2")]
    _, told = await transcribe(*fields, ("language", "en"), file=audio, emulator=emulator)
    assert told["language"] == language
    assert [channel["language"] for channel in told["channels"]] == [language] * 2


@pytest.mark.behaviour("emulator-stt-rest")
@pytest.mark.parametrize(
    ("fields", "file", "status", "said"),
    [
        ([], None, 400, "'file' or 'url'"),
        ([("url", "https://example.com/a.wav")], None, 502, "url"),
        ([("audio_format", "pcm")], b"\0\0", 400, "sample_rate"),
        ([("audio_format", "vox")], b"\0\0", 400, "audio_format"),
        ([("sample_rate", "1")], b"\0\0", 400, "sample_rate"),
        ([("format", "true")], wav(b"\0\0"), 400, "language"),
        ([("multichannel", "true")], wav(b"\0\0"), 400, "channels"),
        ([("multichannel", "true"), ("audio_format", "pcm"), ("sample_rate", "8000")], b"\0\0", 400, "channels"),
        ([("channels", "9")], wav(b"\0\0"), 400, "channels"),
        ([("model", "x")], wav(b"\0\0"), 400, "model"),
        ([("vad_threshold", "2")], wav(b"\0\0"), 400, "vad_threshold"),
    ],
)
async def test_bad_upload_is_refused(fields: list[tuple[str, str]], file: bytes | None, status: int, said: str) -> None:
    got, told = await transcribe(*fields, file=file)
    assert got == status
    assert said in told["error"]
    assert set(told) == {"code", "error"}


@pytest.mark.behaviour("emulator-stt-rest")
async def test_upload_statuses_tell_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = Emulator(seed=1)
    assert (await ask(emulator, "POST", "/stt", {"url": "x"}))[0] == 415
    assert (await ask(emulator, "POST", "/stt", form(file=b"x")[:-30]))[0] == 400
    assert (await ask(emulator, "POST", "/stt", form(file=b"x"), key="xai-invalid"))[0] == 400
    monkeypatch.setattr(speech_rest, "MAX_UPLOAD_BYTES", 1000)
    assert (await ask(emulator, "POST", "/stt", form(file=bytes(2000))))[0] == 413
    async with emulator.transport(api_key=None).request(HttpRequest("POST", "http://emulator/v1/stt")) as answer:
        assert answer.status == 401
    assert (await ask(emulator, "GET", "/stt"))[0] == 426
    status, headers, _ = await ask(emulator, "DELETE", "/stt")
    assert (status, headers["allow"]) == (405, "GET, HEAD, POST")


@pytest.mark.behaviour("emulator-stt-rest")
async def test_fields_after_the_file_are_passed_over() -> None:
    body = form(("filler_words", "false"), file=wav(speak("Um, well.", sample_rate_hz=16_000)))
    late = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="filler_words"\r\n\r\ntrue\r\n--{BOUNDARY}--\r\n'
    body = body.removesuffix(f"--{BOUNDARY}--\r\n".encode()) + late.encode()
    _, _, content = await ask(Emulator(seed=1), "POST", "/stt", body)
    assert json.loads(content)["text"] == "well."


@pytest.mark.behaviour("emulator-tts-rest")
@pytest.mark.parametrize(
    ("codec", "kind"), [("pcm", "audio/pcm"), ("wav", "audio/wav"), ("ulaw", "audio/basic"), ("alaw", "audio/alaw")]
)
async def test_speech_is_answered_in_its_codec_with_a_trace_id(codec: str, kind: str) -> None:
    body = {"text": "Hello [pause] there.", "language": "en", "output_format": {"codec": codec, "sample_rate": None}}
    status, headers, audio = await ask(Emulator(seed=1), "POST", "/tts", body)
    assert (status, headers["content-type"], len(headers["x-trace-id"])) == (200, kind, 32)
    pcm = speak("Hello there.")
    assert len(audio) == {"pcm": len(pcm), "wav": len(pcm) + 44}.get(codec, len(pcm) // 2)
    if codec in ("pcm", "wav"):
        assert audio.endswith(pcm)


@pytest.mark.behaviour("emulator-tts-rest")
async def test_speech_is_cut_at_odd_places_and_mp3_is_the_default() -> None:
    pytest.importorskip("av", reason="PyAV is an extra")
    body = json.dumps({"text": "Cut anywhere.", "language": "auto", "output_format": {"codec": "pcm"}}).encode()
    async with Emulator().transport().request(HttpRequest("POST", "http://e/v1/tts", {}, body)) as answer:
        pieces = [piece async for piece in answer]
    assert b"".join(pieces) == speak("Cut anywhere.")
    assert len(pieces[0]) % 2 == 1
    status, headers, audio = await ask(Emulator(), "POST", "/tts", {"text": "Hi.", "language": "en"})
    assert (status, headers["content-type"]) == (200, "audio/mpeg")
    assert audio[:1] == b"\xff"


@pytest.mark.behaviour("emulator-tts-rest")
@pytest.mark.parametrize("graph_times", ["pairs", "objects"])
async def test_timestamps_come_in_an_envelope_with_the_audio(graph_times: Any) -> None:
    emulator = Emulator(speech=SpeechQuirks(graph_times=graph_times))
    form = {"codec": "pcm", "sample_rate": 16_000, "bit_rate": 128_000}
    body = {
        "text": "One Two",
        "language": "en",
        "output_format": form,
        "with_timestamps": True,
        "replace": {"two": "2"},
    }
    status, headers, content = await ask(emulator, "POST", "/tts", body)
    told = json.loads(content)
    assert (status, headers["content-type"], told["content_type"]) == (200, "application/json", "audio/pcm")
    assert hear(base64.b64decode(told["audio"]), sample_rate_hz=16_000) == "One 2"
    assert told["duration"] == duration_ms("One 2") / 1000
    assert told["audio_timestamps"]["graph_chars"] == list("One 2")
    start_s = words("One 2")[1].start_ms / 1000
    last = told["audio_timestamps"]["graph_times"][-1]
    assert (last[0] if graph_times == "pairs" else last["start"]) == pytest.approx(start_s, abs=0.002)
    silent = json.loads((await ask(emulator, "POST", "/tts", {**body, "text": "[sigh]"}))[2])
    assert (silent["audio"], silent["duration"]) == ("", 0)


@pytest.mark.behaviour("emulator-tts-rest")
@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"text": " "}, 400, "empty"),
        ({"text": "x" * 15_001}, 400, "15001"),
        ({"text": None}, 422, "text"),
        ({"text": 3}, 422, "text"),
        ({"language": None}, 422, "language"),
        ({"language": "!"}, 400, "language"),
        ({"voice_id": "nobody"}, 404, "nobody"),
        ({"output_format": {}}, 422, "codec"),
        ({"output_format": {"codec": "opus"}}, 400, "codec"),
        ({"output_format": {"codec": "pcm", "sample_rate": 12_345}}, 400, "12345"),
        ({"output_format": {"codec": "pcm", "bit_rate": 1}}, 400, "bit_rate"),
        ({"speed": 2}, 400, "speed"),
        ({"optimize_streaming_latency": 3}, 400, "optimize_streaming_latency"),
        ({"replace": {"a": 1}}, 400, "replace"),
    ],
)
async def test_bad_request_for_speech_is_refused_without_a_code(
    changes: dict[str, Any], status: int, said: str
) -> None:
    body = {"text": "x", "language": "en", "output_format": {"codec": "pcm"}, **changes}
    got, headers, content = await ask(Emulator(), "POST", "/tts", body)
    assert got == status
    assert set(json.loads(content)) == {"error"}
    assert said in json.loads(content)["error"]
    assert "x-trace-id" in headers


@pytest.mark.behaviour("emulator-tts-rest")
async def test_body_that_is_no_json_object_or_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = Emulator()
    assert (await ask(emulator, "POST", "/tts", b"{"))[0] == 400
    assert (await ask(emulator, "POST", "/tts", b"[]"))[0] == 400
    monkeypatch.setattr(speech_app, "MAX_JSON_BYTES", 10)
    assert (await ask(emulator, "POST", "/tts", b" " * 11))[0] == 413
    assert (await ask(emulator, "PATCH", "/custom-voices/x", b" " * 11))[0] == 413


@pytest.mark.behaviour("emulator-voices")
async def test_voices_are_listed_and_found_whatever_their_case() -> None:
    emulator = Emulator()
    listed = json.loads((await ask(emulator, "GET", "/tts/voices"))[2])["voices"]
    assert {"ara", "eve", "leo", "rex", "sal"} < {voice["voice_id"] for voice in listed}
    status, _, body = await ask(emulator, "GET", "/tts/voices/EVE")
    assert (status, json.loads(body)) == (200, next(voice for voice in listed if voice["voice_id"] == "eve"))
    assert (await ask(emulator, "GET", "/tts/voices/nobody"))[0] == 404


@pytest.mark.behaviour("emulator-custom-voices")
async def test_custom_voice_is_made_changed_heard_and_taken_away() -> None:
    emulator = Emulator(seed=1)
    sample = wav(speak("My own voice.", sample_rate_hz=16_000))
    made_with = form(("name", "Mine"), ("gender", "female"), ("unknown", "x"), file=sample)
    status, _, body = await ask(emulator, "POST", "/custom-voices", made_with)
    made = json.loads(body)
    assert (status, made["name"], made["gender"], made["age"]) == (201, "Mine", "female", None)
    assert made["created_at"].startswith("2026-01-01T00:00:0")
    path = f"/custom-voices/{made['voice_id']}"
    assert json.loads((await ask(emulator, "GET", path))[2]) == made
    status, headers, audio = await ask(emulator, "GET", f"{path}/audio")
    assert (status, headers["content-type"], audio) == (200, "audio/wav", sample)
    changed = json.loads((await ask(emulator, "PATCH", path, {"name": "Ours", "gender": None}))[2])
    assert (changed["name"], changed["gender"]) == ("Ours", None)
    speech = {"text": "x", "language": "en", "voice_id": made["voice_id"], "output_format": {"codec": "pcm"}}
    assert (await ask(emulator, "POST", "/tts", speech))[0] == 200
    assert json.loads((await ask(emulator, "DELETE", path))[2]) == {"deleted": True}
    for method, gone in (("GET", path), ("DELETE", path), ("PATCH", path), ("GET", f"{path}/audio")):
        assert (await ask(emulator, method, gone, b"{}"))[0] == 404


@pytest.mark.behaviour("emulator-custom-voices")
async def test_custom_voices_are_listed_by_pages_and_bounded() -> None:
    emulator = Emulator(seed=1)
    ids = []
    for number in range(30):
        status, _, body = await ask(emulator, "POST", "/custom-voices", form(("name", str(number)), file=wav(b"\0\0")))
        assert status == 201
        ids.append(json.loads(body)["voice_id"])
    assert (await ask(emulator, "POST", "/custom-voices", form(file=wav(b"\0\0"))))[0] == 400
    found: list[str] = []
    token: str | None = ""
    while token is not None:
        page = json.loads((await ask(emulator, "GET", f"/custom-voices?limit=12&pagination_token={token}"))[2])
        found += [voice["voice_id"] for voice in page["voices"]]
        token = page["pagination_token"]
    assert found == ids
    assert len(json.loads((await ask(emulator, "GET", "/custom-voices"))[2])["voices"]) == 30
    assert (await ask(emulator, "GET", "/custom-voices?limit=0"))[0] == 400
    assert (await ask(emulator, "GET", "/custom-voices?pagination_token=x"))[0] == 400


@pytest.mark.behaviour("emulator-custom-voices")
async def test_bad_custom_voice_is_refused() -> None:
    emulator = Emulator(seed=1)
    assert (await ask(emulator, "POST", "/custom-voices", form(("name", "x"))))[0] == 400
    assert (await ask(emulator, "POST", "/custom-voices", {"name": "x"}))[0] == 415
    for name, value in (("gender", "other"), ("name", ""), ("age", "7")):
        assert (await ask(emulator, "POST", "/custom-voices", form((name, value), file=wav(b"\0\0"))))[0] == 400
    long = wav(bytes(8000 * 2 * 121), rate_hz=8000)
    status, _, body = await ask(emulator, "POST", "/custom-voices", form(file=long))
    assert (status, "120 seconds" in json.loads(body)["error"]) == (400, True)
    made = json.loads((await ask(emulator, "POST", "/custom-voices", form(file=wav(b"\0\0"))))[2])
    for changes in ({"name": ""}, {"tone": "shrill"}, {"name": 3}):
        assert (await ask(emulator, "PATCH", f"/custom-voices/{made['voice_id']}", changes))[0] == 400
    assert (await ask(emulator, "PATCH", f"/custom-voices/{made['voice_id']}", b"["))[0] == 400


@pytest.mark.behaviour("emulator-speech-sockets")
async def test_real_client_uploads_and_hears_over_http() -> None:
    headers = {"Authorization": "Bearer k"}
    async with (
        Emulator() as emulator,
        httpx2.AsyncClient(base_url=emulator.url, headers=headers, trust_env=False) as client,
    ):
        with anyio.fail_after(10):
            sample = wav(speak("Over the wire.", sample_rate_hz=16_000))
            told = await client.post(
                "/stt", data={"language": "en", "format": "true"}, files={"file": ("a.wav", sample)}
            )
            assert told.json()["text"] == "Over the wire."
            body = {"text": "And back.", "language": "en", "output_format": {"codec": "pcm"}}
            spoken = await client.post("/tts", json=body)
            assert hear(spoken.content) == "And back."
            assert spoken.headers["content-type"] == "audio/pcm"
