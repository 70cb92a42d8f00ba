"""Starting, stopping, addresses, and what is left afterwards."""

from __future__ import annotations

import asyncio
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.emulator.standin import StandIn
from xai_realtime import AsyncClient, ClosedByServerError, ConfigurationError
from xai_realtime.emulator import Emulator, Limits, Prompt, Settings, TableScenario

pytestmark = pytest.mark.anyio
Make = Callable[..., Emulator]


@pytest.mark.behaviour("emulator-addresses")
async def test_running_emulator_gives_its_addresses_and_a_key(standing_in: Make) -> None:
    emulator = standing_in()
    async with emulator:
        assert emulator.port > 0
        assert emulator.url == f"http://127.0.0.1:{emulator.port}/v1"
        assert emulator.ws_url == f"ws://127.0.0.1:{emulator.port}/v1"
        assert emulator.client().base_url == emulator.url
        assert repr(emulator) == f"<Emulator xai, real, at {emulator.url}>"
    assert repr(emulator) == "<Emulator xai, real, not listening>"
    for name in ("url", "ws_url", "port"):
        with pytest.raises(ConfigurationError, match="does not listen: use `async with"):
            getattr(emulator, name)
    with pytest.raises(ConfigurationError, match="does not listen"):
        emulator.client()


async def test_emulator_listens_on_ipv6_too(standing_in: Make) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    emulator = standing_in(host="::1")
    try:
        async with emulator, emulator.client() as client:
            assert emulator.url == f"http://[::1]:{emulator.port}/v1"
            async with client.realtime.connect() as connection:
                await connection.receive()
    except ConfigurationError:
        pytest.skip("no IPv6 here")


async def test_emulator_can_be_started_again_and_not_twice_at_once(standing_in: Make) -> None:
    emulator = standing_in()
    for _ in range(2):
        async with emulator:
            with pytest.raises(ConfigurationError, match="running already"):
                async with emulator:
                    pass
            async with emulator.client().realtime.connect() as connection:
                await connection.receive()


