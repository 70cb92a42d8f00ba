"""The REST side of the speech services as routes. In: HTTP requests. Out: their answers.

Imports: starlette (extra `emulator`), anyio, rooms 0-4, 7.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from typing import Any, Final, TypeAlias

from anyio.lowlevel import checkpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from xai_realtime.emulator import speech_rest
from xai_realtime.emulator.link import Clock
from xai_realtime.emulator.multipart import BadForm, FormReader, boundary_of
from xai_realtime.emulator.query import BadSetting, Settings
from xai_realtime.emulator.rest import INVALID, Refusal
from xai_realtime.emulator.speech_rest import SpokenAnswer, Transcription, refused_setting
from xai_realtime.emulator.world import World

__all__ = ["Answer", "speech_answers"]

Answer: TypeAlias = Callable[[Request], Awaitable[Any]]

MAX_JSON_BYTES: Final = 1024 * 1024
MAX_REFERENCE_BYTES: Final = 50 * 1000 * 1000
DOWNLOAD_FAILED: Final = "The audio at 'url' could not be downloaded: this emulator fetches nothing."


def speech_answers(world: World, clock: Clock) -> Mapping[str, Mapping[str, Answer]]:
    """What answers, by path below the root and by method. Keys have been checked by then."""
    desk = SpeechDesk(world, clock)
    return {
        "/stt": {"POST": desk.transcribe},
        "/tts": {"POST": desk.synthesize},
        "/tts/voices": {"GET": desk.voices},
        "/tts/voices/{voice_id}": {"GET": desk.voice},
        "/custom-voices": {"GET": desk.list_custom, "POST": desk.create_custom},
        "/custom-voices/{voice_id}": {"GET": desk.custom, "PATCH": desk.update_custom, "DELETE": desk.delete_custom},
        "/custom-voices/{voice_id}/audio": {"GET": desk.custom_audio},
    }


class SpeechDesk:
    """Answers requests for one emulator: an object, a Refusal, or a whole response."""

    def __init__(self, world: World, clock: Clock) -> None:
        self._world = world
        self._clock = clock

    async def transcribe(self, request: Request) -> dict[str, Any] | Refusal:
        """`POST /v1/stt`. Its form is read as it comes; fields after the file do not count."""
        form = await read_form(request, max_file_bytes=speech_rest.MAX_UPLOAD_BYTES, ends_at_file=True)
        if isinstance(form, Refusal):
            return form
        if form.file is None and Settings(form.fields).text("url") is not None:
            return Refusal(502, INVALID, DOWNLOAD_FAILED)
        try:
            transcription = Transcription(self._world, form.fields, form.file)
        except BadSetting as error:
            return refused_setting(error)
        for _ in transcription.hear():
            await checkpoint()
        return transcription.answer

    async def synthesize(self, request: Request) -> Response | Refusal:
        """`POST /v1/tts`. The trace id comes with answers and refusals."""
        trace = {"x-trace-id": self._world.ids.hex()}
        body = await read_body(request)
        told = body if isinstance(body, Refusal) else speech_rest.synthesize(self._world, body)
        if isinstance(told, SpokenAnswer):
            return StreamingResponse(_Pieces(told.pieces()), headers=trace, media_type=told.content_type)
        return Refusal(told.status, told.code, told.message, trace)

    async def voices(self, request: Request) -> dict[str, Any]:
        """`GET /v1/tts/voices`."""
        return speech_rest.voices()

    async def voice(self, request: Request) -> dict[str, Any] | Refusal:
        """`GET /v1/tts/voices/{voice_id}`."""
        return speech_rest.voice(request.path_params["voice_id"])

    async def list_custom(self, request: Request) -> dict[str, Any] | Refusal:
        """`GET /v1/custom-voices`."""
        try:
            return self._world.voices.page(Settings(request.query_params.multi_items()))
        except BadSetting as error:
            return refused_setting(error)

    async def create_custom(self, request: Request) -> Response | Refusal:
        """`POST /v1/custom-voices`."""
        form = await read_form(request, max_file_bytes=MAX_REFERENCE_BYTES, ends_at_file=False)
        if isinstance(form, Refusal):
            return form
        try:
            made = speech_rest.create_voice(self._world, form.fields, form.file, self._clock.now_ms())
        except BadSetting as error:
            return refused_setting(error)
        return JSONResponse(made, 201)

    async def custom(self, request: Request) -> dict[str, Any] | Refusal:
        """`GET /v1/custom-voices/{voice_id}`."""
        voice_id = request.path_params["voice_id"]
        return self._world.voices.get(voice_id) or speech_rest.no_voice(voice_id)

    async def update_custom(self, request: Request) -> dict[str, Any] | Refusal:
        """`PATCH /v1/custom-voices/{voice_id}`."""
        body = await read_body(request)
        if isinstance(body, Refusal):
            return body
        try:
            return speech_rest.update_voice(self._world, request.path_params["voice_id"], body)
        except BadSetting as error:
            return refused_setting(error)

    async def delete_custom(self, request: Request) -> dict[str, Any] | Refusal:
        """`DELETE /v1/custom-voices/{voice_id}`."""
        return speech_rest.delete_voice(self._world, request.path_params["voice_id"])

    async def custom_audio(self, request: Request) -> Response | Refusal:
        """`GET /v1/custom-voices/{voice_id}/audio`."""
        voice_id = request.path_params["voice_id"]
        kept = self._world.voices.audio(voice_id)
        return speech_rest.no_voice(voice_id) if kept is None else Response(kept[0], media_type=kept[1])


async def read_body(request: Request) -> bytes | Refusal:
    """The whole body of a small request."""
    body = bytearray()
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > MAX_JSON_BYTES:
                return Refusal(413, INVALID, f"The request's body is over {MAX_JSON_BYTES} bytes.")
    return bytes(body)


async def read_form(request: Request, *, max_file_bytes: int, ends_at_file: bool) -> FormReader | Refusal:
    """The form of a request, read piece by piece."""
    boundary = boundary_of(request.headers.get("content-type", ""))
    if boundary is None:
        return Refusal(415, INVALID, "The request's body is no multipart/form-data.")
    reader = FormReader(boundary, max_file_bytes=max_file_bytes, ends_at_file=ends_at_file)
    try:
        async with aclosing(request.stream()) as chunks:
            async for chunk in chunks:
                reader.feed(chunk)
    except BadForm as error:
        return refused_setting(error, error.status)
    return reader if reader.is_whole else Refusal(400, INVALID, "The form ends before its last part does.")


class _Pieces(AsyncIterator[bytes]):
    """Pieces of a body, in the event loop. No generator: one that is cut off must leave nothing to be collected."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    async def __anext__(self) -> bytes:
        await checkpoint()
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration
