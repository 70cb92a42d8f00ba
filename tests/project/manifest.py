"""The stated behaviours, and where in the tests each of them is proven; both read without running anything."""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Manifest", "Uses", "problems", "read_manifest", "read_uses"]

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Manifest:
    """Stated behaviours by id, and what is wrong with the files that state them."""

    entries: dict[str, dict[str, str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


@dataclass
class Uses:
    """How often each id marks a test, and marks that prove nothing."""

    ids: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def read_manifest(folder: Path) -> Manifest:
    """The union of all `*.toml` files in a folder."""
    manifest = Manifest()
    for path in sorted(folder.glob("*.toml")):
        for name, entry in tomllib.loads(path.read_text(encoding="utf-8")).items():
            place = f"{path.name}: [{name}]"
            if name in manifest.entries:
                manifest.faults.append(f"{place} is stated in another file too")
            if not isinstance(entry, dict) or set(entry) != {"behaviour", "source"}:
                manifest.faults.append(f"{place} needs `behaviour` and `source`, and nothing else")
                continue
            if not all(isinstance(text, str) and text.strip() for text in entry.values()):
                manifest.faults.append(f"{place} has an empty text")
            manifest.entries[name] = entry
    return manifest


def is_mark(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "behaviour" and ast.unparse(node).endswith("mark.behaviour")


def marks(node: ast.AST) -> list[ast.Call]:
    return [call for call in ast.walk(node) if isinstance(call, ast.Call) and is_mark(call.func)]


def named_marks(tree: ast.Module) -> dict[str, list[ast.Call]]:
    """Marks that a module keeps under a name, to decorate several tests with."""
    return {
        target.id: marks(statement.value)
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name) and target.id != "pytestmark"
    }


def attaching(tree: ast.Module) -> Iterator[ast.AST]:
    """What pytest takes marks from: decorators of tests and test classes, `pytestmark`, `pytest.param(...)`."""
    for node in ast.walk(tree):
        if isinstance(node, Function | ast.ClassDef):
            wanted = "Test" if isinstance(node, ast.ClassDef) else "test_"
            if node.name.startswith(wanted):
                yield from node.decorator_list
        elif isinstance(node, ast.Assign) and any(ast.unparse(target) == "pytestmark" for target in node.targets):
            yield node.value
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("pytest.param"):
            yield node


def proving(tree: ast.Module) -> list[ast.Call]:
    """The marks of a module that pytest attaches to a test, given in place or by name."""
    kept = named_marks(tree)
    found: list[ast.Call] = []
    for node in attaching(tree):
        found += marks(node)
        for name in ast.walk(node):
            if isinstance(name, ast.Name):
                found += kept.get(name.id, [])
    return found


def read_uses(root: Path) -> Uses:
    """Every `behaviour` mark in the test files below `root`."""
    uses = Uses()
    for path in sorted(root.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        good = proving(tree) if path.name.startswith("test_") else []
        for mark in marks(tree):
            place = f"{path.relative_to(root)}:{mark.lineno}"
            if not any(mark is other for other in good):
                uses.faults.append(f"{place} marks nothing that pytest collects")
                continue
            if not mark.args:
                uses.faults.append(f"{place} names no id as a literal")
            for argument in mark.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    uses.ids[argument.value] += 1
                else:
                    uses.faults.append(f"{place} names no id as a literal")
    return uses


def problems(manifest: Manifest, uses: Uses) -> list[str]:
    """Where the stated behaviours and the tests disagree, as sentences; empty when they agree."""
    return [
        *manifest.faults,
        *uses.faults,
        *(f"[{name}] is stated but no test proves it" for name in sorted(set(manifest.entries) - set(uses.ids))),
        *(f"{name!r} marks a test but is not stated" for name in sorted(set(uses.ids) - set(manifest.entries))),
    ]
