"""Mistakes in speech tags, told to whoever reads the log. In: text. Out: warnings without the text. Imports: room 0."""

from __future__ import annotations

import logging

from xai_realtime.speech_tags import check_tags

__all__ = ["warn_of_tags"]

logger = logging.getLogger("xai_realtime.tts")


def warn_of_tags(text: str) -> None:
    """Log a warning for each kind of problem that the speech tags of a text have: the kind, the place, how many.

    The text itself does not go into the log; `speech_tags.check_tags` shows it.
    """
    places: dict[str, list[int]] = {}
    for problem in check_tags(text):
        places.setdefault(problem.kind, []).append(problem.at)
    for kind, found in places.items():
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        logger.warning(
            "speech tag %s at character %d%s: speech_tags.check_tags tells what is wrong", kind, found[0], more
        )
