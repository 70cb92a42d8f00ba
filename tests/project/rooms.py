"""The rooms of the package as data, and a reader of imports that finds breaches of them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

__all__ = ["PACKAGE", "ROOMS", "Import", "breaches", "module_name", "read_imports", "room_of"]

PACKAGE = "xai_realtime"

ROOMS: dict[str, int] = {
    "_version": 0,
    "address": 0,
    "audible": 0,
    "audio": 0,
    "defaults": 0,
    "errors": 0,
    "frames": 0,
    "models": 0,
    "speech_tags": 0,
    "timemark": 0,
    "vad": 0,
    "events": 1,
    "codec": 2,
    "digest": 2,
    "quick_audio": 2,
    "protocol": 3,
    "cassette": 4,
    "transport": 4,
    "chat": 5,
    "realtime": 5,
    "stt": 5,
    "tools": 5,
    "tts": 5,
    "client": 6,
    "sync_client": 6,
    "__init__": 6,
    "__main__": 7,
    "cli": 7,
    "emulator": 7,
    "generate": 7,
    "inspector": 7,
    "player": 7,
    "proxy": 7,
    "pytest_plugin": 7,
    "virtual_time": 7,
}

MAY_IMPORT: dict[int, frozenset[int]] = {
    0: frozenset({0}),
    1: frozenset({0, 1}),
    2: frozenset({0, 1, 2}),
    3: frozenset({0, 1, 3}),
    4: frozenset({0, 1, 2, 4}),
    5: frozenset(range(6)),
    6: frozenset(range(7)),
    7: frozenset(range(8)),
}

MAY_ALSO_IMPORT: dict[str, frozenset[int]] = {
    f"{PACKAGE}.digest*": frozenset({3}),
}

MAY_NAME: dict[str, frozenset[int]] = {
    PACKAGE: frozenset(range(8)),
}
"""What a module may import for type checkers alone: the package offers programs by name, lazily."""

OUTSIDE: dict[int, frozenset[str]] = {
    0: frozenset({"pybase64"}),
    1: frozenset({"annotated_types", "pybase64", "pydantic", "pydantic_core", "typing_extensions"}),
    2: frozenset({"pybase64", "pydantic", "pydantic_core"}),
    3: frozenset(),
    4: frozenset({"anyio", "pybase64", "pydantic", "pydantic_core"}),
    5: frozenset({"anyio", "pybase64", "pydantic", "pydantic_core"}),
    6: frozenset({"anyio", "pydantic"}),
}
"""Third-party packages by room; room 7 may import what its extra installs."""

OUTSIDE_OF_MODULES: dict[str, frozenset[str]] = {
    f"{PACKAGE}.audible*": frozenset({"numpy"}),
    f"{PACKAGE}.vad": frozenset({"numpy"}),
    f"{PACKAGE}.audio*": frozenset({"numpy", "soxr"}),
    f"{PACKAGE}.cassette.importing.*": frozenset({"yaml"}),
    f"{PACKAGE}.transport.websocket*": frozenset({"trio", "websockets"}),
    f"{PACKAGE}.transport._websocket*": frozenset({"trio", "websockets"}),
    f"{PACKAGE}.transport.*": frozenset({"httpx2"}),
    f"{PACKAGE}.transport.httpx_adapter": frozenset({"httpx"}),
    f"{PACKAGE}.timemark": frozenset({"trio"}),
}

LAZY = frozenset({"httpx", "httpx2", "numpy", "soxr", "trio", "websockets", "yaml"})
"""In rooms 0 to 6 these are imported inside functions (or for types alone), so that importing stays quick."""

EAGER = frozenset(f"{PACKAGE}.transport._websocket_{part}" for part in ("asyncio", "line", "trio"))
"""Modules that may import them at once, because they are themselves imported inside functions alone."""

CLOCKS = frozenset({"datetime", "sched", "time"})
LOOPS = frozenset({"asyncio", "concurrent", "multiprocessing", "selectors", "socket", "subprocess", "threading"})
NEVER: dict[int, frozenset[str]] = {
    1: CLOCKS | LOOPS | {"os", "random", "secrets"},
    2: CLOCKS | LOOPS | {"os", "random", "secrets"},
    3: CLOCKS | LOOPS | {"json", "os", "random", "secrets"},
    4: LOOPS | {"time"},
    5: LOOPS | {"time"},
    6: LOOPS | {"json", "time"},
}
"""Modules of the standard library that a room must not import."""

NEVER_EXCEPT: dict[str, frozenset[str]] = {
    f"{PACKAGE}.transport.websocket*": LOOPS,
    f"{PACKAGE}.transport._websocket*": LOOPS,
    f"{PACKAGE}.sync_client._thread": frozenset({"concurrent", "threading"}),
}

DYNAMIC = frozenset({PACKAGE})
"""Modules that may import by a name which is not a literal: the lazy public names."""


@dataclass(frozen=True, slots=True)
class Import:
    """One import: `target` is a dotted module name ("?" when it cannot be read), `where` it stands."""

    target: str
    line: int
    where: str  # "module", "function" or "types"


def module_name(path: Path, root: Path) -> str:
    """Dotted name of the file `path` below `root`, the folder that holds the package."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> int | None:
    """Number of the room in which a module of the package stands; None when no room knows it."""
    parts = module.split(".")
    return ROOMS.get(parts[1] if len(parts) > 1 else "__init__")


