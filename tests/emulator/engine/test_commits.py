"""Turns by hand where only a request is answered."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.engine.driving import MANUAL, VAD, Call, say, scripted
from xai_realtime import ConfigurationError
from xai_realtime.audible import speak
from xai_realtime.emulator import Emulator, Settings, TableScenario
from xai_realtime.emulator.scenario import Prompt, ToolRequest, Turn

COMMIT = {"type": "input_audio_buffer.commit"}
CREATE = {"type": "response.create"}
COMPLETED = "conversation.item.input_audio_transcription.completed"


def by_hand(scenario: Any = None, **session: Any) -> Call:
    call = Call(scenario, session={**MANUAL, **session}, answers_commits=False)
    call.forget()
    return call


@pytest.mark.behaviour("emulator-commit-needs-request")
@pytest.mark.parametrize("pace", ["real", "instant"])
def test_commit_makes_an_item_alone_and_the_request_is_answered(pace: str) -> None:
    call = Call(session=MANUAL, answers_commits=False, pace=pace)
    call.forget()
    call.append(speak("Hello"))
    call.send(COMMIT)
    call.run(10_000)
    assert call.types[:2] == ["input_audio_buffer.committed", "conversation.item.added"]
    assert call.last(COMPLETED)["transcript"] == "Hello"
    assert "response.created" not in call.types
    call.send(CREATE)
    call.run(10_000)
    assert call.heard() == "You said: Hello"
    assert call.last("response.done")["usage"]["input_token_details"]["audio_tokens"] > 0


@pytest.mark.behaviour("emulator-commit-needs-request")
def test_every_request_is_answered() -> None:
    call = by_hand()
    call.append(speak("Hello"))
    call.send(COMMIT, CREATE)
    call.run(10_000)
    call.send(CREATE)
    call.run(10_000)
    assert len(call.of("response.done")) == 2
    assert call.errors == []


def test_request_is_answered_with_what_was_said_where_no_transcript_is_wanted() -> None:
    seen: list[Prompt] = []
    call = by_hand(lambda prompt: seen.append(prompt) or "Yes.", audio={"input": {"transcription": None}})
    call.append(speak("First"))
    call.send(COMMIT)
    call.append(speak("Hello"))
    call.send(COMMIT, CREATE)
    call.run(10_000)
    call.send(CREATE)
    call.run(10_000)
    assert COMPLETED not in call.types
    assert [(prompt.heard, prompt.modality) for prompt in seen] == [("Hello", "audio"), ("Hello", "text")]
    assert seen[0].history == (("user", "First"),)


def test_request_commits_and_answers_the_speech_that_waits() -> None:
    call = by_hand()
    call.append(speak("Hello"))
    call.send(CREATE)
    call.run(10_000)
    assert call.types[0] == "input_audio_buffer.committed"
    assert call.heard() == "You said: Hello"


def test_text_after_a_commit_is_what_the_request_is_about() -> None:
    call = by_hand(scripted({"And this": "Yes."}))
    call.append(speak("Hello"))
    call.send(COMMIT)
    call.write("And this")
    call.run(10_000)
    assert call.heard() == "Yes."


def test_output_after_a_commit_is_what_the_request_is_about() -> None:
    call = by_hand(scripted({"Go": Turn(calls=(ToolRequest("f", {}),), then="It is {output}.")}))
    call.write("Go")
    call.run(2_000)
    call.append(speak("Hello"))
    call.send(COMMIT)
    call.bring(call.conversation.tool_calls[0].call_id, "done")
    call.run(10_000)
    assert call.heard() == "It is done."


def test_request_while_a_reply_runs_leaves_the_commit_to_the_next_one() -> None:
    call = by_hand()
    call.write("One")
    call.run(1_000)
    call.append(speak("Two"))
    call.send(COMMIT, CREATE)
    call.run(10_000)
    assert [error["code"] for error in call.errors] == ["conversation_already_has_active_response"]
    call.send(CREATE)
    call.run(10_000)
    assert call.heard() == "You said: One You said: Two"


def test_turn_detection_answers_as_ever() -> None:
    call = Call(session=VAD, answers_commits=False)
    call.append(say("Hello"))
    call.run(10_000)
    assert call.heard() == "You said: Hello"


def test_setting_comes_from_the_scenario_unless_it_is_given() -> None:
    scenario = TableScenario([], Settings(answers_commits=False))
    assert Emulator().world.answers_commits is True
    assert Emulator(scenario).world.answers_commits is False
    assert Emulator(scenario, answers_commits=True).world.answers_commits is True
    with pytest.raises(ConfigurationError, match="answers_commits is 0; True, False or None is allowed"):
        Emulator(answers_commits=0)  # type: ignore[arg-type]
