"""The commands. In: arguments. Out: text or JSON, an exit status. Imports: typer, rooms 0-7."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from xai_realtime._version import __version__
from xai_realtime.cassette.tape import Cassette, load_cassette
from xai_realtime.cli import calls, chatting, emulating, recording, reports, speaking, transcribing
from xai_realtime.cli.playing import play_tape
from xai_realtime.cli.screen import Screen
from xai_realtime.errors import RedactionError, ReplayError, ReplayIncompleteError, XaiRealtimeError
from xai_realtime.player import Moment

__all__ = ["app", "run"]

NAME: Final = "xai-realtime"
DISAGREES, UNUSABLE = 1, 2

app: Final = typer.Typer(
    name=NAME,
    help="Chat, speak and transcribe with Grok; record, replay and read conversations.",
    epilog="Only chat, record, speak, transcribe and voices need a key or a network. Exit status: 0 all well, 1 a tape "
    "does not hold what it should or the service fails, 2 the arguments or a file cannot be used.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class Clock(StrEnum):
    """Which time a tape is played in."""

    instant = "instant"
    virtual = "virtual"
    real = "real"


class Backend(StrEnum):
    """Which event loop it is played on."""

    asyncio = "asyncio"
    trio = "trio"


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Tape = Annotated[
    Path, typer.Argument(metavar="CASSETTE", help="The tape, NAME.jsonl; its audio stands in NAME.media beside it.")
]


def run(arguments: Sequence[str] | None = None) -> int:
    """Parse the arguments and run; gives the exit status."""
    try:
        app(None if arguments is None else list(arguments), prog_name=NAME)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else UNUSABLE if stop.code else 0
    return 0


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{NAME} {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Chat, speak and transcribe with Grok; record, replay and read conversations."""


@app.command("demo", short_help="Hold a whole voice call and show it.")
def demo(
    from_tape: Annotated[
        bool, typer.Option("--tape", help="Play the call from a tape instead; it is over at once.")
    ] = False,
    keep: Annotated[Path | None, typer.Option(help="Keep the recording here, NAME.jsonl.")] = None,
    as_json: Json = False,
) -> None:
    """Hold a whole voice call: a question, a function call, a spoken answer that is interrupted, a last word.

    The other side is the emulator, over a real socket on this machine: no key, no network. The call is recorded, the
    recording replayed in virtual time, and the two compared.
    """
    screen = Screen()
    if not from_tape:
        with _mistakes(screen):
            if not calls.hold_and_show(screen, keep, as_json=as_json):
                raise typer.Exit(DISAGREES)
        return
    with _mistakes(screen), reports.demo_tape() as path:
        cassette = load_cassette(path)
        if not as_json:
            reports.introduce_demo(screen, cassette)
        _play(screen, cassette, Clock.virtual, 1.0, Backend.asyncio, as_json)
        if not as_json:
            reports.close_demo(screen)


@app.command("replay", short_help="Play a tape and print the conversation.")
def replay(
    cassette: Tape,
    clock: Annotated[
        Clock,
        typer.Option(help="instant: only the order. virtual: the recorded times, without waiting. real: as it was."),
    ] = Clock.instant,
    scale: Annotated[
        float, typer.Option(help="Stretches the recorded times: 2.0 is twice as slow. For real and virtual.")
    ] = 1.0,
    backend: Annotated[Backend, typer.Option(help="The event loop to play on.")] = Backend.asyncio,
    as_json: Json = False,
) -> None:
    """Play a tape through the typed client, check all that is sent, and print the conversation.

    Exit status 1 when what is sent disagrees with the tape, or something is left over.
    """
    screen = Screen()
    with _mistakes(screen):
        tape = load_cassette(cassette)
        if clock is Clock.real and screen.is_terminal and not as_json:
            screen.say(f"Playing {tape.tape_ms * scale / 1000:.1f} s in real time ...", "dim")
        _play(screen, tape, clock, scale, backend, as_json)


def _play(screen: Screen, tape: Cassette, clock: Clock, scale: float, backend: Backend, as_json: bool) -> None:
    moments: list[Moment] = []
    try:
        playback = play_tape(tape, moments, clock=clock.value, scale=scale, backend=backend.value)
    except ReplayError as error:
        if as_json:
            screen.json({"cassette": tape.path.name, "origin": tape.header.origin, "error": _error(error)})
        else:
            reports.print_moments(screen, tape, moments, is_whole=False)
        raise
    if as_json:
        screen.json(playback.to_json())
    else:
        reports.print_playback(screen, playback, moments, f"clock {clock.value}, {backend.value}")


