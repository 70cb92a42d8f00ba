"""Chat through vcrpy, beside our own tapes: whole answers kept once, played without a service."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import anyio
import pytest
import vcr
from pydantic import BaseModel

from tests.http.peers import KEY
from tools.own_chat import brain
from xai_realtime import AsyncClient
from xai_realtime.cassette.vcr import configure_vcr
from xai_realtime.emulator import ChatQuirks, Emulator, Refuse
from xai_realtime.emulator.world import BAD_KEY
from xai_realtime.errors import ApiError, AuthenticationError, NotFoundError, RateLimitError
from xai_realtime.protocol.chat_policy import ChatPolicy

pytestmark = pytest.mark.anyio

ONCE = ChatPolicy(max_retries=0)
MODEL = "grok-4.6"


class Tide(BaseModel):
    """When and how high."""

    response: str
    height_m: float


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    logging.getLogger("vcr").setLevel(logging.ERROR)


async def suite(base_url: str) -> list[str]:
    """What a suite of REST calls is told, whoever answers."""
    told: list[str] = []
    async with AsyncClient(base_url=base_url, api_key=KEY, chat_policy=ONCE) as client:
        for question in ("Where does moss grow?", "And at Lagos?"):
            try:
                reply = await client.chat.create(MODEL, question, seed=7)
                told += [reply.text, str(reply.model), str(reply.usage.total_tokens)]
            except RateLimitError as error:
                told.append(f"{error.status} {error.retry_after_s}")
        whole = await client.chat.create(MODEL, "When does the tide turn?", response_format=Tide)
        told.append(f"{whole.parsed}")
        told.append(str(await client.chat.text(MODEL, "Where does moss grow?", max_tokens=2)))
        for wrong, kind in (({"model": "nobody"}, NotFoundError), ({"stop": ["x"]}, ApiError)):
            with pytest.raises(kind) as caught:
                await client.chat.create(str(wrong.pop("model", MODEL)), "Hello", extra=wrong)
            told.append(f"{caught.value.status} {caught.value.message}")
        with pytest.raises(AuthenticationError) as refused:
            await client.chat.create(MODEL, "Hello", api_key=BAD_KEY)
        told.append(f"{refused.value.status}")
        told += [model.id for model in await client.models.list()]
        told.append((await client.models.get(MODEL)).id)
        told += [f"{model.id} {model.prompt_text_token_price}" for model in await client.models.language_models()]
        with pytest.raises(NotFoundError):
            await client.models.language_model("nobody")
    return told


@pytest.mark.behaviour("chat-vcr")
async def test_suite_of_whole_answers_is_kept_by_vcrpy_and_played_without_a_service(tmp_path: Path) -> None:
    cassette = tmp_path / "chat.json"
    ours = configure_vcr(vcr.VCR(record_mode="once"))
    quirks = ChatQuirks(refuse=(Refuse(status=429, retry_after_s=3, path="/chat/completions"),))
    with anyio.fail_after(20):
        async with Emulator(brain, seed=1, pace="instant", chat=quirks) as emulator:
            url = emulator.url
            with ours.use_cassette(str(cassette)):
                told = await suite(url)
        assert told[:2] == ["429 3.0", "There it is calm."]
        assert "response='It turns at noon.' height_m=3.1" in told
        text = cassette.read_text()
        assert KEY not in text
        assert len(json.loads(text)["interactions"]) == 11
        with ours.use_cassette(str(cassette)) as played:
            assert await suite(url) == told
        assert played.all_played


@pytest.mark.behaviour("chat-vcr")
async def test_question_that_was_not_kept_is_not_answered_by_vcrpy(tmp_path: Path) -> None:
    cassette = tmp_path / "chat.json"
    ours = configure_vcr(vcr.VCR(record_mode="once"))
    with anyio.fail_after(20):
        async with Emulator(brain, seed=1, pace="instant") as emulator:
            async with AsyncClient(base_url=emulator.url, api_key=KEY, chat_policy=ONCE) as client:
                with ours.use_cassette(str(cassette)):
                    await client.chat.text(MODEL, "Where does moss grow?")
                with ours.use_cassette(str(cassette)):
                    with pytest.raises(Exception, match="no recorded interaction matches"):
                        await client.chat.text(MODEL, "And at Lagos?")
