"""The demo as a person runs it: a call with the emulator over a real socket, recorded, replayed, compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from xai_realtime import check_cassette, load_cassette
from xai_realtime.cli.app import app

pytest.importorskip("uvicorn", reason="the emulator is an extra")

HEARD = ["One moment, I look it up.", "High tide in Porto", "You are welcome."]


@pytest.mark.behaviour("cli-demo-holds-a-call")
def test_demo_shows_the_call_and_that_its_recording_is_the_same_conversation(tmp_path: Path) -> None:
    tape = tmp_path / "call.jsonl"
    result = CliRunner().invoke(app, ["demo", "--keep", str(tape)])
    assert result.exit_code == 0, result.output
    said = [line.split("is heard to say: ")[1] for line in result.output.splitlines() if "is heard to say" in line]
    assert said[0] == HEARD[0] and said[2] == HEARD[2]
    assert "the same conversation" in " ".join(result.output.split())
    assert "look_up_tide" in result.output and "interrupted" in result.output
    assert load_cassette(tape).header.origin == "emulator"
    assert check_cassette(tape).ok


@pytest.mark.behaviour("cli-demo-holds-a-call")
def test_demo_as_json_is_one_object_that_says_whether_the_digests_agree() -> None:
    result = CliRunner().invoke(app, ["demo", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["digests_agree"] is True and told["digest"] == told["live_digest"]
    assert [told["heard"][0], told["heard"][2]] == [HEARD[0], HEARD[2]]
    assert told["heard"][1] and "High tide in Porto is at 16:40".startswith(told["heard"][1][:18])
    assert told["unknown_events"] == told["invalid_events"] == told["unread"] == told["unsent"] == 0
    assert [call["name"] for call in told["tool_calls"]] == ["look_up_tide"]
