"""The REST side: keys, client secrets, models, and what is not there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest

from tests.emulator.standin import StandIn
from xai_realtime import AsyncClient, HandshakeError
from xai_realtime.emulator import Emulator
from xai_realtime.emulator.app import Service
from xai_realtime.emulator.link import Clock
from xai_realtime.emulator.world import SECRET_PREFIX, World
from xai_realtime.transport.asgi import ask_asgi
from xai_realtime.transport.base import HttpRequest

pytestmark = pytest.mark.anyio

Make = Callable[..., Emulator]
Ask = Callable[..., Any]


class Service1:
    """A service and its clock, asked without a server."""

    def __init__(self, **options: Any) -> None:
        self.now = 0.0
        clock = Clock()
        clock.now_ms = lambda: self.now  # type: ignore[method-assign]
        self.world = World(seed=7, **options)
        self.service = Service(self.world, clock, {"/realtime": None})  # type: ignore[dict-item]

    async def ask(
        self, method: str, path: str, body: bytes | dict[str, Any] = b"", key: str | None = "k"
    ) -> tuple[int, dict[str, str], Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        with anyio.fail_after(5):
            async with ask_asgi(self.service, HttpRequest(method, f"http://emulator{path}", headers, data)) as answer:
                content = await answer.read(10**6)
        return answer.status, dict(answer.headers), json.loads(content) if content else None


@asynccontextmanager
async def over_http(emulator: Emulator, key: str | None = "k") -> AsyncIterator[httpx2.AsyncClient]:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    with anyio.fail_after(10):
        async with emulator, httpx2.AsyncClient(base_url=emulator.url, headers=headers, trust_env=False) as client:
            yield client


@pytest.mark.behaviour("emulator-client-secrets")
@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (b"", 600),
        ({}, 600),
        ({"expires_after": None, "session": {"model": "x"}}, 600),
        ({"expires_after": {"anchor": "created_at"}}, 600),
        ({"expires_after": {"seconds": 1}}, 1),
        ({"expires_after": {"seconds": 3600}}, 3600),
    ],
)
async def test_client_secret_is_minted_with_its_expiry(body: Any, seconds: int) -> None:
    service = Service1()
    service.now = 5000
    status, headers, minted = await service.ask("POST", "/v1/realtime/client_secrets", body)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert minted["expires_at"] == service.world.now_epoch_ms(5000) // 1000 + seconds
    assert minted["value"].startswith(SECRET_PREFIX)
    assert len(minted["value"]) == 107
    assert set(minted) == {"value", "expires_at"}


@pytest.mark.behaviour("emulator-client-secrets")
@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 400, "not JSON"),
        (b"[" * 100_000, 400, "not JSON"),
        (b"\xff", 400, "not JSON"),
        (b"[]", 400, "no JSON object"),
        ({"expires_after": 600}, 422, "expected an object"),
        ({"expires_after": {"seconds": "600"}}, 422, "a whole number"),
        ({"expires_after": {"seconds": True}}, 422, "a whole number"),
        ({"expires_after": {"seconds": 0}}, 400, "between 1 and 3600"),
        ({"expires_after": {"seconds": 3601}}, 400, "between 1 and 3600"),
        (b" " * 2_000_000, 413, "over 1048576 bytes"),
    ],
)
async def test_client_secret_is_refused_with_a_flat_body_when_the_wish_is_bad(
    body: Any, status: int, said: str
) -> None:
    answered, _, refusal = await Service1().ask("POST", "/v1/realtime/client_secrets", body)
    assert answered == status
    assert set(refusal) == {"code", "error"}
    assert said in refusal["error"]


@pytest.mark.behaviour("emulator-keys")
@pytest.mark.parametrize(
    ("key", "status"),
    [
        (None, 401),
        (" ", 401),
        ("anything", 200),
        ("xai-emulator", 200),
        ("xai-invalid", 400),
        (f"{SECRET_PREFIX}made-elsewhere", 400),
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/grok-4.6"])
async def test_key_passes_unless_it_is_missing_or_known_to_be_bad(path: str, key: str | None, status: int) -> None:
    answered, _, body = await Service1().ask("GET", path, key=key)
    assert answered == status
    if status != 200:
        assert set(body) == {"code", "error"}
        assert not (key and key.strip()) or key not in json.dumps(body)


@pytest.mark.parametrize("value", ["", "k", "Basic k", "Bearer", "Bearer  "])
async def test_authorization_that_is_no_bearer_is_a_missing_key(value: str) -> None:
    service = Service1().service
    async with ask_asgi(service, HttpRequest("GET", "http://x/v1/models", {"authorization": value})) as answer:
        assert answer.status == 401


@pytest.mark.behaviour("emulator-keys")
async def test_minted_secret_passes_until_it_expires() -> None:
    service = Service1()
    _, _, minted = await service.ask("POST", "/v1/realtime/client_secrets", {"expires_after": {"seconds": 60}})
    service.now = 59_999
    assert (await service.ask("GET", "/v1/models", key=minted["value"]))[0] == 200
    service.now = 60_000
    status, _, body = await service.ask("GET", "/v1/models", key=minted["value"])
    assert status == 400
    assert body["error"].endswith("has expired.")


@pytest.mark.behaviour("emulator-models")
async def test_models_are_listed_without_the_voice_models() -> None:
    service = Service1()
    _, _, listed = await service.ask("GET", "/v1/models")
    assert listed["object"] == "list"
    assert {"grok-4.7", "grok-4.6"} <= {model["id"] for model in listed["data"]}
    assert not [model for model in listed["data"] if "voice" in model["id"]]
    assert all(set(model) == {"id", "created", "object", "owned_by"} for model in listed["data"])
    assert (await service.ask("GET", "/v1/models/grok-4.6"))[2] in listed["data"]
    status, _, body = await service.ask("GET", "/v1/models/grok-voice-latest")
    assert (status, set(body)) == (404, {"code", "error"})


@pytest.mark.behaviour("emulator-not-there")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/", 404),
        ("GET", "/models", 404),
        ("GET", "/v1/realtime/client_secrets/", 404),
        ("POST", "/v1/nothing", 404),
        ("GET", "/v1/realtime/client_secrets", 405),
        ("DELETE", "/v1/models", 405),
        ("POST", "/v1/realtime", 405),
        ("GET", "/v1/realtime", 426),
    ],
)
async def test_what_is_not_there_is_told_in_json(method: str, path: str, status: int) -> None:
    answered, headers, body = await Service1().ask(method, path)
    assert (answered, headers["content-type"], set(body)) == (status, "application/json", {"code", "error"})
    if status == 405:
        assert headers["allow"] in ("POST", "GET, HEAD")


async def test_failure_of_the_emulator_itself_is_told_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service1()
    monkeypatch.setattr("xai_realtime.emulator.rest.models", lambda: 1 / 0)
    status, _, body = await service.ask("GET", "/v1/models")
    assert (status, body["code"]) == (500, "Internal error")


async def test_rest_is_served_over_a_real_socket_on_the_port_of_the_sockets(standing_in: Make) -> None:
    async with over_http(standing_in()) as client:
        answer = await client.post("/realtime/client_secrets", json={"expires_after": {"seconds": 5}})
        assert (answer.status_code, set(answer.json())) == (200, {"value", "expires_at"})
        assert (await client.get("/models")).json()["object"] == "list"
        assert (await client.get("/none")).status_code == 404
        assert (await client.put("/models")).status_code == 405
        assert (await client.get("/realtime")).status_code == 426
    async with over_http(standing_in(), key=None) as client:
        assert (await client.get("/models")).status_code == 401


@pytest.mark.behaviour("emulator-forms")
@pytest.mark.parametrize(
    ("given", "headers", "status"),
    [
        ("xai-emulator", {}, 200),
        (None, {}, 401),
        ("xai-emulator", {"authorization": "Bearer xai-invalid"}, 400),
        ("xai-emulator", {"Authorization": ""}, 401),
        (None, {"AUTHORIZATION": "Bearer k"}, 200),
    ],
)
async def test_transport_in_process_carries_http_with_a_key_where_none_is_given(
    given: str | None, headers: dict[str, str], status: int, standing_in: Make
) -> None:
    transport = standing_in().transport(api_key=given)
    with anyio.fail_after(5):
        async with transport.request(HttpRequest("GET", "https://api.x.ai/v1/models", headers)) as answer:
            body = json.loads(await answer.read(10**6))
    assert answer.status == status
    assert ("data" in body) is (status == 200)


FORMS = ("header", "xai-client-secret.", "openai-insecure-api-key.")


async def minted_for(emulator: Emulator, seconds: int = 60) -> str:
    return emulator.world.mint_secret(seconds, 0)[0]


@pytest.mark.parametrize("in_process", [True, False], ids=["in-process", "socket"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.behaviour("emulator-secret-subprotocols")
async def test_secret_opens_a_socket_as_header_and_as_sub_protocol(
    form: str, in_process: bool, standing_in: Make, engines: list[StandIn]
) -> None:
    emulator = standing_in()
    secret = await minted_for(emulator)
    options: dict[str, Any] = {"api_key": secret}
    if form != "header":
        extra = ("realtime", "openai-beta.realtime-v1") if form.startswith("openai") else ()
        options = {"subprotocols": (*extra, form + secret)}
    with anyio.fail_after(10):
        if in_process:
            client = AsyncClient(transport=emulator.transport(api_key=None))
            async with client.realtime.connect(**options) as connection:
                chosen = connection.subprotocol
                await connection.receive()
        else:
            async with emulator:
                # The key of the client is bad, so that only the sub-protocol can have opened it.
                client = without_key(emulator)
                async with client.realtime.connect(**options) as connection:
                    chosen = connection.subprotocol
                    await connection.receive()
    assert chosen == {"header": None, FORMS[1]: FORMS[1] + secret, FORMS[2]: "realtime"}[form]


def without_key(emulator: Emulator) -> AsyncClient:
    client = AsyncClient(base_url=emulator.url)
    client.transport.needs_key = False
    return client


@pytest.mark.parametrize("in_process", [True, False], ids=["in-process", "socket"])
@pytest.mark.parametrize(
    ("key", "query", "status", "said"),
    [
        (None, {}, 401, "No API key"),
        ("xai-invalid", {}, 400, "Incorrect API key provided"),
        ("EXPIRED", {}, 400, "has expired"),
        (f"{SECRET_PREFIX}x", {}, 400, "was not made here"),
        ("MINTED", {"call_id": "c"}, 403, "an API key, not with a client secret"),
    ],
)
@pytest.mark.behaviour("emulator-handshake-refusals")
async def test_handshake_is_refused_in_one_way_over_a_socket_and_in_process(
    in_process: bool, key: str | None, query: dict[str, Any], status: int, said: str, standing_in: Make
) -> None:
    emulator = standing_in()
    if key == "EXPIRED":
        key = emulator.world.mint_secret(0, 0)[0]
    elif key == "MINTED":
        key = await minted_for(emulator)
    with anyio.fail_after(10), pytest.raises(HandshakeError) as caught:
        if in_process:
            client = AsyncClient(transport=emulator.transport(api_key=None))
            async with client.realtime.connect(api_key=key, **query):
                pass
        else:
            async with emulator:
                async with without_key(emulator).realtime.connect(api_key=key, **query):
                    pass
    error = caught.value
    assert error.status == status
    assert said in (error.message or "")
    body = json.loads(error.body)
    assert (error.code, error.message) == (body["code"], body["error"])
    assert error.headers["content-type"] == "application/json"
    if key is not None:
        assert key not in str(error) + repr(error) + error.body.decode()
