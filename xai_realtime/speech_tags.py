"""Speech tags: how a voice is told to whisper, pause or laugh. In: text. Out: text with tags, problems of tags.

Imports: stdlib, 0. Source of the tables: docs.x.ai voice reference, speech tags.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final, Literal, TypeAlias

from xai_realtime.errors import ConfigurationError

__all__ = [
    "INLINE_TAGS",
    "OLD_TAGS",
    "TAG",
    "TAG_CHARACTERS_MAX",
    "UNFINISHED_TAG",
    "WRAPPING_TAGS",
    "Problem",
    "TagProblem",
    "breath",
    "build_intensity",
    "check_tags",
    "chuckle",
    "cry",
    "decrease_intensity",
    "emphasis",
    "exhale",
    "fast",
    "giggle",
    "higher_pitch",
    "hum_tune",
    "inhale",
    "inline",
    "laugh",
    "lip_smack",
    "long_pause",
    "loud",
    "lower_pitch",
    "pause",
    "sigh",
    "sing_song",
    "singing",
    "slow",
    "soft",
    "tongue_click",
    "tsk",
    "whisper",
    "wrapped",
]

INLINE_TAGS: Final = (
    "pause",
    "long-pause",
    "hum-tune",
    "laugh",
    "chuckle",
    "giggle",
    "cry",
    "tsk",
    "tongue-click",
    "lip-smack",
    "breath",
    "inhale",
    "exhale",
    "sigh",
)
"""Tags that stand by themselves: `[pause]`."""

WRAPPING_TAGS: Final = (
    "soft",
    "whisper",
    "loud",
    "build-intensity",
    "decrease-intensity",
    "higher-pitch",
    "lower-pitch",
    "slow",
    "fast",
    "sing-song",
    "singing",
    "emphasis",
)
"""Tags around a text: `<whisper>...</whisper>`. They may be nested."""

OLD_TAGS: Final = ("laugh-speak",)
"""Wrapping tags of older documentation, which the newest no longer lists."""

TAG_CHARACTERS_MAX: Final = 32
"""Longest name of a tag that is looked for; the longest known one has 18 letters."""

_NAME: Final = rf"[A-Za-z][A-Za-z_-]{{0,{TAG_CHARACTERS_MAX - 1}}}"
_ANGLES: Final = rf"<(?P<slash>/?)(?P<wrapping>{_NAME})>"
TAG: Final = re.compile(rf"\[(?P<inline>{_NAME})\]|{_ANGLES}")
"""Whatever has the form of a tag, known or not."""
UNFINISHED_TAG: Final = re.compile(rf"(?:\[|</?)(?:{_NAME})?\Z")
"""The end of a text that may yet become a tag."""
_SPACED_TAG: Final = re.compile(rf"\[(?P<inline>[A-Za-z][A-Za-z _-]{{0,{TAG_CHARACTERS_MAX - 1}}})\]|{_ANGLES}")
"""The same, with blanks in the name, as people write it."""

Problem: TypeAlias = Literal["unknown", "old", "wrong_form", "unclosed", "unopened", "crossed"]


@dataclass(frozen=True, slots=True)
class TagProblem:
    """Something about a tag that the voice will not do as it was meant.

    `unknown`: no such tag, it may be read aloud. `old`: no longer documented. `wrong_form`: brackets and angles
    confused. `unclosed`, `unopened`: one half is missing. `crossed`: closed while an inner tag is still open. `at` is
    the place in the text, in characters; `message` says what to do, and shows the tag.
    """

    kind: Problem
    at: int
    tag: str = field(repr=False)
    message: str = field(repr=False)


def inline(name: str) -> str:
    """The inline tag `name` as text: `[pause]`. Raises ConfigurationError for an unknown one."""
    if name not in INLINE_TAGS:
        raise ConfigurationError(f"{name!r} is no inline speech tag; allowed: {', '.join(INLINE_TAGS)}")
    return f"[{name}]"


def wrapped(name: str, text: str) -> str:
    """`text` within the wrapping tag `name`. Raises ConfigurationError for an unknown one."""
    if name not in WRAPPING_TAGS:
        raise ConfigurationError(f"{name!r} is no wrapping speech tag; allowed: {', '.join(WRAPPING_TAGS)}")
    return f"<{name}>{text}</{name}>"


def soft(text: str) -> str:
    """`text` in a soft voice."""
    return wrapped("soft", text)


def whisper(text: str) -> str:
    """`text` whispered."""
    return wrapped("whisper", text)


def loud(text: str) -> str:
    """`text` in a loud voice."""
    return wrapped("loud", text)


def build_intensity(text: str) -> str:
    """`text` with growing intensity."""
    return wrapped("build-intensity", text)


def decrease_intensity(text: str) -> str:
    """`text` with fading intensity."""
    return wrapped("decrease-intensity", text)


def higher_pitch(text: str) -> str:
    """`text` in a higher pitch."""
    return wrapped("higher-pitch", text)


def lower_pitch(text: str) -> str:
    """`text` in a lower pitch."""
    return wrapped("lower-pitch", text)


def slow(text: str) -> str:
    """`text` spoken slowly."""
    return wrapped("slow", text)


def fast(text: str) -> str:
    """`text` spoken quickly."""
    return wrapped("fast", text)


def sing_song(text: str) -> str:
    """`text` in a sing-song voice."""
    return wrapped("sing-song", text)


def singing(text: str) -> str:
    """`text` sung."""
    return wrapped("singing", text)


def emphasis(text: str) -> str:
    """`text` with emphasis."""
    return wrapped("emphasis", text)


def pause() -> str:
    """A pause."""
    return inline("pause")


def long_pause() -> str:
    """A long pause."""
    return inline("long-pause")


def hum_tune() -> str:
    """A hummed tune."""
    return inline("hum-tune")


def laugh() -> str:
    """A laugh."""
    return inline("laugh")


def chuckle() -> str:
    """A chuckle."""
    return inline("chuckle")


def giggle() -> str:
    """A giggle."""
    return inline("giggle")


def cry() -> str:
    """A cry."""
    return inline("cry")


def tsk() -> str:
    """A disapproving click."""
    return inline("tsk")


def tongue_click() -> str:
    """A click of the tongue."""
    return inline("tongue-click")


def lip_smack() -> str:
    """A smack of the lips."""
    return inline("lip-smack")


def breath() -> str:
    """A breath."""
    return inline("breath")


def inhale() -> str:
    """Breathing in."""
    return inline("inhale")


def exhale() -> str:
    """Breathing out."""
    return inline("exhale")


def sigh() -> str:
    """A sigh."""
    return inline("sigh")


def check_tags(text: str) -> list[TagProblem]:
    """What is wrong with the speech tags of a text, in the order of their places; empty when all is well.

    Whatever looks like a tag is looked at. Other text in brackets, with digits or punctuation in it, is left alone.
    """
    problems: list[TagProblem] = []
    opened: list[tuple[str, int]] = []
    for match in _SPACED_TAG.finditer(text):
        name, at, tag = match["inline"] or match["wrapping"], match.start(), match[0]
        problem = _problem_of_name(name, tag, at, is_inline=match["inline"] is not None)
        if problem is not None:
            problems.append(problem)
        if match["wrapping"] is None or name not in (*WRAPPING_TAGS, *OLD_TAGS):
            continue
        if not match["slash"]:
            opened.append((name, at))
        else:
            problems += _close(opened, name, tag, at)
    problems += [
        TagProblem("unclosed", at, f"<{name}>", f"<{name}> is never closed by </{name}>") for name, at in opened
    ]
    return sorted(problems, key=lambda problem: problem.at)


def _problem_of_name(name: str, tag: str, at: int, *, is_inline: bool) -> TagProblem | None:
    known, other = (INLINE_TAGS, WRAPPING_TAGS) if is_inline else (WRAPPING_TAGS, INLINE_TAGS)
    if name in known:
        return None
    if name in OLD_TAGS and not is_inline:
        return TagProblem("old", at, tag, f"{tag} is no longer documented and may be read aloud")
    if name in other:
        right = f"<{name}>...</{name}>" if is_inline else f"[{name}]"
        return TagProblem("wrong_form", at, tag, f"{tag} is written {right}")
    plain = name.lower().replace(" ", "-").replace("_", "-")
    if " " in name and plain not in known:
        return None
    near = get_close_matches(plain, known, 1, 0.8)
    hint = f"; did you mean {near[0]}?" if near else ""
    return TagProblem("unknown", at, tag, f"{tag} is no known speech tag and may be read aloud{hint}")


def _close(opened: list[tuple[str, int]], name: str, tag: str, at: int) -> list[TagProblem]:
    """Take the tag `name` from the open ones; say so when it was not open, or not the innermost."""
    place = next((place for place in range(len(opened) - 1, -1, -1) if opened[place][0] == name), None)
    if place is None:
        return [TagProblem("unopened", at, tag, f"{tag} closes a tag that is not open")]
    inner = opened[-1][0]
    del opened[place]
    return (
        [] if inner == name else [TagProblem("crossed", at, tag, f"{tag} stands before </{inner}>, which it encloses")]
    )
