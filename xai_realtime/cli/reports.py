"""What the commands say about tapes. In: tapes, playbacks, checks. Out: a screen, JSON. Imports: rooms 0-6."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

from xai_realtime.cassette.checking import CheckReport, Finding, check_cassette
from xai_realtime.cassette.importing import ImportReport
from xai_realtime.cassette.records import FrameRecord, HttpChunkRecord, HttpRequestRecord, HttpResponseRecord
from xai_realtime.cassette.tape import Cassette
from xai_realtime.chat.taped import chats_of, path_of
from xai_realtime.cli.moments import moments_of, with_records
from xai_realtime.cli.playing import play_tape
from xai_realtime.cli.screen import Screen
from xai_realtime.cli.timeline import Row, timeline
from xai_realtime.cli.wording import counted
from xai_realtime.errors import CassetteError, ConfigurationError
from xai_realtime.player import Moment, Playback
from xai_realtime.protocol.chat_usage import TICKS_PER_USD
from xai_realtime.protocol.conversation import Conversation

__all__ = [
    "check_tape",
    "close_demo",
    "demo_tape",
    "import_to_json",
    "introduce_demo",
    "print_checks",
    "print_import",
    "print_moments",
    "print_playback",
    "print_tape",
    "tape_to_json",
    "tapes_in",
]

DEMO: Final = "tool_call.jsonl"
DEMO_PACKAGE: Final = "_demo"
USAGE: Final = {
    "input_tokens": "tokens in",
    "prompt_tokens": "tokens in",
    "output_tokens": "tokens out",
    "total_tokens": "in all",
    "output_audio_seconds": "s of speech",
    "billable_audio_seconds": "s billed",
}


@contextmanager
def demo_tape() -> Iterator[Path]:
    """The tape that `demo` plays: out of the installed package, else from the repository.

    Raises ConfigurationError when it is in neither.
    """
    packaged = files("xai_realtime") / DEMO_PACKAGE
    if packaged.is_dir():
        with as_file(packaged) as folder:
            yield folder / DEMO
        return
    path = Path(__file__).resolve().parents[2] / "cassettes" / "realtime" / DEMO
    if not path.is_file():
        raise ConfigurationError(f"the tape of the demo, {DEMO}, did not come with this installation")
    yield path


def introduce_demo(screen: Screen, cassette: Cassette) -> None:
    """Say what is about to be seen."""
    screen.say("A voice call with Grok, played from a tape. No key, no network, no waiting.", "bold")
    screen.say(
        f"The tape is {cassette.header.origin} from a recording of a real call: the order, the shape and the pace of "
        "its events are the service's; the words, ids and audio are our own."
    )
    screen.say()


def close_demo(screen: Screen) -> None:
    """Say where to go from here."""
    screen.say()
    screen.say("The same from Python: examples/replay_a_call.py. In your own tests: docs/first-replay.md.")


def print_playback(
    screen: Screen, playback: Playback, moments: Sequence[Moment], how: str, *more: tuple[str, str]
) -> None:
    """The conversation, and the figures of its playing, `more` of them behind."""
    print_moments(screen, playback.cassette, moments)
    report = playback.to_json()
    screen.say()
    screen.facts(
        [
            ("tape", _describe(playback.cassette)),
            *_passed(playback.cassette, report["received"], report["sent"]),
            ("events", f"{report['unknown_events']} unknown, {report['invalid_events']} invalid"),
            ("left", f"{report['unread']} unread, {report['unsent']} unsent"),
            ("said", f"{counted(len(report['items']), 'item')}, {counted(len(report['tool_calls']), 'tool call')}"),
            *_usage(report["usage"]),
            ("time", f"{playback.cassette.tape_ms / 1000:.3f} s of tape in {playback.wall_ms:.0f} ms ({how})"),
            ("digest", report["digest"]),
            *more,
        ]
    )


def print_moments(screen: Screen, cassette: Cassette, moments: Sequence[Moment], *, is_whole: bool = True) -> None:
    """The conversation as a timeline; without its later handshakes and closes when it was not played to the end."""
    screen.timeline(_rows(cassette, moments, is_whole=is_whole))


def _rows(cassette: Cassette, moments: Iterable[Moment], *, is_whole: bool = True) -> list[Row]:
    entries = with_records(cassette, moments, is_whole=is_whole)
    header = cassette.header
    return timeline(entries, is_shortened=header.media == "shortened", service=header.service)


def _describe(cassette: Cassette) -> str:
    header = cassette.header
    parts = [cassette.path.name, header.origin, f"times {header.timing}", f"audio {header.media}"]
    return " · ".join([*parts, *([] if cassette.complete else ["incomplete"])])


def _usage(usage: dict[str, Any]) -> list[tuple[str, str]]:
    parts = [f"{usage[name]} {words}" for name, words in USAGE.items() if name in usage]
    if "cost_in_usd_ticks" in usage:
        parts.append(f"{Decimal(usage['cost_in_usd_ticks']) / TICKS_PER_USD:f} USD")
    return [("usage", " · ".join(parts))] if parts else []


def print_tape(screen: Screen, cassette: Cassette, *, frames: bool) -> None:
    """A tape as it lies there: its header, its conversation or its frames, its usage."""
    moments = moments_of(cassette)
    header = cassette.header
    facts = [
        ("tape", _describe(cassette)),
        ("recorded", header.recorded_at or "not known when"),
        ("made by", header.sdk or "not known"),
        ("notes", header.notes),
        ("model", ", ".join(_models(cassette)) or "not stated"),
        *_passed(cassette, _count(cassette, "in"), _count(cassette, "out")),
        ("sockets", _sockets(cassette)),
        ("length", f"{cassette.tape_ms / 1000:.3f} s"),
        *_usage(_said(cassette, moments)["usage"]),
    ]
    screen.facts([(name, value) for name, value in facts if value])
    screen.say()
    if frames:
        screen.table(
            ("line", "time", "", "type", "bytes", "ids"), _frame_rows(cassette), numbers={"line", "time", "bytes"}
        )
    else:
        screen.timeline(_rows(cassette, moments))


def _passed(cassette: Cassette, received: int, sent: int) -> list[tuple[str, str]]:
    """How much passed the sockets, and how often something was asked over HTTP; what there was none of is left out."""
    requests = [("requests", str(len(cassette.exchanges)))] if cassette.exchanges else []
    is_web_alone = requests and not cassette.connections
    return requests if is_web_alone else [("frames", f"{received} received, {sent} sent"), *requests]


def _models(cassette: Cassette) -> list[str]:
    """The models that served, by the sessions and then by the answers to requests."""
    stated = [cassette.end.model if cassette.end is not None else None]
    stated += [chat.reply.model for chat in chats_of(cassette.exchanges.values()) if chat.reply is not None]
    return list(dict.fromkeys(name for name in stated if name))


def _count(cassette: Cassette, direction: str) -> int:
    return sum(isinstance(record, FrameRecord) and record.direction == direction for record in cassette.records)


def _sockets(cassette: Cassette) -> str:
    urls = [taped.open.url or "address not known" for taped in cassette.connections.values()]
    if not urls:
        return "" if cassette.exchanges else "0"
    return f"{len(urls)}: {', '.join(dict.fromkeys(urls))}"


def _frame_rows(cassette: Cassette) -> Iterator[tuple[str, ...]]:
    talks = len(cassette.connections) + len(cassette.exchanges)
    for record in cassette.records:
        time = f"{record.at_ms / 1000:.3f}" if hasattr(record, "at_ms") else ""
        conn = str(record.conn) if hasattr(record, "conn") and talks > 1 else ""
        if isinstance(record, FrameRecord):
            way = f"{conn}{'→' if record.direction == 'out' else '←'}"
            yield str(record.line), time, way, record.type, str(len(cassette.frame(record).data)), _ids(record)
        elif isinstance(record, HttpRequestRecord):
            yield str(record.line), time, f"{conn}→", f"{record.method} {path_of(record.url)}", "", ""
        elif isinstance(record, HttpResponseRecord):
            yield str(record.line), time, f"{conn}←", f"HTTP {record.status}", "", ""
        elif isinstance(record, HttpChunkRecord):
            yield str(record.line), time, f"{conn}←", f"({record.kind})", str(len(cassette.piece(record))), ""
        else:
            yield str(record.line), time, conn, f"({record.kind})", "", ""


def _ids(record: FrameRecord) -> str:
    value = record.value if isinstance(record.value, dict) else {}
    ids = [value.get(key) for key in ("response_id", "item_id", "call_id")]
    for key in ("response", "item"):
        inner = value.get(key)
        ids.append(inner.get("id") if isinstance(inner, dict) else None)
    return " ".join(dict.fromkeys(name for name in ids if isinstance(name, str)))


def tape_to_json(cassette: Cassette) -> dict[str, Any]:
    """What `show --json` prints."""
    moments = moments_of(cassette)
    header = {key: dict(value) if key == "redaction" else value for key, value in _fields(cassette.header).items()}
    return {
        "cassette": cassette.path.name,
        "header": header,
        "complete": cassette.complete,
        "model": next(iter(_models(cassette)), None),
        "tape_ms": cassette.tape_ms,
        "connections": [
            {
                "conn": taped.conn,
                "url": taped.open.url,
                "status": taped.open.status,
                "frames": len(taped.frames),
                "close": None if taped.close is None else {"by": taped.close.by, "code": taped.close.code},
            }
            for taped in cassette.connections.values()
        ],
        "requests": [
            {
                "conn": exchange.conn,
                "method": exchange.request.method,
                "url": exchange.request.url,
                "status": None if exchange.response is None else exchange.response.status,
                "chunks": len(exchange.chunks),
                "error": None if exchange.done is None else exchange.done.error,
            }
            for exchange in cassette.exchanges.values()
        ],
        "frames": [_frame_to_json(cassette, record) for record in cassette.records if isinstance(record, FrameRecord)],
        "timeline": [row.to_json() for row in _rows(cassette, moments)],
        **_said(cassette, moments),
    }


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _frame_to_json(cassette: Cassette, record: FrameRecord) -> dict[str, Any]:
    return {
        "line": record.line,
        "conn": record.conn,
        "at_ms": record.at_ms,
        "dir": record.direction,
        "type": record.type,
        "bytes": len(cassette.frame(record).data),
    }


def _said(cassette: Cassette, moments: Iterable[Moment]) -> dict[str, Any]:
    """Items, calls, transcripts, usage and digest of a tape, folded without playing."""
    folded = {conn: Conversation() for conn in cassette.connections}
    for moment in moments:
        if moment.direction == "in":
            folded[moment.conn].receive(moment.event)
    chats = list(chats_of(cassette.exchanges.values()))
    report = Playback(cassette, conversations=list(folded.values()), chats=chats).to_json()
    return {name: report[name] for name in ("digest", "items", "tool_calls", "transcripts", "usage")}


def tapes_in(paths: Iterable[Path]) -> list[Path]:
    """The tapes named, and those in the folders named, in order. Raises ConfigurationError for a folder without any."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(path.rglob("*.jsonl"))
            if not inside:
                raise ConfigurationError(f"{path}: no tape (*.jsonl) in this folder")
            found += inside
        else:
            found.append(path)
    return found


