"""Small specs for the tests, and the way from a spec to an imported module."""

from __future__ import annotations

import importlib.util
import itertools
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from xai_realtime.generate.document import parse
from xai_realtime.generate.emit import emit
from xai_realtime.generate.model import Spec

__all__ = ["asyncapi", "event", "imported", "module", "parsed", "ref"]

NUMBERS = itertools.count()


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def event(wire: str, properties: Mapping[str, Any] | None = None, required: Iterable[str] = ()) -> dict[str, Any]:
    """The payload of an event."""
    return {
        "type": "object",
        "required": ["type", *required],
        "properties": {"type": {"type": "string", "const": wire}, **(properties or {})},
    }


def asyncapi(
    *,
    server: Mapping[str, Any] | None = None,
    client: Mapping[str, Any] | None = None,
    schemas: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A document with these payloads by class name."""
    both = {**(server or {}), **(client or {})}

    def operation(action: str, names: Iterable[str]) -> dict[str, Any]:
        messages = [{"$ref": f"#/channels/line/messages/{name}"} for name in names]
        return {"action": action, "channel": {"$ref": "#/channels/line"}, "messages": messages}

    operations = {}
    if client:
        operations["say"] = operation("send", client)
    if server:
        operations["hear"] = operation("receive", server)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Small", "version": "1"},
        "x-service": "small",
        "channels": {
            "line": {
                "address": "/line",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in both},
            }
        },
        "operations": operations,
        "components": {
            "messages": {
                name: {"name": payload["properties"]["type"]["const"], "title": name, "payload": ref(name)}
                for name, payload in both.items()
            },
            "schemas": {**both, **(schemas or {})},
        },
    }


def parsed(document: Any, **options: Any) -> Spec:
    return parse(json.dumps(document).encode(), "small.json", **options)


def imported(path: Path) -> ModuleType:
    """Import a generated file under a fresh name."""
    name = f"generated_{next(NUMBERS)}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[name] = found
    spec.loader.exec_module(found)
    return found


def module(document: Any, folder: Path) -> ModuleType:
    """The imported module of a document."""
    path = folder / f"small_{next(NUMBERS)}.py"
    path.write_text(emit(parsed(document)))
    return imported(path)
