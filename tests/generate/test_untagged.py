"""Specs whose messages nothing tells apart: a registry by name, and nothing found by trial."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.generate.small import asyncapi, event, imported, parsed
from xai_realtime.codec import Codec
from xai_realtime.errors import ConfigurationError, SpecError
from xai_realtime.generate.emit import emit

UNTAGGED = pytest.mark.behaviour("generate-untagged")
BODY = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}


def untagged(names: dict[str, str], payloads: dict[str, Any] | None = None, *, client: bool = False) -> dict[str, Any]:
    """A document with these messages: class name to name, each with `id` unless a payload is given."""
    made = {name: event(wire) for name, wire in names.items()}
    document = asyncapi(client=made) if client else asyncapi(server=made)
    document["components"]["schemas"] = dict.fromkeys(names, BODY) | (payloads or {})
    return document | {"x-tag": "none"}


def module(document: dict[str, Any], folder: Path) -> Any:
    path = folder / "untagged.py"
    path.write_text(emit(parsed(document)))
    return imported(path)


@UNTAGGED
def test_module_without_tags_has_a_registry_by_name_and_says_so(tmp_path: Path) -> None:
    found = module(untagged({"Whole": "an.answer", "Piece": "an.answer.piece"}), tmp_path)
    assert found.IS_TAGGED is False and "IS_TAGGED" in found.__all__
    assert {"an.answer": found.Whole, "an.answer.piece": found.Piece} == found.SERVER_EVENTS
    assert found.CLIENT_EVENTS == {}
    assert found.Whole.model_validate_json('{"id": "a", "new": 1}').model_extra == {"new": 1}
    assert "Field(discriminator" not in (tmp_path / "untagged.py").read_text()
    with pytest.raises(ConfigurationError, match="have no type"):
        Codec(found)


@UNTAGGED
def test_module_with_tags_is_printed_as_ever() -> None:
    document = asyncapi(server={"Told": event("told"), "Said": event("said")})
    plain = emit(parsed(document))
    assert "IS_TAGGED" not in plain
    stated = emit(parsed(document | {"x-tag": "type"}))
    assert [line for line in stated.splitlines() if "sha256" not in line.lower()] == [
        line for line in plain.splitlines() if "sha256" not in line.lower()
    ]


@UNTAGGED
@pytest.mark.parametrize("client", [True, False])
def test_one_message_without_a_tag_is_its_own_union(client: bool, tmp_path: Path) -> None:
    found = module(untagged({"Whole": "an.answer"}, client=client), tmp_path)
    assert (found.ClientEvent if client else found.ServerEvent) is found.Whole


@UNTAGGED
def test_module_without_tags_is_clean(repository: Path, tmp_path: Path) -> None:
    module(untagged({"Whole": "an.answer", "Piece": "an.answer.piece"}), tmp_path)
    for command in (["format", "--check"], ["check"]):
        command = [
            sys.executable,
            "-m",
            "ruff",
            *command,
            "--config",
            str(repository / "pyproject.toml"),
            str(tmp_path),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("document", "place", "reason"),
    [
        (asyncapi(server={"Told": event("told")}) | {"x-tag": "kind"}, "/x-tag", "type or none, not 'kind'"),
        (asyncapi(server={"Told": event("told")}) | {"x-tag": None}, "/x-tag", "not None"),
        ({"$defs": {"Told": event("told")}, "x-tag": "none"}, "/x-tag", "needs an AsyncAPI file"),
        (untagged({"Told": "Told!"}), "/components/messages/Told/name", "no name of a message"),
        (untagged({"Told": "told", "Said": "told"}), "/components/messages/Said", "'told'"),
        (untagged({"Told": "told"}, {"Told": {"type": "object"}}), "/components/messages/Told/payload", "an object"),
        (untagged({"IS_TAGGED": "told"}), "/components/messages/IS_TAGGED", "no class name"),
    ],
)
def test_untagged_spec_is_refused_with_its_place(document: dict[str, Any], place: str, reason: str) -> None:
    with pytest.raises(SpecError) as caught:
        emit(parsed(document))
    assert caught.value.place == place
    assert reason in caught.value.reason


def test_untagged_message_needs_a_name() -> None:
    document = untagged({"Told": "told"})
    del document["components"]["messages"]["Told"]["name"]
    with pytest.raises(SpecError, match="None is no name of a message"):
        emit(parsed(document))
