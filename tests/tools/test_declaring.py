"""What is read off a function when it is declared: its schema, its name, and what is refused."""

from __future__ import annotations

import enum
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from types import MethodType
from typing import Annotated, Any, Literal, Union

import pytest
from pydantic import BaseModel, Field, RootModel, SecretStr

from xai_realtime.errors import ConfigurationError
from xai_realtime.tools import RESERVED_NAMES, Tool, Toolbox, as_tool, tool
from xai_realtime.tools._schema import minimal_schema


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Node(BaseModel):
    """A node of a tree."""

    title: str
    children: list[Node] = []
    color: Color = Color.RED


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]
    owner: Node | None = None


class Colors(RootModel[list[Color]]):
    pass


@dataclass
class Place:
    city: str
    country: str = "UK"


def schema_of(function: Callable[..., Any]) -> dict[str, Any]:
    return as_tool(function).parameters


def properties_of(function: Callable[..., Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema_of(function)["properties"]
    return found


@pytest.mark.behaviour("ask-26")
def test_schema_holds_nothing_but_what_is_needed() -> None:
    def weather(city: str, days: int = 3, unit: Literal["C", "F"] | None = None) -> str:
        """Weather.

        Args:
            city: Name of the city.
        """
        return city

    assert schema_of(weather) == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Name of the city."},
            "days": {"type": "integer", "default": 3},
            "unit": {"anyOf": [{"type": "string", "enum": ["C", "F"]}, {"type": "null"}], "default": None},
        },
        "required": ["city"],
        "additionalProperties": False,
    }


def test_schema_of_a_function_without_parameters_is_an_empty_object() -> None:
    def now() -> str:
        return "noon"

    assert schema_of(now) == {"type": "object", "properties": {}, "additionalProperties": False}
    assert as_tool(now).description is None
    assert "description" not in as_tool(now).to_wire().to_wire()


@pytest.mark.behaviour("ask-26")
def test_schema_drops_titles_and_unknown_keywords_but_keeps_a_property_named_title() -> None:
    def rename(
        title: Annotated[str, Field(title="T", max_length=9, json_schema_extra={"meta": 1})], node: Node
    ) -> None:
        pass

    found = schema_of(rename)
    assert found["properties"]["title"] == {"type": "string", "maxLength": 9}
    assert found["$defs"]["Node"]["properties"]["title"] == {"type": "string"}
    assert "title" not in found
    assert "title" not in found["$defs"]["Node"]


