"""The stated behaviours and the tests agree, both ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project.manifest import problems, read_manifest, read_uses

TESTS = Path(__file__).resolve().parents[1]

STATED = '[one]\nbehaviour = "It does."\nsource = "sdk"\n'
PROVEN = 'import pytest\n@pytest.mark.behaviour("one")\ndef test_it_does(): ...\n'


def found(folder: Path, stated: str, test: str, name: str = "test_it.py") -> list[str]:
    (folder / "behaviours").mkdir()
    (folder / "behaviours" / "some.toml").write_text(stated, encoding="utf-8")
    (folder / name).write_text(test, encoding="utf-8")
    return problems(read_manifest(folder / "behaviours"), read_uses(folder))


def test_manifest_and_tests_agree() -> None:
    assert problems(read_manifest(TESTS / "behaviours"), read_uses(TESTS)) == []


def test_manifest_check_is_silent_when_both_agree(tmp_path: Path) -> None:
    assert found(tmp_path, STATED, PROVEN) == []


@pytest.mark.parametrize(
    "test",
    [
        'import pytest\npytestmark = [pytest.mark.anyio, pytest.mark.behaviour("one")]\ndef test_it(): ...\n',
        'import pytest\n@pytest.mark.behaviour("one")\nclass TestIt:\n    def test_it(self): ...\n',
        'import pytest\nMARK = pytest.mark.behaviour("one")\n@MARK\ndef test_it(): ...\n',
        'import pytest\nROWS = [pytest.param(1, marks=pytest.mark.behaviour("one"))]\n',
    ],
)
def test_manifest_check_sees_every_way_to_mark_a_test(tmp_path: Path, test: str) -> None:
    assert found(tmp_path, STATED, test) == []


@pytest.mark.parametrize(
    ("stated", "test", "wrong"),
    [
        (STATED, "", "[one] is stated but no test proves it"),
        ("", PROVEN, "'one' marks a test but is not stated"),
        (STATED.replace('"sdk"', '" "'), PROVEN, "has an empty text"),
        (STATED + "issue = 1\n", PROVEN, "and nothing else"),
        (STATED, PROVEN + "@pytest.mark.behaviour(NAME)\ndef test_other(): ...\n", "names no id as a literal"),
        (STATED, PROVEN + "@pytest.mark.behaviour()\ndef test_other(): ...\n", "names no id as a literal"),
        (STATED, PROVEN + 'MARK = pytest.mark.behaviour("one")\n', "nothing that pytest collects"),
        (STATED, PROVEN + '@pytest.mark.behaviour("one")\ndef helper(): ...\n', "nothing that pytest collects"),
    ],
)
def test_manifest_check_names_the_disagreement_when_one_is_planted(
    tmp_path: Path, stated: str, test: str, wrong: str
) -> None:
    assert any(wrong in problem for problem in found(tmp_path, stated, test))


def test_manifest_check_refuses_one_id_in_two_files(tmp_path: Path) -> None:
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text(STATED, encoding="utf-8")
    assert read_manifest(tmp_path).faults == ["b.toml: [one] is stated in another file too"]


def test_manifest_check_refuses_a_mark_outside_test_files(tmp_path: Path) -> None:
    assert any("nothing that pytest collects" in text for text in found(tmp_path, STATED, PROVEN, name="helper.py"))
