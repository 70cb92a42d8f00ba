"""The import directions of the package hold, and the test that says so can fail."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.project.measure import is_generated
from tests.project.rooms import PACKAGE, Import, breaches, module_name, read_imports

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / PACKAGE).rglob("*.py"))


def test_package_has_modules_to_check() -> None:
    assert len(MODULES) >= 5


def test_modules_import_only_what_their_room_allows() -> None:
    found = []
    for path in MODULES:
        source = path.read_text(encoding="utf-8")
        found += breaches(source, module_name(path, ROOT), is_package=path.name == "__init__.py")
    assert found == []


def test_modules_say_in_their_docstring_what_they_may_import() -> None:
    silent = []
    for path in MODULES:
        source = path.read_text(encoding="utf-8")
        docstring = ast.get_docstring(ast.parse(source)) or ""
        if not docstring or not (is_generated(source) or "import" in docstring.lower()):
            silent.append(module_name(path, ROOT))
    assert silent == []


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("errors", "import pydantic", "imports pydantic"),
        ("frames", "from xai_realtime.events import realtime", "xai_realtime.events of room 1"),
        ("audio", "import numpy", "inside the function"),
        ("events._base", "import asyncio", "imports asyncio"),
        ("codec", "def f():\n    import time", "imports time"),
        ("codec", "from xai_realtime.protocol.state import X", "of room 3"),
        ("protocol.state", "import json", "imports json"),
        ("protocol.state", "from xai_realtime import codec", "of room 2"),
        ("protocol.state", "from ..codec import decode", "of room 2"),
        ("protocol.state", "import anyio", "imports anyio"),
        ("transport.base", "from xai_realtime.protocol import state", "of room 3"),
        ("transport.base", "def f():\n    import websockets", "imports websockets"),
        ("transport.websocket", "import websockets", "inside the function"),
        ("transport.websocket", "from xai_realtime.transport._websocket_trio import X", "inside the function"),
        ("cassette.replay", "def f():\n    import httpx2", "imports httpx2"),
        ("realtime.connection", "import asyncio", "imports asyncio"),
        ("realtime.connection", "from xai_realtime import AsyncClient", "xai_realtime of room 6"),
        ("realtime.connection", "if TYPE_CHECKING:\n    from xai_realtime.client import AsyncClient", "of room 6"),
        ("realtime.connection", "import importlib\nimportlib.import_module(name)", "not a literal"),
        ("realtime.connection", "import importlib\nimportlib.import_module('websockets')", "imports websockets"),
        ("client", "import json", "imports json"),
        ("client", "from xai_realtime.cli import main", "of room 7"),
        ("client", "from xai_realtime.nowhere import x", "stands in no room"),
        ("nowhere", "", "stands in no room"),
    ],
)
def test_room_check_names_the_breach_when_one_is_planted(module: str, source: str, wrong: str) -> None:
    found = breaches(source, f"{PACKAGE}.{module}")
    assert len(found) == 1
    assert wrong in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("audio", "def resample():\n    import numpy, soxr"),
        ("digest", "from xai_realtime.protocol.conversation import Item"),
        ("transport.websocket", "async def f():\n    import asyncio, websockets.asyncio.client"),
        ("transport._websocket_trio", "import trio, websockets.trio"),
        ("transport.websocket", "def f():\n    from xai_realtime.transport._websocket_trio import X"),
        ("transport.websocket", "if TYPE_CHECKING:\n    from websockets import ClientConnection"),
        ("protocol.state", "from __future__ import annotations\nfrom . import table\nfrom .table import ROWS"),
        ("cassette.importing.x", "def f():\n    import yaml"),
        ("cli.main", "import typer, time, json, websockets"),
    ],
)
def test_room_check_is_silent_when_the_import_is_allowed(module: str, source: str) -> None:
    assert breaches(source, f"{PACKAGE}.{module}") == []


def test_package_may_name_programs_for_type_checkers_alone() -> None:
    source = "from xai_realtime.virtual_time import run_virtual"
    assert len(breaches(source, PACKAGE, is_package=True)) == 1
    assert breaches(f"if TYPE_CHECKING:\n    {source}", PACKAGE, is_package=True) == []


def test_import_reader_tells_where_an_import_stands() -> None:
    source = (
        "import a\nif TYPE_CHECKING:\n    import b\nelse:\n    import c\nclass C:\n    def f(self):\n        import d\n"
    )
    assert read_imports(source, f"{PACKAGE}.client") == [
        Import("a", 1, "module"),
        Import("b", 3, "types"),
        Import("c", 5, "module"),
        Import("d", 8, "function"),
    ]


def test_import_reader_resolves_relative_imports_of_a_package() -> None:
    found = read_imports("from .base import X\nfrom .. import codec", f"{PACKAGE}.transport", is_package=True)
    assert [entry.target for entry in found] == [f"{PACKAGE}.transport.base", f"{PACKAGE}.codec"]
