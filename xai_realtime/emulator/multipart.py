"""A form with a file, read as it arrives. In: bytes in any cuts. Out: fields and one file. Imports: stdlib, 0 and 7."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from xai_realtime.errors import XaiRealtimeError

__all__ = ["BadForm", "FormReader", "boundary_of"]

MAX_HEADER_BYTES: Final = 16 * 1024
MAX_FIELD_BYTES: Final = 64 * 1024
MAX_FIELDS: Final = 1000
BOUNDARY: Final = re.compile(r"multipart/form-data\s*;.*?boundary=(?:\"([^\"]{1,200})\"|([^\s;,\"]{1,200}))", re.I)
NAMED: Final = r"(?:^|;)\s*{}=(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;]*))"
FIELD_NAME: Final = re.compile(NAMED.format("name"), re.I)
FILE_NAME: Final = re.compile(NAMED.format("filename"), re.I)
FILE: Final = "file"


class BadForm(XaiRealtimeError):
    """A form that cannot be read; `status` is what HTTP calls it."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


def boundary_of(content_type: str) -> bytes | None:
    """What parts the form, None when the content is no form."""
    found = BOUNDARY.match(content_type.strip())
    return None if found is None else (found[1] or found[2]).encode("latin-1", "replace")


@dataclass(slots=True)
class Part:
    """What one part has told of itself."""

    name: str = ""
    file_name: str | None = None
    content_type: str = "application/octet-stream"
    content: bytearray = field(default_factory=bytearray, repr=False)


class FormReader:
    """Reads a form piece by piece; `fields` are its texts in order, `file` the part of that name.

    With `ends_at_file` whatever follows the file is passed over, as the service does. Feeding raises BadForm: 413 for
    a file over `max_file_bytes`, 400 for anything else.
    """

    def __init__(self, boundary: bytes, *, max_file_bytes: int, ends_at_file: bool = True) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._max_file_bytes = max_file_bytes
        self._ends_at_file = ends_at_file
        self._buffer = bytearray(b"\r\n")
        self._part = Part()
        self._steps: dict[str, Callable[[], str | None]] = {
            "preamble": self._preamble,
            "delimiter": self._after_delimiter,
            "headers": self._headers,
            "content": self._content,
        }
        self._state = "preamble"
        self.fields: list[tuple[str, str]] = []
        self.file: Part | None = None

    @property
    def is_whole(self) -> bool:
        """Did the form, or the part of it that counts, come to its end?"""
        return self._state == "end"

    def feed(self, data: bytes) -> None:
        """The next piece."""
        if self.is_whole:
            return
        self._buffer += data
        while self._state != "end":
            following = self._steps[self._state]()
            if following is None:
                return
            self._state = following

    def _preamble(self) -> str | None:
        at = self._buffer.find(self._delimiter)
        if at < 0:
            del self._buffer[: -len(self._delimiter)]
            return None
        del self._buffer[: at + len(self._delimiter)]
        return "delimiter"

    def _after_delimiter(self) -> str | None:
        if len(self._buffer) < 2:
            return None
        if self._buffer.startswith(b"--"):
            return "end"
        if not self._buffer.startswith(b"\r\n"):
            raise BadForm("The form's parts are not divided by its boundary.")
        if len(self.fields) >= MAX_FIELDS:
            raise BadForm(f"The form has over {MAX_FIELDS} fields.")
        return "headers"

    def _headers(self) -> str | None:
        at = self._buffer.find(b"\r\n\r\n")
        if at < 0 and len(self._buffer) <= MAX_HEADER_BYTES:
            return None
        if at < 0 or at > MAX_HEADER_BYTES:
            raise BadForm("The headers of a part are too long.")
        lines = bytes(self._buffer[:at]).decode("utf-8", "replace").split("\r\n")
        del self._buffer[: at + 4]
        named = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        disposition = named.get("content-disposition", "")
        part = self._part = Part(_quoted(FIELD_NAME, disposition) or "", _quoted(FILE_NAME, disposition))
        part.content_type = named.get("content-type", part.content_type)
        if part.name == "":
            raise BadForm("A part of the form has no name.")
        return "content"

    def _content(self) -> str | None:
        part = self._part
        at = self._buffer.find(self._delimiter)
        ready = at if at >= 0 else max(0, len(self._buffer) - len(self._delimiter))
        part.content += self._buffer[:ready]
        del self._buffer[:ready]
        is_file = part.name == FILE
        if len(part.content) > (self._max_file_bytes if is_file else MAX_FIELD_BYTES):
            limit = f"over the limit of {self._max_file_bytes} bytes" if is_file else "too long for a field"
            raise BadForm(f"'{part.name[:80]}' is {limit}.", 413 if is_file else 400)
        if at < 0:
            return None
        del self._buffer[: len(self._delimiter)]
        if not is_file:
            self.fields.append((part.name, bytes(part.content).decode("utf-8", "replace")))
            return "delimiter"
        self.file = part
        return "end" if self._ends_at_file else "delimiter"


def _quoted(pattern: re.Pattern[str], header: str) -> str | None:
    found = pattern.search(header)
    if found is None:
        return None
    return re.sub(r"\\(.)", r"\1", found[1]) if found[1] is not None else found[2]
