"""Scenarios written in TOML. In: a file. Out: a TableScenario, or one error with file, line and field.

Imports: the standard library, rooms 0 and 7.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from os import PathLike
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from xai_realtime.emulator._places import Path as Place
from xai_realtime.emulator._places import places
from xai_realtime.emulator.chat_quirks import ChatQuirks
from xai_realtime.emulator.scenario import (
    DropSpec,
    ErrorSpec,
    Limits,
    Rule,
    Settings,
    TableScenario,
    ToolRequest,
    Turn,
    names_in,
)
from xai_realtime.emulator.speech_quirks import Refuse, SpeechQuirks
from xai_realtime.emulator.world import checked_limits
from xai_realtime.errors import ConfigurationError

__all__ = ["read_scenario"]

Q = TypeVar("Q", SpeechQuirks, ChatQuirks)

MAX_FILE_BYTES: Final = 4 * 1024 * 1024
MAX_DELAY_MS: Final = 3_600_000
LINE_IN_MESSAGE: Final = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$")

TURN_FIELDS: Final = (
    "when",
    "when_output",
    "say",
    "call",
    "calls",
    "then",
    "delay_ms",
    "error",
    "drop",
    "silent",
    "fail",
    "incomplete",
    "events",
)
LIMIT_FIELDS: Final = ("max_duration_s", "idle_timeout_s", "concurrent_sessions", "max_message_bytes")


def read_scenario(path: str | PathLike[str]) -> TableScenario:
    """The scenario that a file describes. Raises ConfigurationError."""
    file = Path(path)
    try:
        data = file.read_bytes()[: MAX_FILE_BYTES + 1]
        if len(data) > MAX_FILE_BYTES:
            raise ConfigurationError(f"{file}: larger than {MAX_FILE_BYTES} bytes, which no scenario is")
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror or type(error).__name__}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigurationError(f"{file}:{line}: the file is not UTF-8") from None
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = LINE_IN_MESSAGE.search(str(error))
        line = int(found[1]) if found and found[1] else max(text.rstrip().count("\n") + 1, 1)
        raise ConfigurationError(f"{file}:{line}: no TOML: {LINE_IN_MESSAGE.sub('', str(error))}") from None
    except RecursionError:
        raise ConfigurationError(f"{file}: nested too deeply") from None
    return Reader(file, places(text)).scenario(parsed)


class Reader:
    """Checks one file's values, field by field; every mistake is told with its place."""

    def __init__(self, file: Path, lines: Mapping[Place, int]) -> None:
        self._file = file
        self._lines = lines

    def scenario(self, parsed: dict[str, Any]) -> TableScenario:
        """The whole."""
        self.only(parsed, ("chat", "emulator", "hearing", "limits", "speech", "turn"), ())
        settings = self.settings(parsed)
        turns = parsed.get("turn", [])
        if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
            self.wrong(("turn",), "write a turn as a table of its own: [[turn]]")
        if not turns:
            self.wrong((), "there is no [[turn]], so there is nothing to say")
        return TableScenario([self.rule(turn, ("turn", index)) for index, turn in enumerate(turns)], settings)

    def settings(self, parsed: dict[str, Any]) -> Settings:
        """Hearing, limits, and what is answered."""
        hearing = self.table(parsed, "hearing", ())
        self.only(hearing, ("fallback", "stt_fallback"), ("hearing",))
        limits = self.table(parsed, "limits", ())
        self.only(limits, LIMIT_FIELDS, ("limits",))
        for name, value in limits.items():
            try:
                checked_limits(Limits(**{name: value}))
            except ConfigurationError as error:
                self.wrong(("limits", name), str(error).partition(" is ")[2])
        usual = Settings()
        answers = {"answers_commits": usual.answers_commits, **self.table(parsed, "emulator", ())}
        self.only(answers, ("answers_commits",), ("emulator",))
        return Settings(
            self.text(hearing, "fallback", ("hearing",)) or usual.fallback,
            self.text(hearing, "stt_fallback", ("hearing",)) or usual.stt_fallback,
            Limits(**limits),
            self.flag(answers, "answers_commits", ("emulator",)),
            self.quirks(parsed, "speech", SpeechQuirks),
            self.quirks(parsed, "chat", ChatQuirks),
        )

    def quirks(self, parsed: dict[str, Any], name: str, kind: type[Q]) -> Q:
        """How services behave: the fields of a dataclass of quirks, lists for its tuples."""
        given: dict[str, Any] = dict(self.table(parsed, name, ()))
        inside: Place = (name,)
        refusals = given.pop("refuse", [])
        if not isinstance(refusals, list) or not all(isinstance(entry, dict) for entry in refusals):
            self.wrong((*inside, "refuse"), f"write each refusal as a table of its own: [[{name}.refuse]]")
        rules = [self.made(Refuse, entry, (*inside, "refuse", index)) for index, entry in enumerate(refusals)]
        made: Q = self.made(kind, given, inside)
        try:
            return replace(made, refuse=tuple(rules))
        except ConfigurationError as error:
            self.wrong((*inside, "refuse"), f"is {str(error).partition(' is ')[2]}")

    def made(self, kind: type[Any], given: dict[str, Any], place: Place) -> Any:
        """A dataclass that checks its own fields."""
        self.only(given, tuple(field.name for field in fields(kind)), place)
        if kind is Refuse and "status" not in given:
            self.wrong((*place, "status"), "the HTTP status is missing")
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        try:
            return kind(**values)
        except ConfigurationError as error:
            name, _, reason = str(error).partition(" is ")
            self.wrong((*place, name), f"is {reason}")

    def rule(self, turn: dict[str, Any], place: Place) -> Rule:
        """One [[turn]]."""
        self.only(turn, TURN_FIELDS, place)
        if "when" not in turn and "when_output" not in turn:
            self.wrong(place, 'it has no `when`: a regular expression for what was heard, "." for anything')
        when = self.pattern(turn, "when", place) or re.compile("")
        when_output = self.pattern(turn, "when_output", place)
        if "call" in turn and "calls" in turn:
            self.wrong((*place, "call"), "give `call` or `calls`, not both")
        names = {"heard", *when.groupindex, *(when_output.groupindex if when_output else ())}
        if when_output is not None:
            names.add("output")
        made = Turn(
            say=self.text(turn, "say", place),
            calls=self.calls(turn, place),
            then=self.text(turn, "then", place),
            delay_ms=self.number(turn, "delay_ms", place, 0, MAX_DELAY_MS),
            error=self.error(turn, place),
            drop=self.drop(turn, place),
            silent=self.flag(turn, "silent", place),
            fail=self.flag(turn, "fail", place),
            incomplete=self.flag(turn, "incomplete", place),
            events=self.events(turn, place),
        )
        self.known_names(turn, place, names)
        self.fits_together(made, turn, place)
        return Rule(when, made, when_output)

    def fits_together(self, made: Turn, turn: dict[str, Any], place: Place) -> None:
        """No field says what another takes back."""
        if made.then is not None and not made.calls:
            self.wrong((*place, "then"), "is spoken after calls, and there is no `call`")
        if made.fail and made.incomplete:
            self.wrong((*place, "incomplete"), "a response cannot both fail and be incomplete")
        for name in ("silent", "error"):
            spoken = next((other for other in ("say", "call", "calls", "fail", "incomplete") if turn.get(other)), None)
            if turn.get(name) and spoken is not None:
                self.wrong((*place, spoken), f"there is no reply to hold it, because of `{name}`")
        if made.silent and made.error is not None:
            self.wrong((*place, "silent"), "an error is not silent")
        if not (made.say or made.calls or made.error or made.drop or made.events or made.silent or made.fail):
            self.wrong(place, "it says nothing: give `say`, `call`, `error`, `drop`, `events` or `silent = true`")

    def calls(self, turn: dict[str, Any], place: Place) -> tuple[ToolRequest, ...]:
        """`call` or `calls`."""
        if "call" in turn:
            return (self.call(turn["call"], (*place, "call")),)
        given = turn.get("calls", [])
        if not isinstance(given, list):
            self.wrong((*place, "calls"), f"is {kind(given)}; a list of calls is allowed")
        return tuple(self.call(call, (*place, "calls", index)) for index, call in enumerate(given))

    def call(self, given: Any, place: Place) -> ToolRequest:
        """One function call."""
        if not isinstance(given, dict):
            self.wrong(place, f'is {kind(given)}; write {{ name = "...", arguments = {{ ... }} }}')
        self.only(given, ("name", "arguments"), place)
        name = self.text(given, "name", place)
        if not name:
            self.wrong((*place, "name"), "the name of the function is missing")
        arguments = given.get("arguments", {})
        if not isinstance(arguments, dict | str):
            self.wrong((*place, "arguments"), f"is {kind(arguments)}; a table, or a text that goes out as it is")
        return ToolRequest(name, self.json(arguments, (*place, "arguments")))

    def error(self, turn: dict[str, Any], place: Place) -> ErrorSpec | None:
        """`error`."""
        if "error" not in turn:
            return None
        given, inside = self.table(turn, "error", place), (*place, "error")
        self.only(given, ("message", "code", "type"), inside)
        message = self.text(given, "message", inside)
        if message is None:
            self.wrong((*inside, "message"), "the message is missing")
        named = self.text(given, "type", inside)
        return ErrorSpec(message, self.text(given, "code", inside), named or ErrorSpec("").type)

    def drop(self, turn: dict[str, Any], place: Place) -> DropSpec | None:
        """`drop`."""
        if "drop" not in turn:
            return None
        given, inside = self.table(turn, "drop", place), (*place, "drop")
        self.only(given, ("after_ms", "code"), inside)
        code = given.get("code")
        is_code = isinstance(code, int) and not isinstance(code, bool)
        if code is not None and not (is_code and (code in SENDABLE or 3000 <= code <= 4999)):
            self.wrong(
                (*inside, "code"), f"is {code!r}; a close code from 1000 to 4999 is allowed; leave it out to cut"
            )
        return DropSpec(self.number(given, "after_ms", inside, 0, MAX_DELAY_MS), code)

    def events(self, turn: dict[str, Any], place: Place) -> tuple[Mapping[str, Any], ...]:
        """`events`."""
        given = turn.get("events", [])
        if not isinstance(given, list):
            self.wrong((*place, "events"), f"is {kind(given)}; a list of events is allowed")
        for index, event in enumerate(given):
            inside = (*place, "events", index)
            if not isinstance(event, dict) or not isinstance(event.get("type"), str):
                self.wrong(inside, 'an event is a table with a type: { type = "..." }')
            self.json(event, inside)
        return tuple(given)

    def known_names(self, turn: dict[str, Any], place: Place, names: set[str]) -> None:
        """Every {name} of the texts is a group of the patterns, or one of ours."""
        for name, value in turn.items():
            if name in ("when", "when_output"):
                continue
            allowed = names | ({"output"} if name == "then" else set())
            for inside, text in texts(value, (*place, name)):
                wrong = next((wanted for wanted in names_in(text) if wanted not in allowed), None)
                if wrong is not None:
                    known = ", ".join(f"{{{word}}}" for word in sorted(allowed))
                    self.wrong(inside, f"{{{wrong}}} is no group of the pattern; known are {known}")

    def pattern(self, turn: dict[str, Any], name: str, place: Place) -> re.Pattern[str] | None:
        """A regular expression, without regard to case."""
        text = self.text(turn, name, place)
        if text is None:
            return None
        try:
            return re.compile(text, re.IGNORECASE | re.DOTALL)
        except (re.error, RecursionError, OverflowError) as error:
            self.wrong((*place, name), f"is no regular expression: {error}")

    def text(self, given: dict[str, Any], name: str, place: Place) -> str | None:
        """A text, None when it is not given."""
        value = given.get(name)
        if value is not None and not isinstance(value, str):
            self.wrong((*place, name), f"is {kind(value)}; a text is allowed")
        return value

    def flag(self, given: dict[str, Any], name: str, place: Place) -> bool:
        """True or false, false when it is not given."""
        value = given.get(name, False)
        if not isinstance(value, bool):
            self.wrong((*place, name), f"is {kind(value)}; true or false is allowed")
        return value

    def number(self, given: dict[str, Any], name: str, place: Place, low: float, high: float) -> float:
        """A number in its range, 0 when it is not given."""
        value = given.get(name, 0)
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            self.wrong((*place, name), f"is {value!r}; a number from {low:g} to {high:g} is allowed")
        return float(value)

    def table(self, given: dict[str, Any], name: str, place: Place) -> dict[str, Any]:
        """A table, empty when it is not given."""
        value = given.get(name, {})
        if not isinstance(value, dict):
            self.wrong((*place, name), f"is {kind(value)}; a table is allowed")
        return value

    def json(self, value: Any, place: Place) -> Any:
        """A value that JSON can hold: TOML also knows dates and infinity."""
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            self.wrong(place, "holds a date, a time, nan or inf, which JSON cannot hold")
        return value

    def only(self, given: dict[str, Any], allowed: tuple[str, ...], place: Place) -> None:
        """Nothing but the allowed fields."""
        for name in given:
            if name not in allowed:
                near = difflib.get_close_matches(name, allowed, 1)
                hint = f"did you mean `{near[0]}`?" if near else f"allowed are {', '.join(allowed)}"
                self.wrong((*place, name), f"there is no such field; {hint}")

    def wrong(self, place: Place, reason: str) -> NoReturn:
        """Raises ConfigurationError with file, line and field."""
        known = next((place[:end] for end in range(len(place), 0, -1) if place[:end] in self._lines), ())
        line = f":{self._lines[known]}" if known else ""
        field = f"{named(place)}: " if place else ""
        raise ConfigurationError(f"{self._file}{line}: {field}{reason}")


SENDABLE: Final = frozenset({*range(1000, 1004), *range(1007, 1015)})


def named(place: Place) -> str:
    """A place as people write it, turns counted from 1: `turn 2, call.name`."""
    if len(place) > 1 and place[0] == "turn":
        inner = named(place[2:])
        return f"turn {int(place[1]) + 1}" + (f", {inner}" if inner else "")
    shown = ""
    for part in place:
        shown += f"[{part}]" if isinstance(part, int) else f".{part}" if shown else part
    return shown


def texts(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    """Every text in a value, with its place."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from texts(inner, (*place, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from texts(inner, (*place, index))


def kind(value: Any) -> str:
    """What a value is, in TOML's words."""
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a text", list: "a list", dict: "a table"}
    return kinds.get(type(value), "a date or time")
