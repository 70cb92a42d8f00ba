"""What the emulator says to what it hears. In: a prompt. Out: a turn. Imports: the standard library, rooms 0 and 7.

A scenario is a table of turns (from TOML, or the one built in) or any Python function from a Prompt to a Turn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

from xai_realtime.emulator.chat_quirks import ChatQuirks
from xai_realtime.emulator.speech_quirks import SpeechQuirks
from xai_realtime.errors import ConfigurationError

__all__ = [
    "DEFAULT_SCENARIO",
    "DropSpec",
    "ErrorSpec",
    "Limits",
    "Prompt",
    "Rule",
    "Scenario",
    "ScenarioLike",
    "Settings",
    "TableScenario",
    "ToolRequest",
    "Turn",
    "as_scenario",
    "fill",
    "load_scenario",
    "names_in",
]

FALLBACK: Final = "What is the weather in London?"
STT_FALLBACK: Final = "hello world"
USUAL_SPEECH: Final = SpeechQuirks()
USUAL_CHAT: Final = ChatQuirks()
PLACEHOLDER: Final = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}")


def fill(template: str, values: Mapping[str, str]) -> str:
    """`template` with `{name}` replaced by `values[name]`; `{{` and `}}` are braces, an unknown name stays as it is."""

    def put(match: re.Match[str]) -> str:
        name = match[1]
        return match[0][0] if name is None else values.get(name, match[0])

    return PLACEHOLDER.sub(put, template)


def fill_for_later(template: str, values: Mapping[str, str]) -> str:
    """As `fill`, but what comes out is a template again: names it does not know are filled by the next one."""

    def put(match: re.Match[str]) -> str:
        value = values.get(match[1]) if match[1] is not None else None
        return match[0] if value is None else value.replace("{", "{{").replace("}", "}}")

    return PLACEHOLDER.sub(put, template)


def names_in(template: str) -> list[str]:
    """The names that a template wants."""
    return [match[1] for match in PLACEHOLDER.finditer(template) if match[1] is not None]


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """A function the model calls. Arguments given as a text go out as they are, also when they are no JSON."""

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ErrorSpec:
    """An `error` event in place of a reply."""

    message: str
    code: str | None = None
    type: str = "invalid_request_error"


@dataclass(frozen=True, slots=True)
class DropSpec:
    """The end of the connection `after_ms` into the reply: with a close code, or cut without one."""

    after_ms: float = 0.0
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One reply of the model.

    `say` is spoken first, then `calls` are made; once every output is in, `then` is spoken (`{output}` in it is
    what came back, several joined by a space; None asks the scenario again with the outputs). `delay_ms` is
    thought about before. `events` go out as they are, before the reply. `silent` gives no reply at all, `fail`
    and `incomplete` end the response in that status, `error` sends an error instead, `drop` ends the connection.
    """

    say: str | None = None
    calls: tuple[ToolRequest, ...] = ()
    then: str | None = None
    delay_ms: float = 0.0
    error: ErrorSpec | None = None
    drop: DropSpec | None = None
    silent: bool = False
    fail: bool = False
    incomplete: bool = False
    events: tuple[Mapping[str, Any], ...] = ()

    def answer(self, outputs: Sequence[str]) -> str | None:
        """What is spoken after the calls, None when the scenario is to be asked again."""
        if self.then is None:
            return None
        return fill(self.then, {"output": " ".join(outputs)})


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a reply is wanted to.

    `heard` is the last thing the user said or wrote, `modality` how, `history` the (role, text) pairs before it,
    `outputs` what the calls of the turn before brought, `instructions` those of `response.create`, `tools` the
    names of the functions that the session offers.
    """

    heard: str
    modality: str = "text"
    history: tuple[tuple[str, str], ...] = ()
    outputs: tuple[str, ...] = ()
    instructions: str | None = None
    tools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the emulated service: seconds, sessions at a time, bytes of one message."""

    max_duration_s: float = 7200.0
    idle_timeout_s: float | None = None
    concurrent_sessions: int = 100
    max_message_bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """What a scenario sets besides its turns: how audio is heard that is no audible text, and limits.

    `answers_commits` is False where a commit by hand makes an item alone, and only a request is answered. `speech` is
    how the speech services behave, `chat` the same of chat.
    """

    fallback: str = FALLBACK
    stt_fallback: str = STT_FALLBACK
    limits: Limits = Limits()
    answers_commits: bool = True
    speech: SpeechQuirks = USUAL_SPEECH
    chat: ChatQuirks = USUAL_CHAT


@runtime_checkable
class Scenario(Protocol):
    """What the emulator asks for every reply."""

    @property
    def settings(self) -> Settings:
        """Fallbacks of hearing, limits, and what is answered."""
        ...

    def turn(self, prompt: Prompt) -> Turn:
        """The reply to `prompt`. Equal prompts should give equal turns, so that a run can be repeated."""
        ...


