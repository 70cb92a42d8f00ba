"""What the connections of one emulator share. In: settings and a seed. Out: ids, wall time, secrets, conversations.

No clock and no I/O: `now_ms` comes in as an argument. Imports: the standard library, rooms 0 and 7.
"""

from __future__ import annotations

import random
import string
import time
import uuid
from collections import Counter, OrderedDict
from dataclasses import replace
from typing import Any, Final, Literal, TypeAlias

from xai_realtime.emulator.chat_quirks import ChatQuirks
from xai_realtime.emulator.quirks import Quirks
from xai_realtime.emulator.scenario import Limits, Scenario, ScenarioLike, as_scenario
from xai_realtime.emulator.speech_quirks import SpeechQuirks
from xai_realtime.emulator.voices import CustomVoices
from xai_realtime.errors import ConfigurationError

__all__ = [
    "API_KEY",
    "BAD_KEY",
    "DIALECTS",
    "PACES",
    "SECRET_PREFIX",
    "Dialect",
    "Ids",
    "Pace",
    "World",
]

Dialect: TypeAlias = Literal["xai", "openai"]
Pace: TypeAlias = Literal["real", "instant"]
DIALECTS: Final = ("xai", "openai")
PACES: Final = ("real", "instant")

API_KEY: Final = "xai-emulator"
"""A key that an emulator takes; it takes any other too, but for `BAD_KEY`."""
BAD_KEY: Final = "xai-invalid"
SECRET_PREFIX: Final = "xai-realtime-client-secret-"
SECRET_CHARACTERS: Final = 80
SEEDED_EPOCH_MS: Final = 1_767_225_600_000
"""2026-01-01T00:00:00Z: where the wall clock of a seeded emulator begins."""
RESUMABLE_MS: Final = 30 * 60 * 1000.0
MAX_CONVERSATIONS: Final = 10_000
MAX_SECRETS: Final = 10_000


class Ids:
    """Ids as the service mints them, from one source of randomness: equal seeds give equal ids."""

    def __init__(self, seed: int | None) -> None:
        self._random = random.Random(seed) if seed is not None else random.SystemRandom()

    def uuid(self) -> str:
        """A uuid of version 4, with dashes."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def hex(self) -> str:
        """32 hexadecimal digits, as a session's id."""
        return uuid.UUID(int=self._random.getrandbits(128), version=4).hex

    def token(self, characters: int) -> str:
        """Letters and digits, as in a key."""
        return "".join(self._random.choices(string.ascii_letters + string.digits, k=characters))

    def below(self, stop: int) -> int:
        """A whole number from 0 to `stop - 1`."""
        return self._random.randrange(stop)


