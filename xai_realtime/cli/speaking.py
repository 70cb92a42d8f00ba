"""The commands `speak` and `voices`. In: arguments, text. Out: audio files, tables, JSON. Imports: typer, rooms 0-7."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final

import anyio
import typer

from xai_realtime.cli.screen import Screen
from xai_realtime.cli.text import seconds
from xai_realtime.cli.wording import counted
from xai_realtime.defaults import BASE_URL
from xai_realtime.errors import ApiError, ConfigurationError, ProtocolError, TransportError

if TYPE_CHECKING:
    from xai_realtime.tts.config import TtsSettings
    from xai_realtime.tts.synthesize import Progress, TtsResult
    from xai_realtime.tts.voices import Voice

__all__ = ["speak", "voices"]

FAILED: Final = 1
STANDARD: Final = "-"
TIMES: Final = (".json", ".srt", ".vtt")
PLAIN: Final = ("voice_id", "name", "language")
CUSTOM: Final = ("voice_id", "name", "gender", "age", "accent", "language", "use_case", "tone", "description")


class CodecName(StrEnum):
    """What the audio is written in."""

    mp3 = "mp3"
    wav = "wav"
    pcm = "pcm"
    mulaw = "mulaw"
    alaw = "alaw"


BaseUrl = Annotated[
    str,
    typer.Option(metavar="URL", help="Another address than the service's: an emulator's, http://127.0.0.1:PORT/v1."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def speak(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is said, of any length; - reads standard input.")],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="FILE", help="NAME.mp3, .wav, .pcm, .raw, .ulaw or .alaw; - is standard output."
        ),
    ],
    voice: Annotated[str | None, typer.Option(help="The id of a voice: `xai-realtime voices` lists them.")] = None,
    codec: Annotated[CodecName | None, typer.Option(help="Else the suffix of FILE says it.")] = None,
    rate: Annotated[int | None, typer.Option(metavar="HZ", help="Samples per second, 24000 by default.")] = None,
    speed: Annotated[float | None, typer.Option(help="0.7 is slow, 1.5 is fast.")] = None,
    language: Annotated[str | None, typer.Option(metavar="CODE", help="en, pt-BR, ...; else it is recognised.")] = None,
    timestamps: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write when each word is spoken: NAME.json, .srt or .vtt.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace what is there already.")] = False,
    base_url: BaseUrl = BASE_URL,
    as_json: Json = False,
) -> None:
    """Speak a text into a file. Takes its key from XAI_API_KEY.

    Exit status 1 when the service or the line fails; no file is left then.
    """
    from xai_realtime.cli.app import _mistakes

    screen = Screen()
    with _mistakes(screen), _failures(screen):
        if output == STANDARD and as_json:
            raise ConfigurationError("--json and the audio cannot both go to standard output: give -o a file")
        if timestamps is not None and timestamps.suffix.lower() not in TIMES:
            raise ConfigurationError(f"the name {timestamps.name!r} of the times must end in {', '.join(TIMES)}")
        for name in () if replace else (output, timestamps):
            if name is not None and name != STANDARD and Path(name).is_file():
                raise ConfigurationError(f"{name} is there already: give another name, or --replace")
        given: dict[str, Any] = {
            "voice": voice,
            "codec": None if codec is None else codec.value,
            "sample_rate": rate,
            "speed": speed,
            "language": language,
            "timestamps": timestamps is not None,
        }
        settings: Any = {name: value for name, value in given.items() if value is not None}
        words = sys.stdin.read() if text == STANDARD else text
        target = sys.stdout.buffer if output == STANDARD else output
        with _watched() as progress:
            result = anyio.run(_speak, base_url, words, target, progress, settings)
        if timestamps is not None:
            timestamps.write_text(_times(result, timestamps.suffix.lower()), encoding="utf-8")
        if as_json:
            screen.json({"file": output, **_figures(result), **_named("timestamps", timestamps)})
        elif output != STANDARD:
            _print_result(screen, output, result, timestamps)


async def _speak(
    base_url: str, text: str, to: str | BinaryIO, progress: Progress | None, settings: TtsSettings
) -> TtsResult:
    from xai_realtime.client import AsyncClient

    async with AsyncClient(base_url=base_url) as client:
        return await client.tts.synthesize(text, to=to, progress=progress, **settings)


def _named(name: str, path: Path | None) -> dict[str, str]:
    return {} if path is None else {name: str(path)}


def _figures(result: TtsResult) -> dict[str, Any]:
    return {
        "codec": result.codec,
        "sample_rate": result.sample_rate,
        "size_bytes": result.size_bytes,
        "duration_ms": result.duration_ms,
        "pieces": result.pieces,
        "trace_ids": list(result.trace_ids),
    }


def _times(result: TtsResult, suffix: str) -> str:
    """When the words are spoken, as the file that the suffix names."""
    if suffix == ".srt":
        return result.srt()
    if suffix == ".vtt":
        return result.webvtt()
    words = [{"text": word.text, "start_s": word.start_s, "end_s": word.end_s} for word in result.words]
    return json.dumps({"duration_ms": result.duration_ms, "words": words}, ensure_ascii=False, indent=1) + "\n"


def _print_result(screen: Screen, output: str, result: TtsResult, timestamps: Path | None) -> None:
    length = "" if result.duration_ms is None else f"{seconds(result.duration_ms)} of speech, "
    screen.facts(
        [
            ("file", output),
            ("audio", f"{length}{result.codec}, {result.sample_rate} Hz, {counted(result.size_bytes, 'byte')}"),
            *([("pieces", str(result.pieces))] if result.pieces > 1 else []),
            *([("words", f"{counted(len(result.words), 'word')} in {timestamps}")] if timestamps is not None else []),
        ]
    )


def voices(
    custom: Annotated[
        bool, typer.Option("--custom", help="The voices that your team made, instead of those of the service.")
    ] = False,
    base_url: BaseUrl = BASE_URL,
    as_json: Json = False,
) -> None:
    """List the voices. Takes its key from XAI_API_KEY. Exit status 1 when the service or the line fails."""
    from xai_realtime.cli.app import _mistakes

    screen = Screen()
    with _mistakes(screen), _failures(screen):
        found = anyio.run(_voices, base_url, custom)
        if as_json:
            screen.json({"voices": [dict(voice.raw) for voice in found]})
        elif not found:
            screen.say("There are no voices.")
        else:
            names = CUSTOM if custom else PLAIN
            heads = [name for name in names if any(getattr(voice, name) for voice in found)]
            screen.table(
                [head.replace("_", " ") for head in heads],
                ([getattr(voice, name) or "" for name in heads] for voice in found),
            )


async def _voices(base_url: str, custom: bool) -> list[Voice]:
    from xai_realtime.client import AsyncClient

    async with AsyncClient(base_url=base_url) as client:
        if custom:
            return [voice async for voice in client.tts.custom_voices.list()]
        return [*await client.tts.voices.list()]


@contextmanager
def _failures(screen: Screen) -> Iterator[None]:
    """Turns what the service and the line do wrong into a sentence and an exit status."""
    try:
        yield
    except (ApiError, ProtocolError, TransportError) as error:
        screen.complain(str(error))
        raise typer.Exit(FAILED) from None


@contextmanager
def _watched() -> Iterator[Progress | None]:
    """A sign of life on standard error while the speech comes, where a person watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("Asking ...") as status:

        def tell(received_bytes: int, done: int, all_characters: int) -> None:
            part = f", {done} of {all_characters} characters" if done and done < all_characters else ""
            status.update(f"Speaking ... {received_bytes // 1000} kB{part}")

        yield tell
