"""Bad messages in a row through one real socket, on every event loop that can open one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tests.bad_inputs import BAD
from xai_realtime import AsyncClient, AudioDecodeError, InvalidEvent, MessageTooLargeError, UnknownEvent
from xai_realtime.events import realtime

pytestmark = pytest.mark.anyio

HUGE = "64 MiB message"


@pytest.mark.behaviour("connection-bad-inputs-over-a-socket")
async def test_bad_inputs_leave_the_socket_usable_until_a_message_is_too_large(
    live_backend: str, server: Callable[..., str]
) -> None:
    async def handler(socket: Any) -> None:
        for data, _ in BAD.values():
            await socket.recv()
            await socket.send(data, text=True)
        await socket.wait_closed()

    seen: list[str] = []
    with anyio.fail_after(20):
        async with AsyncClient() as client:
            async with client.realtime.connect(url=server(handler, max_size=None), api_key="key") as connection:
                for name, (data, kind) in BAD.items():
                    await connection.send(realtime.ResponseCreate())
                    if name == HUGE:
                        continue
                    event = await connection.receive()
                    assert type(event) is kind, name
                    if isinstance(event, InvalidEvent):
                        assert event.reason and data.startswith(event.raw), name
                    elif isinstance(event, UnknownEvent):
                        assert event.raw == data, name
                    else:
                        with pytest.raises(AudioDecodeError, match="is no base64"):
                            event.audio  # type: ignore[union-attr]
                    seen.append(name)
                with pytest.raises(MessageTooLargeError) as caught:
                    await connection.receive()
    assert [*seen, HUGE] == list(BAD)
    assert caught.value.limit_bytes == 16 * 1024 * 1024
