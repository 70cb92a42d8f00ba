"""Reading spec files: plain data, and a place for every complaint."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from xai_realtime.errors import ConfigurationError, SpecError
from xai_realtime.generate.load import MAX_SPEC_BYTES, load, pointer


def yaml(text: str) -> dict[str, Any]:
    return load(text.encode(), source="a.yaml", is_json=False)


def test_pointer_escapes_what_a_json_pointer_reserves() -> None:
    assert pointer("/a", "b/c", "d~e", 0) == "/a/b~1c/d~0e/0"


def test_yaml_gives_plain_data_when_it_uses_aliases() -> None:
    text = 'a: &x {k: [1, 2.5, true, null, "y"]}\nb: *x\n'
    assert yaml(text) == {"a": {"k": [1, 2.5, True, None, "y"]}, "b": {"k": [1, 2.5, True, None, "y"]}}


def test_json_gives_plain_data_when_it_starts_with_a_byte_order_mark() -> None:
    assert load(b'\xef\xbb\xbf{"a": 1}', source="a.json", is_json=True) == {"a": 1}


@pytest.mark.parametrize(
    "text, place, reason",
    [
        ("a: {b: 1, b: 2}", "/a", "duplicate key 'b'"),
        ("a: [2026-07-28]", "/a/0", "put it in quotes"),
        ("a: 2026-99-99", "/a", "month must be"),
        ("a: .nan", "/a", "no JSON value"),
        ("a: .inf", "/a", "no JSON value"),
        ("a: !!binary QUJD", "/a", "reads as bytes"),
        ("a: {1: x}", "/a", "no text"),
        ("on: x", "", "no text"),
        ("a: &a {k: 1}\nb: {<<: *a}", "/b", "merge key"),
        ("a: &a [*a]", "", "contains itself"),
        ("a: !!python/object:os.system x", "", "could not determine a constructor"),
        ("a: [", "", "bad YAML at line 1"),
        ("a: 1\n---\nb: 2\n", "", "bad YAML"),
        ("- 1", "", "root must be an object"),
        ("", "", "root must be an object"),
        ("a: \x01", "", "bad YAML"),
        ("[" * 3000, "", "nested too deeply"),
    ],
)
def test_yaml_is_refused_with_its_place_when_it_is_no_spec(text: str, place: str, reason: str) -> None:
    with pytest.raises(SpecError) as caught:
        yaml(text)
    assert reason in str(caught.value)
    assert (caught.value.source, caught.value.place) == ("a.yaml", place)


@pytest.mark.behaviour("generate-bounds-yaml-aliases")
def test_yaml_is_refused_when_its_aliases_unfold_beyond_measure() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(SpecError, match="aliases unfold to"):
        yaml("\n".join(lines))


@pytest.mark.parametrize(
    "data, reason",
    [
        (b'{"a": 1, "a": 2}', "duplicate key 'a'"),
        (b'{"a": NaN}', "NaN is no JSON value"),
        (b'{"a": }', "bad JSON"),
        (b"[]", "root must be an object"),
        (b"\xff", "not UTF-8"),
        (b" " * (MAX_SPEC_BYTES + 1), "are allowed"),
    ],
)
def test_json_is_refused_when_it_is_no_spec(data: bytes, reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        load(data, source="a.json", is_json=True)


def test_yaml_names_the_extra_when_pyyaml_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "yaml":
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=r"xai-realtime\[codegen\]"):
        yaml("a: 1")
    assert load(b'{"a": 1}', source="a.json", is_json=True) == {"a": 1}
