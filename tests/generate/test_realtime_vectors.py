"""The generated realtime events against values made from their own spec."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tests.generate.vectors import MISSING, least, most, wrong
from xai_realtime.events import realtime
from xai_realtime.events._base import ClientModel, ServerModel
from xai_realtime.generate.document import read_spec
from xai_realtime.generate.model import Direction, Event, Property, Spec

REPOSITORY = Path(__file__).resolve().parents[2]


@cache
def spec() -> Spec:
    return read_spec(REPOSITORY / "spec/realtime.yaml", require_evidence=True)


@cache
def adapter(direction: Direction) -> TypeAdapter[Any]:
    return TypeAdapter(realtime.ServerEvent if direction == "server" else realtime.ClientEvent)


def fields(direction: Direction) -> list[tuple[str, Property]]:
    return [
        (name, prop)
        for name, schema in spec().reachable(direction).items()
        if schema.kind == "object"
        for prop in schema.properties
    ]


EVENTS = spec().events
REQUIRED = [
    (event, prop.name) for event in EVENTS for prop in spec().definitions[event.name].properties if prop.is_required
]
SERVER_FIELDS = [(name, prop) for name, prop in fields("server") if wrong(spec(), prop.schema) is not MISSING]


def python_name(name: str, direction: Direction) -> str:
    is_both = direction == "client" and name in spec().reachable("server")
    return f"{name}Param" if is_both else name


def by_type(event: Event) -> str:
    return f"{event.direction}:{event.type}"


def test_vectors_cover_every_event_of_both_directions() -> None:
    counted = {(event.direction, event.type) for event in EVENTS}
    tables = {("client", wire) for wire in realtime.CLIENT_EVENTS} | {
        ("server", wire) for wire in realtime.SERVER_EVENTS
    }
    assert len(counted) == len(EVENTS) > 0
    assert counted == tables
    assert len(REQUIRED) >= len(EVENTS)


@pytest.mark.parametrize("make", [least, most], ids=["minimal", "maximal"])
def test_each_event_survives_parse_and_dump_when_made_from_the_spec(make: Any) -> None:
    for event in EVENTS:
        value = make(spec(), spec().definitions[event.name])
        found = adapter(event.direction).validate_python(value)
        assert type(found).__name__ == python_name(event.name, event.direction)
        assert found.model_dump(mode="json", by_alias=True, exclude_unset=True) == value, by_type(event)
        assert not found.model_extra, by_type(event)


def test_each_event_is_refused_when_a_required_field_is_missing() -> None:
    for event, name in REQUIRED:
        value = least(spec(), spec().definitions[event.name])
        del value[name]
        try:
            adapter(event.direction).validate_python(value)
        except ValidationError:
            continue
        pytest.fail(f"{by_type(event)} is taken without {name}")


@pytest.mark.behaviour("generated-server-field-refuses-wrong-json-type")
def test_each_server_field_is_refused_when_its_json_type_is_wrong() -> None:
    for name, prop in SERVER_FIELDS:
        model: type[ServerModel] = getattr(realtime, name)
        value = least(spec(), spec().definitions[name])
        model.model_validate(value)
        try:
            model.model_validate({**value, prop.name: wrong(spec(), prop.schema)})
        except ValidationError as error:
            assert error.errors()[0]["loc"][0] == prop.name, name
            continue
        pytest.fail(f"{name}.{prop.name} takes a wrong JSON type")


@pytest.mark.behaviour("generated-server-field-refuses-wrong-json-type")
def test_open_fields_are_listed_when_no_json_type_is_wrong() -> None:
    untested = {f"{name}.{prop.name}" for name, prop in fields("server")} - {
        f"{name}.{prop.name}" for name, prop in SERVER_FIELDS
    }
    assert SERVER_FIELDS
    assert untested <= set(realtime.OPEN_FIELDS)


@pytest.mark.behaviour("generated-server-enums-accept-tomorrow")
def test_server_optional_fields_accept_null_and_enums_accept_the_unknown() -> None:
    for name, prop in fields("server"):
        value = least(spec(), spec().definitions[name])
        model: type[ServerModel] = getattr(realtime, name)
        if not prop.is_required:
            model.model_validate({**value, prop.name: None})
        if spec().resolve(prop.schema).kind == "enum":
            model.model_validate({**value, prop.name: "brand_new"})


@pytest.mark.behaviour("generated-client-models-are-strict")
def test_client_models_refuse_an_unknown_field_and_a_null_the_wire_does_not_allow() -> None:
    refused = 0
    for name, schema in spec().reachable("client").items():
        if schema.kind != "object":
            continue
        model: type[ClientModel] = getattr(realtime, python_name(name, "client"))
        value = least(spec(), schema)
        model.model_validate(value)
        if not schema.is_open:
            with pytest.raises(ValidationError):
                model.model_validate({**value, "no_such_field": 1})
        for prop in schema.properties:
            if not spec().allows_null(prop.schema):
                refused += 1
                with pytest.raises(ValidationError):
                    model.model_validate({**value, prop.name: None})
    assert refused > 0
