"""The command `transcribe`. In: arguments, files. Out: transcripts, subtitles, JSON. Imports: typer, rooms 0-7."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import unquote, urlsplit

import anyio
import typer

from xai_realtime.address import KEY_VARIABLE, Address
from xai_realtime.cli.screen import Screen
from xai_realtime.cli.text import clean, plain
from xai_realtime.defaults import BASE_URL
from xai_realtime.errors import ConfigurationError, XaiRealtimeError

if TYPE_CHECKING:
    from xai_realtime.client import AsyncClient
    from xai_realtime.stt.result import SttResult
    from xai_realtime.stt.upload import Progress

__all__ = ["transcribe"]

FAILED: Final = 1
SUFFIXES: Final = {"text": ".txt", "srt": ".srt", "vtt": ".vtt", "json": ".json"}
NAME_COLUMNS: Final = 30

Written = Callable[["SttResult"], str]


@dataclass(frozen=True, slots=True)
class Task:
    """What becomes of the files: `form` is how they are written, to `output` or into `folder`, else printed."""

    form: str
    output: Path | None
    folder: Path | None
    replaces: bool
    settings: dict[str, Any]
    retries: int

    def target(self, source: str) -> Path | None:
        """Where the transcript of a source goes; None is standard output."""
        if self.folder is None:
            return self.output
        name = unquote(urlsplit(source).path) if _is_address(source) else source
        return self.folder / f"{Path(name).stem or 'transcript'}{SUFFIXES[self.form]}"

    def check(self, sources: list[str]) -> None:
        """Raises ConfigurationError for what cannot be done, before anything is sent."""
        if self.output is not None and (self.folder is not None or len(sources) > 1):
            raise ConfigurationError("--output takes the transcript of one file: give --output-dir for several")
        if self.form in ("srt", "vtt") and len(sources) > 1 and self.folder is None:
            raise ConfigurationError("subtitles of several files need --output-dir")
        targets = [target for source in sources if (target := self.target(source)) is not None]
        for target in targets:
            if targets.count(target) > 1:
                raise ConfigurationError(f"{target} would be written twice: transcribe these files one at a time")
            if target.exists() and not self.replaces:
                raise ConfigurationError(f"{target} is there already: give another name, or --replace")


def transcribe(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Audio files, or http(s) addresses of some.")],
    srt: Annotated[bool, typer.Option("--srt", help="SubRip subtitles.")] = False,
    vtt: Annotated[bool, typer.Option("--vtt", help="WebVTT subtitles.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object for each file, with words and times.")
    ] = False,
    text: Annotated[bool, typer.Option("--text", help="Plain text: the default.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write it.")] = None,
    output_dir: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write NAME.srt, .vtt, .json or .txt for each file there.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace what is there already.")] = False,
    language: Annotated[str | None, typer.Option(metavar="CODE", help="en, de, ...; else it is recognised.")] = None,
    numbers: Annotated[
        bool, typer.Option("--numbers", help="Write numbers and currencies as usual in --language.")
    ] = False,
    diarize: Annotated[bool, typer.Option("--diarize", help="Tell speakers apart.")] = False,
    channels: Annotated[int | None, typer.Option(help="Transcribe so many channels, each by itself (2 to 8).")] = None,
    keyterm: Annotated[list[str] | None, typer.Option(help="A name or term to listen for; may be repeated.")] = None,
    filler_words: Annotated[bool, typer.Option("--filler-words", help='Keep "um" and the like.')] = False,
    model: Annotated[str | None, typer.Option(help="Else the service's own default.")] = None,
    audio_format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="pcm, mulaw or alaw for raw audio, with --rate.")
    ] = None,
    rate: Annotated[int | None, typer.Option(metavar="HZ", help="Samples per second of raw audio.")] = None,
    retries: Annotated[int, typer.Option(help="Further attempts when the service is busy.")] = 2,
    base_url: Annotated[
        str, typer.Option(metavar="URL", help="Another address than the service's: an emulator's, http://HOST:PORT/v1.")
    ] = BASE_URL,
) -> None:
    """Transcribe audio files, or make subtitles of them. Takes its key from XAI_API_KEY.

    A file that fails is told and the others go on. Exit status 1 when one failed.
    """
    from xai_realtime.cli.app import _mistakes

    screen = Screen()
    with _mistakes(screen):
        chosen = [name for name, wanted in {"srt": srt, "vtt": vtt, "json": as_json, "text": text}.items() if wanted]
        if len(chosen) > 1:
            raise ConfigurationError(f"--{chosen[0]} and --{chosen[1]} exclude each other")
        settings = {
            "language": language,
            "format": numbers or None,
            "diarize": diarize or None,
            "channels": channels,
            "keyterms": keyterm or (),
            "filler_words": filler_words or None,
            "model": model,
            "audio_format": audio_format,
            "sample_rate": rate,
        }
        task = Task(chosen[0] if chosen else "text", output, output_dir, replace, settings, retries)
        if not anyio.run(_run, screen, base_url, files, task):
            raise typer.Exit(FAILED)


async def _run(screen: Screen, base_url: str, sources: list[str], task: Task) -> bool:
    """Transcribe one after the other; True when all went well."""
    from xai_realtime.client import AsyncClient
    from xai_realtime.stt.transcribe import form_fields

    task.check(sources)
    form_fields(task.settings)
    _check_key(Address(base_url))
    if task.folder is not None:
        task.folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    async with AsyncClient(base_url=base_url) as client:
        for source in sources:
            try:
                with _watched(source) as progress:
                    result = await _transcribed(client, source, task, progress)
                _give_out(screen, source, result, task, is_one=len(sources) == 1)
            except XaiRealtimeError as error:
                failed += 1
                screen.complain(f"{source}: {error}")
            except OSError as error:
                failed += 1
                screen.complain(f"{error.filename or source}: {error.strerror or type(error).__name__}")
    return not failed


def _check_key(address: Address) -> None:
    """Raises ConfigurationError, once and not for each file, when no key can go to the address."""
    if not (address.is_xai or address.is_loopback):
        raise ConfigurationError(f"{KEY_VARIABLE} goes to api.x.ai and to this machine, not to {address.origin}")
    if not os.environ.get(KEY_VARIABLE, "").strip():
        raise ConfigurationError(f"{KEY_VARIABLE} is not set; the command takes its key from there")


async def _transcribed(client: AsyncClient, source: str, task: Task, progress: Progress | None) -> SttResult:
    return await client.stt.transcribe(source, progress=progress, retries=task.retries, **task.settings)


def _give_out(screen: Screen, source: str, result: SttResult, task: Task, *, is_one: bool) -> None:
    target = task.target(source)
    if target is not None:
        target.write_text(_written(result, task.form), encoding="utf-8")
        if task.folder is not None:
            screen.say(f"{source} -> {target}", wrap=False)
    elif task.form == "json":
        screen.json({"file": source, **_figures(result)})
    else:
        if not is_one:
            screen.say(f"== {source}", "bold", wrap=False)
        sys.stdout.write(_printable(_written(result, task.form)))
        sys.stdout.flush()


def _written(result: SttResult, form: str) -> str:
    ways: dict[str, Written] = {
        "srt": lambda told: told.srt(),
        "vtt": lambda told: told.webvtt(),
        "json": lambda told: told.to_json(indent=1) + "\n",
        "text": lambda told: told.plain_text(),
    }
    return ways[form](result)


def _figures(result: SttResult) -> dict[str, Any]:
    return {
        "text": result.text,
        "language": result.language,
        "duration_s": result.duration_s,
        "utterances": result.records(),
    }


def _printable(text: str) -> str:
    """The very text into a pipe; on a terminal nothing of it can steer."""
    if sys.stdout.isatty():
        text = "".join(f"{clean(line)}\n" for line in text.splitlines())
    return plain(text, sys.stdout.encoding or "utf-8")


def _is_address(source: str) -> bool:
    return source.lower().startswith(("http://", "https://"))


@contextmanager
def _watched(source: str) -> Iterator[Progress | None]:
    """How far the upload is, on standard error, where a person watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    name = clean(source if _is_address(source) else Path(source).name)
    name = name if len(name) <= NAME_COLUMNS else f"…{name[1 - NAME_COLUMNS :]}"
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        number = bar.add_task(name, total=None)

        def tell(sent_bytes: int, total_bytes: int | None) -> None:
            what = f"{name}: listening" if sent_bytes == total_bytes else name
            bar.update(number, completed=sent_bytes, total=total_bytes, description=what)

        yield tell
