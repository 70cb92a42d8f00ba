"""Captures of other tools become tapes that play."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
import pytest
import yaml

from tests.cassette.captures import (
    CREATED,
    EVENTS,
    RECORDINGS,
    UUID,
    as_jsonl,
    as_yaml,
    audio,
    check,
    delta,
    played,
    received,
    sent,
    tape_of,
    tape_of_into,
    values,
)
from xai_realtime import run_virtual
from xai_realtime.cassette.importing import import_capture
from xai_realtime.cassette.redaction import Redactor
from xai_realtime.cassette.tape import load_cassette
from xai_realtime.errors import ConfigurationError
from xai_realtime.player import play


@pytest.mark.behaviour("import-recordings")
@pytest.mark.parametrize("name", RECORDINGS)
def test_recording_plays_with_one_digest_on_every_backend_and_clock(name: str, shared: Path, tmp_path: Path) -> None:
    report = import_capture(shared / "recordings" / f"{name}.yaml", tmp_path / "tape.jsonl")
    cassette = load_cassette(report.path)
    assert (report.unknown_types, report.timing, report.media) == ((), "estimated", "shortened")
    digests = set()
    for backend in ("asyncio", "trio"):
        instant = anyio.run(partial(played, cassette), backend=backend)
        virtual = run_virtual(partial(play, cassette, clock="virtual"), backend=backend)
        for playback in (instant, virtual):
            check(playback)
            digests.add(playback.digest)
            result = playback.to_json()
            assert (result["received"], result["sent"]) == (report.received, report.sent)
            assert playback.untyped_sends == 0
    assert len(digests) == 1


@pytest.mark.behaviour("import-recordings")
def test_recording_keeps_every_frame_when_ids_are_kept(shared: Path, tmp_path: Path) -> None:
    for name in RECORDINGS:
        source = shared / "recordings" / f"{name}.yaml"
        recorded = [item for item in yaml.safe_load(source.read_text())["interactions"] if item["kind"] == "message"]
        tape = tape_of_into(source, tmp_path / f"{name}.jsonl", keep_ids=True)
        expected = [("in" if item["direction"] == "received" else "out", item["data"]) for item in recorded]
        assert values(tape) == expected


@pytest.mark.behaviour("import-recordings")
def test_close_made_by_a_test_is_a_server_close_between_two_connections(shared: Path, tmp_path: Path) -> None:
    tape = tape_of_into(shared / "recordings" / "session_resumption_after_drop.yaml", tmp_path / "tape.jsonl")
    close = tape.connections[1].close
    assert close is not None
    assert (close.by, close.code, close.clean) == ("server", 1011, False)
    assert list(tape.connections) == [1, 2]
    assert tape.connections[2].close is None
    assert tape.connections[2].open.url is None
    assert tape.header.recorded_at == "2026-07-28T04:48:12Z"


def test_target_and_source_must_make_sense(tmp_path: Path) -> None:
    source = as_jsonl(tmp_path, CREATED)
    with pytest.raises(ConfigurationError, match=r"ends in \.jsonl"):
        import_capture(source, tmp_path / "tape.yaml")
    with pytest.raises(ConfigurationError, match="replaced by its own import"):
        import_capture(source, source)
    with pytest.raises(FileNotFoundError):
        import_capture(tmp_path / "none.yaml", tmp_path / "tape.jsonl")


@pytest.mark.behaviour("import-clean")
def test_import_twice_gives_the_same_bytes_and_nothing_is_left_to_redact(shared: Path, tmp_path: Path) -> None:
    for name in RECORDINGS:
        source, target = shared / "recordings" / f"{name}.yaml", tmp_path / "tape.jsonl"
        first = import_capture(source, target).path.read_bytes()
        media = {path.name: path.read_bytes() for path in (tmp_path / "tape.media").iterdir()}
        assert import_capture(source, target).path.read_bytes() == first
        assert {path.name: path.read_bytes() for path in (tmp_path / "tape.media").iterdir()} == media
        redactor = Redactor(environ={})
        assert all(redactor.json(value) is value for _, value in values(load_cassette(target)))


@pytest.mark.behaviour("import-clean")
def test_imported_tape_imported_again_frame_by_frame_keeps_its_names(tmp_path: Path) -> None:
    tape = tape_of(as_yaml(tmp_path, received(CREATED), received(delta(96)), sent(EVENTS[12])))
    again = as_jsonl(tmp_path, *({"dir": way, "data": value} for way, value in values(tape)))
    assert values(tape_of_into(again, tmp_path / "again.jsonl")) == values(tape)
    assert values(tape)[1][1]["item_id"] == "item_1"


@pytest.mark.behaviour("import-clean")
def test_secrets_go_audio_stands_beside_the_tape_and_ids_become_names(tmp_path: Path) -> None:
    key = "xai-" + "k" * 40
    tool = {"type": "mcp", "server_url": "https://x.test", "authorization": "hush hush", "headers": {"X-A": "b"}}
    source = as_yaml(
        tmp_path,
        received({**CREATED, "session": {"id": "a" * 32, "xvad_settings": {"model_address": "grpc://inside"}}}),
        sent({"type": "session.update", "session": {"instructions": f"say {key}", "tools": [tool]}}),
        received(delta(960)),
        {"kind": "close", "code": 1011, "reason": "my own secret", "ok": False},
    )
    tape = tape_of(source, secrets=["my own secret"], notes="of my own secret")
    text = tape.path.read_text()
    for secret in (key, "hush", "inside", "my own", "a" * 32, UUID.format(4), audio(960)):
        assert secret not in text
    assert '"$media"' in text
    check(anyio.run(played, tape))
