"""Functions that the model may call. In: functions. Out: Tool. Imports: rooms 0-1, anyio, this package."""

from __future__ import annotations

import functools
import inspect
import logging
import math
import re
from collections.abc import Callable, Mapping
from types import MethodType
from typing import Any, Final, Generic, ParamSpec, TypeVar, overload

import anyio
import anyio.to_thread

from xai_realtime.errors import ConfigurationError
from xai_realtime.events import realtime as wire
from xai_realtime.tools._arguments import Arguments, declared, given, is_method, layers
from xai_realtime.tools._docstring import read_docstring
from xai_realtime.tools._outcome import ToolOutcome, error_outcome, exception_text, outcome_of

__all__ = ["RESERVED_NAMES", "Tool", "as_tool", "tool"]

P = ParamSpec("P")
R = TypeVar("R")

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
RESERVED_NAMES: Final = frozenset(
    {
        "browse_page",
        "collections_search",
        "file_search",
        "web_search",
        "x_keyword_search",
        "x_search",
        "x_semantic_search",
        "x_thread_fetch",
        "x_user_search",
    }
)
"""Names of the service's own tools; a function under one of them breaks the first response."""

logger: Final = logging.getLogger("xai_realtime.tools")


class Tool(Generic[P, R]):
    """A function that the model may call, made by `@tool`, `as_tool` or `Tool.from_schema`.

    Called like the function it is the function. `name`, `description` and `parameters` (a JSON Schema) are what
    the model sees. `timeout_s` None means the session's default. With `cancel_on_interrupt` a call is given up
    when the user interrupts. `is_async` is False for functions that run in a worker thread.
    """

    __wrapped__: Callable[P, R]
    __name__: str

    def __init__(
        self,
        function: Callable[P, R],
        arguments: Arguments,
        *,
        name: str,
        description: str | None = None,
        timeout_s: float | None = None,
        cancel_on_interrupt: bool = False,
    ) -> None:
        functools.update_wrapper(self, function, updated=())
        self.__name__ = getattr(function, "__name__", name)
        self.__wrapped__ = function
        self.name = checked_name(name)
        self.description = checked_description(name, description)
        self.timeout_s = checked_timeout_s(name, timeout_s)
        self.cancel_on_interrupt = cancel_on_interrupt
        self.is_async = any(inspect.iscoroutinefunction(layer) for layer in layers(function))
        self._arguments = arguments
        self._is_unbound = is_method(function)

    @classmethod
    def from_schema(
        cls,
        name: str,
        description: str | None,
        parameters: Mapping[str, Any],
        function: Callable[..., Any],
        *,
        timeout_s: float | None = None,
        cancel_on_interrupt: bool = False,
    ) -> Tool[..., Any]:
        """A tool whose JSON Schema you have already; `function` takes the arguments by keyword.

        They are checked to be a JSON object, not against the schema, and not converted. Raises ConfigurationError.
        """
        checked_function(name, function)
        return Tool(
            function,
            given(name, parameters),
            name=name,
            description=description,
            timeout_s=timeout_s,
            cancel_on_interrupt=cancel_on_interrupt,
        )

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON Schema of the arguments, an object."""
        return self._arguments.schema

    @property
    def is_unbound(self) -> bool:
        """True for a method taken from its class: the model can call it only from an instance."""
        return self._is_unbound

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself, as if it were no tool."""
        return self.__wrapped__(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Tool[..., R]:
        """The tool of an instance, when the function is a method; otherwise the tool."""
        if instance is None or not self._is_unbound:
            return self
        return Tool(
            MethodType(self.__wrapped__, instance),
            self._arguments,
            name=self.name,
            description=self.description,
            timeout_s=self.timeout_s,
            cancel_on_interrupt=self.cancel_on_interrupt,
        )

    def __repr__(self) -> str:
        return f"Tool({self.name!r}, is_async={self.is_async})"

    def to_wire(self) -> wire.FunctionTool:
        """The tool as it goes out, in the flat form. Source: docs.x.ai speech-to-speech guide."""
        if self.description is None:
            return wire.FunctionTool(name=self.name, parameters=self.parameters)
        return wire.FunctionTool(name=self.name, description=self.description, parameters=self.parameters)

    async def call(self, arguments: str | None) -> ToolOutcome:
        """Run the function on JSON text; None and blank text mean no arguments.

        Wrong arguments and exceptions of the function are outcomes. A cancellation goes through; a function in a
        worker thread then runs on, and its result is dropped.
        """
        try:
            found = self._arguments.read(arguments)
            if isinstance(found, str):
                return error_outcome(found)
            return outcome_of(await self._result(found))
        except Exception as error:  # noqa: BLE001
            logger.warning("tool %s failed: %s", self.name, type(error).__name__)
            return error_outcome(exception_text(error))

    async def run(self, arguments: str | None, *, timeout_s: float | None) -> ToolOutcome:
        """Like `call`, for `timeout_s` seconds at most (None: no limit); an error outcome says when they were over."""
        with anyio.move_on_after(timeout_s):
            return await self.call(arguments)
        logger.warning("tool %s gave no answer within %g s", self.name, timeout_s)
        return error_outcome(f"the tool gave no answer within {timeout_s:g} s")

    async def _result(self, given: dict[str, Any]) -> Any:
        function: Callable[..., Any] = self.__wrapped__

        def call() -> tuple[Any]:  # trio takes no bare awaitable from a thread
            return (function(**given),)

        (result,) = call() if self.is_async else await anyio.to_thread.run_sync(call, abandon_on_cancel=True)
        return await result if inspect.isawaitable(result) else result


def checked_name(name: object) -> str:
    """A name the service accepts for a function. Raises ConfigurationError."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        allowed = "1 to 64 of A-Z, a-z, 0-9, _ and - are allowed; give one with name="
        raise ConfigurationError(f"the name of a tool is {name!r}; {allowed}")
    if name in RESERVED_NAMES:
        taken = ", ".join(sorted(RESERVED_NAMES))
        raise ConfigurationError(f"tool {name} has a name of the service's own; these are taken: {taken}")
    return name


def checked_description(name: str, description: object) -> str | None:
    """Text that is not blank, or None."""
    if description is None or isinstance(description, str):
        return (description or "").strip() or None
    raise ConfigurationError(f"tool {name}: description is a {type(description).__name__}; text or None is allowed")


def checked_timeout_s(name: str, timeout_s: object) -> float | None:
    """A finite number of seconds above 0, or None."""
    if timeout_s is None:
        return None
    is_number = isinstance(timeout_s, int | float) and not isinstance(timeout_s, bool)
    if not isinstance(timeout_s, int | float) or not is_number or not math.isfinite(timeout_s) or timeout_s <= 0:
        allowed = "a finite number of seconds above 0, or None, is allowed"
        raise ConfigurationError(f"tool {name}: timeout_s is {timeout_s!r}; {allowed}")
    return float(timeout_s)


def checked_function(name: str, function: object) -> None:
    """Something to call that gives one result. Raises ConfigurationError."""
    if inspect.isclass(function) or not callable(function):
        what = f"the class {function.__name__}" if inspect.isclass(function) else f"a {type(function).__name__}"
        raise ConfigurationError(f"tool {name} is {what}; a function, a method or a callable object is allowed")
    if any(inspect.isgeneratorfunction(layer) or inspect.isasyncgenfunction(layer) for layer in layers(function)):
        raise ConfigurationError(f"tool {name} is a generator; a function that returns its result is allowed")


def name_of(function: Any) -> str:
    """The name of a function; of a callable object that of its class."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def docstring_of(function: Any) -> str | None:
    """The docstring of a function; of a callable object the one of `__call__`, or of its class."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function) or isinstance(function, Tool):
        return function.__doc__
    return type(function).__call__.__doc__ or function.__doc__


def declared_tool(
    function: Callable[P, R],
    name: str | None,
    description: str | None,
    timeout_s: float | None,
    cancel_on_interrupt: bool,
) -> Tool[P, R]:
    """A tool read off the function. Raises ConfigurationError."""
    if isinstance(function, classmethod):
        raise ConfigurationError(f"tool {function.__name__} is a classmethod; put @tool below @classmethod")
    called: Callable[P, R] = function.__func__ if isinstance(function, staticmethod) else function
    named = name_of(called) if name is None else name
    checked_function(named, called)
    checked_name(named)
    text, descriptions = read_docstring(docstring_of(called))
    return Tool(
        called,
        declared(named, called, descriptions),
        name=named,
        description=text if description is None else description,
        timeout_s=timeout_s,
        cancel_on_interrupt=cancel_on_interrupt,
    )


@overload
def tool(function: Callable[P, R], /) -> Tool[P, R]: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float | None = None,
    cancel_on_interrupt: bool = False,
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float | None = None,
    cancel_on_interrupt: bool = False,
) -> Tool[P, R] | Callable[[Callable[P, R]], Tool[P, R]]:
    """Make a function, sync or async, one that the model may call: `@tool` or `@tool(timeout_s=30, ...)`.

    Name, description and the schema of the arguments come from the function's name, docstring and annotations;
    `name` and `description` replace them. `timeout_s` limits a call (None: the session's default),
    `cancel_on_interrupt` gives a call up when the user interrupts. Sync functions run in a worker thread.

    Raises ConfigurationError, naming tool and parameter, when the function cannot be described.
    """
    if function is not None:
        return declared_tool(function, name, description, timeout_s, cancel_on_interrupt)
    return lambda decorated: declared_tool(decorated, name, description, timeout_s, cancel_on_interrupt)


def as_tool(thing: Tool[P, R] | Callable[P, R]) -> Tool[P, R]:
    """A Tool as it is, a plain function, bound method or callable object as a Tool. Raises ConfigurationError."""
    if isinstance(thing, MethodType) and isinstance(thing.__func__, Tool):
        thing = thing.__func__.__get__(thing.__self__)
    made = thing if isinstance(thing, Tool) else declared_tool(thing, None, None, None, False)
    if made.is_unbound:
        raise ConfigurationError(f"tool {made.name} is a method of a class; take it from an instance")
    return made
