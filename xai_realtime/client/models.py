"""The models of the service: `client.models`. In: ids. Out: models, their prices. Imports: rooms 0-5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from xai_realtime.client._dialing import Dialing
from xai_realtime.errors import ConfigurationError
from xai_realtime.transport.base import HttpRequest
from xai_realtime.transport.rest import ask_whole

if TYPE_CHECKING:
    from xai_realtime.events import chat
    from xai_realtime.events._base import ServerModel

__all__ = ["Models"]

ModelT = TypeVar("ModelT", bound="ServerModel")


class Models:
    """The models that the service serves to a key: `client.models`. `url=` replaces a whole address.

    Methods raise ConfigurationError before anything is sent, ApiError (NotFoundError for an unknown model),
    RemoteProtocolError for an answer that cannot be read, ConnectError, ConnectionBrokenError, TransportTimeoutError.
    Cancelling is safe. Source: xAI's OpenAPI, models and language-models.
    """

    def __init__(self, dialing: Dialing) -> None:
        self._dialing = dialing

    async def list(
        self, *, url: str | None = None, api_key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[chat.Model, ...]:
        """All models, of whatever kind; those for speech may be missing."""
        from xai_realtime.events import chat

        answer = await self._get("models", chat.ModelList, url, api_key, headers)
        return tuple(answer.data or ())

    async def get(
        self,
        model: str,
        *,
        url: str | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> chat.Model:
        """One model."""
        from xai_realtime.events import chat

        return await self._get(f"models/{_checked(model)}", chat.Model, url, api_key, headers)

    async def language_models(
        self, *, url: str | None = None, api_key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[chat.LanguageModel, ...]:
        """The models that chat, with their prices in USD cents per 100 million tokens."""
        from xai_realtime.events import chat

        answer = await self._get("language-models", chat.LanguageModelList, url, api_key, headers)
        return tuple(answer.models or ())

    async def language_model(
        self,
        model: str,
        *,
        url: str | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> chat.LanguageModel:
        """One of them; an alias will do."""
        from xai_realtime.events import chat

        return await self._get(f"language-models/{_checked(model)}", chat.LanguageModel, url, api_key, headers)

    async def _get(
        self,
        path: str,
        expected: type[ModelT],
        url: str | None,
        api_key: str | None,
        headers: Mapping[str, str] | None,
    ) -> ModelT:
        from xai_realtime.chat.asking import read_answer

        address, named = self._dialing.web(path, {}, url=url, api_key=api_key, headers=headers)
        request = HttpRequest("GET", address, named)
        return read_answer(request, await ask_whole(self._dialing.transport, request), expected)


def _checked(model: str) -> str:
    if not isinstance(model, str) or not model.strip():
        raise ConfigurationError(f"model is {model!r}; an id that is not blank is allowed")
    return quote(model.strip(), safe="")
