"""`check_cassette`: a good tape has no finding, and each kind of damage has its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tapes import COMMITTED, URL, Close, In, Open, Out, audio_delta, header, make_tape
from xai_realtime.cassette.checking import CHECKS, CheckReport, Finding, check_cassette
from xai_realtime.cassette.records import HttpDoneRecord, HttpRequestRecord, HttpResponseRecord, record_to_json
from xai_realtime.cassette.redaction import Redactor
from xai_realtime.cassette.tape import media_folder
from xai_realtime.frames import Frame

TOOL_CALL = next(path for path in COMMITTED if path.stem == "tool_call")
KEY = "xai-" + "Ab3" * 12
POLICY = Redactor(environ={}).policy
Records = list[dict[str, Any]]


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    """A copy of a committed tape."""
    shutil.copytree(media_folder(TOOL_CALL), tmp_path / "t.media")
    return Path(shutil.copy(TOOL_CALL, tmp_path / "t.jsonl"))


def edit(path: Path, change: Callable[[Records], object]) -> None:
    """Change the records of a tape, and keep the counts of its end true."""
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    change(records)
    if records[-1]["kind"] == "end" and records[-1]["counts"]:
        kinds = [record["kind"] for record in records[1:-1]]
        records[-1]["counts"] = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")


def frame_of(records: Records, kind: str) -> dict[str, Any]:
    return next(record for record in records if record.get("json", {}).get("type") == kind)


def found(path: Path) -> list[str]:
    return [str(finding) for finding in check_cassette(path).findings]


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
@pytest.mark.behaviour("check-committed-tapes")
def test_check_finds_nothing_on_a_committed_tape(path: Path) -> None:
    report = check_cassette(path)
    assert report.findings == []
    assert report.notes == []
    assert report.ok
    assert report.checks == CHECKS
    assert report.received > 0
    assert report.sent > 0


def test_there_are_tapes_to_check() -> None:
    assert len(COMMITTED) >= 5


def test_report_tells_each_check_and_each_finding_as_json(tape: Path) -> None:
    edit(tape, lambda records: records[0].update(spec_sha256="1"))
    told = check_cassette(tape).to_json()
    assert told["ok"] is False
    assert told["cassette"] == "t.jsonl"
    assert told["checks"] == {name: name != "header" for name in CHECKS}
    assert told["findings"] == [{"check": "header", "line": 1, "reason": "spec_sha256 is no sha256"}]
    assert (told["received"], told["sent"]) == (51, 5)


@pytest.mark.behaviour("check-finds-damage")
def test_check_tells_why_a_tape_does_not_load_and_makes_no_further_check(tape: Path) -> None:
    tape.write_bytes(tape.read_bytes()[:-20])
    report = check_cassette(tape)
    assert report.checks == ("loads",)
    assert [finding.check for finding in report.findings] == ["loads"]
    assert report.cassette is None
    assert report.to_json()["checks"] == {"loads": False}


def test_check_raises_only_when_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        check_cassette(tmp_path / "none.jsonl")


@pytest.mark.behaviour("check-finds-damage")
def test_check_finds_a_recording_that_did_not_come_to_its_end(tmp_path: Path) -> None:
    path = make_tape(tmp_path / "t.jsonl", finish=False, redaction=POLICY).path
    assert found(path) == ["loads: the recording did not come to its end"]


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda records: records[-1].update(complete=False), "loads, line 59: the recording did not come to its end"),
        (lambda records: records[-1].update(counts={}), "loads, line 59: the end does not count the records"),
        (lambda records: records[5].update(at_ms=1.5), "loads, line 6: time goes from 30 to 1.5 ms"),
        (lambda records: records[0].update(recorded_at="today"), "header, line 1: recorded_at is no time in UTC"),
        (lambda records: records[0].update(spec_sha256="1"), "header, line 1: spec_sha256 is no sha256"),
        (lambda records: records[0].update(redaction={}), "header, line 1: redaction does not name the policy"),
        (lambda records: records[0].update(origin="live"), "header, line 1: a live recording says when"),
        (lambda records: records[0].update(notes=" "), "header, line 1: a tape that is derived says in its notes"),
        (lambda records: records[-1].update(model="grok-9"), "header, line 59: the model of the end is not the one"),
        (lambda records: records[2]["json"].update(type="from.the.future"), "received, line 3: unknown event"),
        (lambda records: frame_of(records, "ping").update(json=[]), "received, line 6: unknown event 'None'"),
        (lambda records: frame_of(records, "response.create")["json"].update(type="x"), "sent, line 9: unknown event"),
        (
            lambda records: frame_of(records, "response.created")["json"].update(response={"id": 1}),
            "received, line 11: invalid event 'response.created' at response.id",
        ),
        (
            lambda records: frame_of(records, "session.update")["json"].update(session=1),
            "sent, line 4: invalid event 'session.update' at session",
        ),
        (
            lambda records: frame_of(records, "response.output_audio.delta")["json"].update(audio_duration_ms=9999),
            "header, line 15: media are called full, but 9999 ms of audio are 23472 bytes",
        ),
    ],
)  # fmt: skip
@pytest.mark.behaviour("check-finds-damage")
def test_check_finds_what_is_wrong_with_a_record(tape: Path, change: Callable[[Records], object], finding: str) -> None:
    edit(tape, change)
    assert [text for text in found(tape) if text.startswith(finding)]


@pytest.mark.behaviour("check-finds-damage")
def test_check_finds_media_that_are_changed_missing_too_short_or_belong_to_nothing(tape: Path) -> None:
    wav = next((tape.parent / "t.media").glob("*.wav"))
    whole = wav.read_bytes()
    wav.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    changed = [text for text in found(tape) if "its sha256 is another" in text]
    assert [text.split(":")[0] for text in changed] == ["media, line 59"]
    wav.unlink()
    assert any(text.startswith("media") and "is missing" in text for text in found(tape))
    wav.write_bytes(whole)
    (tape.parent / "t.media" / "stray.bin").write_bytes(b"")
    assert found(tape) == ["media, line 59: file 'stray.bin' belongs to no record"]
    (tape.parent / "t.media" / "stray.bin").unlink()
    edit(tape, lambda records: frame_of(records, "response.output_audio.delta")["json"]["delta"]["$media"].update(
        offset=10**9))  # fmt: skip
    assert any(text.startswith("media, line 15") for text in found(tape))


@pytest.mark.behaviour("check-finds-secrets")
def test_check_finds_a_key_in_a_frame_and_never_shows_it(tape: Path) -> None:
    edit(tape, lambda records: frame_of(records, "session.update")["json"]["session"].update(instructions=KEY))
    findings = found(tape)
    assert [text.split(":")[0] for text in findings] == ["redaction, line 4", "secrets, line 4"]
    assert not any(KEY in text for text in findings)


@pytest.mark.behaviour("check-finds-secrets")
def test_check_finds_the_key_that_is_in_use(tape: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAI_API_KEY", "look_up_tide_of_porto")
    assert found(tape) == []
    monkeypatch.setenv("XAI_API_KEY", "look_up_tide")
    assert {finding.check for finding in check_cassette(tape).findings} == {"redaction", "secrets"}


@pytest.mark.parametrize(
    "record",
    [
        {"kind": "open", "conn": 2, "at_ms": 9e6, "url": f"wss://h/?api_key={KEY}"},
        {"kind": "open", "conn": 2, "at_ms": 9e6, "url": None, "headers": {"authorization": f"Bearer {KEY}"}},
        {"kind": "open", "conn": 2, "at_ms": 9e6, "url": None, "headers": {"server": "envoy"}},
        {"kind": "open", "conn": 2, "at_ms": 9e6, "url": None, "status": 400, "body": {"error": KEY}},
        {"kind": "close", "conn": 1, "at_ms": 9e6, "by": "server", "reason": KEY},
        {"kind": "mark", "at_ms": 9e6, "label": KEY},
        {"kind": "frame", "conn": 1, "at_ms": 9e6, "dir": "in", "text": KEY},
        {"kind": "request", "conn": 7, "at_ms": 9e6, "method": "GET", "url": "https://h/", "body": {"token": "x"}},
        {"kind": "response", "conn": 7, "at_ms": 9e6, "status": 200, "headers": {"set-cookie": "a=b"}},
        {"kind": "chunk", "conn": 7, "at_ms": 9e6, "text": KEY},
        {"kind": "done", "conn": 7, "at_ms": 9e6, "error": KEY},
    ],
    ids=lambda record: f"{record['kind']}-{list(record)[-1]}",
)
@pytest.mark.behaviour("check-finds-secrets")
def test_check_finds_what_redacting_again_would_change_in_every_kind_of_record(
    tape: Path, record: dict[str, Any]
) -> None:
    asked = {"kind": "request", "conn": 7, "at_ms": 9e6, "method": "GET", "url": "https://h/"}
    head = {"kind": "response", "conn": 7, "at_ms": 9e6, "status": 200}
    before = {"response": [asked], "chunk": [asked, head], "done": [asked, head]}.get(record["kind"], [])
    edit(tape, lambda records: records.__setitem__(slice(-1, -1), [*before, record]))
    checks = {(finding.check, finding.line) for finding in check_cassette(tape).findings}
    assert ("redaction", 59 + len(before)) in checks
    assert not any(KEY in text for text in found(tape))


@pytest.mark.behaviour("check-finds-secrets")
def test_check_finds_secrets_in_the_notes_in_raw_text_and_in_file_names(tmp_path: Path) -> None:
    tape = make_tape(tmp_path / "t.jsonl", In(Frame(b"\xff and text")), redaction=POLICY).path
    assert [finding.check for finding in check_cassette(tape).findings] == ["received"]
    raw = tmp_path / "t.media" / "conn1.in.text.raw"
    raw.write_bytes(b"\xff " + KEY.encode())
    assert any("sha256 is another" in text or "does not state" in text for text in found(tape))
    edit(tape, lambda records: records[0].update(notes=KEY))
    assert "redaction, line 1: the notes would be redacted" in found(tape)
    named = shutil.copy(TOOL_CALL, tmp_path / f"{KEY}.jsonl")
    shutil.copytree(media_folder(TOOL_CALL), tmp_path / f"{KEY}.media")
    assert found(Path(named)) == ["secrets: a file name holds a secret"]


@pytest.mark.behaviour("check-finds-secrets")
def test_check_reads_the_text_messages_that_are_no_utf8(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    secret = "canary-3f9c2b7e51d84a6c"
    tape = make_tape(path, In(Frame(b"\xff " + secret.encode())), redaction=POLICY).path
    assert [finding.check for finding in check_cassette(tape).findings] == ["received"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XAI_API_KEY", secret)
        assert ("redaction", 3) in {(finding.check, finding.line) for finding in check_cassette(tape).findings}


@pytest.mark.behaviour("check-finds-minted-ids")
def test_check_finds_an_id_that_naming_again_would_change(tape: Path) -> None:
    minted = "0b8e2f3c-1111-4222-8333-944445555666"
    edit(tape, lambda records: frame_of(records, "conversation.item.added")["json"]["item"].update(id=minted))
    assert [finding.check for finding in check_cassette(tape).findings] == ["ids"]
    assert check_cassette(tape).findings[0].line == 10
    assert minted not in found(tape)[0]


@pytest.mark.behaviour("check-finds-minted-ids")
def test_check_only_remarks_on_ids_when_they_were_kept(tmp_path: Path) -> None:
    entries = [
        Open(1, 0, URL + "&conversation_id=0b8e2f3c-1111-4222-8333-944445555666"),
        In({"type": "ping", "event_id": "1b8e2f3c-1111-4222-8333-944445555666"}),
        Close("server", 1000, "bye 2b8e2f3c-1111-4222-8333-944445555666"),
    ]
    report = check_cassette(make_tape(tmp_path / "t.jsonl", *entries, redaction=POLICY).path)
    assert report.findings == []
    assert report.notes == ["ids are kept as the service minted them"]


def test_check_leaves_events_alone_when_neither_address_nor_header_names_their_service(tmp_path: Path) -> None:
    entries = (Open(url="wss://example.com/gateway"), In({"type": "transcript.partial"}))
    tape = make_tape(tmp_path / "t.jsonl", *entries, service="mixed", redaction=POLICY)
    report = check_cassette(tape.path)
    assert report.findings == []
    assert report.notes == ["events of the service mixed are not looked into where the address names none"]


@pytest.mark.behaviour("tape-service-by-address")
@pytest.mark.parametrize(
    ("service", "path", "words"),
    [
        ("stt", "stt", "invalid event 'transcript.partial' at text: Field required"),
        ("stt", "gateway", "invalid event 'transcript.partial' at text: Field required"),
        ("realtime", "stt", "invalid event 'transcript.partial' at text: Field required"),
        ("mixed", "stt", "invalid event 'transcript.partial' at text: Field required"),
        ("stt", "tts", "unknown event 'transcript.partial'"),
        ("mixed", "realtime", "unknown event 'transcript.partial'"),
    ],
)
def test_check_reads_events_by_the_service_of_their_connection(
    tmp_path: Path, service: str, path: str, words: str
) -> None:
    entries = (Open(url=f"wss://example.com/v1/{path}"), In({"type": "transcript.partial"}))
    report = check_cassette(make_tape(tmp_path / "t.jsonl", *entries, service=service, redaction=POLICY).path)
    assert [finding.reason for finding in report.findings] == [words]
    assert report.notes == []


def test_check_measures_audio_by_the_format_of_the_session(tmp_path: Path) -> None:
    def session(**form: Any) -> In:
        return In({"type": "session.updated", "session": {"audio": {"output": {"format": form}}}})

    delta = In(audio_delta(b"\0" * 800, audio_duration_ms=100))
    undated = In(audio_delta(b"\0" * 8))
    broken = In(audio_delta(b"") | {"delta": "@@@@", "audio_duration_ms": 5})

    def ok(*entries: In) -> bool:
        return check_cassette(make_tape(tmp_path / "t.jsonl", *entries, redaction=POLICY).path).ok

    assert not ok(session(type="audio/pcm", rate=24_000), delta)
    assert not ok(In({"type": "session.updated", "session": {}}), delta)
    assert ok(session(type="audio/pcm", rate=4000), delta)
    assert ok(session(type="audio/pcmu", rate=8000), delta)
    assert ok(undated, broken)


def test_check_accepts_http_on_a_tape(tmp_path: Path) -> None:
    tape = make_tape(tmp_path / "t.jsonl", Out({"type": "pong"}), redaction=POLICY).path
    exchange = [
        HttpRequestRecord(2, 20, "POST", "https://api.x.ai/v1/x", {"content-type": "application/json"}, {"a": 1}),
        HttpResponseRecord(2, 21, 200, {"content-type": "text/plain"}),
        HttpDoneRecord(2, 23),
    ]
    chunk = {"kind": "chunk", "conn": 2, "at_ms": 22, "media": {"file": "gone.raw", "offset": 0, "bytes": 1}}
    edit(tape, lambda records: records.__setitem__(slice(-1, -1), map(record_to_json, exchange)))
    assert found(tape) == []
    edit(tape, lambda records: records.insert(-2, chunk))
    assert [finding.check for finding in check_cassette(tape).findings] == ["media"]


def test_finding_reads_as_a_sentence_with_its_place() -> None:
    assert str(Finding("media", "gone", 3)) == "media, line 3: gone"
    assert str(Finding("media", "gone")) == "media: gone"
    assert CheckReport(Path("x.jsonl")).ok
    assert header().origin == "synthetic"
