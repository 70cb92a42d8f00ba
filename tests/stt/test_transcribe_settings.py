"""Settings of an upload as fields of its form, and names of files that cannot break it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xai_realtime.emulator.multipart import FormReader, boundary_of
from xai_realtime.errors import ConfigurationError
from xai_realtime.stt.transcribe import form_fields
from xai_realtime.stt.upload import Form, FormFile, MemoryBody, is_url

pytestmark = pytest.mark.anyio


@pytest.mark.behaviour("stt-file-settings")
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": 5}, "model is 5; allowed are texts"),
        ({"language": ["en"]}, "language is"),
        ({"audio_format": "webm"}, "audio_format is 'webm'; allowed are 'pcm', 'mulaw', 'alaw', 'wav'"),
        ({"audio_format": "pcm"}, "audio_format is 'pcm', which needs sample_rate: 8000, 16000"),
        ({"sample_rate": 11025}, "sample_rate is 11025; allowed are 8000"),
        ({"sample_rate": 16000.0}, "sample_rate is 16000.0"),
        ({"sample_rate": "16000"}, "sample_rate is '16000'"),
        ({"format": "true"}, "format is 'true'; allowed are True"),
        ({"format": True}, "format is True; it is allowed with language alone"),
        ({"format": True, "language": " "}, "format is True"),
        ({"channels": 1}, "channels is 1; allowed are whole numbers from 2 to 8"),
        ({"channels": 9}, "channels is 9"),
        ({"channels": True}, "channels is True"),
        ({"channels": 2, "multichannel": False}, "channels is 2; it is allowed without"),
        ({"multichannel": True, "audio_format": "pcm", "sample_rate": 8000}, "raw audio needs channels from 2 to 8"),
        ({"multichannel": 1}, "multichannel is 1"),
        ({"diarize": "yes"}, "diarize is 'yes'"),
        ({"filler_words": 0}, "filler_words is 0"),
        ({"vad_threshold": 1.1}, "vad_threshold is 1.1; allowed are numbers from 0 to 1"),
        ({"vad_threshold": True}, "vad_threshold is True"),
        ({"keyterms": "Grok"}, "keyterms is 'Grok'; allowed are lists"),
        ({"keyterms": ["x"] * 101}, "101 terms"),
        ({"keyterms": ["x" * 51]}, "1 to 50 characters"),
        ({"keyterms": [" "]}, "1 to 50 characters"),
        ({"endpointing": 5}, "takes no 'endpointing'; allowed are audio_format, channels"),
    ],
)
def test_setting_that_is_not_allowed_is_named_with_what_is(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        form_fields(settings)


@pytest.mark.behaviour("stt-file-settings")
@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        ({}, []),
        ({"format": False, "diarize": False}, [("format", "false"), ("diarize", "false")]),
        ({"multichannel": False}, [("multichannel", "false")]),
        ({"audio_format": "mkv"}, [("audio_format", "mkv")]),
        ({"vad_threshold": 0}, [("vad_threshold", "0")]),
        ({"keyterms": (term for term in ("a", "b"))}, [("keyterm", "a"), ("keyterm", "b")]),
        (
            {"channels": 8, "audio_format": "pcm", "sample_rate": 48_000},
            [("audio_format", "pcm"), ("sample_rate", "48000"), ("multichannel", "true"), ("channels", "8")],
        ),
    ],
)
def test_settings_become_fields_in_the_words_of_the_wire(
    settings: dict[str, Any], fields: list[tuple[str, str]]
) -> None:
    assert form_fields(settings) == fields


@pytest.mark.parametrize(
    ("name", "file_name", "content_type"),
    [
        ("", "audio", "application/octet-stream"),
        ("call.WAV", "call.WAV", "audio/wav"),
        ("/home/me/secret/call.mp3", "call.mp3", "audio/mpeg"),
        ("C:\\calls\\one.m4a", "one.m4a", "audio/mp4"),
        ('a"; filename="b.ogg', "a_; filename=_b.ogg", "audio/ogg"),
        ("a\r\nX-Evil: 1\r\n\r\n.flac", "a__X-Evil: 1____.flac", "audio/flac"),
        ("Grüße 日本.opus", "Grüße 日本.opus", "audio/ogg"),
        ("bad\udcff.wav", "bad_.wav", "audio/wav"),
        ("  ", "audio", "application/octet-stream"),
        ("x" * 300 + ".wav", "x" * 90 + ".wav", "audio/wav"),
        ("y" * 300, "y" * 100, "application/octet-stream"),
    ],
)
def test_name_of_a_file_is_made_fit_for_a_header(name: str, file_name: str, content_type: str) -> None:
    file = FormFile(MemoryBody(b"x"), name)
    assert (file.file_name, file.content_type) == (file_name, content_type)


async def made(fields: list[tuple[str, str]], file: FormFile | None) -> tuple[Form, FormReader]:
    form = Form(fields, file)
    boundary = boundary_of(form.content_type)
    assert boundary is not None
    reader = FormReader(boundary, max_file_bytes=10_000)
    size = 0
    async with form.open() as pieces:
        async for piece in pieces:
            size += len(piece)
            reader.feed(piece)
    assert size == form.size_bytes
    assert reader.is_whole
    return form, reader


@given(name=st.text(max_size=150), field=st.text(max_size=60), data=st.binary(min_size=1, max_size=300))
def test_form_is_read_back_whatever_stands_in_it(name: str, field: str, data: bytes) -> None:
    import anyio

    file = FormFile(MemoryBody(data), name)
    _, reader = anyio.run(made, [("language", field), ("keyterm", "x")], file)
    assert reader.fields == [("language", field.encode("utf-8", "replace").decode()), ("keyterm", "x")]
    assert reader.file is not None
    assert (bytes(reader.file.content), reader.file.file_name) == (data, file.file_name)


async def test_form_without_a_file_or_fields_is_whole_and_each_has_a_boundary_of_its_own() -> None:
    first, reader = await made([("url", "https://x/")], None)
    assert (reader.fields, reader.file) == ([("url", "https://x/")], None)
    second, empty = await made([], None)
    assert (empty.fields, second.is_repeatable) == ([], True)
    assert first.content_type != second.content_type
    _, alone = await made([], FormFile(MemoryBody(b"x"), "a.wav", field="file"))
    assert alone.file is not None


@pytest.mark.parametrize(
    ("source", "is_one"),
    [("http://x", True), ("HTTPS://x", True), ("https.wav", False), ("ftp://x", False), (b"http://x", False)],
)
def test_address_is_told_from_a_path(source: object, is_one: bool) -> None:
    assert is_url(source) is is_one
