"""Server-sent events come out the same however the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xai_realtime.errors import RemoteProtocolError
from xai_realtime.protocol.sse import SseEvent, SseParser

CUTS = pytest.mark.behaviour("sse-any-cut")

ANY = (
    b'\xef\xbb\xbf: hello\r\n\r\ndata: {"a":1}\n\n'
    b"event: late\r\ndata: one\r\ndata: two\r\nid: 7\r\n\r\n"
    b"data\n\ndata:x\rdata:  y\r\r: ping\n\nretry: 1500\nretry: soon\nid: no\0t\n\n"
    b"data: \xc3\xa9\n\nid\nwhat: ever\ndata: last\n\nevent: nothing\n\ndata: after\n\n\n\ndata: [DONE]\n\n"
)
EVENTS = [
    SseEvent(b'{"a":1}'),
    SseEvent(b"one\ntwo", "late", "7"),
    SseEvent(b"", None, "7"),
    SseEvent(b"x\n y", None, "7"),
    SseEvent(b"\xc3\xa9", None, "7"),
    SseEvent(b"last"),
    SseEvent(b"after"),
    SseEvent(b"[DONE]"),
]


def parsed(pieces: list[bytes], **options: int) -> list[SseEvent]:
    parser = SseParser(**options)
    return [event for piece in pieces for event in parser.push(piece)] + parser.finish()


@CUTS
def test_sse_stream_gives_its_events_when_it_comes_at_once() -> None:
    assert parsed([ANY]) == EVENTS


@CUTS
def test_sse_stream_gives_the_same_events_when_it_is_cut_every_so_many_bytes() -> None:
    for size in range(1, len(ANY)):
        assert parsed([ANY[at : at + size] for at in range(0, len(ANY), size)]) == EVENTS, size


@CUTS
def test_sse_stream_gives_the_same_events_when_it_is_cut_once_anywhere() -> None:
    for at in range(len(ANY) + 1):
        assert parsed([ANY[:at], b"", ANY[at:]]) == EVENTS, at


LINES = st.sampled_from(
    [
        b"data: a",
        b"data:b",
        b"data",
        b"data: ",
        b"event: e",
        b"id: 1",
        b"id",
        b": c",
        b"",
        b"",
        b"\xef\xbb\xbf",
        b"dat",
        b"x: y",
    ]
)
ENDS = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r"])


def by_the_book(stream: bytes) -> list[SseEvent]:
    """The events as the standard describes them, line by line."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events: list[SseEvent] = []
    data: list[bytes] = []
    name = last = None
    *lines, rest = text.split(b"\n")
    for line in [*lines, *([rest] if rest else []), None]:
        if not line:
            if data:
                events.append(SseEvent(b"\n".join(data), name, last, line is not None))
            data, name = [], None
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode()
        elif field == b"id":
            last = value.decode() or None
    return events


@CUTS
@given(st.lists(st.tuples(LINES, ENDS), max_size=25), st.lists(st.integers(1, 12), max_size=40))
def test_sse_stream_is_read_by_the_book_when_it_is_cut_at_random(
    lines: list[tuple[bytes, bytes]], sizes: list[int]
) -> None:
    stream = b"".join(line + end for line, end in lines)
    pieces, rest = [], stream
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    # A byte order mark that is cut off at the end is the one thing the book does not say.
    assert parsed([*pieces, rest]) == by_the_book(stream)


@pytest.mark.behaviour("sse-cut-off-is-marked")
@pytest.mark.parametrize(
    ("body", "last"),
    [
        (b"data: a\n\ndata: b", SseEvent(b"b", is_whole=False)),
        (b"data: a\n\ndata: b\n", SseEvent(b"b", is_whole=False)),
        (b"data: a\n\ndata: b\r", SseEvent(b"b", is_whole=False)),
        (b"data: a\n\nevent: e\ndata: b\ndata: c", SseEvent(b"b\nc", "e", is_whole=False)),
        (b"data: a\n\n: only a comment", None),
        (b"data: a\n\nda", None),
        (b"data: a\n\n", None),
    ],
)
def test_last_event_is_given_and_marked_when_the_body_ends_without_a_blank_line(
    body: bytes, last: SseEvent | None
) -> None:
    parser = SseParser()
    assert parser.push(body) == [SseEvent(b"a")]
    assert parser.finish() == ([] if last is None else [last])
    assert parser.finish() == []


@pytest.mark.parametrize("body", [b"", b"\xef", b"\xef\xbb", b"\xef\xbb\xbf", b"\n\n\n", b"\r\r\n"])
def test_body_without_a_field_gives_nothing(body: bytes) -> None:
    assert parsed([body]) == parsed([bytes([byte]) for byte in body]) == []


def test_byte_order_mark_counts_only_at_the_beginning() -> None:
    assert parsed([b"data: a\n\n\xef\xbb\xbfdata: b\n\n"]) == [SseEvent(b"a")]
    assert parsed([b"\xef", b"xdata: b\n\ndata: c\n\n"]) == [SseEvent(b"c")]


@pytest.mark.behaviour("sse-bound")
@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize(
    "large",
    [b"data: " + b"x" * 95, b"data: x\n" * 13, b": " + b"c" * 99, b"y" * 101, b"data: x\n: " + b"c" * 91],
    ids=["line", "lines", "comment", "no field", "both"],
)
def test_event_over_the_limit_is_an_error_after_the_events_before_it(large: bytes, size: int) -> None:
    body = b"data: before\n\n" + large + b"\n\ndata: after\n\n"
    parser = SseParser(max_event_bytes=100)
    found: list[SseEvent] = []
    with pytest.raises(RemoteProtocolError, match="over the limit of 100 bytes"):
        for at in range(0, len(body), size):
            found += parser.push(body[at : at + size])
        parser.finish()
    assert found == [SseEvent(b"before")]
    for again in (parser.finish, lambda: parser.push(b"data: x\n\n")):
        with pytest.raises(RemoteProtocolError):
            again()


@pytest.mark.behaviour("sse-bound")
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_event_at_the_limit_passes(size: int) -> None:
    body = (b"data: " + b"x" * 94 + b"\n\n") * 3
    found = parsed([body[at : at + size] for at in range(0, len(body), size)], max_event_bytes=100)
    assert found == [SseEvent(b"x" * 94)] * 3


def test_line_without_an_end_is_read_in_linear_time_when_it_comes_byte_by_byte() -> None:
    parser = SseParser()
    for _ in range(300_000):
        assert parser.push(b"x") == []
    assert parser.push(b"\n\ndata: a\n\n") == [SseEvent(b"a")]


def test_parser_keeps_what_the_stream_says_about_coming_back() -> None:
    parser = SseParser()
    parser.push(b"retry: 1500\n\nretry: soon\n\nretry: 99999999999\n\n")
    assert parser.retry_ms == 1500


def test_repr_of_an_event_shows_no_data() -> None:
    assert repr(SseEvent(b"CANARY", "e")) == "SseEvent(data=<6 bytes>, event='e', id=None, is_whole=True)"
