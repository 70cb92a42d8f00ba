"""No file of the project names a place on somebody's machine, a package registry's address or a key."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = {".git", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", "__pycache__", "build", "dist"}

WORDS = {
    "a path of one machine": r"/(?:work/(?:main|shared)|root/\.|opt/[a-z-]*(?:pypi|wheels)|tmp/bri)",
    "a home folder": r"(?:/home/|/Users/|[A-Z]:\\Users\\)(?!(?:user|me|you|alice|bob|name)\b)[\w.-]+/",
    "a registry address": r"https?://[^\s\"'`)]*(?:python" r"hosted\.org/packages|/simple/)|--(?:extra-)?index-url",
    "a key": r"\bxai-[A-Za-z0-9]{60,}",
}
LEAKS = {name: re.compile(pattern) for name, pattern in WORDS.items()}


def project_files() -> list[Path]:
    """What git knows or would add; without git, every file outside environments and caches."""
    git = shutil.which("git")
    if git is not None and (ROOT / ".git").exists():
        command = [git, "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if run.returncode == 0:
            return [ROOT / name for name in run.stdout.split("\0") if name]
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file() and not any(part in SKIPPED or part.startswith(".venv") for part in path.parts)
    ]


def leaks(text: str) -> list[str]:
    """Which kinds of leak a text holds, with the line; the value itself only when it is no key."""
    return [
        f"line {number}: {name}"
        for number, line in enumerate(text.splitlines(), start=1)
        for name, pattern in LEAKS.items()
        if pattern.search(line)
    ]


def test_no_file_of_the_project_leaks_a_path_an_address_or_a_key() -> None:
    found = {}
    files = [path for path in project_files() if path.is_file() and path != Path(__file__).resolve()]
    for path in files:
        lines = leaks(path.read_bytes().decode("utf-8", "replace"))
        if lines:
            found[str(path.relative_to(ROOT))] = lines
    assert len(files) > 20
    assert found == {}


def test_no_lock_of_another_tool_stands_in_the_project() -> None:
    assert [name for name in ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml") if (ROOT / name).exists()] == []


# In pieces, so that this file holds none of it.
REGISTRY = "pypi" + ".org"


@pytest.mark.parametrize(
    "text",
    [
        "see /" + "work/main/x.py",
        "/home/somebody/project",
        "--index-url https://mirror.example/simple/",
        f"https://{REGISTRY}/simple/pydantic",
        "key = xai-" + "a" * 80,
    ],
)
def test_leak_check_finds_a_planted_leak(text: str) -> None:
    assert len(leaks(text)) == 1


@pytest.mark.parametrize("text", [f"https://{REGISTRY}/project/x", "/home/user/x", "xai-client-secret.abc", "/tmp/x"])
def test_leak_check_is_silent_on_ordinary_text(text: str) -> None:
    assert leaks(text) == []
