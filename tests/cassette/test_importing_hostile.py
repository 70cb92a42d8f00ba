"""What is no capture, or a bad one, is refused with its place."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tests.cassette.captures import played, refused, tape_of
from xai_realtime.cassette import importing
from xai_realtime.cassette.importing import _yaml as yaml_reader
from xai_realtime.errors import CassetteFormatError, ConfigurationError

BOMB = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghijkl", "bcdefghijklm", strict=True)
)


@pytest.mark.behaviour("import-hostile")
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("interactions:\n- !!python/object/apply:os.system ['touch x']\n", 2),
        ("interactions:\n- kind: message\n  data: !!python/name:os.system ''\n", 3),
        ("interactions:\n- kind: !mine message\n", 2),
        ("interactions:\n- &a [*a]\n", 2),
        ("interactions:\n- *nothing\n", 2),
        ("interactions:\n- {<<: {kind: message}}\n", 2),
        ("interactions:\n- {1: 2}\n", 2),
        ("interactions:\n- {data: {x: .nan}}\n", 2),
        ("interactions:\n- {data: {x: 1, x: 2}}\n", 2),
        ("interactions:\n- {data: {x: !!binary AAAA}}\n", 2),
        ("interactions:\n- {data: !!binary '@'}\n", 2),
        ("interactions:\n- {data: !!int x}\n", 2),
        ("interactions:\n- {data: " + "9" * 4001 + "}\n", 2),
        ("interactions: " + "[" * 5000, 1),
        (BOMB, 9),
        ("version: 2\ninteractions: []\n", 1),
        ("version: true\ninteractions: []\n", 1),
        ("version: 1\n", 1),
        ("- a\n- b\n", 1),
        ("just words\n", 1),
        ("", 1),
        ("interactions: []\n", 0),
        ("interactions: 5\n", 1),
        ("interactions: []\nurl: 5\n", 1),
        ("interactions: []\nmore: 5\n", 1),
        ("interactions: []\n---\ninteractions: []\n", 1),
        ("interactions:\n- word\n", 0),
        ("interactions:\n- [1]\n", 2),
        ("interactions:\n- kind: message\n  direction: received\n  data: {type: ping\n", 5),
        ("interactions:\n- kind: weather\n", 2),
        ("interactions:\n- kind: [1]\n", 2),
        ("interactions:\n- kind: message\n", 2),
        ("interactions:\n- {data: 5}\n", 2),
        ("interactions:\n- {data: {}, mood: 5}\n", 2),
        ("interactions:\n- {data: {}, direction: up}\n", 2),
        ("interactions:\n- {data: {}, direction: 5}\n", 2),
        ("interactions:\n- {data: x, encoding: rot13}\n", 2),
        ("interactions:\n- {data: x, opcode: 9}\n", 2),
        ('interactions:\n- {data: {x: "\\ud800"}}\n', 2),
        ("interactions:\n- {kind: close, code: x}\n", 2),
        ("interactions:\n- {kind: close, ok: 5}\n", 2),
        ("interactions:\n- {kind: close, reason: 5}\n", 2),
        ("interactions:\n- {kind: close, by: nobody}\n", 2),
        ("interactions:\n- {kind: connect, headers: [x]}\n", 2),
        ("interactions:\n- {kind: connect, url: 5}\n", 2),
        (b"interactions:\n- \xff\n", 2),
        (b"interactions:\n- \x00\n", 2),
    ],
)
def test_yaml_that_is_no_capture_is_refused_with_the_line(
    text: str | bytes, line: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(yaml_reader, "MAX_EXPANDED", 100_000_000)
    error = refused(tmp_path, text)
    assert (error.line, "xx" in str(error)) == (line, False)
    assert not (tmp_path / "x").exists()


@pytest.mark.behaviour("import-hostile")
def test_capture_over_the_size_limit_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "MAX_CAPTURE_BYTES", 10)
    assert "over 10 bytes" in str(refused(tmp_path, "interactions: []\n"))


@pytest.mark.behaviour("import-hostile")
def test_recording_cut_at_any_line_imports_in_part_or_is_refused_with_the_place(shared: Path, tmp_path: Path) -> None:
    lines = (shared / "recordings" / "text_in_audio_out_turn.yaml").read_text().splitlines(keepends=True)
    for count in range(1, len(lines), 7):
        source = tmp_path / "capture.yaml"
        source.write_text("".join(lines[:count]))
        try:
            playback = anyio.run(played, tape_of(source))
            assert playback.replay is not None
            assert (playback.replay.unread, playback.replay.unsent) == ((), ())
            assert playback.unknown_events + playback.invalid_events <= 1
        except CassetteFormatError as error:
            assert error.path == str(source)


def test_yaml_without_its_parser_is_a_configuration_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(ConfigurationError, match="PyYAML"):
        yaml_reader.read_yaml("interactions: []", "capture.yaml")