@pytest.mark.behaviour("ask-26")
def test_schema_inlines_what_is_referred_to() -> None:
    def go(there: Place, back: Annotated[Place, Field(description="Home.")], by: dict[str, Colors]) -> None:
        pass

    place = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "country": {"type": "string", "default": "UK"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    colors = {"type": "array", "items": {"type": "string", "enum": ["red", "blue"]}}
    found = schema_of(go)
    assert "$defs" not in found
    assert found["properties"] == {
        "there": place,
        "back": {**place, "description": "Home."},
        "by": {"type": "object", "additionalProperties": colors},
    }


@pytest.mark.behaviour("ask-26")
def test_schema_keeps_a_type_that_holds_itself_as_a_definition() -> None:
    def plant(root: Node, pet: Annotated[Cat | Dog, Field(discriminator="kind")]) -> None:
        pass

    found = schema_of(plant)
    assert list(found["$defs"]) == ["Node"]
    assert found["properties"]["root"] == {"$ref": "#/$defs/Node"}
    assert found["$defs"]["Node"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert found["$defs"]["Node"]["properties"]["color"] == {
        "type": "string",
        "enum": ["red", "blue"],
        "default": "red",
    }
    assert found["$defs"]["Node"]["description"] == "A node of a tree."
    assert set(found["properties"]["pet"]) == {"oneOf"}
    assert found["properties"]["pet"]["oneOf"][1]["properties"]["owner"]["anyOf"][0] == {"$ref": "#/$defs/Node"}


def test_schema_leaves_out_a_default_that_json_cannot_write() -> None:
    unset = object()

    def wait(limit: float = math.inf, given: Any = unset) -> float:
        return limit

    assert properties_of(wait) == {"limit": {"type": "number"}, "given": {}}
    assert minimal_schema({"default": {"a": [math.nan]}, "examples": [1.5, "x"]}) == {"examples": [1.5, "x"]}


@pytest.mark.parametrize("name", ["schema", "json", "copy", "model_config", "_hidden", "validate", "title", "größe"])
def test_schema_takes_any_name_for_a_parameter(name: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"def odd({name}: int) -> int: return {name}", scope)
    assert list(properties_of(scope["odd"])) == [name]


def test_description_in_an_annotation_goes_before_the_one_in_the_docstring() -> None:
    def look(at: Annotated[str, Field(description="The annotation.")], by: Annotated[str, Field(min_length=1)]) -> None:
        """Look.

        :param at: The docstring.
        :param by: The docstring.
        """

    assert properties_of(look)["at"]["description"] == "The annotation."
    assert properties_of(look)["by"] == {"type": "string", "minLength": 1, "description": "The docstring."}


def test_types_local_to_a_function_are_found_where_the_tool_is_declared_there() -> None:
    class Local(BaseModel):
        size: int

    class Holder:
        class Inner(BaseModel):
            depth: int

        @tool
        def hold(self, inner: Inner, local: Local) -> None:
            pass

    def measure(local: Local) -> int:
        return local.size

    assert properties_of(measure)["local"]["properties"] == {"size": {"type": "integer"}}
    assert properties_of(Holder().hold)["inner"]["properties"] == {"depth": {"type": "integer"}}


def test_return_annotation_that_nobody_can_resolve_does_not_matter() -> None:
    def odd(a: int) -> Nowhere:  # type: ignore[name-defined]  # noqa: F821
        return a

    assert list(properties_of(odd)) == ["a"]


def test_tool_stays_the_function_it_was_made_of() -> None:
    @tool
    def double(number: int) -> int:
        """Twice the number."""
        return 2 * number

    assert double(4) == 8
    assert double.__name__ == "double"
    assert double.__doc__ == "Twice the number."
    assert double.__wrapped__(4) == 8
    assert (double.name, double.description) == ("double", "Twice the number.")
    assert (double.timeout_s, double.cancel_on_interrupt, double.is_async) == (None, False, False)
    assert as_tool(double) is double
    assert repr(double) == "Tool('double', is_async=False)"


def test_tool_goes_out_in_the_flat_form() -> None:
    @tool(name="look-up", description="  Look it up. ", timeout_s=3, cancel_on_interrupt=True)
    async def search(text: str) -> str:
        """Not this."""
        return text

    assert (search.timeout_s, search.cancel_on_interrupt, search.is_async) == (3.0, True, True)
    assert search.to_wire().to_wire() == {
        "type": "function",
        "name": "look-up",
        "description": "Look it up.",
        "parameters": search.parameters,
    }


class Desk:
    """A desk."""

    def __init__(self, drawer: str) -> None:
        self.drawer = drawer

    @tool(timeout_s=9)
    def open(self, key: int) -> str:
        """Open the drawer."""
        return f"{self.drawer} {key}"

    @classmethod
    @tool
    def kind(cls, loud: bool) -> str:
        return cls.__name__

    @staticmethod
    @tool
    def below(x: int) -> int:
        return x

    @tool
    @staticmethod
    def above(x: int) -> int:
        return x

    def plain(self, x: int) -> str:
        return f"{self.drawer} {x}"

    def __call__(self, x: int) -> int:
        """Knock."""
        return x


def test_methods_are_tools_of_their_instance() -> None:
    desk = Desk("upper")
    assert as_tool(desk.open).parameters["required"] == ["key"]
    assert (desk.open.name, desk.open.timeout_s, desk.open.description) == ("open", 9.0, "Open the drawer.")
    assert desk.open(2) == "upper 2"
    assert Desk.open(desk, 2) == "upper 2"
    assert list(properties_of(desk.plain)) == ["x"]
    assert list(properties_of(desk.kind)) == ["loud"]
    assert Desk.kind(True) == "Desk"
    assert list(properties_of(Desk.below)) == list(properties_of(desk.above)) == ["x"]


def test_bound_method_around_a_tool_is_the_tool_of_that_object() -> None:
    """What a classmethod gives from Python 3.13 on."""
    desk = Desk("lower")
    bound = MethodType(Desk.__dict__["open"], desk)
    assert as_tool(bound)(2) == "lower 2"


def test_callable_object_is_named_by_its_class_and_described_by_its_call() -> None:
    made = as_tool(Desk("upper"))
    assert (made.name, made.description, list(made.parameters["properties"])) == ("Desk", "Knock.", ["x"])
    assert made.__name__ == "Desk"


def test_partial_offers_only_what_it_has_not_filled() -> None:
    def fetch(url: str, path: str, database: Any = None) -> str:
        """Fetch."""
        return url + path

    made = as_tool(functools.partial(fetch, "https://", database=object()))
    assert (made.name, made.description, list(made.parameters["properties"])) == ("fetch", "Fetch.", ["path"])


def test_decorated_function_is_described_as_the_one_inside() -> None:
    def logged(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    @tool
    @logged
    def add(a: int, b: int) -> int:
        return a + b

    assert list(add.parameters["properties"]) == ["a", "b"]
    assert add.is_async


class Opaque:
    pass


@pytest.mark.behaviour("bug-28")
@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("def odd(a: int, b): ...", "parameter b has no annotation"),
        ("def odd(a: int, /): ...", "parameter a is positional-only"),
        ("def odd(*many: int): ...", "parameter many takes any number"),
        ("def odd(**rest: int): ...", "parameter rest takes any name"),
        ("def odd(a: int, b: Opaque): ...", "parameter b cannot be described"),
        ("def odd(a: int, b: Callable[[], int]): ...", "parameter b cannot be described"),
        ("def odd(a: int, b: 'Nowhere'): ...", "parameter b: name 'Nowhere' is not defined"),
        ("def odd(a: int, b: int = Field(default=3)): ...", "parameter b has a Field as its default"),
        ("def odd(a: int):\n    yield a", "is a generator"),
        ("async def odd(a: int):\n    yield a", "is a generator"),
    ],
)
def test_function_that_cannot_be_described_fails_where_it_is_declared(source: str, wrong: str) -> None:
    scope: dict[str, Any] = dict(globals())
    exec(source, scope)
    with pytest.raises(ConfigurationError, match="tool odd") as caught:
        tool(scope["odd"])
    assert wrong in str(caught.value)


@pytest.mark.behaviour("bug-28")
def test_type_that_is_never_completed_fails_where_it_is_declared() -> None:
    scope: dict[str, Any] = {"BaseModel": BaseModel}
    exec("class Half(BaseModel):\n    other: 'Missing'\ndef odd(half: Half): ...", scope)
    with pytest.raises(ConfigurationError, match="tool odd: parameter half cannot be described"):
        tool(scope["odd"])


@pytest.mark.behaviour("bug-28")
def test_failure_that_no_parameter_explains_fails_where_the_tool_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("planted\nand more")

    monkeypatch.setattr("xai_realtime.tools._arguments.create_model", refuse)
    with pytest.raises(ConfigurationError, match=r"tool fine: its parameters cannot be described: planted$"):
        tool(name="fine")(lambda: None)


@pytest.mark.behaviour("bug-28")
@pytest.mark.parametrize(
    ("thing", "wrong"),
    [
        (Place, "tool Place is the class Place"),
        (5, "tool int is a int"),
        (max, "its signature cannot be read|parameter"),
        (lambda: 1, "name of a tool is '<lambda>'"),
        (Desk.open, "is a method of a class; take it from an instance"),
        (Desk.plain, "is a method of a class; take it from an instance"),
    ],
)
def test_thing_that_is_no_function_is_refused(thing: Any, wrong: str) -> None:
    with pytest.raises(ConfigurationError, match=wrong):
        Toolbox([thing])


def test_tool_above_a_classmethod_is_refused_with_the_right_order() -> None:
    with pytest.raises(ConfigurationError, match="tool odd is a classmethod; put @tool below @classmethod"):

        class Odd:
            @tool
            @classmethod
            def odd(cls) -> None:
                pass


@pytest.mark.parametrize("name", ["", "a b", "a.b", "x" * 65, "naïve", 5, "a\n"])
def test_name_that_the_service_does_not_accept_is_refused(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="the name of a tool is"):
        tool(name=name)(lambda: None)


@pytest.mark.behaviour("ask-25")
@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_name_of_a_server_tool_is_refused_with_the_list_of_them(name: str) -> None:
    for declare in (lambda: tool(name=name)(lambda: None), lambda: Tool.from_schema(name, None, {}, lambda: None)):
        with pytest.raises(ConfigurationError, match=f"tool {name} ") as caught:
            declare()
        assert all(other in str(caught.value) for other in RESERVED_NAMES)


@pytest.mark.behaviour("ask-25")
def test_reserved_names_are_those_known_of_the_service() -> None:
    assert {
        "web_search",
        "browse_page",
        "x_keyword_search",
        "x_semantic_search",
        "x_user_search",
        "x_thread_fetch",
        "collections_search",
        "file_search",
        "x_search",
    } == RESERVED_NAMES


@pytest.mark.parametrize("timeout_s", [0, -1, math.inf, math.nan, True, "3"])
def test_timeout_that_is_no_time_is_refused(timeout_s: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"tool fine: timeout_s is .*seconds above 0"):
        tool(name="fine", timeout_s=timeout_s)(lambda: None)


def test_description_that_is_no_text_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="tool fine: description is a int"):
        tool(name="fine", description=5)(lambda: None)  # type: ignore[call-overload]


