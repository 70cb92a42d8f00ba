"""Keys: which one goes where, what is read of the environment, that none shows; and where warnings point."""

from __future__ import annotations

import logging
import os
import traceback
import warnings
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.chat.driving import (
    BACKENDS,
    DONE,
    MODEL,
    Service,
    Told,
    asking,
    event,
    refusal,
    run,
    said,
    sse,
    stop,
    whole,
)
from tests.http.peers import Asked, page, serving
from xai_realtime import AsyncClient
from xai_realtime.cassette.recording import record
from xai_realtime.chat.conversation import ChatConversation
from xai_realtime.chat.messages import InstructionConflictWarning
from xai_realtime.errors import ConfigurationError, ServiceError, XaiRealtimeError
from xai_realtime.models import Provider, Providers, RetiredModelWarning
from xai_realtime.protocol.chat_policy import ChatPolicy
from xai_realtime.transport.http import HttpTransport

CANARY = "xai-CANARYcanaryCANARYcanary0123456789"
STRANGERS = {
    "OPENAI_API_KEY": "sk-strangerSTRANGERstranger01",
    "OPENAI_ORG_ID": "org-strangerSTRANGERstranger02",
    "OPENAI_PROJECT_ID": "proj-strangerSTRANGERstranger03",
    "OPENAI_BASE_URL": "https://stranger.example/v1",
    "ANTHROPIC_API_KEY": "sk-ant-strangerSTRANGERstranger04",
    "GROK_API_KEY": "xai-strangerSTRANGERstranger05",
}
OPENAI = Provider("openai", "https://api.openai.example/v1", "OPENAI_API_KEY")
LOCAL = Provider("local", "http://127.0.0.1:9/v1")
PROVIDERS = Providers(OPENAI, LOCAL)
GOOD = sse(said("Hello"), stop())


