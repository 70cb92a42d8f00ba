"""Bodies in pieces: changed unit by unit, their cuts kept, whatever is inside and wherever they are cut."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xai_realtime.cassette._http_body import TextBody, body_kind, changed_unit, multipart_as, rewritten


def cut(body: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(body) + 1) for place in places} - {0}), len(body)]
    return [body[one:two] for one, two in pairwise(edges)]


PLACES = st.lists(st.integers(0, 500), max_size=8)
LINES = st.lists(
    st.sampled_from(['data: {"a": 1}', "data: secret", "", "id: 5", "Grüße 世界", '{"a":"secret"}']), max_size=12
)


@given(lines=LINES, end=st.booleans(), places=PLACES, by_line=st.booleans())
def test_unchanged_body_keeps_its_bytes_and_the_number_of_its_pieces(
    lines: list[str], end: bool, places: list[int], by_line: bool
) -> None:
    body = ("\n".join(lines) + ("\n" if end else "")).encode()
    pieces = cut(body, places)
    made = rewritten(pieces, by_line=by_line, change=bytes)
    assert b"".join(made) == body
    assert len(made) == len(pieces)
    assert all(piece.decode() is not None for piece in made)
    assert rewritten(made, by_line=by_line, change=bytes) == made


@given(lines=LINES, places=PLACES, by_line=st.booleans())
def test_changed_units_are_whole_in_one_piece(lines: list[str], places: list[int], by_line: bool) -> None:
    body = "\n".join(lines).encode()

    def change(unit: bytes) -> bytes:
        return unit.replace(b"secret", b"[gone]!")

    made = rewritten(cut(body, places), by_line=by_line, change=change)
    assert b"".join(made) == change(body)
    assert sum(piece.count(b"[gone]!") for piece in made) == body.count(b"secret")


@given(places=PLACES)
def test_line_is_ready_as_soon_as_it_is_whole(places: list[int]) -> None:
    body = b"data: one\n\ndata: two\n\ndata: three"
    text = TextBody(by_line=True, change=bytes)
    came = 0
    for piece in cut(body, places):
        fed = text.feed(piece)
        came += len(piece)
        assert text.is_ready(fed) is (came <= body[:came].rfind(b"\n") + 1)
        if not text.is_ready(fed):
            break


def test_part_that_may_not_stand_for_itself_goes_with_its_unit() -> None:
    body = TextBody(by_line=False, change=bytes, can_stand=lambda part: not part.endswith(b"nu"))
    pieces = [body.feed(b'{"token": nu'), body.feed(b"ll}")]
    body.finish()
    assert [body.take(piece) for piece in pieces] == [b"", b'{"token": null}']


def double(value: Any) -> Any:
    return {key: item * 2 for key, item in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize(
    ("unit", "changed"),
    [
        (b'data: {"a": 1}\n', b'data: {"a":2}\n'),
        (b'data:{"a": 1}\r\n', b'data:{"a":2}\r\n'),
        (b'{"a": 1}\n', b'{"a":2}\n'),
        (b'{"a": 0}\n', b'{"a": 0}\n'),
        (b"data: [DONE]\n", b"data: [DONE]\n"),
        (b"event: x\n", b"event: y\n"),
        (b'{"a": 1', b'{"a": 1'),
    ],
)
def test_unit_is_changed_as_json_or_as_text(unit: bytes, changed: bytes) -> None:
    assert changed_unit(unit, double, lambda text: text.replace(b"x", b"y")) == changed


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"content-type": "text/event-stream; charset=utf-8"}, "lines"),
        ({"content-type": "Application/JSON"}, "whole"),
        ({"content-type": "application/problem+json"}, "whole"),
        ({"content-type": "text/html"}, "whole"),
        ({}, "whole"),
        ({"content-type": "audio/mpeg"}, "binary"),
        ({"content-type": "application/octet-stream"}, "binary"),
        ({"content-type": "application/json", "content-encoding": "gzip"}, "encoded"),
        ({"content-type": "audio/mpeg", "content-encoding": "Identity"}, "binary"),
    ],
)
def test_headers_say_how_a_body_is_treated(headers: dict[str, str], kind: str) -> None:
    assert body_kind(headers) == kind


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("multipart/form-data; boundary=abc", "multipart/form-data; boundary=boundary"),
        ('multipart/mixed; charset=x; boundary="abc"; y=z', "multipart/mixed; charset=x; boundary=boundary; y=z"),
    ],
)
def test_boundary_of_a_form_is_the_same_in_every_run(content_type: str, expected: str) -> None:
    body = b"--abc\r\n\r\nabc\r\n--abc--"
    assert multipart_as(content_type, body) == (expected, b"--boundary\r\n\r\nabc\r\n--boundary--")
    assert multipart_as(*multipart_as(content_type, body)) == multipart_as(content_type, body)
    assert multipart_as("application/json", json.dumps({}).encode()) == ("application/json", b"{}")
