"""The pinned requirements fit what pyproject.toml allows, carry hashes and name no place to fetch from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)", re.MULTILINE)


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=! ;]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def pins(path: Path) -> dict[str, str]:
    return {match["name"].lower(): match["version"] for match in PIN.finditer(path.read_text(encoding="utf-8"))}


def as_numbers(version: str) -> list[int]:
    numbers = [int(part) for part in re.findall(r"\d+", version)]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


def test_oldest_pins_are_the_floors_of_the_project() -> None:
    floors = {}
    for requirement in project()["project"]["dependencies"]:
        floor = re.search(r">=([\d.]+)", requirement)
        assert floor, f"{requirement} has no floor"
        floors[name_of(requirement)] = as_numbers(floor[1])
    oldest = {name: as_numbers(version) for name, version in pins(ROOT / "requirements" / "oldest.in").items()}
    assert oldest == floors


def test_oldest_environment_holds_the_oldest_pins() -> None:
    oldest = pins(ROOT / "requirements" / "oldest.in")
    assert oldest.items() <= pins(ROOT / "requirements" / "test-oldest.txt").items()


@pytest.mark.parametrize(
    ("lock", "groups", "extras"),
    [
        ("test.txt", ["build", "test"], ["audio", "cli", "codegen", "emulator", "httpx", "opus"]),
        ("test-oldest.txt", ["build", "test"], ["audio", "cli", "codegen", "emulator", "httpx", "opus"]),
        ("bench.txt", ["build", "bench"], ["cli", "emulator"]),
    ],
)
def test_lock_holds_everything_that_its_environment_needs(lock: str, groups: list[str], extras: list[str]) -> None:
    pyproject = project()
    wanted = list(pyproject["project"]["dependencies"])
    wanted += [name for group in groups for name in pyproject["dependency-groups"][group]]
    wanted += [name for extra in extras for name in pyproject["project"]["optional-dependencies"][extra]]
    assert {name_of(requirement) for requirement in wanted} <= set(pins(ROOT / "requirements" / lock))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_pin_of_a_lock_carries_hashes_and_nothing_else(lock: Path) -> None:
    entries = lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    # A package may be pinned once for each range of Python versions.
    assert len(entries) == len(list(PIN.finditer(lock.read_text(encoding="utf-8")))) > 10
    assert [line for line in entries if "--hash=sha256:" not in line] == []
    assert [line for line in entries if re.search(r"--(?!hash=sha256:[0-9a-f]{64}\b)|https?://|@ ", line)] == []
