"""Captures of other tools as tapes. In: a file that somebody else recorded. Out: a tape, and a report on it.

Imports: rooms 0-2, yaml inside a function.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Final, Literal

from xai_realtime._version import __version__
from xai_realtime.cassette.ids import IdNames
from xai_realtime.cassette.importing._capture import (
    Capture,
    Closing,
    Message,
    Opening,
    Step,
    service_of_capture,
    steps_of,
)
from xai_realtime.cassette.importing._clock import Line, anchor_ms, fill, on_one_scale
from xai_realtime.cassette.importing._evidence import judge_media
from xai_realtime.cassette.importing._jsonl import read_jsonl
from xai_realtime.cassette.importing._yaml import read_yaml
from xai_realtime.cassette.records import Header
from xai_realtime.cassette.redaction import Redactor, Rule
from xai_realtime.cassette.services import EVENTS
from xai_realtime.cassette.writer import CassetteWriter
from xai_realtime.errors import CassetteFormatError, ConfigurationError

__all__ = ["MAX_CAPTURE_BYTES", "ImportReport", "ReadCapture", "import_capture", "read_capture", "write_steps"]

MAX_CAPTURE_BYTES: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import made of a capture.

    `kind` is the format that was found (`pydantic-ai`, `jsonl`). `timing` and `media` are as in the
    header; `moved` counts times that went back and were set to the one before (or, in an estimate, left
    out). `unknown_types` are event types that the specification does not have.
    """

    path: Path
    kind: str
    connections: int
    received: int
    sent: int
    timing: str
    media: str
    moved: int
    unknown_types: tuple[str, ...]


@dataclass(slots=True)
class ReadCapture:
    """A capture on its time line. `timing` says whether the times were written down or estimated.

    `service` is the one that its addresses or its events tell: `realtime`, `stt`, `tts`.
    """

    kind: str
    steps: list[Step]
    timing: Literal["recorded", "estimated"]
    line: Line
    service: str = "realtime"


def import_capture(
    source: str | PathLike[str],
    target: str | PathLike[str],
    *,
    keep_ids: bool = False,
    url: str | None = None,
    media: Literal["full", "shortened"] | None = None,
    notes: str = "",
    secrets: Iterable[str] = (),
    rules: Iterable[Rule] = (),
) -> ImportReport:
    """Make a tape at `target` of a capture that another tool recorded.

    Read are YAML captures as pydantic-ai's tests make them (`version: 1`, `interactions`) and files of one
    JSON object a line, an event or a wrapper with a direction around one. `url` is the address of the
    connections, which such captures rarely hold: without it any address agrees in a replay, and the events
    tell which service it was. `media` overrides the evidence on whether audio was cut short. Secrets are
    taken out, audio goes to the sidecar, minted ids become names unless `keep_ids`, as in a recording. An
    existing tape is replaced when the new one is whole.

    Raises CassetteFormatError, with the line, for a capture that cannot be read; ConfigurationError for a
    target that is no `.jsonl` or the source itself, and for YAML without PyYAML; RedactionError;
    FileNotFoundError.
    """
    source, target = Path(source), Path(target)
    if target.suffix != ".jsonl":
        raise ConfigurationError(f"cassette {target.name!r}: the name ends in .jsonl")
    if target.exists() and target.samefile(source):
        raise ConfigurationError(f"capture {source.name!r} would be replaced by its own import")
    redactor = Redactor(secrets, rules=rules)
    capture = read_capture(source, url=url)
    found = media or judge_media(capture.steps)
    header = Header(
        origin="imported",
        service=capture.service,
        recorded_at=_moment(capture.line.epoch_ms),
        sdk=f"xai-realtime {__version__}",
        spec_sha256=EVENTS[capture.service].SPEC_SHA256,
        timing=capture.timing,
        media=found,
        redaction=redactor.policy,
        notes=redactor.text(notes or f"Imported from a {capture.kind} capture."),
    )
    write_steps(CassetteWriter(target, header, redactor, None if keep_ids else IdNames()), capture.steps)
    return _report(target, capture, found)


