"""The speech that is on the project's own tapes: what is said and written, and when; speech to text, text to speech.

As the calls of `own_calls.py`, but on bare channels and requests: what passes the wire is written here word by word.
"""

from __future__ import annotations

import io
import json
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlencode

import anyio

from tools.own_calls import DRIFT, REACTION_S, Mark
from xai_realtime.audible import speak
from xai_realtime.audio import Encoding, bytes_for_ms, from_pcm16
from xai_realtime.cassette.services import CODECS
from xai_realtime.emulator import SpeechQuirks
from xai_realtime.errors import ConnectionClosedError
from xai_realtime.frames import Frame
from xai_realtime.transport.base import Channel, ChannelRequest, HttpRequest, Transport

__all__ = ["SPEECH", "Desk", "OwnSpeech"]

API_KEY: Final = "xai-emulator"
CHUNK_MS: Final = 100
MAX_ANSWER_BYTES: Final = 1_000_000
BOUNDARY: Final = "own-tape"
RATE_HZ: Final = 8000
"""The lowest rate of the service keeps tapes small, and audible text is heard at it as well."""

Talk: TypeAlias = Callable[["Desk", Mark], Awaitable[None]]


@dataclass(frozen=True)
class OwnSpeech:
    """One tape: what it shows, the service, what the client does, and what the service does otherwise than usual."""

    shows: str
    service: Literal["stt", "tts"]
    talk: Talk
    quirks: SpeechQuirks = field(default_factory=SpeechQuirks)


class Desk:
    """Where a client asks: a transport, and the address of the API."""

    def __init__(self, transport: Transport, base_url: str) -> None:
        self._transport = transport
        self._base_url = base_url
        self._headers = {"Authorization": f"Bearer {API_KEY}"}

    @asynccontextmanager
    async def line(self, service: Literal["stt", "tts"], **query: str) -> AsyncIterator[Line]:
        """Open a socket; close it at the end."""
        url = f"{self._base_url.replace('http', 'ws', 1)}/{service}?{urlencode(query)}"
        async with self._transport.open(ChannelRequest(url, service, self._headers)) as channel:
            line = Line(channel, service)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(line.listen)
                yield line
                await channel.aclose()

    async def ask(self, method: str, path: str, body: Any = b"", kind: str = "application/json") -> tuple[int, bytes]:
        """Send a request; the status and the body of its answer."""
        headers = self._headers | ({"Content-Type": kind} if body else {})
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = HttpRequest(method, f"{self._base_url}{path}", headers, data)
        async with self._transport.request(request) as answer:
            return answer.status, await answer.read(MAX_ANSWER_BYTES)

    async def upload(self, file: bytes, name: str, kind: str, **fields: str) -> tuple[int, bytes]:
        """Send a form with a file, which comes last."""
        heads = [f'name="{name}"\r\n\r\n{value}' for name, value in fields.items()]
        heads.append(f'name="file"; filename="{name}"\r\nContent-Type: {kind}\r\n\r\n')
        parts = f"\r\n--{BOUNDARY}\r\n".join(f"Content-Disposition: form-data; {head}" for head in heads)
        body = f"--{BOUNDARY}\r\n{parts}".encode() + file + f"\r\n--{BOUNDARY}--\r\n".encode()
        return await self.ask("POST", "/stt", body, f"multipart/form-data; boundary={BOUNDARY}")


