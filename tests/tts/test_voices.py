"""Voices of the service and of a team: listed, found, made of a recording, changed, deleted."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.http.peers import KEY
from tests.tapes import BACKENDS, on
from tests.tts.spoken import answering, body_of, emulated, wav_of
from xai_realtime import AsyncClient
from xai_realtime.audible import speak
from xai_realtime.emulator import Emulator, Refuse, SpeechQuirks
from xai_realtime.errors import (
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    RemoteProtocolError,
    ServerError,
)
from xai_realtime.tts.custom_voices import CustomVoice, CustomVoicePage
from xai_realtime.tts.voices import Voice

JSON = {"content-type": "application/json"}
PCM = speak("This is how I sound.", sample_rate_hz=24_000)
RECORDING = wav_of(PCM)


def told(value: Any, status: int = 200) -> tuple[int, dict[str, str], list[Any]]:
    return status, JSON, [json.dumps(value).encode()]


@BACKENDS
@pytest.mark.behaviour("ask-67")
def test_voices_of_the_service_are_listed(backend: str) -> None:
    async def talk(client: AsyncClient) -> tuple[Voice, ...]:
        return await client.tts.voices.list()

    found = emulated(backend, talk)
    assert {"eve", "ara", "leo", "rex", "sal", "carina"} <= {voice.voice_id for voice in found}
    assert found[0].name == "Carina"
    assert found[0].language == "multilingual"
    assert found[0].raw["voice_id"] == "carina"


@BACKENDS
@pytest.mark.behaviour("ask-62", "tts-files-voice-ids")
def test_built_in_voice_is_found_whatever_the_case_of_its_id(backend: str) -> None:
    client, asked = answering(told({"voice_id": "eve", "name": "Eve", "new_field": [1]}))
    voice = on(backend, lambda: client.tts.voices.get("EvE"))
    assert asked[0].url == "https://api.x.ai/v1/tts/voices/eve"
    assert (voice.voice_id, voice.name, voice.language) == ("eve", "Eve", None)
    assert voice.raw["new_field"] == [1]
    assert isinstance(hash(voice), int)


@BACKENDS
@pytest.mark.behaviour("ask-62", "tts-files-voice-ids")
def test_voice_that_is_not_built_in_is_looked_for_among_those_of_the_team(backend: str) -> None:
    async def talk(client: AsyncClient) -> tuple[CustomVoice, Voice]:
        made = await client.tts.custom_voices.create(RECORDING, name="Narrator", tone="warm")
        found = await client.tts.voices.get(made.voice_id)
        with pytest.raises(NotFoundError):
            await client.tts.voices.get("zzzzzzzz")
        with pytest.raises(NotFoundError):
            await client.tts.voices.get("nobody")
        return made, found

    made, found = emulated(backend, talk)
    assert isinstance(found, CustomVoice)
    assert found == made
    assert (found.name, found.tone, found.gender) == ("Narrator", "warm", None)


@BACKENDS
def test_voice_is_asked_for_once_when_its_id_or_the_address_allow_no_other_place(backend: str) -> None:
    client, asked = answering(told({"error": "no"}, 404))
    for voice_id, options in (("nobody", {}), ("zzzzzzzz", {"url": "https://api.x.ai/v1/tts/voices/zzzzzzzz"})):
        with pytest.raises(NotFoundError):
            on(backend, lambda voice_id=voice_id, options=options: client.tts.voices.get(voice_id, **options))  # type: ignore[misc]
    assert len(asked) == 2


@BACKENDS
@pytest.mark.parametrize("voice_id", ["", "  ", ".", "..", "x" * 201, None])
def test_what_can_be_no_voice_id_is_refused_before_anything_is_sent(backend: str, voice_id: Any) -> None:
    client, asked = answering(told({}))
    for method in (client.tts.voices.get, client.tts.custom_voices.get, client.tts.custom_voices.delete):
        with pytest.raises(ConfigurationError, match="voice_id"):
            on(backend, lambda method=method: method(voice_id))  # type: ignore[misc]
    assert asked == []


@BACKENDS
def test_voice_id_cannot_leave_its_place_in_the_address(backend: str) -> None:
    client, asked = answering(told({"voice_id": "x"}))
    on(backend, lambda: client.tts.custom_voices.get(" ../a b?c=d "))
    assert asked[0].url == "https://api.x.ai/v1/custom-voices/..%2Fa%20b%3Fc%3Dd"


@BACKENDS
@pytest.mark.parametrize("answer", [[], {}, {"voices": {}}, {"voices": None}])
def test_list_that_is_none_is_told(backend: str, answer: Any) -> None:
    client, _ = answering(told(answer))
    with pytest.raises(RemoteProtocolError, match="lists none"):
        on(backend, lambda: client.tts.voices.list())


@BACKENDS
@pytest.mark.parametrize("answer", [[], {}, {"voice_id": 7}, "eve"])
def test_voice_that_is_none_is_told(backend: str, answer: Any) -> None:
    client, _ = answering(told(answer))
    with pytest.raises(RemoteProtocolError, match="holds none"):
        on(backend, lambda: client.tts.voices.get("eve"))
    with pytest.raises(RemoteProtocolError, match="holds none"):
        on(backend, lambda: client.tts.custom_voices.get("abcdefgh"))


def test_voice_without_an_id_is_passed_over_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    client, _ = answering(told({"voices": [{"voice_id": "eve", "name": 7}, {"name": "Secret"}, 5]}))
    with caplog.at_level(logging.WARNING, "xai_realtime.tts"):
        found = on("asyncio", lambda: client.tts.voices.list())
    assert found == (Voice(voice_id="eve"),)
    assert "2 of 3 voices" in caplog.text
    assert "Secret" not in caplog.text


@BACKENDS
@pytest.mark.behaviour("tts-files-custom-voices")
def test_custom_voice_lives_from_its_recording_to_its_deletion(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "me.wav"
    path.write_bytes(RECORDING)

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(RECORDING), 5000):
            yield RECORDING[at : at + 5000]

    async def talk(client: AsyncClient) -> None:
        custom = client.tts.custom_voices
        sent: list[tuple[int, int | None]] = []
        for source in (path, str(path), RECORDING, io.BytesIO(RECORDING), pieces()):
            voice = await custom.create(source, name="Me", gender="neutral", progress=lambda *n: sent.append(n))
            assert (voice.name, voice.gender, voice.description) == ("Me", "neutral", None)
            assert voice.created_at is not None
            assert sent[-1][0] == len(RECORDING)
            assert await custom.audio(voice.voice_id) == RECORDING
        changed = await custom.update(voice.voice_id, name=None, use_case="narration")
        assert (changed.name, changed.use_case, changed.gender) == (None, "narration", "neutral")
        assert await custom.get(voice.voice_id) == changed
        assert (await client.tts.synthesize("Hi.", voice=voice.voice_id)).size_bytes > 0
        await custom.delete(voice.voice_id)
        with pytest.raises(NotFoundError):
            await custom.get(voice.voice_id)
        with pytest.raises(NotFoundError):
            await custom.audio(voice.voice_id)
        with pytest.raises(NotFoundError):
            await custom.delete(voice.voice_id)
        with pytest.raises(NotFoundError):
            await custom.update(voice.voice_id, name="You")

    emulated(backend, talk)


@BACKENDS
@pytest.mark.behaviour("tts-files-custom-voices")
def test_custom_voices_are_listed_over_all_pages(backend: str) -> None:
    async def talk(client: AsyncClient) -> None:
        custom = client.tts.custom_voices
        made = [(await custom.create(RECORDING, name=f"Voice {number}")).voice_id for number in range(5)]
        assert [voice.voice_id async for voice in custom.list(limit=2)] == made
        assert [voice.voice_id async for voice in custom.list()] == made
        page = await custom.page(limit=3)
        assert [voice.voice_id for voice in page.voices] == made[:3]
        rest = await custom.page(3, page.pagination_token)
        assert ([voice.voice_id for voice in rest.voices], rest.pagination_token) == (made[3:], None)

    emulated(backend, talk)


@BACKENDS
def test_pages_are_asked_for_only_as_far_as_they_are_read(backend: str) -> None:
    client, asked = answering(told({"voices": [{"voice_id": "aaaaaaaa"}], "pagination_token": "next one"}))

    async def main() -> None:
        async for _ in client.tts.custom_voices.list(limit=1):
            break

    on(backend, main)
    assert [request.url for request in asked] == ["https://api.x.ai/v1/custom-voices?limit=1"]
    page = on(backend, lambda: client.tts.custom_voices.page(1, "next one"))
    assert isinstance(page, CustomVoicePage)
    assert asked[-1].url.endswith("?limit=1&pagination_token=next+one")


@BACKENDS
def test_pages_that_go_round_are_told(backend: str) -> None:
    client, asked = answering(told({"voices": [], "pagination_token": "a"}))

    async def main() -> None:
        async for _ in client.tts.custom_voices.list():
            pass

    with pytest.raises(RemoteProtocolError, match="no end"):
        on(backend, main)
    assert len(asked) == 2


@BACKENDS
@pytest.mark.parametrize("limit", [0, 1001, True, "5"])
def test_limit_of_a_page_is_checked_before_anything_is_sent(backend: str, limit: Any) -> None:
    client, asked = answering(told({"voices": []}))
    with pytest.raises(ConfigurationError, match="1 to 1000"):
        on(backend, lambda: client.tts.custom_voices.page(limit))
    assert asked == []


@BACKENDS
@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({"name": ""}, "not blank"),
        ({"name": 7}, "not blank"),
        ({"gender": "Male"}, "male, female, neutral"),
        ({"age": "ancient"}, "middle-aged"),
        ({"use_case": "spam"}, "narration"),
        ({"tone": "rude"}, "friendly"),
        ({"colour": "red"}, "known are name"),
    ],
)
@pytest.mark.behaviour("tts-files-custom-voices")
def test_details_are_checked_before_anything_is_sent(backend: str, details: dict[str, Any], reason: str) -> None:
    client, asked = answering(told({"voice_id": "abcdefgh"}))
    with pytest.raises(ConfigurationError, match=reason):
        on(backend, lambda: client.tts.custom_voices.create(RECORDING, **details))
    with pytest.raises(ConfigurationError, match=reason):
        on(backend, lambda: client.tts.custom_voices.update("abcdefgh", **details))
    assert asked == []


@BACKENDS
def test_update_sends_what_was_given_alone_with_null_for_none(backend: str) -> None:
    client, asked = answering(told({"voice_id": "abcdefgh", "tone": "a-new-one"}))
    voice = on(backend, lambda: client.tts.custom_voices.update("abcdefgh", name="N", accent=None))
    assert (asked[0].method, body_of(asked[0])) == ("PATCH", {"name": "N", "accent": None})
    assert voice.tone == "a-new-one"
    with pytest.raises(ConfigurationError, match="nothing is to be changed"):
        on(backend, lambda: client.tts.custom_voices.update("abcdefgh"))
    assert len(asked) == 1


@BACKENDS
def test_form_of_a_new_voice_has_the_details_and_the_file_last(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "me.wav"
    path.write_bytes(RECORDING)
    client, asked = answering(told({"voice_id": "abcdefgh"}, 201))

    async def main() -> bytes:
        await client.tts.custom_voices.create(path, name="Me", tone="calm")
        return await asked[0].read_body()

    body = on(backend, main)
    assert (asked[0].method, asked[0].url) == ("POST", "https://api.x.ai/v1/custom-voices")
    assert asked[0].headers["Content-Type"].startswith("multipart/form-data; boundary=")
    places = [
        body.index(part) for part in (b'name="name"', b'name="tone"', b'name="file"; filename="me.wav"', RECORDING)
    ]
    assert places == sorted(places)
    assert b"description" not in body


@BACKENDS
def test_address_and_empty_bytes_are_no_recording(backend: str) -> None:
    client, asked = answering(told({"voice_id": "abcdefgh"}))
    for source in ("https://example.org/a.wav", b""):
        with pytest.raises(ConfigurationError):
            on(backend, lambda source=source: client.tts.custom_voices.create(source))  # type: ignore[misc]
    with pytest.raises(FileNotFoundError):
        on(backend, lambda: client.tts.custom_voices.create("nowhere.wav"))
    assert asked == []


@BACKENDS
def test_deletion_is_believed_unless_the_service_says_that_it_was_none(backend: str) -> None:
    client, _ = answering((204, {}, []), told({"deleted": True}), told([1]), told({"deleted": False}))
    for _number in range(3):
        on(backend, lambda: client.tts.custom_voices.delete("abcdefgh"))
    with pytest.raises(RemoteProtocolError, match="not deleted"):
        on(backend, lambda: client.tts.custom_voices.delete("abcdefgh"))


@BACKENDS
@pytest.mark.behaviour("tts-files-errors")
def test_refusals_are_typed(backend: str) -> None:
    client, _ = answering(told({"error": "not for this team"}, 403))
    for method in (client.tts.custom_voices.create, client.tts.custom_voices.get, client.tts.custom_voices.audio):
        given: Any = RECORDING if method.__name__ == "create" else "abcdefgh"
        with pytest.raises(PermissionDeniedError):
            on(backend, lambda method=method, given=given: method(given))  # type: ignore[misc]

    async def talk(client: AsyncClient) -> None:
        with pytest.raises(ServerError):
            await client.tts.voices.list()
        await client.tts.voices.list()

    emulated(backend, talk, speech=SpeechQuirks(refuse=(Refuse(status=503, path="/tts"),)))


@BACKENDS
def test_options_of_a_call_reach_the_request(backend: str) -> None:
    client, asked = answering(told({"voices": []}))

    async def main() -> None:
        await client.tts.voices.list(query={"team": "a"}, headers={"X-Own": "1"}, api_key="xai-other-key")
        await client.tts.custom_voices.page(url="https://api.x.ai/v1/elsewhere", query={"a": "b"})

    on(backend, main)
    assert asked[0].url == "https://api.x.ai/v1/tts/voices?team=a"
    assert (asked[0].headers["X-Own"], asked[0].headers["Authorization"]) == ("1", "Bearer xai-other-key")
    assert asked[1].url == "https://api.x.ai/v1/elsewhere?a=b&limit=100"
    assert asked[1].headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.anyio
@pytest.mark.behaviour("tts-files-custom-voices")
async def test_custom_voice_is_made_over_a_real_socket(live_backend: str, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="the emulator is an extra")
    path = tmp_path / "me.wav"
    path.write_bytes(RECORDING)
    with anyio.fail_after(20):
        async with Emulator(seed=1) as emulator, emulator.client() as client:
            voice = await client.tts.custom_voices.create(path, name="Me")
            assert await client.tts.custom_voices.audio(voice.voice_id) == RECORDING
            assert [found async for found in client.tts.custom_voices.list()] == [voice]
            await client.tts.custom_voices.delete(voice.voice_id)
