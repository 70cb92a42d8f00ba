"""What the shared recordings show, without a word of what was said in them.

`python -m tests.emulator.faithfulness.facts FOLDER` reads the recordings in FOLDER and writes a JSON file each beside
this one: what the client did, the types that the service sent, and the fields in them. Letters become `x`, digits `0`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.emulator.engine.driving import sequence

__all__ = ["HERE", "Facts", "facts_of", "fields_of", "load_facts", "read_recording", "written"]

HERE = Path(__file__).resolve().parent
SPOKEN = ("instructions", "text", "transcript", "description", "name", "arguments", "output", "say", "speak")
TRANSCRIBED = "conversation.item.input_audio_transcription.completed"

Facts = dict[str, Any]


def masked(value: Any, name: str = "") -> Any:
    """`value` with every text that a person or a model wrote made unreadable, its lengths and marks kept."""
    if isinstance(value, dict):
        return {key: masked(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner, name) for inner in value]
    if isinstance(value, str) and name in SPOKEN:
        return re.sub(r"[^\W\d_]", lambda letter: "X" if letter[0].isupper() else "x", re.sub(r"\d", "0", value))
    return value


def read_recording(path: Path) -> list[dict[str, Any]]:
    """The interactions of a recording."""
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    interactions: list[dict[str, Any]] = loaded["interactions"]
    return interactions


def facts_of(interactions: list[dict[str, Any]]) -> Facts:
    """What the client did, what the model said, what the service sent; with the words."""
    connections: list[dict[str, Any]] = []
    replies: list[dict[str, Any]] = []
    fields: dict[str, set[str]] = {}
    spoken = next((e["data"]["transcript"] for e in reversed(interactions) if kind_of(e) == TRANSCRIBED), "")
    for entry in interactions:
        kind = kind_of(entry)
        if kind == "session.created":
            connections.append({"client": [], "server": []})
        if entry["kind"] != "message":
            continue
        if entry["direction"] == "received":
            fields.setdefault(kind, set()).update(fields_of(entry["data"]))
            connections[-1]["server"].append(kind)
            if kind == "response.done":
                replies.append(reply_of(entry["data"]["response"]))
        else:
            client = connections[-1]["client"]
            step = {"after": len(sequence(connections[-1]["server"])), "send": entry["data"]}
            if kind == "input_audio_buffer.append":
                step = {"after": step["after"], "speak": spoken}
            if "send" in step or not client or "speak" not in client[-1]:
                client.append(step)
    for connection in connections:
        connection["server"] = sequence(connection["server"])
    return {
        "connections": connections,
        "replies": replies,
        "fields": {kind: sorted(paths) for kind, paths in sorted(fields.items())},
    }


def kind_of(entry: dict[str, Any]) -> str:
    return str((entry.get("data") or {}).get("type", entry["kind"]))


def reply_of(response: dict[str, Any]) -> dict[str, Any]:
    """What the model said and called in one response."""
    messages = [item["content"][0]["transcript"] for item in response["output"] if item["type"] == "message"]
    calls = [item for item in response["output"] if item["type"] == "function_call"]
    return {
        "say": messages[0],
        "calls": [{key: call[key] for key in ("name", "arguments", "call_id")} for call in calls],
    }


def fields_of(value: Any, path: str = "$") -> Iterator[str]:
    """Every field of a JSON value with its type, as `$.item.content[].type: str`."""
    if isinstance(value, dict):
        yield f"{path}: object"
        for key, inner in value.items():
            yield from fields_of(inner, f"{path}.{key}")
    elif isinstance(value, list):
        yield f"{path}: array"
        for inner in value:
            yield from fields_of(inner, f"{path}[]")
    else:
        yield f"{path}: {'null' if value is None else type(value).__name__}"


def call_ids_numbered(facts: Facts) -> Facts:
    """The calls' ids as numbers, so that nothing minted is kept."""
    text = json.dumps(facts, ensure_ascii=False)
    minted = [call["call_id"] for reply in facts["replies"] for call in reply["calls"]]
    for number, call_id in enumerate(minted):
        text = text.replace(call_id, f"call_{number}")
    numbered: Facts = json.loads(text)
    return numbered


def written(facts: Facts) -> str:
    """The text of a file of facts."""
    return json.dumps(masked(call_ids_numbered(facts)), indent=1, ensure_ascii=False) + "\n"


def load_facts() -> dict[str, Facts]:
    """The committed facts by recording."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(HERE.glob("*.json"))}


if __name__ == "__main__":
    for recording in sorted(Path(sys.argv[1]).glob("*.yaml")):
        facts = facts_of(read_recording(recording))
        (HERE / f"{recording.stem}.json").write_text(written(facts), encoding="utf-8")