class World:
    """Everything one emulator remembers beyond a connection.

    `ids` mints, `limits` bound, `scenario` answers; `answers_commits` says whether a commit by hand is answered
    without a request, `quirks` what is done oddly, `speech` and `chat` the same for the other services; `refused`
    counts the planned refusals of speech by rule, `voices` are those made here. `keep_conversation` and
    `resume_conversation` hold what a connection left for the next one, for 30 minutes from when it was last kept.
    Raises ConfigurationError for a value that is not allowed.
    """

    def __init__(
        self,
        scenario: ScenarioLike = None,
        *,
        dialect: Dialect = "xai",
        pace: Pace = "real",
        seed: int | None = None,
        answers_commits: bool | None = None,
        quirks: Quirks | None = None,
        speech: SpeechQuirks | None = None,
        chat: ChatQuirks | None = None,
        limits: Limits | None = None,
        max_duration_s: float | None = None,
        idle_timeout_s: float | None = None,
        concurrent_sessions: int | None = None,
        max_message_bytes: int | None = None,
    ) -> None:
        self.scenario: Scenario = as_scenario(scenario)
        self.dialect: Dialect = one_of("dialect", dialect, DIALECTS)
        self.pace: Pace = one_of("pace", pace, PACES)
        if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
            raise ConfigurationError(f"seed is {seed!r}; a whole number or None is allowed")
        self.seed = seed
        self.ids = Ids(seed)
        if not isinstance(answers_commits, bool | None):
            raise ConfigurationError(f"answers_commits is {answers_commits!r}; True, False or None is allowed")
        usual = self.scenario.settings.answers_commits
        self.answers_commits: bool = usual if answers_commits is None else answers_commits
        if not isinstance(quirks, Quirks | None):
            raise ConfigurationError(f"quirks is a {type(quirks).__name__}; Quirks or None is allowed")
        self.quirks = quirks or Quirks()
        if not isinstance(speech, SpeechQuirks | None):
            raise ConfigurationError(f"speech is a {type(speech).__name__}; SpeechQuirks or None is allowed")
        self.speech = speech or self.scenario.settings.speech
        if not isinstance(chat, ChatQuirks | None):
            raise ConfigurationError(f"chat is a {type(chat).__name__}; ChatQuirks or None is allowed")
        self.chat = chat or self.scenario.settings.chat
        self.refused: Counter[int] = Counter()
        self.voices = CustomVoices()
        given = {
            "max_duration_s": max_duration_s,
            "idle_timeout_s": idle_timeout_s,
            "concurrent_sessions": concurrent_sessions,
            "max_message_bytes": max_message_bytes,
        }
        named: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        self.limits = checked_limits(replace(limits or self.scenario.settings.limits, **named))
        self.open_sessions = 0
        self._epoch_ms: float | None = None if seed is None else float(SEEDED_EPOCH_MS)
        self._secrets: OrderedDict[str, float] = OrderedDict()
        self._conversations: OrderedDict[str, tuple[float, Any, str]] = OrderedDict()

    def now_epoch_ms(self, now_ms: float) -> int:
        """Wall-clock time in milliseconds; with a seed it counts from a fixed date."""
        if self._epoch_ms is None:
            self._epoch_ms = time.time() * 1000 - now_ms
        return int(self._epoch_ms + now_ms)

    def mint_secret(self, expires_in_s: int, now_ms: float) -> tuple[str, int]:
        """A new client secret and the second of the wall clock at which it ends."""
        value = SECRET_PREFIX + self.ids.token(SECRET_CHARACTERS)
        self._secrets[value] = now_ms + expires_in_s * 1000
        while len(self._secrets) > MAX_SECRETS:
            self._secrets.popitem(last=False)
        return value, self.now_epoch_ms(now_ms) // 1000 + expires_in_s

    def secret_expires_ms(self, value: str) -> float | None:
        """When a client secret ends on the emulator's clock, also when that is past; None when it is not of here."""
        return self._secrets.get(value)

    def keep_conversation(self, conversation_id: str, state: Any, now_ms: float, holder: str = "") -> None:
        """Hold `state` for whoever resumes this conversation.

        `holder` is the session that keeps it. What one keeps that another has resumed since is passed over: its
        client is gone, it only has not noticed yet.
        """
        _, _, known = self._conversations.get(conversation_id, (0.0, None, holder))
        if known != holder:
            return
        self._conversations[conversation_id] = (now_ms + RESUMABLE_MS, state, holder)
        self._conversations.move_to_end(conversation_id)
        while len(self._conversations) > MAX_CONVERSATIONS:
            self._conversations.popitem(last=False)

    def resume_conversation(self, conversation_id: str, now_ms: float, holder: str = "") -> Any | None:
        """What was kept of a conversation, now held by `holder`; None when there is nothing or its time is over."""
        until_ms, state, _ = self._conversations.get(conversation_id, (float("-inf"), None, ""))
        if now_ms >= until_ms:
            self._conversations.pop(conversation_id, None)
            return None
        self._conversations[conversation_id] = (until_ms, state, holder)
        return state


def one_of(name: str, value: Any, allowed: tuple[str, ...]) -> Any:
    """`value`, when it is allowed. Raises ConfigurationError."""
    if value not in allowed:
        raise ConfigurationError(f"{name} is {value!r}; allowed are {', '.join(map(repr, allowed))}")
    return value


def checked_limits(limits: Limits) -> Limits:
    """`limits`, when each is in its range. Raises ConfigurationError."""
    durations = {"max_duration_s": limits.max_duration_s}
    if limits.idle_timeout_s is not None:
        durations["idle_timeout_s"] = limits.idle_timeout_s
    for name, value in durations.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 < value < float("inf"):
            raise ConfigurationError(f"{name} is {value!r}; a number of seconds above 0 is allowed")
    for name, count in (
        ("concurrent_sessions", limits.concurrent_sessions),
        ("max_message_bytes", limits.max_message_bytes),
    ):
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ConfigurationError(f"{name} is {count!r}; a whole number from 1 is allowed")
    return limits
