"""The models of the service: lists, single ones, prices, and answers that are odd."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.chat.driving import JSON, Service, Told, refusal
from tests.tapes import BACKENDS
from xai_realtime import (
    ApiError,
    AsyncClient,
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    RemoteProtocolError,
    ServerError,
)
from xai_realtime.client.models import Models
from xai_realtime.emulator import ChatQuirks, Emulator, Refuse
from xai_realtime.virtual_time import run_virtual

KEY = "xai-CANARYcanaryCANARYcanary0123456789"


def run(main: Callable[[], Awaitable[Any]], backend: str) -> Any:
    return run_virtual(main, backend=backend)  # type: ignore[arg-type]


@asynccontextmanager
async def emulated(**quirks: Any) -> AsyncIterator[Models]:
    async with AsyncClient(transport=Emulator(chat=ChatQuirks(**quirks)).transport()) as client:
        yield client.models


@asynccontextmanager
async def asking(*script: Any) -> AsyncIterator[tuple[Models, Service]]:
    service = Service(*script)
    async with AsyncClient(transport=service, api_key=KEY) as client:
        yield client.models, service


def body(value: Any) -> Told:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Told([data], headers={"Content-Type": JSON})


ALL: dict[str, Callable[[Models], Awaitable[Any]]] = {
    "list": lambda models: models.list(),
    "get": lambda models: models.get("grok-4.6"),
    "language_models": lambda models: models.language_models(),
    "language_model": lambda models: models.language_model("grok-4.6"),
}
EACH = pytest.mark.parametrize("method", list(ALL))


@BACKENDS
@pytest.mark.behaviour("models-listed")
def test_models_are_listed_and_found_by_their_id(backend: str) -> None:
    async def main() -> None:
        async with emulated() as models:
            listed = await models.list()
            assert {"grok-4.6", "grok-4.7"} <= {model.id for model in listed}
            one = await models.get(" grok-4.6 ")
            assert one == next(model for model in listed if model.id == "grok-4.6")
            assert (one.object, one.owned_by) == ("model", "xai") and one.created

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("models-prices")
def test_language_models_come_with_their_prices_and_aliases(backend: str) -> None:
    async def main() -> None:
        async with emulated() as models:
            listed = await models.language_models()
            one = await models.language_model("grok-4.7")
            assert one in listed
            assert one == await models.language_model("grok-latest"), "an alias will do"
            prices = (
                one.prompt_text_token_price,
                one.cached_prompt_text_token_price,
                one.prompt_image_token_price,
                one.completion_text_token_price,
                one.search_price,
            )
            assert prices == (20_000, 5_000, 20_000, 60_000, 0)
            assert one.aliases == ["grok-latest"] and one.version and one.fingerprint
            assert (one.input_modalities, one.output_modalities) == (["text", "image"], ["text"])

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("models-unknown")
def test_unknown_model_is_not_found(backend: str) -> None:
    async def main() -> None:
        async with emulated() as models:
            for method in (models.get, models.language_model):
                with pytest.raises(NotFoundError) as caught:
                    await method("grok-0")
                assert caught.value.status == 404
                for wrong in ("", "  ", None, 4):
                    with pytest.raises(ConfigurationError, match="model is"):
                        await method(wrong)  # type: ignore[arg-type]

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("models-listed")
def test_models_are_asked_for_at_their_address_with_the_key(backend: str) -> None:
    async def main() -> None:
        async with asking(body({"id": "m", "data": [], "models": []})) as (models, service):
            for method in ALL.values():
                await method(models)
            await models.get("team/model a?b#c")
            await models.list(url="https://api.x.ai/v2/models", api_key="other", headers={"X-Own": "1"})
            root = "https://api.x.ai/v1"
            assert [request.url for request in service.asked] == [
                f"{root}/models",
                f"{root}/models/grok-4.6",
                f"{root}/language-models",
                f"{root}/language-models/grok-4.6",
                f"{root}/models/team%2Fmodel%20a%3Fb%23c",
                "https://api.x.ai/v2/models",
            ]
            assert {request.method for request in service.asked} == {"GET"}
            assert [request.headers["Authorization"] for request in service.asked] == [f"Bearer {KEY}"] * 5 + [
                "Bearer other"
            ]
            assert service.asked[-1].headers["X-Own"] == "1"

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("models-odd")
def test_fields_that_are_missing_null_or_unknown_lose_no_model(backend: str) -> None:
    async def main() -> None:
        odd = {"id": "m", "created": None, "future": {"a": 1}, "prompt_text_token_price": None, "aliases": None}
        async with asking(body({"data": [odd, {"id": "n"}], "models": [odd], **odd})) as (models, _):
            assert [model.id for model in await models.list()] == ["m", "n"]
            (one,) = await models.language_models()
            assert one.id == "m" and one.prompt_text_token_price is None
            assert (one.model_extra or {})["future"] == {"a": 1}
        for empty in ({}, {"data": None, "models": None}, {"object": "list", "data": [], "models": []}):
            async with asking(body(empty)) as (models, _):
                assert await models.list() == () and await models.language_models() == ()

    run(main, backend)


@BACKENDS
@EACH
@pytest.mark.behaviour("models-odd")
@pytest.mark.parametrize(
    ("told", "error"),
    [
        (body(b"<html>busy</html>"), RemoteProtocolError),
        (body(b""), RemoteProtocolError),
        (body([]), RemoteProtocolError),
        (body({"data": {"id": "m"}, "models": "none", "id": 4}), RemoteProtocolError),
        (body({"data": [{"name": "m"}], "models": [{}], "name": "m"}), RemoteProtocolError),
        (body({"code": "bad", "error": "No."}), ApiError),
        (refusal(401, {"code": "no", "error": "No."}), AuthenticationError),
        (refusal(400, {"code": "no", "error": "Incorrect API key provided."}), AuthenticationError),
        (refusal(503, b"<html>busy</html>", content_type="text/html"), ServerError),
    ],
)
def test_answers_that_are_no_models_are_typed_errors(
    backend: str, method: str, told: Told, error: type[Exception]
) -> None:
    async def main() -> None:
        async with asking(told) as (models, service):
            with pytest.raises(error) as caught:
                await ALL[method](models)
            assert KEY not in f"{caught.value!s} {caught.value!r}"
            assert service.open_answers == 0

    run(main, backend)


@BACKENDS
@EACH
@pytest.mark.behaviour("models-odd")
def test_refusal_of_the_emulator_surfaces(backend: str, method: str) -> None:
    async def main() -> None:
        path = "/language-models" if method.startswith("language") else "/models"
        async with emulated(refuse=(Refuse(status=503, path=path),)) as models:
            with pytest.raises(ServerError):
                await ALL[method](models)
            assert await ALL[method](models)

    run(main, backend)
