"""A local stand-in for the service. In: a scenario and settings. Out: addresses, a client, a transport.

Imports: rooms 0-7; starlette and uvicorn (extra `emulator`) when it is used.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Final, Self

from xai_realtime.client import AsyncClient
from xai_realtime.emulator.chat_quirks import ChatQuirks
from xai_realtime.emulator.quirks import Quirks
from xai_realtime.emulator.scenario import ScenarioLike
from xai_realtime.emulator.speech_quirks import SpeechQuirks
from xai_realtime.emulator.world import API_KEY, Dialect, Pace, World
from xai_realtime.errors import ConfigurationError
from xai_realtime.transport.base import Transport

__all__ = ["Emulator"]

NEEDED: Final = ("numpy", "starlette", "uvicorn")


class Emulator:
    """Grok on your own machine: over a real socket, or in process.

    `async with Emulator(scenario) as emulator` serves REST and WebSocket under `emulator.url` and stops within
    a few seconds; `emulator.client()` is a client that points there. `Emulator(scenario).transport()` needs no
    socket and no `async with`.

    `scenario` is a TOML file, a function from Prompt to Turn, a Scenario, or None for the one built in.
    `dialect="openai"` sends the shapes that OpenAI's strict clients want. `pace="real"` speaks 100 ms of audio
    every 100 ms, `"instant"` all at once. With a `seed` the same input gives the same bytes and the wall clock
    counts from a fixed date. With `answers_commits=False` a commit by hand makes an item alone, and only
    `response.create` is answered. `quirks` are oddities for tests, `speech` says how `/v1/stt` and
    `/v1/tts` behave, `chat` the same of `/v1/chat`. `port=0` takes a free port. `max_duration_s`,
    `idle_timeout_s`, `concurrent_sessions` and `max_message_bytes` bound sessions. What is not set comes from the
    scenario.

    Raises ConfigurationError for a scenario or a value that cannot be used and, when it is entered, for an
    address that cannot be listened at.
    """

    def __init__(
        self,
        scenario: ScenarioLike = None,
        *,
        dialect: Dialect = "xai",
        pace: Pace = "real",
        seed: int | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        answers_commits: bool | None = None,
        quirks: Quirks | None = None,
        speech: SpeechQuirks | None = None,
        chat: ChatQuirks | None = None,
        max_duration_s: float | None = None,
        idle_timeout_s: float | None = None,
        concurrent_sessions: int | None = None,
        max_message_bytes: int | None = None,
    ) -> None:
        missing = [name for name in NEEDED if find_spec(name) is None]
        if missing:
            raise ConfigurationError(
                f"the emulator needs {' and '.join(missing)}: pip install 'xai-realtime[emulator]'"
            )
        if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= 65535:
            raise ConfigurationError(f"port is {port!r}; a whole number from 0 to 65535 is allowed, 0 for a free one")
        self.world = World(
            scenario,
            dialect=dialect,
            pace=pace,
            seed=seed,
            answers_commits=answers_commits,
            quirks=quirks,
            speech=speech,
            chat=chat,
            max_duration_s=max_duration_s,
            idle_timeout_s=idle_timeout_s,
            concurrent_sessions=concurrent_sessions,
            max_message_bytes=max_message_bytes,
        )
        from xai_realtime.emulator.app import SOCKETS, Service
        from xai_realtime.emulator.link import Clock

        self._service = Service(self.world, Clock(), SOCKETS)
        self._host = host
        self._port = port
        self._address: tuple[str, int] | None = None
        self._stack = AsyncExitStack()

    @property
    def api_key(self) -> str:
        """A key that the emulator takes; it takes any other as well, but for `xai-invalid`."""
        return API_KEY

    @property
    def port(self) -> int:
        """The port it listens at. Raises ConfigurationError while it does not run."""
        return self._running[1]

    @property
    def url(self) -> str:
        """The address of its REST side, ending in /v1: what a client takes as `base_url`."""
        return f"http://{self._authority}/v1"

    @property
    def ws_url(self) -> str:
        """The address of its sockets, ending in /v1."""
        return f"ws://{self._authority}/v1"

    def client(self, **options: Any) -> AsyncClient:
        """A client that points at the running emulator, key included; `options` as `AsyncClient` takes them."""
        return AsyncClient(**{"base_url": self.url, "api_key": self.api_key, **options})

    def transport(self, *, api_key: str | None = API_KEY) -> Transport:
        """The emulator in this process, as the transport of a client: no socket, also in virtual time.

        A client without a key is given `api_key`; with None it is refused, as the service refuses it.
        Channels of all transports and of the server share one emulator.
        """
        from xai_realtime.emulator.inprocess import EmulatorTransport

        return EmulatorTransport(self._service, api_key)

    async def __aenter__(self) -> Self:
        from xai_realtime.emulator.server import serve

        if self._address is not None:
            raise ConfigurationError("this emulator is running already")
        limit = self.world.limits.max_message_bytes
        serving = serve(self._service, host=self._host, port=self._port, max_message_bytes=limit)
        self._address = await self._stack.enter_async_context(serving)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._address = None
        await self._stack.aclose()

    def __repr__(self) -> str:
        state = f"at {self.url}" if self._address is not None else "not listening"
        return f"<Emulator {self.world.dialect}, {self.world.pace}, {state}>"

    @property
    def _running(self) -> tuple[str, int]:
        if self._address is None:
            raise ConfigurationError(
                "this emulator does not listen: use `async with Emulator(...)`, or `transport()` without a socket"
            )
        return self._address

    @property
    def _authority(self) -> str:
        host, port = self._running
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
