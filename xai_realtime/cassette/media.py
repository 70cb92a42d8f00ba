"""Audio beside the tape. In: bytes and references. Out: references and bytes. Imports: rooms 0-2.

Whole PCM samples go to WAV files that a person can play, everything else to raw files. A reference counts audio
bytes, so the 44-byte WAV header never moves it and a size not yet patched does no harm.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Final

import pybase64

from xai_realtime.audio import AudioFormat, wav_header
from xai_realtime.cassette._json import Json
from xai_realtime.cassette.records import MediaRef, media_ref

__all__ = ["REFERENCE", "MediaReader", "MediaWriter", "audio_in", "audio_out", "split_path"]

WAV_HEADER_BYTES: Final = 44
MAX_MEDIA_BYTES: Final = 1024 * 1024 * 1024
REFERENCE: Final = "$media"
LITERAL: Final = "$literal"

PathSteps = tuple[str, ...]


def split_path(path: str) -> PathSteps:
    """`item.content[].audio` as steps: `("item", "content", "[]", "audio")`."""
    return tuple(step for part in path.replace("[]", ".[]").split(".") if (step := part))


def audio_out(value: Json, paths: tuple[PathSteps, ...], store: Callable[[bytes], MediaRef]) -> Json:
    """Copy `value` with the canonical base64 at `paths` replaced by references to what `store` kept.

    Base64 that is not canonical stays, so that the text comes back exactly.
    """
    value = _map_objects(value, lambda item: {LITERAL: item} if item.keys() & {REFERENCE, LITERAL} else item)
    for path in paths:
        value = _replace(value, path, store)
    return value


def audio_in(value: Json, load: Callable[[MediaRef], bytes]) -> Json:
    """The inverse of `audio_out`. Raises ValueError for a malformed reference, and what `load` raises."""
    if isinstance(value, dict):
        if REFERENCE in value and len(value) == 1:
            return pybase64.b64encode_as_string(load(media_ref(value[REFERENCE])))
        if LITERAL in value and len(value) == 1 and isinstance(value[LITERAL], dict):
            return {key: audio_in(item, load) for key, item in value[LITERAL].items()}
        return {key: audio_in(item, load) if type(item) in (dict, list) else item for key, item in value.items()}
    if isinstance(value, list):
        return [audio_in(item, load) for item in value]
    return value


def _map_objects(value: Json, change: Callable[[dict[str, Json]], Json]) -> Json:
    if isinstance(value, dict):
        return change(
            {key: _map_objects(item, change) if type(item) in (dict, list) else item for key, item in value.items()}
        )
    if isinstance(value, list):
        return [_map_objects(item, change) for item in value]
    return value


def _replace(value: Json, path: PathSteps, store: Callable[[bytes], MediaRef]) -> Json:
    if not path:
        audio = _canonical_audio(value)
        return value if audio is None else {REFERENCE: store(audio).to_json()}
    step, rest = path[0], path[1:]
    if step == "[]":
        return [_replace(item, rest, store) for item in value] if isinstance(value, list) else value
    if isinstance(value, dict) and step in value:
        return {key: _replace(item, rest, store) if key == step else item for key, item in value.items()}
    return value


def _canonical_audio(text: Json) -> bytes | None:
    if not isinstance(text, str) or not text:
        return None
    try:
        audio = pybase64.b64decode(text, validate=True)
    except ValueError:
        return None
    return audio if pybase64.b64encode_as_string(audio) == text else None


class MediaWriter:
    """Appends audio to the sidecar of a tape that is being written. Nothing is created before the first byte."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, BinaryIO] = {}
        self._sizes: dict[str, int] = {}
        self._formats: dict[str, AudioFormat] = {}
        self._hashes: dict[str, hashlib._Hash] = {}

    def append(self, name: str, audio: bytes, *, pcm_rate_hz: int | None) -> MediaRef:
        """Keep `audio` in the file of that stem: WAV for whole 16-bit samples at a known rate, else raw."""
        file = f"{name}.{pcm_rate_hz}hz.wav" if pcm_rate_hz and len(audio) % 2 == 0 else f"{name}.raw"
        handle = self._files.get(file)
        if handle is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = self._files[file] = (self.folder / file).open("wb")
            self._sizes[file] = 0
            self._hashes[file] = hashlib.sha256()
            if pcm_rate_hz and file.endswith(".wav"):
                self._formats[file] = AudioFormat("pcm", pcm_rate_hz)
                handle.write(wav_header(self._formats[file]))
        offset = self._sizes[file]
        handle.write(audio)
        self._hashes[file].update(audio)
        self._sizes[file] = offset + len(audio)
        return MediaRef(file, offset, len(audio))

    def flush(self) -> None:
        """Hand everything to the operating system, before the line that refers to it is written."""
        for handle in self._files.values():
            handle.flush()

    def finish(self) -> Mapping[str, Mapping[str, Json]]:
        """Patch the WAV sizes, close the files; give `{file: {"bytes", "sha256"}}` over the audio alone."""
        for file, handle in self._files.items():
            if file in self._formats:
                handle.seek(0)
                handle.write(wav_header(self._formats[file], data_bytes=self._sizes[file]))
            handle.close()
        self._files = {}
        return {
            file: {"bytes": self._sizes[file], "sha256": self._hashes[file].hexdigest()} for file in sorted(self._sizes)
        }


class MediaReader:
    """Reads the sidecar of a loaded tape. Files are read once, when first asked for."""

    def __init__(self, folder: Path, expected: Mapping[str, Mapping[str, Json]] | None) -> None:
        self._folder = folder
        self._expected = expected
        self._data: dict[str, bytes] = {}

    def load(self, reference: MediaRef) -> bytes:
        """The bytes of a reference. Raises ValueError when the file is missing, changed or outside the sidecar."""
        data = self._data.get(reference.file)
        if data is None:
            data = self._data[reference.file] = self._read(reference.file)
        end = reference.offset + reference.size_bytes
        if end > len(data):
            raise ValueError(f"media file {reference.file!r} ends before byte {end}")
        return data[reference.offset : end]

    def _read(self, file: str) -> bytes:
        if not file or file in (".", "..") or any(mark in file for mark in "/\\:\0"):
            raise ValueError(f"media file name {file[:80]!r} leaves the tape's own folder")
        path = self._folder / file
        if self._folder.is_symlink() or path.is_symlink() or not path.is_file():
            raise ValueError(f"media file {file!r} is missing or is no plain file")
        if path.stat().st_size > MAX_MEDIA_BYTES:
            raise ValueError(f"media file {file!r} is over {MAX_MEDIA_BYTES} bytes")
        data = path.read_bytes()
        if file.endswith(".wav"):
            if data[:4] != b"RIFF" or data[8:12] != b"WAVE" or data[36:40] != b"data":
                raise ValueError(f"media file {file!r} is no WAV file of this format")
            data = data[WAV_HEADER_BYTES:]
        if self._expected is not None:
            entry = self._expected.get(file)
            if not isinstance(entry, Mapping) or entry.get("bytes") != len(data):
                raise ValueError(f"media file {file!r} has {len(data)} bytes of audio, which the tape does not state")
            if entry.get("sha256") != hashlib.sha256(data).hexdigest():
                raise ValueError(f"media file {file!r} was changed: its sha256 is another")
        return data