class Line:
    """The client's end of one socket: it listens all the time."""

    def __init__(self, channel: Channel, service: Literal["stt", "tts"]) -> None:
        self._channel = channel
        self._codec = CODECS[service]
        self._heard: list[Any] = []
        self._seen = 0
        self._is_over = False
        self._news = anyio.Event()

    async def listen(self) -> None:
        """Take in what comes until the line is over."""
        try:
            while True:
                self._heard.append(self._codec.decode(await self._channel.receive()))
                self._tell()
        except ConnectionClosedError:
            self._is_over = True
            self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def hear(self, name: str, count: int = 1) -> Any:
        """Wait for an event behind those that were waited for (the `count`-th of its type), and then a moment."""
        while True:
            for event in self._heard[self._seen :]:
                self._seen += 1
                count -= event.type == name
                if not count:
                    await anyio.sleep(REACTION_S)
                    return event
            if self._is_over:
                raise RuntimeError(f"the line was over before {name} came")
            await self._news.wait()

    async def hear_end(self) -> None:
        """Wait until the other side ends the line."""
        while not self._is_over:
            await self._news.wait()

    async def send(self, name: str, **fields: Any) -> None:
        """Send a message."""
        await self._channel.send(Frame(json.dumps({"type": name, **fields}, separators=(",", ":")).encode()))

    async def write(self, *deltas: str) -> None:
        """Send text and that it is complete."""
        for delta in deltas:
            await self.send("text.delta", delta=delta)
        await self.send("text.done")

    async def say(self, sound: bytes, bytes_per_ms: int = 2 * RATE_HZ // 1000) -> None:
        """Send audio as a microphone does, at the pace of speech."""
        size = CHUNK_MS * bytes_per_ms
        for at in range(0, len(sound), size):
            await self._channel.send(Frame(sound[at : at + size], is_text=False))
            await anyio.sleep(CHUNK_MS / 1000 * DRIFT)


def said(*texts: str, pause_ms: int = 600, encoding: Encoding = "pcm") -> bytes:
    """Texts as speech, with silence behind each."""
    pcm = b"".join(speak(text, sample_rate_hz=RATE_HZ) + bytes(bytes_for_ms(pause_ms, RATE_HZ)) for text in texts)
    return from_pcm16(pcm, encoding)


def together(*channels: bytes) -> bytes:
    """PCM of several channels interleaved, the shorter ones with silence at their end."""
    length = max(map(len, channels))
    padded = [channel.ljust(length, b"\0") for channel in channels]
    return b"".join(channel[at : at + 2] for at in range(0, length, 2) for channel in padded)


def wav(pcm: bytes) -> bytes:
    """PCM as a file."""
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(pcm)
    return target.getvalue()


HEARING: Final[Mapping[str, str]] = {"sample_rate": str(RATE_HZ), "encoding": "pcm", "endpointing": "400"}
SPEAKING: Final[Mapping[str, str]] = {"language": "en", "voice": "eve", "codec": "pcm", "sample_rate": str(RATE_HZ)}


async def utterance_twice(desk: Desk, mark: Mark) -> None:
    """An utterance in two fragments, and a short one twice."""
    async with desk.line("stt", **HEARING, interim_results="true") as line:
        await line.hear("transcript.created")
        await line.say(said("No,", pause_ms=300) + said("I'm not.") + said("Yes.", "Yes.", pause_ms=500))
        await line.send("audio.done")
        await line.hear("transcript.done")
        await line.hear_end()


async def empty_done(desk: Desk, mark: Mark) -> None:
    """Speech up to the last moment of the stream."""
    async with desk.line("stt", sample_rate=str(RATE_HZ), encoding="mulaw", endpointing="400") as line:
        await line.hear("transcript.created")
        await line.say(said("That is all I wanted to say.", pause_ms=0, encoding="pcmu"), RATE_HZ // 1000)
        await line.send("audio.done")
        await line.hear_end()


async def multichannel(desk: Desk, mark: Mark) -> None:
    """Two people, a channel each, one after the other and at once."""
    async with desk.line("stt", **HEARING, multichannel="true", channels="2", diarize="true") as line:
        await line.hear("transcript.created")
        asking = said("Who is there?", pause_ms=2000) + said("Come in.")
        answering = bytes(len(said("Who is there?", pause_ms=300))) + said("It is me, Ada.")
        await line.say(together(asking, answering), 4 * RATE_HZ // 1000)
        await line.send("audio.done")
        await line.hear_end()


async def finalize(desk: Desk, mark: Mark) -> None:
    """An utterance that the client ends, and one more on the same socket."""
    async with desk.line("stt", **HEARING, interim_results="true") as line:
        await line.hear("transcript.created")
        await line.say(said("Push to talk", pause_ms=0))
        mark("released")
        await line.send("finalize")
        await line.send("finalize")
        await line.say(said("and once more", pause_ms=0))
        await line.send("finalize")
        await line.send("audio.done")
        await line.hear_end()


async def timed_out(desk: Desk, mark: Mark) -> None:
    """A client that falls silent without a word."""
    async with desk.line("stt", **HEARING) as line:
        await line.hear("transcript.created")
        await line.say(said("I will be back."))
        await line.hear("error")
        await line.hear_end()


async def smart_turn(desk: Desk, mark: Mark) -> None:
    """A speaker who thinks before he goes on."""
    async with desk.line("stt", **HEARING, smart_turn="0.7", smart_turn_timeout="2000") as line:
        await line.hear("transcript.created")
        await line.say(said("I would like a cup of tea and", pause_ms=800) + said("two biscuits."))
        await line.say(said("No, wait", pause_ms=2300))
        await line.send("audio.done")
        await line.hear_end()


async def transcribe(desk: Desk, mark: Mark) -> None:
    """A file, and what is said in it."""
    await desk.upload(wav(said("The train leaves at noon.")), "note.wav", "audio/wav", language="en", format="true")


async def transcribe_words(desk: Desk, mark: Mark) -> None:
    """Raw audio of two channels, each with its words; then what is refused."""
    asking, answering = said("Where to?", pause_ms=1500), bytes(len(said("Where to?"))) + said("To Faro.", pause_ms=400)
    raw = {"audio_format": "pcm", "sample_rate": str(RATE_HZ)}
    sound = together(asking, answering)
    await desk.upload(sound, "both.raw", "application/octet-stream", **raw, multichannel="true", channels="2")
    await desk.upload(wav(said("Who?", "Me.")), "talk.wav", "audio/wav", diarize="true")
    await desk.upload(sound, "both.raw", "application/octet-stream", audio_format="pcm")


async def two_utterances(desk: Desk, mark: Mark) -> None:
    """Two texts over one socket, the first one as a model writes it."""
    async with desk.line("tts", **SPEAKING) as line:
        await line.write("Good ", "morn", "ing. [pause] ", "How are you?")
        await line.hear("audio.done")
        await line.write("I am well.")
        await line.hear("audio.done")


async def interrupted(desk: Desk, mark: Mark) -> None:
    """A text that is given up, and the next one."""
    async with desk.line("tts", **SPEAKING) as line:
        await line.write("There once was a cat who sailed to sea in a boat of tin.")
        await line.hear("audio.delta", 5)
        mark("barge-in")
        await line.send("text.clear")
        await line.hear("audio.clear")
        await line.write("Yes?")
        await line.hear("audio.done")
        await line.send("text.clear")
        await line.hear("audio.clear")


async def timestamps(desk: Desk, mark: Mark) -> None:
    """Text whose characters have their times, one word of it said otherwise than written."""
    async with desk.line("tts", **SPEAKING, with_timestamps="true") as line:
        await line.send("session.update", replace={"Faro": "Fahroh"})
        await line.hear("session.updated")
        await line.write("The train to Faro. ", "It is late.")
        await line.hear("audio.done")


async def odd_cuts(desk: Desk, mark: Mark) -> None:
    """Audio whose pieces end within samples."""
    async with desk.line("tts", **SPEAKING) as line:
        await line.write("Cut me anywhere.")
        await line.hear("audio.done")


async def too_old(desk: Desk, mark: Mark) -> None:
    """A socket that has come of age."""
    async with desk.line("tts", **SPEAKING) as line:
        await line.write("First.")
        await line.hear("audio.done")
        await line.hear("error")
        await line.hear_end()


async def voices(desk: Desk, mark: Mark) -> None:
    """What voices there are."""
    await desk.ask("GET", "/tts/voices")
    await desk.ask("GET", "/tts/voices/Eve")
    await desk.ask("GET", "/tts/voices/nobody")


def wanted(text: str, **more: Any) -> dict[str, Any]:
    """The body of a request for speech."""
    form = {"codec": "pcm", "sample_rate": RATE_HZ}
    return {"text": text, "language": "en", "voice_id": "eve", "output_format": form, **more}


async def synthesize_timestamps(desk: Desk, mark: Mark) -> None:
    """Audio and times in one object of JSON."""
    await desk.ask("POST", "/tts", wanted("Mind the gap.", with_timestamps=True))


async def synthesize_chunks(desk: Desk, mark: Mark) -> None:
    """Audio that comes in pieces of an odd length; then what is refused."""
    await desk.ask("POST", "/tts", wanted("Doors open on the left."))
    await desk.ask("POST", "/tts", wanted("Hello.", voice_id="nobody"))
    await desk.ask("POST", "/tts", {"text": "Hello."})


SPEECH: Final[Mapping[str, OwnSpeech]] = {
    "emulator_utterance_twice": OwnSpeech(
        "Utterances as fragments and then whole, and one said twice; interim results, PCM at 8 kHz.",
        "stt",
        utterance_twice,
    ),
    "emulator_empty_done": OwnSpeech(
        "Speech that audio.done ends: the last final comes, then a transcript.done without text; mu-law.",
        "stt",
        empty_done,
    ),
    "emulator_multichannel": OwnSpeech(
        "Two channels, a speaker in each, and a transcript.done for each.", "stt", multichannel
    ),
    "emulator_finalize": OwnSpeech(
        "Utterances that finalize ends on a socket that stays; in silence it brings nothing.", "stt", finalize
    ),
    "emulator_timed_out": OwnSpeech(
        "A stream that ends in an error, since no audio came any more.",
        "stt",
        timed_out,
        SpeechQuirks(stt_idle_timeout_s=2),
    ),
    "emulator_smart_turn": OwnSpeech(
        "A pause in mid sentence that is no end of the turn, and one that lasts too long.", "stt", smart_turn
    ),
    "emulator_transcribe": OwnSpeech("A WAV file over HTTP.", "stt", transcribe),
    "emulator_transcribe_words": OwnSpeech(
        "Channels and speakers over HTTP, each with its words, and raw audio refused without its rate.",
        "stt",
        transcribe_words,
        SpeechQuirks(speakers=(0, 1)),
    ),
    "emulator_two_utterances": OwnSpeech(
        "Two utterances over one socket; words are cut anywhere, a speech tag is not; PCM at 8 kHz.",
        "tts",
        two_utterances,
    ),
    "emulator_text_clear": OwnSpeech(
        "An utterance that is broken off, audio in flight, the receipt, the next one; and a receipt when idle.",
        "tts",
        interrupted,
    ),
    "emulator_timestamps": OwnSpeech("Characters and their times, after a word was replaced.", "tts", timestamps),
    "emulator_odd_cuts": OwnSpeech("Audio cut through samples.", "tts", odd_cuts, SpeechQuirks(odd_cuts=True)),
    "emulator_too_old": OwnSpeech(
        "A socket that was kept too long ends in an error.", "tts", too_old, SpeechQuirks(tts_max_age_s=3)
    ),
    "emulator_voices": OwnSpeech("The voices, one of them, and one that does not exist.", "tts", voices),
    "emulator_synthesize_timestamps": OwnSpeech(
        "Audio over HTTP in an object with the times of its characters.", "tts", synthesize_timestamps
    ),
    "emulator_synthesize_chunks": OwnSpeech(
        "Audio over HTTP in pieces of an odd length; an unknown voice, a missing language.", "tts", synthesize_chunks
    ),
}