def is_for_types(node: ast.If) -> bool:
    test = node.test
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"


def walk(node: ast.AST, where: str) -> Iterator[tuple[ast.AST, str]]:
    for child in ast.iter_child_nodes(node):
        inside = where
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inside = "function"
        yield child, inside
        if isinstance(child, ast.If) and is_for_types(child):
            for statement in child.body:
                yield statement, "types"
                yield from walk(statement, "types")
            for statement in child.orelse:
                yield statement, inside
                yield from walk(statement, inside)
        else:
            yield from walk(child, inside)


def from_targets(node: ast.ImportFrom, module: str, is_package: bool) -> list[str]:
    base = node.module or ""
    if node.level:
        parts = module.split(".")
        parts = parts[: len(parts) - node.level + (1 if is_package else 0)]
        base = ".".join([*parts, base]) if base else ".".join(parts)
    if base == PACKAGE:
        return [f"{PACKAGE}.{alias.name}" if alias.name in ROOMS else PACKAGE for alias in node.names]
    return [base]


def call_target(node: ast.Call) -> str | None:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name not in {"__import__", "import_module"}:
        return None
    first = node.args[0] if node.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else "?"


def read_imports(source: str, module: str, *, is_package: bool = False) -> list[Import]:
    """Every import of a module's source, also inside functions, under TYPE_CHECKING and by name."""
    found: list[Import] = []
    for node, where in walk(ast.parse(source), "module"):
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            targets = from_targets(node, module, is_package)
        elif isinstance(node, ast.Call) and (target := call_target(node)) is not None:
            targets = [target]
        found += [Import(target, getattr(node, "lineno", 0), where) for target in targets]
    return found


def granted(table: dict[str, frozenset[str]], module: str) -> frozenset[str]:
    return frozenset().union(*(names for pattern, names in table.items() if fnmatch(module, pattern)))


def inside_breach(module: str, room: int, entry: Import) -> str | None:
    target = entry.target
    other = room_of(target)
    if other is None:
        return f"imports {target}, which stands in no room"
    also = frozenset().union(*(rooms for pattern, rooms in MAY_ALSO_IMPORT.items() if fnmatch(module, pattern)))
    if entry.where == "types":
        also |= MAY_NAME.get(module, frozenset())
    if other not in MAY_IMPORT[room] | also:
        return f"imports {target} of room {other}"
    if target in EAGER and entry.where == "module" and module not in EAGER:
        return f"imports {target} when it is imported itself; import it inside the function"
    return None


def outside_breach(module: str, room: int, entry: Import) -> str | None:
    top = entry.target.split(".")[0]
    if room == 7 or top == "__future__":
        return None
    if top in sys.stdlib_module_names:
        never = NEVER.get(room, frozenset()) - granted(NEVER_EXCEPT, module)
        return f"imports {top}" if top in never and entry.where != "types" else None
    if top not in OUTSIDE[room] | granted(OUTSIDE_OF_MODULES, module):
        return f"imports {top}"
    if top in LAZY and entry.where == "module" and module not in EAGER:
        return f"imports {top} when it is imported itself; import it inside the function"
    return None


def breaches(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """What a module imports against the rules, as sentences with the line; empty when all is well."""
    room = room_of(module)
    if room is None:
        return [f"{module} stands in no room; name it in tests/project/rooms.py"]
    found: list[str] = []
    for entry in read_imports(source, module, is_package=is_package):
        if entry.target == "?":
            problem = None if module in DYNAMIC or room == 7 else "imports by a name that is not a literal"
        elif entry.target == PACKAGE or entry.target.startswith(f"{PACKAGE}."):
            problem = inside_breach(module, room, entry)
        else:
            problem = outside_breach(module, room, entry)
        if problem is not None:
            found.append(f"{module}:{entry.line} (room {room}) {problem}")
    return found