class Watched(MutableMapping[str, str]):
    """An environment that knows what was read of it."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values_of = values
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return self.values_of[name]

    def __setitem__(self, name: str, value: str) -> None:
        self.values_of[name] = value

    def __delitem__(self, name: str) -> None:
        del self.values_of[name]

    def __iter__(self) -> Iterator[str]:
        self.read.update(self.values_of)
        return iter(self.values_of)

    def __len__(self) -> int:
        return len(self.values_of)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """The variables of other services, and none of ours."""
    kept = {name: value for name, value in os.environ.items() if "KEY" not in name and not name.startswith("OPENAI")}
    watched = Watched({**kept, **STRANGERS})
    monkeypatch.setattr(os, "environ", watched)
    return watched


async def every_verb(chat: Any, model: str = MODEL, **options: Any) -> None:
    """All that asks."""
    await chat.create(model, "hi", **options)
    await chat.text(model, "hi", **options)
    async with chat.stream(model, "hi", **options) as stream:
        await stream.finish()
    await chat.run(model, "hi", **options)


def either(request: Any) -> Told:
    """A stream for whoever wants one, else a whole answer."""
    return GOOD if "event-stream" in request.headers["Accept"] else whole()


@pytest.mark.behaviour("bug-3")
@BACKENDS
def test_key_of_another_service_is_neither_read_nor_sent(backend: str, environment: Watched) -> None:
    environment["XAI_API_KEY"] = CANARY

    async def main() -> Service:
        async with asking(either, api_key=None) as (chat, service):
            environment.read.clear()
            await every_verb(chat)
            return service

    service = run(main, backend)
    assert len(service.asked) == 4
    for request in service.asked:
        assert request.headers["Authorization"] == f"Bearer {CANARY}"
        assert request.url == "https://api.x.ai/v1/chat/completions"
        sent = f"{request.url}{dict(request.headers)}{request.body!r}"
        assert not any(value in sent for value in STRANGERS.values())
        assert not any(name.lower().startswith("openai") for name in request.headers)
    assert not environment.read & set(STRANGERS)


@pytest.mark.behaviour("bug-3")
@BACKENDS
def test_without_a_key_of_ours_nothing_is_sent_whatever_keys_there_are(backend: str, environment: Watched) -> None:
    async def main() -> int:
        async with asking(either, api_key=None) as (chat, service):
            for verb in (chat.create, chat.text):
                with pytest.raises(ConfigurationError, match="XAI_API_KEY"):
                    await verb(MODEL, "hi")
            for make in (chat.stream, chat.run):
                with pytest.raises(ConfigurationError, match="XAI_API_KEY"):
                    make(MODEL, "hi")
            return len(service.asked)

    assert run(main, backend) == 0
    assert not environment.read & set(STRANGERS)


ORDER = [
    ({"api_key": "call-key-1"}, "client-key-1", "variable-key-1", "call-key-1"),
    ({}, "client-key-1", "variable-key-1", "client-key-1"),
    ({"api_key": "  "}, "client-key-1", "variable-key-1", "client-key-1"),
    ({"api_key": None}, None, "variable-key-1", "variable-key-1"),
    ({"api_key": ""}, "", "variable-key-1", "variable-key-1"),
    ({"api_key": "call-key-1"}, None, None, "call-key-1"),
]


@BACKENDS
@pytest.mark.parametrize(("options", "of_client", "of_variable", "expected"), ORDER)
def test_key_of_the_call_goes_before_that_of_the_client_and_that_before_the_variable(
    backend: str,
    environment: Watched,
    options: dict[str, Any],
    of_client: str | None,
    of_variable: str | None,
    expected: str,
) -> None:
    if of_variable is not None:
        environment["XAI_API_KEY"] = of_variable

    async def main() -> set[str]:
        async with asking(either, api_key=of_client) as (chat, service):
            await every_verb(chat, **options)
            return {request.headers["Authorization"] for request in service.asked}

    assert run(main, backend) == {f"Bearer {expected}"}


@BACKENDS
def test_provider_of_ones_own_has_its_own_address_and_variable(backend: str, environment: Watched) -> None:
    environment["XAI_API_KEY"] = CANARY

    async def main() -> Service:
        async with asking(either, api_key=None, providers=PROVIDERS) as (chat, service):
            environment.read.clear()
            await every_verb(chat, "OpenAI.gpt-5.6")
            return service

    service = run(main, backend)
    for request, body in zip(service.asked, service.bodies, strict=True):
        assert request.url == "https://api.openai.example/v1/chat/completions"
        assert request.headers["Authorization"] == f"Bearer {STRANGERS['OPENAI_API_KEY']}"
        assert body["model"] == "gpt-5.6"
        assert CANARY not in f"{dict(request.headers)}{request.body!r}"
    assert environment.read & {*STRANGERS, "XAI_API_KEY"} == {"OPENAI_API_KEY"}


@BACKENDS
def test_client_key_does_not_go_to_another_provider(backend: str, environment: Watched) -> None:
    del environment["OPENAI_API_KEY"]

    async def main() -> list[Any]:
        async with asking(either, api_key=CANARY, providers=PROVIDERS) as (chat, service):
            with pytest.raises(ConfigurationError, match="OPENAI_API_KEY") as caught:
                await chat.create("openai.gpt-5.6", "hi")
            assert CANARY not in str(caught.value)
            with pytest.raises(ConfigurationError, match="no API key was given for provider local"):
                await chat.create("local.m", "hi")
            await chat.create("openai.gpt-5.6", "hi", api_key="sk-of-the-call")
            await chat.create("grok.grok-4.6", "hi")
            return [request.headers["Authorization"] for request in service.asked]

    assert run(main, backend) == ["Bearer sk-of-the-call", f"Bearer {CANARY}"]


@BACKENDS
def test_key_does_not_go_to_an_address_of_another_origin(backend: str, environment: Watched) -> None:
    environment["XAI_API_KEY"] = CANARY
    elsewhere = "https://proxy.example/v1/chat/completions"

    async def main() -> list[str]:
        async with asking(either, api_key=None) as (chat, service):
            with pytest.raises(ConfigurationError, match="belongs to"):
                await chat.create(MODEL, "hi", url=elsewhere)
            await chat.create(MODEL, "hi", url=elsewhere, api_key="proxy-key")
        async with asking(either, api_key=CANARY) as (chat, other):
            with pytest.raises(ConfigurationError, match="belongs to"):
                chat.stream(MODEL, "hi", url=elsewhere)
            assert not other.asked
        return [request.headers["Authorization"] for request in service.asked]

    assert run(main, backend) == ["Bearer proxy-key"]


# That no key shows


ECHO = f"It was Bearer {CANARY} ({CANARY})"
ECHOES: dict[str, Callable[[], Told | Exception]] = {
    "good": lambda: GOOD,
    "flat": lambda: refusal(400, {"code": CANARY, "error": ECHO}, x_request_id=CANARY),
    "wrong key": lambda: refusal(400, {"code": "c", "error": f"Incorrect API key provided: {CANARY}"}),
    "openai": lambda: refusal(401, {"error": {"message": ECHO, "type": CANARY, "code": CANARY}}),
    "text": lambda: refusal(500, ECHO.encode(), content_type="text/plain"),
    "error with 200": lambda: refusal(200, {"code": CANARY, "error": ECHO}),
    "redirect": lambda: refusal(307, b" ", location=f"https://evil.example/?key={CANARY}"),
    "mid-stream": lambda: sse(said("Hel"), event({"code": CANARY, "error": ECHO})),
    "mid-stream event": lambda: sse(said("Hel"), event({"type": CANARY, "error": {"message": ECHO}})),
    "malformed": lambda: sse(event(f"{{{CANARY}".encode())),
    "odd names": lambda: sse(event({"choices": {CANARY: CANARY}})),
    "odd kind": lambda: Told([b"x"], headers={"Content-Type": CANARY}),
}


@BACKENDS
@pytest.mark.parametrize("name", ECHOES)
def test_key_stands_in_no_error_no_repr_and_no_log(
    backend: str, name: str, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    caplog.set_level(logging.DEBUG)

    async def main() -> list[str]:
        shown: list[str] = []
        policy = ChatPolicy(max_retries=0)
        async with asking(ECHOES[name](), api_key=CANARY, chat_policy=policy) as (chat, service):
            stream = chat.stream(MODEL, "hi")
            shown += [repr(stream), repr(stream._asking), repr(chat)]
            try:
                async with stream:
                    await stream.finish()
            except XaiRealtimeError as error:
                shown += [repr(error), str(error), repr(vars(error)), "".join(traceback.format_exception(error))]
                shown += getattr(error, "__notes__", [])
            outcome = stream.outcome
            assert outcome is not None
            shown += [repr(stream), repr(stream.reply), repr(outcome), repr(outcome.error), repr(service.asked)]
        return shown

    for text in [*run(main, backend), caplog.text, *(str(found.message) for found in recwarn)]:
        assert CANARY not in text


@pytest.mark.anyio
async def test_key_stands_in_no_log_and_no_tape_of_a_real_exchange(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)

    async def answer(asked: Asked, writer: Any) -> None:
        assert asked.headers["authorization"] == f"Bearer {CANARY}"
        if b'"stream"' in asked.body:
            body = said("Hel") + event({"code": "c", "error": ECHO}) + DONE
            writer.write(page(200, body, "text/event-stream"))
        else:
            body = f'{{"code": "{CANARY}", "error": "{ECHO}"}}'.encode()
            writer.write(page(400, body, X_Request_Id="r-1"))

    tape = tmp_path / "t.jsonl"
    with anyio.fail_after(10), serving(answer) as peer:
        transport = record(tape, HttpTransport(proxy=None))
        async with AsyncClient(api_key=CANARY, base_url=peer.url, transport=transport) as client:
            with pytest.raises(XaiRealtimeError) as caught:
                await client.chat.create(MODEL, "hi")
            assert CANARY not in f"{caught.value!r}{caught.value}{vars(caught.value)}"
            with pytest.raises(ServiceError) as broken:
                async with client.chat.stream(MODEL, "hi") as stream:
                    await stream.finish()
            assert CANARY not in f"{broken.value!r}{broken.value}{vars(broken.value)}"
    written = [path for path in tmp_path.iterdir() if path.is_file()]
    assert written
    for path in written:
        assert CANARY.encode() not in path.read_bytes()
    assert "canaryCANARY" not in caplog.text


# Where warnings point


def lines_of(found: list[warnings.WarningMessage], kind: type[Warning]) -> list[tuple[str, str]]:
    """File and source line of the warnings of a kind."""
    rows = []
    for each in found:
        if issubclass(each.category, kind):
            source = Path(each.filename).read_text(encoding="utf-8").splitlines()
            rows.append((Path(each.filename).name, source[each.lineno - 1].strip()))
    return rows


@BACKENDS
def test_warning_of_a_retired_model_points_at_the_line_that_names_it_and_comes_once(backend: str) -> None:
    async def main() -> list[warnings.WarningMessage]:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            async with asking(either) as (chat, _):
                await chat.create("grok-3", "create")
                await chat.text("grok-3", "text")
                async with chat.stream("grok-3", "stream") as stream:
                    await stream.finish()
                await chat.run("grok-3", "run")
                async with chat.run("grok-3", "entered") as entered:
                    async for _event in entered:
                        pass
            return list(found)

    found = run(main, backend)
    assert lines_of(found, RetiredModelWarning) == [
        (Path(__file__).name, 'await chat.create("grok-3", "create")'),
        (Path(__file__).name, 'await chat.text("grok-3", "text")'),
        (Path(__file__).name, 'async with chat.stream("grok-3", "stream") as stream:'),
        (Path(__file__).name, 'await chat.run("grok-3", "run")'),
        (Path(__file__).name, 'async with chat.run("grok-3", "entered") as entered:'),
    ]
    assert "grok-4.3" in str(found[0].message)


@BACKENDS
def test_warning_of_instructions_in_conflict_points_at_the_call_and_comes_once(backend: str) -> None:
    async def main() -> list[warnings.WarningMessage]:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            async with asking(either) as (chat, _):
                talk = [("system", "Be long."), ("user", "hi")]
                await chat.create(MODEL, talk, system="Be brief: create.")
                await chat.text(MODEL, talk, system="Be brief: text.")
                async with chat.stream(MODEL, talk, system="Be brief: stream.") as stream:
                    await stream.finish()
                await chat.run(MODEL, talk, system="Be brief: run.")
                kept = ChatConversation(talk)
                await chat.create(MODEL, kept, system="Be brief: kept.")
                await chat.create(MODEL, kept, system="Be brief: again.")
            return list(found)

    lines = lines_of(run(main, backend), InstructionConflictWarning)
    assert [name for name, _ in lines] == [Path(__file__).name] * 5
    assert [line.rpartition("Be brief: ")[2].partition(".")[0] for _, line in lines] == [
        "create",
        "text",
        "stream",
        "run",
        "kept",
    ]
