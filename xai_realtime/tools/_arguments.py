"""The arguments of a function: described as a schema, read from JSON. In: a function. Out: schema, keyword arguments.

Imports: room 0, pydantic, this package.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, MethodType, SimpleNamespace
from typing import Any, Final, Protocol, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind
from pydantic_core import from_json, to_json

from xai_realtime.errors import ConfigurationError
from xai_realtime.tools._schema import minimal_schema

__all__ = ["Arguments", "DeclaredArguments", "GivenArguments", "declared", "given", "is_method", "layers"]

Kind = inspect.Parameter
REFUSED_KINDS: Final = {
    Kind.POSITIONAL_ONLY: "is positional-only; the model names its arguments",
    Kind.VAR_POSITIONAL: "takes any number of values; use a list",
    Kind.VAR_KEYWORD: "takes any name; name the parameters, or use Tool.from_schema",
}
CONFIG: Final = ConfigDict(extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class Arguments(Protocol):
    """What a tool needs to know of its arguments."""

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the arguments: an object."""
        ...

    def read(self, text: str | None) -> dict[str, Any] | str:
        """Keyword arguments out of JSON text, or in words what is wrong with it."""
        ...


def parsed(text: str | None) -> dict[str, Any] | str:
    """A JSON object, or in words what is wrong. None and blank text are `{}`."""
    if text is None or not text.strip():
        return {}
    try:
        value = from_json(text, allow_inf_nan=False)
    except (TypeError, ValueError) as error:
        return f"the arguments are no JSON: {error}"
    return value if isinstance(value, dict) else "the arguments are no JSON object"


@dataclass(frozen=True, slots=True)
class GivenArguments:
    """Arguments under a schema that the user has already: read as they come."""

    schema: dict[str, Any]

    def read(self, text: str | None) -> dict[str, Any] | str:
        """Keyword arguments out of JSON text, or in words what is wrong with it."""
        return parsed(text)


@dataclass(frozen=True, slots=True)
class DeclaredArguments:
    """Arguments under the annotations of a function: checked, and converted to its types.

    `optional` are the parameters that the function itself has defaults for.
    """

    schema: dict[str, Any]
    model: type[BaseModel]
    optional: frozenset[str]

    def read(self, text: str | None) -> dict[str, Any] | str:
        """Keyword arguments out of JSON text, or in words what is wrong with it. Validators of the user may raise."""
        found = parsed(text)
        if isinstance(found, str):
            return found
        try:
            values = self.model.model_validate_json(text if text and found else "{}")
        except ValidationError as error:
            return wrong(error)
        return {
            info.alias or name: getattr(values, name)
            for name, info in self.model.model_fields.items()
            if name in values.model_fields_set or info.alias not in self.optional
        }


def wrong(error: ValidationError) -> str:
    """Which arguments are wrong and why, without their values."""
    entries = error.errors(include_url=False, include_context=False, include_input=False)
    said = (f"{'.'.join(map(str, entry['loc'])) or 'arguments'}: {entry['msg']}" for entry in entries)
    return f"wrong arguments: {'; '.join(said)}"


