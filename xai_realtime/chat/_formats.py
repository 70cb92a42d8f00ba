"""The form of an answer. In: a pydantic model, a JSON Schema, a word. Out: `response_format` as it goes out.

Imports: rooms 0-5, pydantic.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError

from xai_realtime.chat._tools import checked_root
from xai_realtime.errors import ConfigurationError
from xai_realtime.tools._schema import minimal_schema

__all__ = ["answer_model", "response_format"]

WORDS: Final = {"text": "text", "json": "json_object"}
WIRE_TYPES: Final = ("text", "json_object", "json_schema")
SCHEMA_MARKS: Final = frozenset({"type", "properties", "anyOf", "oneOf", "allOf", "$ref", "enum", "const"})
NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]+")
MAX_NAME_CHARACTERS: Final = 64
USUAL_NAME: Final = "answer"


def answer_model(given: Any) -> type[BaseModel] | None:
    """The pydantic model that an answer is read by, None when it was not asked for by one."""
    return given if isinstance(given, type) and issubclass(given, BaseModel) else None


def response_format(given: Any) -> dict[str, Any] | None:
    """`response_format` as it goes out. Raises ConfigurationError for what is no form, or one the service refuses."""
    model = answer_model(given)
    if given is None:
        return None
    if model is not None:
        return of_schema(schema_of(model), model.__name__)
    if isinstance(given, str) and given in WORDS:
        return {"type": WORDS[given]}
    if not isinstance(given, Mapping):
        shown = repr(given) if isinstance(given, str) else f"a {type(given).__name__}"
        raise ConfigurationError(
            f"response_format is {shown[:80]}; a pydantic model, a JSON Schema, 'json' or 'text' is allowed"
        )
    if given.get("type") in WIRE_TYPES and "properties" not in given:
        return checked_wire(given)
    if not given.keys() & SCHEMA_MARKS:
        raise ConfigurationError("response_format is a mapping that is neither a JSON Schema nor the wire's own object")
    title = given.get("title")
    return of_schema(copy.deepcopy(dict(given)), title if isinstance(title, str) else USUAL_NAME)


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of a model, made small."""
    try:
        return minimal_schema(model.model_json_schema())
    except (PydanticInvalidForJsonSchema, PydanticUserError) as error:
        first = str(error).splitlines()[0]
        raise ConfigurationError(f"response_format: {model.__name__} cannot be described: {first}") from None


def of_schema(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """A schema in the wire's envelope."""
    checked_root(schema, "the schema of response_format", refuses_objects=True)
    named = NOT_IN_NAMES.sub("_", name).strip("_")[:MAX_NAME_CHARACTERS] or USUAL_NAME
    return {"type": "json_schema", "json_schema": {"name": named, "schema": schema, "strict": True}}


def checked_wire(given: Mapping[str, Any]) -> dict[str, Any]:
    """The wire's own object, copied."""
    made = copy.deepcopy(dict(given))
    if made["type"] == "json_schema":
        inner = made.get("json_schema")
        if not isinstance(inner, Mapping) or not isinstance(inner.get("schema"), Mapping):
            raise ConfigurationError("response_format of type json_schema needs json_schema={'schema': {...}}")
        checked_root(inner["schema"], "the schema of response_format", refuses_objects=True)
    return made
