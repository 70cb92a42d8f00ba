"""Each planted bug is noticed, by a failure that names it; without one, every check passes."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tests.mutants import checks, checks_of_audio, checks_of_lines
from tests.mutants.mutants import MUTANTS, Mutant
from tests.session.driving import Talk, run, scripted, talking
from tests.tapes import unwrapped
from xai_realtime import record, replay
from xai_realtime.emulator import Emulator
from xai_realtime.errors import ReplayError
from xai_realtime.protocol.session_events import ResponseDone, SpeechStarted
from xai_realtime.tools import tool
from xai_realtime.transport.base import Transport

CHECKS = {
    name: value
    for module in (checks, checks_of_audio, checks_of_lines)
    for name, value in vars(module).items()
    if getattr(value, "is_check", False)
}


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_session_passes_its_check_without_a_mutant(name: str) -> None:
    CHECKS[name]()


@pytest.mark.behaviour("mutants-are-caught")
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutant_is_caught_by_a_failure_that_names_it(mutant: Mutant) -> None:
    with mutant.plant():
        try:
            mutant.caught_by()
        except BaseException as failure:  # noqa: BLE001
            first = unwrapped(failure)
        else:
            pytest.fail(f"nobody noticed: {mutant.breaks}")
    assert isinstance(first, AssertionError), f"{mutant.name} was not judged, it broke the check: {first!r}"
    assert mutant.says in str(first)
    mutant.caught_by()


def test_each_check_catches_a_mutant() -> None:
    assert {mutant.caught_by for mutant in MUTANTS} == set(CHECKS.values())


def test_mutants_have_names_of_their_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 15


# The same over a tape: what a mutant sends differs from what was recorded.


@tool
async def now() -> str:
    """The time."""
    return "noon"


def talk_over(transport: Transport) -> None:
    """One call: a function, a text, an interruption, the tools taken away. Raises what ended the session."""
    talks: list[Talk] = []

    async def main() -> None:
        async with talking(transport=transport, tools=[now]) as talk:
            talks.append(talk)
            await talk.session.interrupt()
            await talk.session.send_text("go")
            await talk.next(ResponseDone)
            await talk.next(ResponseDone)
            await talk.session.send_text("a long text that is said back")
            await talk.next(SpeechStarted, who="agent")
            await anyio.sleep(0.55)
            await talk.session.interrupt()
            await talk.next(ResponseDone)
            await talk.session.update(tools=())
            await anyio.sleep(1)

    try:
        run(main, "asyncio")
    except BaseException as failure:  # noqa: BLE001
        raise (talks[0].error or unwrapped(failure)) from None
    if talks[0].error is not None:
        raise talks[0].error


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The call as it should be."""
    path = tmp_path_factory.mktemp("mutants") / "good.jsonl"
    emulator = Emulator(scripted(checks.asks_tools("now")), seed=1)
    talk_over(record(path, emulator.transport(), origin="emulator"))
    return path


def test_session_replays_its_own_tape(tape: Path) -> None:
    talk_over(replay(tape, clock="virtual"))


@pytest.mark.behaviour("mutants-are-caught")
@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("no-continuation", "response.create"),
        ("two-continuations", "response.create"),
        ("output-under-the-item", "item.call_id"),
        ("quoted-output", "item.output"),
        ("text-commits-audio", "input_audio_buffer.commit"),
        ("tools-stay", "session.update"),
        ("truncates-too-late", "audio_end_ms"),
        ("cancels-nothing", "response.cancel"),
    ],
)
def test_mutant_over_a_tape_fails_at_the_frame_that_differs(name: str, where: str, tape: Path) -> None:
    [mutant] = [mutant for mutant in MUTANTS if mutant.name == name]
    with mutant.plant(), pytest.raises(ReplayError) as caught:
        talk_over(replay(tape, clock="virtual"))
    assert where in str(caught.value)
    assert "good.jsonl" in str(caught.value)
