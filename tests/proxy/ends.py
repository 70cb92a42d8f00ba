"""Both ends of a proxied line: clients that are bare sockets, and a server that echoes."""

from __future__ import annotations

import socket
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from xai_realtime.transport.base import ChannelRequest

__all__ = ["KEY", "KEYED", "NONCE", "UPGRADE", "bare_answer", "bare_client", "echo", "handshake_bytes", "request"]

KEY = "xai-canary-0123456789abcdef0123"
KEYED = {"Authorization": f"Bearer {KEY}"}
UPGRADE = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
NONCE = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="


def request(url: str, **more: Any) -> ChannelRequest:
    return ChannelRequest(url, headers=KEYED, **more)


async def echo(connection: ServerConnection) -> None:
    try:
        while True:
            message = await connection.recv(decode=False)
            # The connection does not tell text from binary here, so the first byte does.
            await connection.send(message, text=not message.startswith(b"\0"))
    except ConnectionClosed:
        return


def handshake_bytes(*headers: str, method: str = "GET", path: str = "/v1/realtime") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: here", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def bare_client(port: int, farewell: bytes, listens: bool = False) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(handshake_bytes(*UPGRADE, NONCE))
        assert sock.recv(4096).startswith(b"HTTP/1.1 101 ")
        sock.sendall(farewell)
        return sock.recv(4096) if listens else b""


def bare_answer(port: int, *pieces: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        for piece in pieces:
            sock.sendall(piece)
        data = b""
        while chunk := sock.recv(65536):
            data += chunk
        return data