ScenarioLike: TypeAlias = "Scenario | Callable[[Prompt], Turn | str | None] | str | PathLike[str] | None"
"""A scenario, a function, the path of a TOML file, or None for the one built in."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of a table: a pattern, and the turn with `{name}` still in its texts.

    `when` is searched in what was heard, without regard to case. `when_output` makes it a rule for what calls
    brought back; a rule without it is not asked then. One that `needs_tools` is passed over while the session
    does not offer the functions it calls.
    """

    when: re.Pattern[str]
    turn: Turn
    when_output: re.Pattern[str] | None = None
    needs_tools: bool = False

    def reply(self, prompt: Prompt) -> Turn | None:
        """The turn, its texts filled in; None when the rule does not match."""
        if (self.when_output is not None) is not bool(prompt.outputs):
            return None
        if self.needs_tools and not {call.name for call in self.turn.calls} <= set(prompt.tools):
            return None
        found = self.when.search(prompt.heard)
        if found is None:
            return None
        values = {"heard": prompt.heard, **{name: text or "" for name, text in found.groupdict().items()}}
        if self.when_output is not None:
            output = " ".join(prompt.outputs)
            brought = self.when_output.search(output)
            if brought is None:
                return None
            values |= {"output": output, **{name: text or "" for name, text in brought.groupdict().items()}}
        return _filled(self.turn, values)


def _filled(turn: Turn, values: Mapping[str, str]) -> Turn:
    return Turn(
        say=None if turn.say is None else fill(turn.say, values),
        calls=tuple(ToolRequest(fill(call.name, values), _filled_json(call.arguments, values)) for call in turn.calls),
        then=None if turn.then is None else fill_for_later(turn.then, values),
        delay_ms=turn.delay_ms,
        error=turn.error and ErrorSpec(fill(turn.error.message, values), turn.error.code, turn.error.type),
        drop=turn.drop,
        silent=turn.silent,
        fail=turn.fail,
        incomplete=turn.incomplete,
        events=tuple(_filled_json(event, values) for event in turn.events),
    )


def _filled_json(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return fill(value, values)
    if isinstance(value, Mapping):
        return {name: _filled_json(inner, values) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_filled_json(inner, values) for inner in value]
    return value


class TableScenario:
    """Rules in order; the first that matches gives the turn.

    What no rule matches is answered by silence, outputs that no rule takes by speaking them.
    """

    def __init__(self, rules: Sequence[Rule], settings: Settings | None = None) -> None:
        self._rules = tuple(rules)
        self._settings = settings or Settings()

    @property
    def settings(self) -> Settings:
        """Fallbacks of hearing and limits."""
        return self._settings

    def turn(self, prompt: Prompt) -> Turn:
        """The turn of the first rule that matches."""
        for rule in self._rules:
            turn = rule.reply(prompt)
            if turn is not None:
                return turn
        return Turn(say=" ".join(prompt.outputs)) if prompt.outputs else Turn(silent=True)


class FunctionScenario:
    """A Python function as a scenario: it gives a Turn, a text to say, or None for no reply."""

    def __init__(self, function: Callable[[Prompt], Turn | str | None], settings: Settings | None = None) -> None:
        self._function = function
        self._settings = settings or Settings()

    @property
    def settings(self) -> Settings:
        """Fallbacks of hearing and limits."""
        return self._settings

    def turn(self, prompt: Prompt) -> Turn:
        """What the function gives. Raises ConfigurationError when that is no turn; its own errors pass."""
        given = self._function(prompt)
        if given is None:
            return Turn(silent=True)
        if isinstance(given, str):
            return Turn(say=given)
        if isinstance(given, Turn):
            return given
        raise ConfigurationError(f"the scenario gave a {type(given).__name__}; a Turn, a str or None is allowed")


DEFAULT_SCENARIO: Final = TableScenario(
    [
        Rule(
            re.compile(r"weather in (?P<city>[^\W\d_][\w .'-]*?)\s*(?:[?!.,;]|$)", re.IGNORECASE),
            Turn(say="Let me check.", calls=(ToolRequest("get_weather", {"city": "{city}"}),), then="{output}"),
            needs_tools=True,
        ),
        Rule(re.compile(r"."), Turn(say="You said: {heard}")),
    ]
)
"""A weather question calls `get_weather` where the session offers it; anything else is said back."""


def load_scenario(path: str | PathLike[str]) -> TableScenario:
    """Read a scenario from a TOML file.

    Raises ConfigurationError naming file, line and field for what cannot be understood, and for a file
    that cannot be read.
    """
    from xai_realtime.emulator._toml import read_scenario

    return read_scenario(path)


def as_scenario(given: ScenarioLike) -> Scenario:
    """Whatever may stand for a scenario, as one. Raises ConfigurationError for anything else."""
    if given is None:
        return DEFAULT_SCENARIO
    if isinstance(given, str | PathLike):
        return load_scenario(given)
    if isinstance(given, Scenario):
        return given
    if callable(given):
        return FunctionScenario(given)
    raise ConfigurationError(
        f"scenario is a {type(given).__name__}; a path, a function from Prompt to Turn, or a Scenario is allowed"
    )