def _error(error: ReplayError) -> dict[str, Any]:
    left = (
        {"unread": list(error.unread), "unsent": list(error.unsent)} if isinstance(error, ReplayIncompleteError) else {}
    )
    return {"kind": type(error).__name__, "line": error.line, "reason": error.reason, **left}


@app.command("show", short_help="Read a tape without playing it.")
def show(
    cassette: Tape,
    frames: Annotated[bool, typer.Option("--frames", help="One line for each frame, nothing folded.")] = False,
    as_json: Json = False,
) -> None:
    """Read a tape without playing it: what it is, what was said, what it used."""
    screen = Screen()
    with _mistakes(screen):
        tape = load_cassette(cassette)
        if as_json:
            screen.json(reports.tape_to_json(tape))
        else:
            reports.print_tape(screen, tape, frames=frames)


@app.command("check", short_help="Verify tapes.")
def check(
    cassettes: Annotated[
        list[Path], typer.Argument(metavar="CASSETTE", help="Tapes, or folders that are searched for them.")
    ],
    as_json: Json = False,
) -> None:
    """Verify tapes: whole, true to their header, free of secrets, made of known events, and playable.

    Exit status 1 when something is wrong with one of them.
    """
    screen = Screen()
    with _mistakes(screen):
        results = [reports.check_tape(path) for path in reports.tapes_in(cassettes)]
        if as_json:
            is_ok = all(result.ok for result in results)
            screen.json({"ok": is_ok, "cassettes": [result.to_json() for result in results]})
        else:
            reports.print_checks(screen, results)
        if not all(result.ok for result in results):
            raise typer.Exit(DISAGREES)


@app.command("import", short_help="Make a tape of another tool's capture.")
def import_(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A capture that another tool made: YAML, or JSON Lines of events.")
    ],
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="The tape to write, NAME.jsonl.")],
    keep_ids: Annotated[
        bool, typer.Option("--keep-ids", help="Keep ids as they are instead of naming them item_1, resp_2, ...")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a tape of what another tool recorded: redacted, audio set aside, ids named."""
    from xai_realtime.cassette.importing import import_capture

    screen = Screen()
    with _mistakes(screen):
        report = import_capture(source, destination, keep_ids=keep_ids)
        if as_json:
            screen.json(reports.import_to_json(report))
        else:
            reports.print_import(screen, report)


@app.command("generate", short_help="Print event classes from a specification.")
def generate(
    spec: Annotated[Path | None, typer.Option(help="One spec file instead of all of the project's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write the module of --spec; else it is printed.")] = None,
    check_only: Annotated[
        bool, typer.Option("--check", help="Write nothing; show what is stale and exit with 1 if anything is.")
    ] = False,
    root: Annotated[Path | None, typer.Option(help="The project, the current folder by default.")] = None,
) -> None:
    """Print the typed event classes from a specification (AsyncAPI or JSON Schema)."""
    from xai_realtime.generate import run as generate_events

    screen = Screen()
    lines: list[str] = []
    with _mistakes(screen):
        status = generate_events(root=root, spec=spec, out=out, check_only=check_only, write=lines.append)
        if status == UNUSABLE:
            screen.complain("\n".join(lines))
        else:
            for line in lines:
                typer.echo(line.removesuffix("\n"))
        if status:
            raise typer.Exit(status)


app.command("chat", short_help="Ask Grok in writing.")(chatting.chat)
app.command("emulate", short_help="Run a local stand-in for the service.")(emulating.emulate)
app.command("record", short_help="Record any client through a proxy.")(recording.record)
app.command("speak", short_help="Speak a text into a file.")(speaking.speak)
app.command("transcribe", short_help="Transcribe audio files.")(transcribing.transcribe)
app.command("voices", short_help="List the voices.")(speaking.voices)


@contextmanager
def _mistakes(screen: Screen) -> Iterator[None]:
    """Turns what a person can do wrong into a sentence and an exit status."""
    try:
        yield
    except (ReplayError, RedactionError) as error:
        screen.complain(str(error))
        raise typer.Exit(DISAGREES) from None
    except XaiRealtimeError as error:
        screen.complain(str(error))
        raise typer.Exit(UNUSABLE) from None
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        screen.complain(f"{error.filename}: {reason}" if error.filename is not None else reason)
        raise typer.Exit(UNUSABLE) from None