def check_tape(path: Path) -> CheckReport:
    """Everything `check_cassette` looks at, and whether the tape plays to its end. Raises OSError."""
    report = check_cassette(path)
    cassette = report.cassette
    if cassette is None:
        return report
    report.checks = (*report.checks, "replay")
    try:
        chats = play_tape(cassette, []).chats
    except CassetteError as error:
        report.findings.append(Finding("replay", getattr(error, "reason", str(error)), getattr(error, "line", 0)))
        return report
    for chat in chats:
        if chat.invalid_events:
            line = cassette.exchanges[chat.conn].request.line
            report.findings.append(Finding("received", "the answer to this request cannot be read", line))
    return report


def print_checks(screen: Screen, results: Sequence[CheckReport]) -> None:
    """One line for each tape, and below it what is wrong."""
    for result in results:
        if result.ok:
            screen.say(f"ok {result.path}: {_looked_at(result)}", wrap=False)
        else:
            screen.say(f"failed {result.path}", "bold red", wrap=False)
        for finding in result.findings:
            screen.say(f"  {finding}", wrap=False)
        for note in result.notes:
            screen.say(f"  note: {note}", "dim", wrap=False)
    failed = sum(not result.ok for result in results)
    verdict = f"{failed} failed" if failed else "all ok"
    checks = max((result.checks for result in results), key=len, default=())
    screen.say(f"{counted(len(results), 'tape')}, {verdict} ({', '.join(checks)})")


def _looked_at(result: CheckReport) -> str:
    frames = f"{result.received} received, {result.sent} sent"
    requests = 0 if result.cassette is None else len(result.cassette.exchanges)
    if not requests:
        return frames
    return ", ".join([*([frames] if result.received or result.sent else []), counted(requests, "request")])


def print_import(screen: Screen, report: ImportReport) -> None:
    """What the import made."""
    screen.say(f"wrote {report.path}")
    facts = [
        ("capture", report.kind),
        ("frames", f"{report.received} received, {report.sent} sent on {counted(report.connections, 'connection')}"),
        ("times", report.timing + (f", {report.moved} moved" if report.moved else "")),
        ("audio", report.media),
        ("unknown", ", ".join(report.unknown_types)),
    ]
    screen.facts([(name, value) for name, value in facts if value])


def import_to_json(report: ImportReport) -> dict[str, Any]:
    """What `import --json` prints."""
    return {**_fields(report), "path": str(report.path), "unknown_types": list(report.unknown_types)}
