"""The two speech specs and the events printed from them: whole, with evidence, lenient in, strict out."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tests.generate.vectors import MISSING, least, most, wrong
from tests.spec.wire import SPEC, events, listed, load, page, properties
from xai_realtime.codec import Codec, stt_codec, tts_codec
from xai_realtime.errors import AudioDecodeError
from xai_realtime.events import InvalidEvent, UnknownEvent, stt, tts
from xai_realtime.events._base import ServerModel
from xai_realtime.frames import Frame
from xai_realtime.generate import targets
from xai_realtime.generate.document import read_spec
from xai_realtime.generate.model import Direction, Event, Property, Spec

MODULES: dict[str, Any] = {"stt": stt, "tts": tts}
CODECS: dict[str, Codec[Any, Any]] = {"stt": stt_codec, "tts": tts_codec}
EACH = pytest.mark.parametrize("service", MODULES)


@cache
def spec(service: str) -> Spec:
    return read_spec(SPEC.with_name(f"{service}.yaml"), require_evidence=True)


@cache
def adapter(service: str, direction: Direction) -> TypeAdapter[Any]:
    module = MODULES[service]
    return TypeAdapter(module.ServerEvent if direction == "server" else module.ClientEvent)


EVENTS = [(service, event) for service in MODULES for event in spec(service).events]
REQUIRED = [
    (service, event, prop.name)
    for service, event in EVENTS
    for prop in spec(service).definitions[event.name].properties
    if prop.is_required
]
SERVER_FIELDS = [
    (service, name, prop)
    for service in MODULES
    for name, schema in spec(service).reachable("server").items()
    for prop in schema.properties
    if wrong(spec(service), prop.schema) is not MISSING
]


def said(service: str, value: dict[str, Any]) -> Any:
    return CODECS[service].decode(Frame(json.dumps(value).encode()))


def wished(service: str, value: dict[str, Any]) -> Any:
    return CODECS[service].decode_client(Frame(json.dumps(value).encode()))


def by_type(value: Any) -> str:
    return f"{value.direction}:{value.type}" if isinstance(value, Event) else str(getattr(value, "name", value))


# The specs.


@pytest.mark.behaviour("speech-spec-evidence")
@EACH
def test_speech_spec_names_evidence_source_and_meaning_of_everything(service: str) -> None:
    document = load(SPEC.with_name(f"{service}.yaml"))
    found = [*properties(document["components"]), *properties(document["channels"])]
    messages = document["components"]["messages"]
    assert len(found) >= 30
    for place, schema in [*found, *messages.items()]:
        assert schema["x-evidence"] in ("documented", "observed", "reported"), place
        assert schema["x-source"].strip(), place
        assert schema.get("description") or schema.get("summary") or "const" in schema, place
    for name, message in messages.items():
        assert document["components"]["schemas"][name]["properties"]["type"]["const"] == message["name"]
    for word in ("/work", "/home", "/tmp", "localhost"):
        assert word not in SPEC.with_name(f"{service}.yaml").read_text(encoding="utf-8")


@pytest.mark.behaviour("speech-spec-events")
@pytest.mark.parametrize(
    ("service", "action", "wanted"),
    [
        ("stt", "send", {"finalize": "documented", "audio.done": "documented"}),
        (
            "stt",
            "receive",
            dict.fromkeys(("transcript.created", "transcript.partial", "transcript.done", "error"), "documented"),
        ),
        (
            "tts",
            "send",
            {
                "session.update": "reported",
                "text.delta": "documented",
                "text.done": "documented",
                "text.clear": "reported",
            },
        ),
        (
            "tts",
            "receive",
            {
                "session.updated": "reported",
                "audio.delta": "documented",
                "audio.done": "documented",
                "audio.clear": "reported",
                "error": "documented",
            },
        ),
    ],
)
def test_speech_spec_has_these_events_and_no_other(service: str, action: str, wanted: dict[str, str]) -> None:
    found = events(load(SPEC.with_name(f"{service}.yaml")), action)
    assert {name: message["x-evidence"] for name, message in found.items()} == wanted


@pytest.mark.behaviour("speech-spec-facts")
@EACH
def test_speech_spec_covers_the_table_of_facts(service: str, shared: Path) -> None:
    facts = json.loads((shared / "facts" / f"{service}_streaming.json").read_text(encoding="utf-8"))
    document = load(SPEC.with_name(f"{service}.yaml"))
    channel = document["channels"][service]
    assert facts["endpoint"] == f"wss://{document['servers']['production']['host']}{channel['address']}"
    query = channel["bindings"]["ws"]["query"]["properties"]
    assert set(query) == set(facts["query"])
    for name, fact in facts["query"].items():
        stated = {key: query[name][key] for key in ("type", "default") if key in query[name]}
        assert stated.items() <= ({"type": fact["type"]} | {"default": fact.get("default")}).items(), name
        if "values" in fact and not fact.get("open") and "enum" in query[name]:
            assert query[name]["enum"] == fact["values"], name
    for way, action in (("client", "send"), ("server", "receive")):
        declared = events(document, action)
        assert set(facts[way]) - {"<binary>"} == set(declared)
        for name, fact in facts[way].items():
            if name != "<binary>":
                fields = document["components"]["schemas"][declared[name]["payload"]["$ref"].rpartition("/")[2]]
                undeclared = set(fact["fields"]) - {"graph_chars", "graph_times"} - set(fields["properties"])
                assert not undeclared, name


def test_wire_page_lists_every_speech_event_with_its_evidence() -> None:
    for service, section in zip(MODULES, page()[1:3], strict=True):
        messages = load(SPEC.with_name(f"{service}.yaml"))["components"]["messages"]
        assert listed(section) == [(message["name"], name, message["x-evidence"]) for name, message in messages.items()]


def test_targets_of_this_project_are_the_three_sockets_and_chat(repository: Path) -> None:
    assert [out.name for _, out in targets(repository)] == ["chat.py", "realtime.py", "stt.py", "tts.py"]


# The events, by values made from their spec.


@EACH
def test_vectors_cover_every_speech_event(service: str) -> None:
    module = MODULES[service]
    tables = {("client", name) for name in module.CLIENT_EVENTS} | {("server", name) for name in module.SERVER_EVENTS}
    assert {(event.direction, event.type) for event in spec(service).events} == tables
    assert service == module.SERVICE


@pytest.mark.parametrize("service, event", EVENTS, ids=by_type)
@pytest.mark.parametrize("make", [least, most], ids=["minimal", "maximal"])
def test_speech_event_survives_parse_and_dump_when_made_from_the_spec(service: str, event: Event, make: Any) -> None:
    value = make(spec(service), spec(service).definitions[event.name])
    found = adapter(service, event.direction).validate_python(value)
    assert type(found).__name__ == event.name
    assert found.model_dump(mode="json", by_alias=True, exclude_unset=True) == value
    assert not found.model_extra


@pytest.mark.parametrize("service, event, name", REQUIRED, ids=by_type)
def test_speech_event_is_refused_when_a_required_field_is_missing(service: str, event: Event, name: str) -> None:
    value = least(spec(service), spec(service).definitions[event.name])
    del value[name]
    with pytest.raises(ValidationError):
        adapter(service, event.direction).validate_python(value)


@pytest.mark.parametrize("service, name, prop", SERVER_FIELDS, ids=by_type)
def test_speech_server_field_is_refused_when_its_json_type_is_wrong_and_may_be_null(
    service: str, name: str, prop: Property
) -> None:
    model: type[ServerModel] = getattr(MODULES[service], name)
    value = least(spec(service), spec(service).definitions[name])
    with pytest.raises(ValidationError) as caught:
        model.model_validate({**value, prop.name: wrong(spec(service), prop.schema)})
    assert caught.value.errors()[0]["loc"][0] == prop.name
    if not prop.is_required:
        assert getattr(model.model_validate({**value, prop.name: None}), prop.name) is None


@pytest.mark.parametrize("service, event", [entry for entry in EVENTS if entry[1].direction == "client"], ids=by_type)
def test_speech_client_event_refuses_an_unknown_field(service: str, event: Event) -> None:
    value = least(spec(service), spec(service).definitions[event.name])
    with pytest.raises(ValidationError):
        adapter(service, "client").validate_python({**value, "no_such_field": 1})


# The events, by what was said of the wire.

WORDS = [{"text": "No,", "start": 0.12, "end": 0.4, "confidence": 0.98}, {"text": "I'm", "start": 0.44, "end": 0.6}]
PARTIAL = {"type": "transcript.partial", "text": "No, I'm not.", "words": WORDS, "start": 0.12, "duration": 1.5}
SAID = [
    ("stt", {"type": "transcript.created", "id": "3f0e7e3c-0d6e-4f51-9d0e-6a3c1b6d9f10"}),
    ("stt", {**PARTIAL, "is_final": False, "speech_final": False}),
    ("stt", {**PARTIAL, "is_final": True, "speech_final": False, "end_of_turn_confidence": 0.0}),
    ("stt", {**PARTIAL, "is_final": True, "speech_final": True, "channel_index": 1, "end_of_turn_confidence": 0.93}),
    ("stt", {**PARTIAL, "language": "en", "words": [{**WORDS[0], "speaker": 0}]}),
    ("stt", {"type": "transcript.partial", "text": "", "words": [], "is_final": False, "start": 3, "duration": 0}),
    ("stt", {"type": "transcript.partial", "text": "hello", "is_final": True, "speech_final": True}),
    ("stt", {"type": "transcript.done", "text": "", "words": [], "duration": 6.43}),
    ("stt", {"type": "transcript.done", "text": "whole", "words": WORDS, "duration": 6.43, "channel_index": 0}),
    ("stt", {"type": "error", "message": "ASR stream timed out"}),
    ("stt", {"type": "error", "error": "expected audio.done"}),
    ("tts", {"type": "audio.delta", "delta": "AAAA"}),
    (
        "tts",
        {
            "type": "audio.delta",
            "delta": "",
            "audio_timestamps": {"graph_chars": ["H", "i"], "graph_times": [[0.0, 0.1], [0.1, 0.3]]},
            "audio_duration": 2.5,
        },
    ),
    ("tts", {"type": "audio.delta", "audio_timestamps": {"graph_times": [{"start": 0.0, "end": 0.1}]}}),
    ("tts", {"type": "audio.done"}),
    ("tts", {"type": "audio.done", "trace_id": "0af7651916cd43dd8448eb211c80319c"}),
    ("tts", {"type": "audio.clear"}),
    ("tts", {"type": "session.updated", "replace": {"xAI": "ex A I"}}),
    ("tts", {"type": "error", "message": "TTS pipeline timed out after 2101s"}),
    ("tts", {"type": "error", "error": {"message": "odd"}}),
]
WISHED = [
    ("stt", {"type": "finalize"}),
    ("stt", {"type": "finalize", "channel": 1}),
    ("stt", {"type": "audio.done"}),
    ("tts", {"type": "text.delta", "delta": "Hello <whisper>there</whisper>"}),
    ("tts", {"type": "text.done"}),
    ("tts", {"type": "text.clear"}),
    ("tts", {"type": "session.update", "replace": {"xAI": "/ɛks eɪ aɪ/"}}),
]


@pytest.mark.behaviour("speech-examples-decode")
@pytest.mark.parametrize("service, value", SAID, ids=lambda value: value if isinstance(value, str) else value["type"])
def test_what_a_speech_server_says_is_read_whole(service: str, value: dict[str, Any]) -> None:
    event = said(service, value)
    assert not isinstance(event, UnknownEvent | InvalidEvent)
    assert type(event) is MODULES[service].SERVER_EVENTS[value["type"]]
    assert not event.model_extra
    assert event.model_dump(mode="json", by_alias=True, exclude_unset=True) == value


@pytest.mark.behaviour("speech-examples-decode")
@pytest.mark.parametrize("service, value", WISHED, ids=lambda value: value if isinstance(value, str) else value["type"])
def test_what_a_speech_client_says_goes_out_as_it_is(service: str, value: dict[str, Any]) -> None:
    event = wished(service, value)
    assert type(event) is MODULES[service].CLIENT_EVENTS[value["type"]]
    assert json.loads(CODECS[service].encode(event).data) == event.to_wire() == value


@pytest.mark.behaviour("speech-partial-without-words")
def test_partial_says_nothing_of_what_it_lacks() -> None:
    event = said("stt", {"type": "transcript.partial", "text": "hello"})
    assert (event.words, event.is_final, event.speech_final, event.start) == (None, None, None, None)


@pytest.mark.behaviour("speech-partial-without-words")
def test_word_is_read_when_it_comes_under_another_key_or_without_confidence() -> None:
    event = said("stt", {"type": "transcript.partial", "text": "x", "words": [{"word": "x", "start": 1, "end": 2}]})
    assert (event.words[0].text, event.words[0].confidence, event.words[0].speaker) == (None, None, None)
    assert event.words[0].model_extra == {"word": "x"}


@pytest.mark.behaviour("speech-end-is-never-invalid")
@pytest.mark.parametrize(
    ("service", "name"), [("stt", "transcript.done"), ("stt", "error"), ("tts", "audio.done"), ("tts", "audio.clear")]
)
def test_event_that_ends_something_is_read_when_it_is_its_type_alone(service: str, name: str) -> None:
    assert said(service, {"type": name}).type == name


@pytest.mark.behaviour("speech-audio-is-lazy")
def test_audio_of_a_delta_is_decoded_when_it_is_read_and_none_when_there_is_none() -> None:
    event = said("tts", {"type": "audio.delta", "delta": "AAEC"})
    assert event.audio == b"\0\1\2"
    assert event.audio is event.audio
    assert "AAEC" not in repr(event)
    assert said("tts", {"type": "audio.delta"}).audio is None
    assert said("tts", {"type": "audio.delta", "delta": ""}).audio == b""
    broken = said("tts", {"type": "audio.delta", "delta": "@@@"})
    with pytest.raises(AudioDecodeError):
        broken.audio


@pytest.mark.behaviour("speech-timestamps-any-form")
@pytest.mark.parametrize("times", [[[0, 1]], [{"start": 0, "end": 1}], [0, 1], [None], []])
def test_times_of_characters_never_cost_the_audio(times: list[Any]) -> None:
    event = said("tts", {"type": "audio.delta", "delta": "AAEC", "audio_timestamps": {"graph_times": times}})
    assert event.audio == b"\0\1\2"
    assert event.audio_timestamps.graph_times == times


def test_error_text_is_found_under_both_names() -> None:
    for service in MODULES:
        assert said(service, {"type": "error", "message": "a"}).message == "a"
        assert said(service, {"type": "error", "error": "b"}).error == "b"


def test_sockets_do_not_read_each_others_events() -> None:
    assert isinstance(said("stt", {"type": "audio.delta", "delta": ""}), UnknownEvent)
    assert isinstance(said("tts", {"type": "transcript.done"}), UnknownEvent)
    assert isinstance(wished("tts", {"type": "audio.done"}), UnknownEvent)
    assert isinstance(said("stt", {"type": "audio.done"}), UnknownEvent)
    assert type(wished("stt", {"type": "audio.done"})) is stt.AudioDone
    assert type(said("tts", {"type": "audio.done"})) is tts.AudioDone


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (lambda: stt.Finalize(channel=-1), "channel"),
        (lambda: tts.TextDelta(delta="x" * 15_001), "delta"),
        (lambda: tts.SessionUpdate(replace={"a": 1}), "replace"),  # type: ignore[dict-item]
    ],
)
def test_wish_out_of_its_documented_range_is_refused(make: Any, place: str) -> None:
    with pytest.raises(ValidationError) as caught:
        make()
    assert caught.value.errors()[0]["loc"][0] == place
    assert len(tts.TextDelta(delta="x" * 15_000).delta) == 15_000
