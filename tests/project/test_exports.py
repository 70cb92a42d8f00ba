"""Every module says what it offers, and what it offers is there and is documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.measure import is_generated
from tests.project.rooms import PACKAGE, module_name

ROOT = Path(__file__).resolve().parents[2]
INIT = ROOT / PACKAGE / "__init__.py"
FILES = [path for path in sorted((ROOT / PACKAGE).rglob("*.py")) if path.name != "__main__.py"]
MODULES = [module_name(path, ROOT) for path in FILES]


def order(name: str) -> tuple[int, list[object]]:
    """Constants, then classes, then the rest, numbers by value: the order that ruff's RUF022 prints."""
    kind = 0 if name.isupper() else 1 if name.lstrip("_")[:1].isupper() else 2
    return kind, [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def listed_wrongly(module: str) -> bool:
    names = importlib.import_module(module).__all__
    there = all(hasattr(importlib.import_module(module), name) for name in names)
    return not there or list(names) != sorted(set(names), key=order)


def test_modules_list_existing_names_once_and_in_order() -> None:
    assert [module for module in MODULES if listed_wrongly(module)] == []


def bare_names(path: Path) -> list[str]:
    """Public classes and functions of a module that have no docstring; what the generator prints is left out."""
    if is_generated(path.read_text(encoding="utf-8")):
        return []
    module = importlib.import_module(module_name(path, ROOT))
    bare = []
    for name in module.__all__:
        value = getattr(module, name)
        own = inspect.isclass(value) or inspect.isfunction(value)
        if own and value.__module__ == module.__name__ and not (value.__doc__ or "").strip():
            bare.append(f"{module.__name__}.{name}")
    return bare


def test_public_classes_and_functions_have_docstrings_of_their_own() -> None:
    assert [name for path in FILES for name in bare_names(path)] == []


def names_for_types(source: str) -> set[str]:
    """Names that the package imports for type checkers alone."""
    return {
        alias.asname or alias.name
        for block in ast.walk(ast.parse(source))
        if isinstance(block, ast.If) and ast.unparse(block.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
        for node in block.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{PACKAGE}.")
        for alias in node.names
    }


@pytest.mark.skipif(not INIT.is_file(), reason="the package has no public names of its own yet")
class TestPublicNames:
    def test_lazy_public_names_are_those_that_type_checkers_see(self) -> None:
        package = importlib.import_module(PACKAGE)
        assert set(package.__all__) - {"__version__"} == names_for_types(INIT.read_text(encoding="utf-8")) - {
            "__version__"
        }

    def test_unknown_public_name_is_an_attribute_error_that_names_it(self) -> None:
        with pytest.raises(AttributeError, match="no_such_name"):
            importlib.import_module(PACKAGE).no_such_name

    def test_public_names_are_offered_to_dir(self) -> None:
        package = importlib.import_module(PACKAGE)
        assert set(package.__all__) <= set(dir(package))

    def test_index_page_lists_exactly_the_public_names(self) -> None:
        page = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
        section = page.split("## Public names", 1)[1].split("\n## ", 1)[0]
        listed = re.findall(r"^\| `(\w+)", section, flags=re.MULTILINE)
        assert sorted(listed) == sorted(importlib.import_module(PACKAGE).__all__)

    def test_importing_the_package_loads_no_dependency(self) -> None:
        heavy = {"anyio", "httpx2", "numpy", "pydantic", "trio", "typer", "websockets", "yaml"}
        code = f"import sys, {PACKAGE}; print(*sorted({heavy} & set(sys.modules)))"
        run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert (run.returncode, run.stdout.strip(), run.stderr) == (0, "", "")
