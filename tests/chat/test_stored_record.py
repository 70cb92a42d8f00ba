"""Chat and voice out of a stored record, as examples/stored_record.py makes them."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest

from examples import stored_record as example
from xai_realtime import AsyncClient, ConfigurationError, ResponseDone, Transcript, run_virtual
from xai_realtime.emulator import Emulator, Prompt
from xai_realtime.models import RetiredModelWarning
from xai_realtime.transport.base import ChannelRequest, HttpRequest, Transport

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
RECORD = {"engine_model": "grok.grok-4.6", "engine_key": "", "init_prompt": "You keep a lighthouse."}


class Watched(Transport):
    """The emulator in process; remembers what was asked, and with which key. It wants one, as the service does."""

    needs_key = True

    def __init__(self, emulator: Emulator) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.bodies: list[dict[str, Any]] = []
        self._inner = emulator.transport()

    def open(self, request: ChannelRequest) -> Any:
        self._note("socket", dict(request.headers))
        return self._inner.open(request)

    def request(self, request: HttpRequest) -> Any:
        self._note("web", dict(request.headers))
        assert isinstance(request.body, bytes)
        self.bodies.append(json.loads(request.body))
        return self._inner.request(request)

    def _note(self, way: str, headers: dict[str, str]) -> None:
        self.asked.append((way, headers.get("Authorization")))


def held(backend: str, record: dict[str, str], **client: Any) -> tuple[Watched, list[Prompt], list[str]]:
    """One answer in writing and one by voice; the transport, what the model was told, what it said."""
    prompts: list[Prompt] = []

    def scenario(prompt: Prompt) -> str:
        prompts.append(prompt)
        return f"Answer {len(prompts)}."

    transport = Watched(Emulator(scenario, seed=1))

    async def main() -> list[str]:
        said = []
        assistant = example.Assistant.from_record(record)
        async with AsyncClient(transport=transport, **client) as connected:
            conversation = assistant.conversation().add_user("Good evening!")
            said.append((await assistant.answer(connected, conversation)).text)
            async with assistant.session(connected, conversation) as session:
                await session.send_text("And by voice?")
                async for event in session:
                    if isinstance(event, Transcript) and event.role == "assistant":
                        said.append(event.text)
                    elif isinstance(event, ResponseDone):
                        break
        return said

    return transport, prompts, run_virtual(main, backend=backend)  # type: ignore[arg-type]


@BACKENDS
@pytest.mark.behaviour("stored-record")
def test_record_gives_chat_and_voice_with_its_model_prompt_and_key(backend: str) -> None:
    transport, prompts, said = held(backend, {**RECORD, "engine_key": "from-the-record"}, api_key="of-the-client")
    assert said == ["Answer 1.", "Answer 2."]
    assert transport.asked == [("web", "Bearer from-the-record"), ("socket", "Bearer from-the-record")]
    (body,) = transport.bodies
    assert body["model"] == "grok-4.6"
    assert body["messages"][0] == {"role": "system", "content": "You keep a lighthouse."}
    assert ("assistant", "Answer 1.") in prompts[1].history


@BACKENDS
@pytest.mark.behaviour("stored-record")
def test_record_without_a_key_takes_the_one_of_the_environment_and_no_other(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "of-somebody-else")
    monkeypatch.setenv("XAI_API_KEY", "of-the-environment")
    transport, _, _ = held(backend, RECORD)
    assert {key for _, key in transport.asked} == {"Bearer of-the-environment"}
    monkeypatch.delenv("XAI_API_KEY")
    with pytest.raises(ConfigurationError, match="XAI_API_KEY"):
        held(backend, RECORD)


@pytest.mark.behaviour("stored-record")
def test_record_with_a_retired_model_warns_with_its_successor() -> None:
    with pytest.warns(RetiredModelWarning, match=r"use grok-4\.3") as told:
        assistant = example.Assistant.from_record({**RECORD, "engine_model": "grok.grok-3"})
    assert told[0].filename == __file__
    assert (assistant.model.provider, assistant.model.name) == ("grok", "grok-3")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert example.Assistant.from_record(RECORD).model.name == "grok-4.6"


@pytest.mark.parametrize("model", ["", "openai.gpt-4o", "grok.", "grok"])
@pytest.mark.behaviour("stored-record")
def test_record_with_a_model_that_cannot_be_is_refused(model: str) -> None:
    with pytest.raises(ConfigurationError):
        example.Assistant.from_record({**RECORD, "engine_model": model})


@pytest.mark.behaviour("stored-record")
def test_record_shows_neither_key_nor_prompt() -> None:
    shown = repr(example.Assistant.from_record({**RECORD, "engine_key": "canary"}))
    assert "canary" not in shown and "lighthouse" not in shown