@pytest.mark.behaviour("emulator-port-in-use")
async def test_port_in_use_is_told_in_one_sentence(standing_in: Make) -> None:
    async with standing_in() as first:
        message = f"cannot listen at 127.0.0.1:{first.port}: the port is in use by another program"
        with pytest.raises(ConfigurationError, match=message):
            async with standing_in(port=first.port):
                pass


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"port": 70_000}, "port is 70000"),
        ({"port": "80"}, "port is '80'"),
        ({"port": True}, "port is True"),
        ({"dialect": "azure"}, "dialect is 'azure'; allowed are 'xai', 'openai'"),
        ({"pace": "fast"}, "pace is 'fast'"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"max_duration_s": 0}, "max_duration_s is 0"),
        ({"max_duration_s": float("nan")}, "max_duration_s is nan"),
        ({"idle_timeout_s": "x"}, "idle_timeout_s is 'x'"),
        ({"concurrent_sessions": 0}, "concurrent_sessions is 0"),
        ({"max_message_bytes": True}, "max_message_bytes is True"),
        ({"scenario": 3}, "scenario is a int"),
    ],
)
def test_emulator_refuses_a_bad_value_when_it_is_made(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Emulator(**options)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
async def test_address_of_another_machine_is_told_in_one_sentence(host: str, standing_in: Make) -> None:
    with anyio.fail_after(10), pytest.raises(ConfigurationError, match=f"cannot listen at {host}:0: "):
        async with standing_in(host=host):
            pass


def test_limits_of_the_scenario_hold_unless_the_emulator_is_told_others() -> None:
    scenario = TableScenario([], Settings(limits=Limits(max_duration_s=5, concurrent_sessions=2)))
    emulator = Emulator(scenario, concurrent_sessions=3)
    assert emulator.world.limits == Limits(max_duration_s=5, concurrent_sessions=3)


def test_seed_fixes_ids_secrets_and_the_wall_clock() -> None:
    def drawn(seed: int | None) -> list[Any]:
        world = Emulator(seed=seed).world
        return [
            world.ids.uuid(),
            world.ids.hex(),
            world.ids.below(10**9),
            world.mint_secret(60, 0),
            world.now_epoch_ms(5),
        ]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert drawn(None) != drawn(None)
    assert drawn(1)[-1] == 1_767_225_600_005
    assert abs(drawn(None)[-1] / 1000 - time.time()) < 5


def test_world_keeps_a_conversation_for_thirty_minutes() -> None:
    world = Emulator().world
    world.keep_conversation("c", "state", 1000)
    assert world.resume_conversation("c", 1000 + 30 * 60_000 - 1) == "state"
    assert world.resume_conversation("c", 1000 + 30 * 60_000) is None
    assert world.resume_conversation("other", 0) is None


def test_world_forgets_the_oldest_when_it_holds_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xai_realtime.emulator.world.MAX_CONVERSATIONS", 2)
    monkeypatch.setattr("xai_realtime.emulator.world.MAX_SECRETS", 2)
    world = Emulator().world
    secrets = [world.mint_secret(60, 0)[0] for _ in range(3)]
    for name in "abc":
        world.keep_conversation(name, name, 0)
    assert [world.resume_conversation(name, 0) for name in "abc"] == [None, "b", "c"]
    assert [world.secret_expires_ms(secret) is None for secret in secrets] == [True, False, False]


@pytest.mark.behaviour("emulator-graceful-stop")
async def test_stop_closes_open_sockets_with_1012_in_bounded_time_and_leaves_nothing(
    standing_in: Make, engines: list[StandIn]
) -> None:
    threads = threading.active_count()
    with anyio.fail_after(5):
        emulator = standing_in()
        async with emulator:
            client = emulator.client()
            async with client.realtime.connect() as connection:
                await connection.receive()
                port = emulator.port
                await emulator.__aexit__(None, None, None)
                with pytest.raises(ClosedByServerError, match="1012"):
                    await connection.receive()
    assert engines[0].gone_ms is not None
    assert emulator.world.open_sessions == 0
    assert all("emulator" not in thread.name for thread in threading.enumerate())
    assert threading.active_count() <= threads + 1  # anyio keeps an idle worker
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def masked(data: bytes, size: int | None = None) -> bytes:
    """A text frame of a client under a mask of zeros; `size` is announced instead of the real one."""
    size = len(data) if size is None else size
    length = bytes([0x80 | size]) if size < 126 else b"\xff" + struct.pack("!Q", size)
    return b"\x81" + length + bytes(4) + data


async def raw_socket(emulator: Emulator) -> socket.socket:
    """A socket after its handshake."""
    line = socket.create_connection(("127.0.0.1", emulator.port))
    line.settimeout(5)
    head = (
        "GET /v1/realtime HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        "Authorization: Bearer k\r\n\r\n"
    )
    line.sendall(head.encode())
    assert b" 101 " in await anyio.to_thread.run_sync(line.recv, 4096)
    return line


async def test_stop_is_bounded_while_a_client_does_not_read(standing_in: Make, engines: list[StandIn]) -> None:
    with anyio.fail_after(8):
        async with standing_in() as emulator:
            line = await raw_socket(emulator)
            line.sendall(masked(b'{"do":"many","count":2000,"bytes":10000}'))
            while not engines or len(engines[0].taken_ms) < 2:  # noqa: ASYNC110
                await anyio.sleep(0.001)
        line.close()
    assert emulator.world.open_sessions == 0


@pytest.mark.parametrize(
    ("breach", "code"), [(masked(b"x" * 1000, size=2**30), 1009), (masked(b"\xff"), 1007)], ids=["too big", "no UTF-8"]
)
@pytest.mark.behaviour("emulator-oversize")
async def test_breach_right_behind_a_message_is_told_and_nothing_is_sent_into_it(
    breach: bytes, code: int, standing_in: Make
) -> None:
    with anyio.fail_after(8):
        async with standing_in() as emulator:
            line = await raw_socket(emulator)
            line.sendall(masked(b'{"do":"later","ms":50}') + breach)
            told = b""
            while piece := await anyio.to_thread.run_sync(line.recv, 65536):
                told += piece
            line.close()
    assert struct.pack("!H", code) in told
    assert b'"later"' not in told


async def test_stop_leaves_no_task_behind(standing_in: Make, anyio_backend_name: str) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("the server's loop ends with its thread")
    before = asyncio.all_tasks()
    async with standing_in() as emulator:
        async with emulator.client().realtime.connect() as connection:
            await connection.receive()
    assert asyncio.all_tasks() == before


async def test_many_calls_in_process_leave_nothing_open(standing_in: Make, engines: list[StandIn]) -> None:
    emulator = standing_in()
    client = AsyncClient(transport=emulator.transport())
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:

            async def call() -> None:
                async with client.realtime.connect() as connection:
                    await connection.receive()
                    await connection.send({"do": "later", "ms": 5})
                    await connection.receive()

            for _ in range(50):
                tasks.start_soon(call)
    assert emulator.world.open_sessions == 0
    assert all(engine.gone_ms is not None for engine in engines)


@pytest.mark.behaviour("emulator-missing-extra")
def test_missing_extra_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xai_realtime.emulator.emulator.find_spec", lambda name: None if name == "uvicorn" else True)
    with pytest.raises(ConfigurationError, match=r"needs uvicorn: pip install 'xai-realtime\[emulator\]'"):
        Emulator()


def test_importing_the_emulator_loads_neither_server_nor_framework() -> None:
    code = "import sys, xai_realtime.emulator; print(*sorted({'starlette', 'uvicorn', 'numpy'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout.strip()) == (0, "")


def test_failure_inside_the_servers_thread_reaches_who_starts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from xai_realtime.emulator import server

    def broken() -> Any:
        raise RuntimeError("planted")

    thread = server._Thread(broken)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="planted"):
        thread.start()


def test_python_scenario_reaches_the_world() -> None:
    assert Emulator(lambda prompt: prompt.heard).world.scenario.turn(Prompt("x")).say == "x"
