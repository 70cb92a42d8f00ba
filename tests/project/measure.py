"""Sizes of source files, functions and classes, read from the syntax tree."""

from __future__ import annotations

import ast
import re

__all__ = ["LIMITS", "is_generated", "over_budget"]

LIMITS = {"lines of the file": 500, "lines of a function": 60, "attributes of a class": 20, "methods of a class": 25}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def is_generated(source: str) -> bool:
    """True when the first lines say that a program printed the file."""
    return (
        re.search(r"\b(generated|printed) (by|from)\b", "\n".join(source.splitlines()[:3]), re.IGNORECASE) is not None
    )


def own_statements(node: ast.ClassDef) -> list[ast.stmt]:
    return [statement for statement in node.body if not isinstance(statement, ast.ClassDef)]


def methods(node: ast.ClassDef) -> list[Function]:
    return [statement for statement in node.body if isinstance(statement, Function)]


def assigned_to_self(method: Function) -> set[str]:
    arguments = method.args.posonlyargs + method.args.args
    if not arguments:
        return set()
    self_name = arguments[0].arg
    return {
        target.attr
        for target in ast.walk(method)
        if isinstance(target, ast.Attribute)
        and isinstance(target.ctx, ast.Store)
        and isinstance(target.value, ast.Name)
        and target.value.id == self_name
    }


def attributes(node: ast.ClassDef) -> set[str]:
    names = {
        statement.target.id
        for statement in own_statements(node)
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    }
    return names.union(*(assigned_to_self(method) for method in methods(node)))


def over_budget(source: str) -> list[str]:
    """What in a source file is larger than allowed, as sentences; empty when all is well or the file is generated."""
    if is_generated(source):
        return []
    sizes = [("lines of the file", "the file", len(source.splitlines()))]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, Function):
            sizes.append(("lines of a function", node.name, (node.end_lineno or node.lineno) - node.lineno + 1))
        elif isinstance(node, ast.ClassDef):
            sizes.append(("attributes of a class", node.name, len(attributes(node))))
            sizes.append(("methods of a class", node.name, len({method.name for method in methods(node)})))
    return [f"{name}: {size} {what}, allowed {LIMITS[what]}" for what, name, size in sizes if size > LIMITS[what]]
