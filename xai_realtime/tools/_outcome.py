"""What a call of a tool comes to. In: results and mistakes. Out: ToolOutcome. Imports: pydantic_core."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from pydantic_core import PydanticSerializationError, to_json

__all__ = ["MAX_ERROR_CHARACTERS", "ToolOutcome", "ToolResult", "error_outcome", "exception_text", "outcome_of"]

MAX_ERROR_CHARACTERS: Final = 1000


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool may return in place of a bare result, to say more about it.

    `output` is the result. `respond=False` asks for no answer of the model: it learns the result and stays
    silent until the next turn.
    """

    output: Any = field(repr=False)
    respond: bool = True


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """What a call came to: `output` goes to the model as it is.

    `is_error` is True when `output` tells of a mistake (`{"error": "..."}`), `respond` False when the tool wants
    no answer of the model, `value` what the tool returned, None after a mistake.
    """

    output: str = field(repr=False)
    is_error: bool = False
    respond: bool = True
    value: Any = field(default=None, repr=False)


def error_outcome(text: str) -> ToolOutcome:
    """A mistake, told to the model in at most 1,000 characters. What no UTF-8 can hold is replaced."""
    bounded = text if len(text) <= MAX_ERROR_CHARACTERS else text[: MAX_ERROR_CHARACTERS - 1] + "…"
    clean = bounded.encode("utf-8", "replace").decode("utf-8")
    return ToolOutcome(to_json({"error": clean}).decode("utf-8"), is_error=True)


def exception_text(error: BaseException) -> str:
    """`Type: message` of an exception; of a group that holds a single one, that one's."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    kind = type(error).__name__
    try:
        message = str(error)
    except Exception as second:  # noqa: BLE001
        return f"{kind} (its message cannot be read: {type(second).__name__})"
    return f"{kind}: {message}" if message else kind


def outcome_of(result: Any) -> ToolOutcome:
    """What a tool returned, as it goes to the model: a str as it is, anything else as JSON."""
    returned = result if isinstance(result, ToolResult) else ToolResult(result)
    value = returned.output
    try:
        if isinstance(value, str):
            output = str.__str__(value)
            output.encode("utf-8")
        else:
            output = to_json(value, inf_nan_mode="null").decode("utf-8")
    except PydanticSerializationError:
        return error_outcome(f"the tool returned a {type(value).__name__} that cannot be written as JSON")
    except UnicodeEncodeError:
        return error_outcome("the tool returned text that cannot be written as UTF-8")
    return ToolOutcome(output, respond=returned.respond, value=value)