def test_blank_description_is_none_at_all() -> None:
    assert tool(name="fine", description=" ")(lambda: None).description is None


def test_schema_of_the_users_own_goes_out_as_it_was_given() -> None:
    own = {"type": "object", "title": "Mine", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"x-y": 1}}}
    made = Tool.from_schema("mine", "Mine.", own, lambda **_: None, timeout_s=4, cancel_on_interrupt=True)
    assert made.to_wire().to_wire() == {"type": "function", "name": "mine", "description": "Mine.", "parameters": own}
    assert (made.timeout_s, made.cancel_on_interrupt) == (4.0, True)
    own["title"] = "changed"
    assert made.parameters["title"] == "Mine"


@pytest.mark.parametrize("schema", [{"x": object()}, {"x": math.nan}, 5])
def test_schema_that_is_no_json_is_refused(schema: Any) -> None:
    with pytest.raises(ConfigurationError, match="tool mine: the schema of its parameters is no JSON object"):
        Tool.from_schema("mine", None, schema, lambda **_: None)


def test_schema_of_standard_types_is_that_of_pydantic_without_titles() -> None:
    def note(when: date, to: SecretStr, ids: set[int], pair: tuple[int, str], any_of: Union[int, str]) -> None:  # noqa: UP007
        pass

    assert properties_of(note) == {
        "when": {"type": "string", "format": "date"},
        "to": {"type": "string", "format": "password"},
        "ids": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
        "pair": {
            "type": "array",
            "prefixItems": [{"type": "integer"}, {"type": "string"}],
            "minItems": 2,
            "maxItems": 2,
        },
        "any_of": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
    }
