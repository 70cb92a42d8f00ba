"""Settings and requests of the live line that are refused before anything is sent."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tests.transport.peers import WEBSOCKETS
from xai_realtime.errors import ConfigurationError
from xai_realtime.transport.base import ChannelRequest
from xai_realtime.transport.websocket import WebSocketTransport

SECRET = "xai-canary-0123456789abcdef"


@pytest.mark.parametrize("name", ["open_timeout_s", "close_timeout_s", "ping_interval_s", "ping_timeout_s"])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), True, "10"])
def test_transport_refuses_when_a_time_is_no_positive_number(name: str, value: object) -> None:
    settings: dict[str, Any] = {name: value}
    with pytest.raises(ConfigurationError, match=f"{name} is {value!r}; a finite number of seconds above 0"):
        WebSocketTransport(**settings)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"max_message_bytes": 0}, "max_message_bytes is 0"),
        ({"max_message_bytes": 1.5}, "max_message_bytes is 1.5"),
        ({"max_message_bytes": True}, "max_message_bytes is True"),
        ({"compression": "deflate"}, "compression is 'deflate'; True or False"),
        ({"ssl_context": True}, "ssl_context is a bool"),
        ({"user_agent": "a\r\nb"}, "user_agent"),
        ({"user_agent": 7}, "user_agent"),
        ({"proxy": "ftp://host"}, "proxy must be True"),
        ({"proxy": "http://"}, "proxy must be True"),
        ({"proxy": "http://[half"}, "proxy must be True"),
        ({"proxy": "http://host:99999"}, "proxy must be True"),
        ({"proxy": 7}, "proxy must be True"),
    ],
)
def test_transport_refuses_when_a_setting_is_out_of_range(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        WebSocketTransport(**settings)


def test_transport_hides_the_proxys_password_when_it_refuses() -> None:
    with pytest.raises(ConfigurationError) as caught:
        WebSocketTransport(proxy=f"ftp://user:{SECRET}@host")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("proxy", [True, False, None, "http://host:3128", "socks5h://user:word@host"])
def test_transport_takes_a_proxy_when_it_is_one(proxy: Any) -> None:
    WebSocketTransport(proxy=proxy, ping_interval_s=None, ping_timeout_s=None, user_agent=None)


@pytest.mark.anyio
@pytest.mark.behaviour("ws-request-checked")
@pytest.mark.parametrize(
    "request_",
    [
        ChannelRequest(f"http://127.0.0.1:9/?token={SECRET}"),
        ChannelRequest(f"ws://?token={SECRET}"),
        ChannelRequest(f"ws://[half?token={SECRET}"),
        ChannelRequest(f"ws://host:99999?token={SECRET}"),
        ChannelRequest(f"ws://user:{SECRET}@127.0.0.1:9/"),
        ChannelRequest(f"ws://127.0.0.1:9/#{SECRET}"),
        ChannelRequest(f"ws://127.0.0.1:9/{SECRET}\x00"),
        ChannelRequest("ws://127.0.0.1:9/", headers={"Authorization": f"Bearer {SECRET}\r\nX: y"}),
        ChannelRequest("ws://127.0.0.1:9/", headers={"Bad Name": SECRET}),
        ChannelRequest("ws://127.0.0.1:9/", headers={"Host": SECRET}),
        ChannelRequest("ws://127.0.0.1:9/", headers={"Sec-WebSocket-Key": SECRET}),
        ChannelRequest("ws://127.0.0.1:9/", subprotocols=(f"{SECRET} {SECRET}",)),
        ChannelRequest(f"ws://{'a' * 70}ü.example/?token={SECRET}"),
    ],
    ids=lambda request: None,
)
async def test_open_refuses_without_showing_a_secret_when_the_request_cannot_work(
    live_backend: str, request_: ChannelRequest
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        async with WebSocketTransport(proxy=None).open(request_):
            raise AssertionError("opened")
    assert SECRET not in str(caught.value)


@pytest.mark.anyio
@pytest.mark.behaviour("ws-virtual-time")
async def test_open_refuses_when_time_is_virtual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xai_realtime.transport.websocket.time_is_virtual", lambda: True)
    with pytest.raises(ConfigurationError, match="virtual time"):
        async with WebSocketTransport().open(ChannelRequest("ws://127.0.0.1:9/")):
            raise AssertionError("opened")


@pytest.mark.anyio
@pytest.mark.behaviour("ws-trio-floor")
async def test_open_says_what_trio_needs_when_websockets_is_too_old(
    anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if anyio_backend == "asyncio":
        pytest.skip("asyncio works with all versions")
    monkeypatch.setattr("websockets.version.version", "16.0")
    with pytest.raises(ConfigurationError, match=r"websockets >= 17; installed is 16\.0"):
        async with WebSocketTransport().open(ChannelRequest("ws://127.0.0.1:9/")):
            raise AssertionError("opened")


def test_import_stays_cheap_when_no_socket_is_opened() -> None:
    code = (
        "import sys, xai_realtime.transport.websocket as w; w.WebSocketTransport(); "
        "print([m for m in ('websockets', 'trio', 'httpx2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "[]"


def test_websockets_under_test_is_supported() -> None:
    assert 15 <= WEBSOCKETS <= 17