def read_capture(source: str | PathLike[str], *, url: str | None = None) -> ReadCapture:
    """A capture as steps with times, not redacted and with its own ids. Raises as `import_capture` does."""
    path = Path(source)
    capture = _read(path)
    service = service_of_capture(capture, url)
    steps = steps_of(capture, url, service)
    if not steps:
        raise CassetteFormatError("a capture without any message", path=str(path), line=0)
    anchors = [_anchor(step) for step in steps]
    known = [time for time in anchors if time is not None]
    times = on_one_scale([step.time for step in steps], max(known) - min(known) if known else None)
    messages = [time for step, time in zip(steps, times, strict=True) if isinstance(step.what, Message)]
    is_recorded = bool(messages) and None not in messages
    if is_recorded:
        _time_implied_opens(steps, times)
    has_times = any(time is not None for time in times)
    line = fill(times if has_times else anchors, is_estimate=not has_times)
    for step, at_ms in zip(steps, line.at_ms, strict=True):
        step.at_ms = at_ms
    return ReadCapture(capture.kind, steps, "recorded" if is_recorded else "estimated", line, service)


def write_steps(writer: CassetteWriter, steps: Sequence[Step]) -> Path:
    """Write steps and finish the tape; on failure what is written stays a `.partial`. Raises RedactionError."""
    try:
        for step in steps:
            what = step.what
            if isinstance(what, Opening):
                writer.open(
                    step.conn, step.at_ms, what.url,
                    subprotocol=what.subprotocol, status=what.status, headers=what.headers, body=what.body,
                )  # fmt: skip
            elif isinstance(what, Closing):
                writer.close(step.conn, step.at_ms, what.by, what.code, what.reason, what.clean)
            else:
                writer.frame(step.conn, step.at_ms, what.direction, what.frame)
        return writer.finish()
    finally:
        writer.abandon()


def _read(path: Path) -> Capture:
    if path.stat().st_size > MAX_CAPTURE_BYTES:
        raise CassetteFormatError(f"a capture of over {MAX_CAPTURE_BYTES} bytes", path=str(path))
    data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    start = data[:4096].lstrip()
    if path.suffix.lower() not in (".yaml", ".yml") and start.startswith(b"{"):
        return read_jsonl(data.split(b"\n"), str(path))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CassetteFormatError("a capture that is no UTF-8", path=str(path), line=line) from None
    if path.suffix.lower() in (".jsonl", ".ndjson") or not text.strip():
        raise CassetteFormatError("no capture: no line holds a JSON object", path=str(path), line=1)
    return read_yaml(text, str(path))


def _anchor(step: Step) -> float | None:
    what = step.what
    return anchor_ms(what.value) if isinstance(what, Message) and what.direction == "in" else None


def _time_implied_opens(steps: Sequence[Step], times: list[float | None]) -> None:
    """An open that the capture leaves out happened when the first that is known of its connection did."""
    for index in range(len(steps) - 2, -1, -1):
        if steps[index].implied:
            times[index] = times[index + 1]


def _moment(epoch_ms: float | None) -> str | None:
    return None if epoch_ms is None else datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _report(target: Path, capture: ReadCapture, media: str) -> ImportReport:
    events = EVENTS[capture.service]
    counts: Counter[str] = Counter()
    unknown: dict[str, None] = {}
    for step in capture.steps:
        if isinstance(step.what, Opening):
            counts["open"] += 1
        elif isinstance(step.what, Message):
            counts[step.what.direction] += 1
            name = step.what.value.get("type") if step.what.value is not None else None
            registry = events.SERVER_EVENTS if step.what.direction == "in" else events.CLIENT_EVENTS
            if isinstance(name, str) and name not in registry:
                unknown[name] = None
    return ImportReport(
        target, capture.kind, counts["open"], counts["in"], counts["out"],
        capture.timing, media, capture.line.moved, tuple(unknown),
    )  # fmt: skip
