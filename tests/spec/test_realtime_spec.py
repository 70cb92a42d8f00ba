"""The wire spec covers what is documented, what was recorded, and says where each line comes from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.spec.wire import SPEC, events, listed, load, lookup, page, properties, recorded, undeclared

EVIDENCE = {"documented", "observed", "reported"}
KINDS = {
    "dict": "object",
    "list": "array",
    "str": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "NoneType": "null",
}


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    return load()


def accepts(schema: dict[str, Any], kind: str) -> bool:
    if "const" in schema and "type" not in schema:
        return kind == "string"
    types = schema.get("type")
    return kind in types if isinstance(types, list) else kind == types


@pytest.mark.behaviour("spec-documented-events")
@pytest.mark.parametrize(("action", "count"), [("send", 9), ("receive", 37)])
def test_spec_has_every_documented_event_when_counted_by_evidence(
    spec: dict[str, Any], action: str, count: int
) -> None:
    by_evidence = Counter(message["x-evidence"] for message in events(spec, action).values())
    assert by_evidence["documented"] == count


@pytest.mark.behaviour("spec-undocumented-events")
def test_spec_has_the_undocumented_server_events_when_named(spec: dict[str, Any]) -> None:
    found = {name: m["x-evidence"] for name, m in events(spec, "receive").items() if m["x-evidence"] != "documented"}
    assert found == {
        "ping": "observed",
        "conversation.item.created": "reported",
        "response.audio.delta": "reported",
        "response.audio.done": "reported",
        "response.audio_transcript.delta": "reported",
        "response.audio_transcript.done": "reported",
        "response.text.done": "reported",
        "response.output_text.done": "reported",
        "response.cancelled": "reported",
    }


@pytest.mark.behaviour("spec-undocumented-events")
def test_spec_has_pong_as_reported_when_client_events_are_listed(spec: dict[str, Any]) -> None:
    assert [name for name, m in events(spec, "send").items() if m["x-evidence"] != "documented"] == ["pong"]


@pytest.mark.behaviour("spec-evidence")
def test_spec_names_evidence_and_source_when_any_property_is_read(spec: dict[str, Any]) -> None:
    found = dict(properties(spec["components"])) | dict(properties(spec["channels"]))
    assert len(found) > 400
    bad = [
        place
        for place, schema in found.items()
        if schema.get("x-evidence") not in EVIDENCE or not str(schema.get("x-source", "")).strip()
    ]
    assert bad == []


@pytest.mark.behaviour("spec-evidence")
def test_spec_names_evidence_and_source_when_any_message_is_read(spec: dict[str, Any]) -> None:
    for name, message in spec["components"]["messages"].items():
        assert message["x-evidence"] in EVIDENCE, name
        assert message["x-source"].strip(), name
        assert message["summary"].strip(), name


def test_spec_describes_every_property_but_the_tag_when_read(spec: dict[str, Any]) -> None:
    bad = [
        place
        for place, schema in properties(spec["components"])
        if "const" not in schema and not schema.get("description", "").strip()
    ]
    assert bad == []


def test_spec_ties_message_payload_type_and_operations_together_when_resolved(spec: dict[str, Any]) -> None:
    sent, received = events(spec, "send"), events(spec, "receive")
    assert len(sent) + len(received) == len(spec["components"]["messages"])
    assert list(spec["channels"]["realtime"]["messages"]) == list(spec["components"]["messages"])
    for name, message in spec["components"]["messages"].items():
        assert message["payload"] == {"$ref": f"#/components/schemas/{name}"}
        payload = spec["components"]["schemas"][name]
        assert payload["properties"]["type"]["const"] == message["name"]
        assert payload["properties"]["type"]["x-evidence"] == message["x-evidence"]
        assert "type" in payload["required"]


def test_spec_uses_every_schema_and_every_reference_when_walked(spec: dict[str, Any]) -> None:
    text = json.dumps(spec)
    for name in spec["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text, name


def test_spec_shares_no_schema_between_directions_when_reached(spec: dict[str, Any]) -> None:
    def reached(action: str) -> set[str]:
        found: set[str] = set()
        todo: list[Any] = [message["payload"] for message in events(spec, action).values()]
        while todo:
            node = todo.pop()
            if isinstance(node, dict):
                name = str(node.get("$ref", "")).rpartition("/")[2]
                if name and name not in found:
                    found.add(name)
                    todo.append(spec["components"]["schemas"][name])
                todo += node.values()
            elif isinstance(node, list):
                todo += node
        return found

    sent, received = reached("send"), reached("receive")
    assert sent & received == set()
    assert sent | received == set(spec["components"]["schemas"])


@pytest.mark.behaviour("spec-handshake")
def test_spec_names_the_handshake_parameters_when_the_channel_is_read(spec: dict[str, Any]) -> None:
    channel = spec["channels"]["realtime"]
    assert channel["address"] == "/v1/realtime"
    assert set(channel["bindings"]["ws"]["query"]["properties"]) == {
        "model",
        "reasoning.effort",
        "conversation_id",
        "call_id",
    }
    assert spec["servers"]["production"]["host"] == "api.x.ai"


@pytest.mark.behaviour("spec-audio-fields")
def test_spec_gives_every_base64_field_a_decoding_property_when_the_name_is_free(spec: dict[str, Any]) -> None:
    found = {
        place.removeprefix("#/schemas/").replace("/properties", ""): schema["x-audio"]
        for place, schema in properties(spec["components"])
        if schema.get("contentEncoding") == "base64"
    }
    assert found == {
        "InputAudioBufferAppend/audio": "decoded_audio",
        "InputAudioPart/audio": "decoded_audio",
        "ResponseOutputAudioDelta/delta": "audio",
        "ResponseAudioDelta/delta": "audio",
    }


@pytest.mark.behaviour("spec-observed-paths")
def test_spec_declares_every_observed_path_when_the_inventory_is_walked(spec: dict[str, Any], shared: Path) -> None:
    inventory = json.loads((shared / "facts" / "observed_realtime_fields_2026-07.json").read_text(encoding="utf-8"))
    messages = events(spec, "receive")
    checked = 0
    for event, paths in inventory["events"].items():
        for path, facts in paths.items():
            declared = lookup(spec, messages[event]["payload"], path)
            assert declared, f"{event} {path} is not declared"
            for kind in facts["types"]:
                fits = any(accepts(schema, KINDS[kind]) for schema in declared)
                assert fits, f"{event} {path} does not accept {kind}"
            checked += 1
    assert checked == sum(len(paths) for paths in inventory["events"].values()) > 200


@pytest.mark.behaviour("spec-recordings")
@pytest.mark.parametrize(("direction", "action"), [("received", "receive"), ("sent", "send")])
def test_spec_declares_every_field_of_the_recordings_when_walked(
    spec: dict[str, Any], recordings: Callable[[], list[Path]], direction: str, action: str
) -> None:
    messages = events(spec, action)
    frames = [(path.name, frame) for path in recordings() for frame in recorded(path, direction)]
    assert len(frames) > 50
    for name, frame in frames:
        assert undeclared(spec, messages[frame["type"]]["payload"], frame) == [], f"{name} {frame['type']}"


@pytest.mark.parametrize(
    ("event", "extra", "path"),
    [
        ("ping", {"surprise": 1}, "$.surprise"),
        ("conversation.item.added", {"item": {"content": [{"surprise": 1}]}}, "$.item.content[].surprise"),
        ("session.updated", {"session": {"audio": {"input": {"surprise": {}}}}}, "$.session.audio.input.surprise"),
        ("session.updated", {"session": {"tools": {}}}, "$.session.tools"),
    ],
)
def test_undeclared_names_the_path_when_the_spec_lacks_it(
    spec: dict[str, Any], event: str, extra: dict[str, Any], path: str
) -> None:
    frame = {"type": event, **extra}
    assert undeclared(spec, events(spec, "receive")[event]["payload"], frame) == [path]


def test_spec_speaks_of_no_machine_and_no_secret_when_searched() -> None:
    text = SPEC.read_text(encoding="utf-8")
    for word in ("/work", "/home", "/tmp", "localhost", "xai-realtime-client-secret-"):
        assert word not in text


def test_wire_page_lists_every_event_with_its_evidence_when_compared(spec: dict[str, Any]) -> None:
    messages = spec["components"]["messages"]
    wanted = [(message["name"], name, message["x-evidence"]) for name, message in messages.items()]
    assert listed(page()[0]) == wanted


def test_spec_folder_lists_every_spec_when_read() -> None:
    readme = (SPEC.parent / "README.md").read_text(encoding="utf-8")
    for path in SPEC.parent.glob("*.yaml"):
        assert f"| `{path.name}` |" in readme
