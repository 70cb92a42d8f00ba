"""Programs of verbs that nobody thought of, held against the laws of a session."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.mutants.mutants import MUTANTS
from tests.session.laws import broken_laws
from tests.session.model import Act, Setting, perform

BUSY = st.sampled_from(["queue", "cancel", "raise"])
QUIRKS = st.sampled_from(
    [
        (),
        (("late_deltas", 3),),
        (("duplicate_calls", 2),),
        (("late_done_ms", 400),),
        (("refuse_early_outputs", True),),
    ]
)
LATE = (("late_deltas", 3),)
INTERRUPTED = [Act("send_text", {"text": "alpha"}), Act("wait", {"ms": 900}), Act("interrupt")]
SPOKEN_OVER_A_CUT = [Act("speak", {"text": "spoken alpha", "waits": False}), Act("wait", {"ms": 300}), Act("cut")]
WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett", "kilo", "lima")
WAITS = st.sampled_from([20, 70, 300, 600, 900, 1_500, 3_000])


class Program(RuleBasedStateMachine):
    """Collects a program; it is performed when it is complete."""

    backend = "asyncio"

    def __init__(self) -> None:
        super().__init__()
        self.setting = Setting()
        self.acts: list[Act] = []
        self.words = 0

    def word(self) -> str:
        """A word that was not said yet."""
        number, place = divmod(self.words, len(WORDS))
        self.words += 1
        return WORDS[place] * (number + 1)

    def act(self, verb: str, **given: Any) -> None:
        """One more step."""
        self.acts.append(Act(verb, given))

    @initialize(manual=st.booleans(), answers_commits=st.booleans(), quirks=QUIRKS)
    def session(self, manual: bool, answers_commits: bool, quirks: tuple[tuple[str, Any], ...]) -> None:
        self.setting = Setting(manual, answers_commits, quirks, self.backend)

    @rule(when_busy=BUSY, respond=st.booleans())
    def send_text(self, when_busy: str, respond: bool) -> None:
        self.act("send_text", text=self.word(), when_busy=when_busy, respond=respond)

    @rule(when_busy=BUSY, interruptible=st.booleans())
    def respond(self, when_busy: str, interruptible: bool) -> None:
        self.act("respond", text=self.word(), when_busy=when_busy, interruptible=interruptible)

    @rule(when_busy=BUSY, interruptible=st.booleans())
    def say(self, when_busy: str, interruptible: bool) -> None:
        self.act("say", text=f"please hear {self.word()}", when_busy=when_busy, interruptible=interruptible)

    @rule(ms=st.sampled_from([0, 200, 2_000]), when_busy=BUSY, is_parallel=st.booleans())
    def fetch(self, ms: int, when_busy: str, is_parallel: bool) -> None:
        names = [self.word() for _ in range(1 + is_parallel)]
        self.act("fetch", text=" and ".join(names), ms=ms, when_busy=when_busy)

    @rule(waits=st.booleans())
    def speak(self, waits: bool) -> None:
        self.act("speak", text=f"spoken {self.word()}", waits=waits)

    @rule(clear_input=st.booleans(), force=st.booleans())
    def interrupt(self, clear_input: bool, force: bool) -> None:
        # Under turn detection it is not known whether the service's audio clock goes on after a clear.
        self.act("interrupt", clear_input=clear_input and self.setting.manual, force=force)

    @rule()
    def pause(self) -> None:
        self.act("pause")

    @rule(voice=st.sampled_from(["eve", "rex"]))
    def update(self, voice: str) -> None:
        self.act("update", voice=voice)

    @rule()
    def restart(self) -> None:
        self.act("restart")

    @rule()
    def reset(self) -> None:
        self.act("reset")

    @rule()
    def cut(self) -> None:
        self.act("cut")

    @precondition(lambda self: self.acts and self.acts[-1].verb != "wait")
    @rule(ms=WAITS)
    def wait(self, ms: int) -> None:
        self.act("wait", ms=ms)

    def teardown(self) -> None:
        """Perform what was collected."""
        broken = broken_laws(perform(self.setting, self.acts))
        program = "\n".join(f"    {act}" for act in self.acts)
        assert not broken, f"{self.setting}\n{program}\nbreaks\n" + "\n".join(f"    {law}" for law in broken)


QUICK = settings(
    max_examples=60,
    stateful_step_count=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.behaviour("session-model")
def test_session_keeps_its_laws_whatever_the_program() -> None:
    run_state_machine_as_test(Program, settings=QUICK)


class TrioProgram(Program):
    """The same on the other backend."""

    backend = "trio"


@pytest.mark.slow
@pytest.mark.behaviour("session-model")
@pytest.mark.parametrize("machine", [Program, TrioProgram])
@pytest.mark.parametrize("shard", range(5))
def test_session_keeps_its_laws_over_ten_thousand_programs(shard: int, machine: type[Program]) -> None:
    longer = settings(QUICK, max_examples=1_000, stateful_step_count=12, derandomize=False, print_blob=True)
    run_state_machine_as_test(machine, settings=longer)


@pytest.mark.behaviour("session-model")
@pytest.mark.parametrize(
    ("name", "law", "quirks", "program"),
    [
        ("two-continuations", "wishes_are_answered_once", (), [Act("fetch", {"text": "alpha", "ms": 0})]),
        ("no-continuation", "wishes_are_answered_once", (), [Act("fetch", {"text": "alpha", "ms": 500})]),
        ("stale-audio", "audio_belongs_to_a_reply_that_runs", LATE, INTERRUPTED),
        ("audio-lost", "both_sides_know_the_same", (), SPOKEN_OVER_A_CUT),
    ],
)
def test_laws_are_broken_by_a_planted_bug(name: str, law: str, quirks: Any, program: list[Act]) -> None:
    [mutant] = [mutant for mutant in MUTANTS if mutant.name == name]
    assert broken_laws(perform(Setting(quirks=quirks), program)) == []
    with mutant.plant():
        broken = broken_laws(perform(Setting(quirks=quirks), program))
    assert any(law in sentence for sentence in broken), broken


FOUND = {
    "reply passed over by a phantom": (
        Setting(),
        [
            Act("speak", {"text": "spoken alpha", "waits": False}),
            Act("update", {"voice": "rex"}),
            Act("send_text", {"text": "bravo"}),
            Act("pause"),
        ],
    ),
    "audio behind a clear": (
        Setting(manual=True, answers_commits=False),
        [
            Act("fetch", {"text": "bravo", "ms": 2_000}),
            Act("restart"),
            Act("interrupt", {"clear_input": True}),
            Act("speak", {"text": "spoken charlie"}),
        ],
    ),
}


@pytest.mark.behaviour("session-model")
@pytest.mark.parametrize("name", FOUND)
def test_program_that_broke_a_law_once_keeps_them_all(name: str) -> None:
    assert broken_laws(perform(*FOUND[name])) == []