def layers(function: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """The callable and everything it wraps: bound methods, partials, decorators, callable objects."""
    layer: Any = function
    while True:
        yield layer
        if isinstance(layer, MethodType):
            layer = layer.__func__
        elif isinstance(layer, functools.partial):
            layer = layer.func
        elif hasattr(layer, "__wrapped__"):
            layer = layer.__wrapped__
        elif inspect.isroutine(layer):
            return
        else:
            layer = type(layer).__call__


def is_method(function: Callable[..., Any]) -> bool:
    """True for a function of a class that waits for its instance: the first parameter is a bare `self` or `cls`."""
    if not inspect.isfunction(function):
        return False
    first = next(iter(inspect.signature(function).parameters.values()), None)
    return first is not None and first.name in ("self", "cls") and first.annotation is Kind.empty


def given(name: str, schema: Mapping[str, Any]) -> GivenArguments:
    """Arguments under a schema of the user's, copied. Raises ConfigurationError for one that is no JSON object."""
    try:
        copied = from_json(to_json(dict(schema)), allow_inf_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"tool {name}: the schema of its parameters is no JSON object: {error}") from None
    return GivenArguments(copied)


def declared(name: str, function: Callable[..., Any], descriptions: Mapping[str, str]) -> DeclaredArguments:
    """Arguments read off a signature. Raises ConfigurationError with tool and parameter where that cannot be done."""
    parameters = parameters_of(name, function)
    fields: dict[str, Any] = {}
    for number, parameter in enumerate(parameters):
        fields[f"p{number}"] = field_of(name, function, parameter, descriptions.get(parameter.name))
    try:
        model: type[BaseModel] = create_model("Arguments", __config__=CONFIG, **fields)
        schema = minimal_schema(model.model_json_schema(schema_generator=Schema))
    except Exception as error:
        raise blamed(name, parameters, fields, error) from error
    kept = {key: value for key, value in schema.items() if key != "description"}
    optional = frozenset(parameter.name for parameter in parameters if parameter.default is not Kind.empty)
    return DeclaredArguments(kept, model, optional)


class Schema(GenerateJsonSchema):
    """Schemas of pydantic without its warnings: a default that JSON cannot write is used, but not described."""

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """Say nothing."""


def parameters_of(name: str, function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters that the model fills: not `self`, and not what a partial has filled already."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (NameError, TypeError, ValueError) as error:
        raise ConfigurationError(f"tool {name}: its signature cannot be read: {error}") from None
    filled: set[str] = set()
    for layer in layers(function):
        if isinstance(layer, functools.partial):
            filled |= layer.keywords.keys()
    wanted = [entry for entry in parameters[is_method(function) :] if entry.name not in filled]
    for entry in wanted:
        if entry.kind in REFUSED_KINDS:
            raise ConfigurationError(f"tool {name}: parameter {entry.name} {REFUSED_KINDS[entry.kind]}")
        if entry.annotation is Kind.empty:
            raise ConfigurationError(f"tool {name}: parameter {entry.name} has no annotation; a type is needed")
        if isinstance(entry.default, FieldInfo):
            allowed = "write Annotated[<type>, Field(...)] and an ordinary default"
            raise ConfigurationError(f"tool {name}: parameter {entry.name} has a Field as its default; {allowed}")
    return wanted


def field_of(
    name: str, function: Callable[..., Any], parameter: inspect.Parameter, description: str | None
) -> tuple[Any, Any]:
    """The type of a parameter and the field that stands for it, known to the model by the parameter's name."""
    core = list(layers(function))[-1]
    holder = SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    values: dict[str, Any] = {"alias": parameter.name}
    if parameter.default is not Kind.empty:
        values["default"] = parameter.default
    try:
        names = getattr(core, "__globals__", {}), local_names(core)
        annotation = get_type_hints(holder, *names, include_extras=True)[parameter.name]
        if description is not None and FieldInfo.from_annotation(annotation).description is None:
            values["description"] = description
    except Exception as error:
        raise ConfigurationError(f"tool {name}: parameter {parameter.name}: {first_line(error)}") from error
    return annotation, Field(**values)


def local_names(function: Callable[..., Any]) -> dict[str, Any]:
    """Names local to the functions and classes in which `function` is being declared, as far as these still run."""
    code: CodeType | None = getattr(function, "__code__", None)
    found: dict[str, Any] = {}
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if any(constant is code for constant in frame.f_code.co_consts):
            found = dict(frame.f_locals) | found
            code = frame.f_code
    return found


def blamed(
    name: str, parameters: list[inspect.Parameter], fields: Mapping[str, Any], error: Exception
) -> ConfigurationError:
    """The error that names the parameter whose type cannot be described."""
    for parameter, (annotation, _) in zip(parameters, fields.values(), strict=True):
        try:
            TypeAdapter(annotation).json_schema(schema_generator=Schema)
        except Exception as cause:  # noqa: BLE001
            return ConfigurationError(
                f"tool {name}: parameter {parameter.name} cannot be described: {first_line(cause)}"
            )
    return ConfigurationError(f"tool {name}: its parameters cannot be described: {first_line(error)}")


def first_line(error: Exception) -> str:
    """What an exception says, without pydantic's advice below."""
    return next(iter(str(error).splitlines()), type(error).__name__)
