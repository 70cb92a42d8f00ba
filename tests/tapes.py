"""Small tapes for tests, and a client that plays any script of messages against a tape."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest

from xai_realtime.cassette.matching import MatchPolicy
from xai_realtime.cassette.records import Header
from xai_realtime.cassette.redaction import Redactor
from xai_realtime.cassette.replay import ReplayTransport, replay
from xai_realtime.cassette.tape import Cassette, load_cassette
from xai_realtime.cassette.writer import CassetteWriter
from xai_realtime.errors import ConnectionClosedError, HandshakeError
from xai_realtime.frames import Frame
from xai_realtime.transport.base import Channel, ChannelRequest
from xai_realtime.virtual_time import run_virtual

__all__ = [
    "BACKENDS",
    "COMMITTED",
    "DERIVED",
    "OWN",
    "REQUEST",
    "SHORT",
    "URL",
    "Close",
    "Entry",
    "In",
    "Open",
    "Out",
    "Say",
    "append",
    "audio_delta",
    "event",
    "header",
    "heard",
    "leaves",
    "make_tape",
    "message",
    "on",
    "perform",
    "scripts_of",
    "talk",
    "unwrapped",
]

COMMITTED = sorted((Path(__file__).resolve().parent.parent / "cassettes" / "realtime").glob("*.jsonl"))
OWN = [path for path in COMMITTED if path.stem.startswith("emulator_")]
DERIVED = [path for path in COMMITTED if path not in OWN]
SHORT = [path for path in COMMITTED if path.stem != "emulator_long_call"]
BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
URL = "wss://api.x.ai/v1/realtime?model=grok-voice-latest"
REQUEST = ChannelRequest(URL)
STEP_MS = 10.0


@dataclass
class Open:
    """A handshake."""

    conn: int = 1
    at_ms: float | None = None
    url: str | None = URL
    status: int = 101
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class In:
    """A message of the server: a JSON value, or a Frame as it is."""

    value: Any
    at_ms: float | None = None
    conn: int = 1
    direction: Literal["in", "out"] = "in"


@dataclass
class Out(In):
    """A message of the client."""

    direction: Literal["in", "out"] = "out"


@dataclass
class Close:
    """The end of a connection."""

    by: Literal["client", "server", "network"] = "client"
    code: int | None = 1000
    reason: str = ""
    at_ms: float | None = None
    conn: int = 1


Entry = Open | In | Close


def message(value: Any) -> Frame:
    """The text message of a JSON value; a Frame stays one."""
    return (
        value
        if isinstance(value, Frame)
        else Frame(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())
    )


def append(audio: bytes, **more: Any) -> dict[str, Any]:
    """An `input_audio_buffer.append`."""
    return {"type": "input_audio_buffer.append", "audio": _base64(audio), **more}


def audio_delta(audio: bytes, item_id: str = "item_1", **more: Any) -> dict[str, Any]:
    """A `response.output_audio.delta`."""
    return {
        "type": "response.output_audio.delta",
        "item_id": item_id,
        "response_id": "resp_1",
        "delta": _base64(audio),
        **more,
    }


def _base64(audio: bytes) -> str:
    import base64

    return base64.b64encode(audio).decode()


def header(**changes: Any) -> Header:
    """The header of a synthetic tape."""
    return replace(Header(origin="synthetic"), **changes)


def make_tape(path: Path, *entries: Entry, finish: bool = True, **changes: Any) -> Cassette:
    """Write and load a tape. Entries without a time come 10 ms after the one before; an Open is put first."""
    writer = CassetteWriter(path, header(**changes), Redactor(environ={}), None)
    now = -STEP_MS
    listed = entries if entries and isinstance(entries[0], Open) else (Open(), *entries)
    for entry in listed:
        now = now + STEP_MS if entry.at_ms is None else entry.at_ms
        if isinstance(entry, Open):
            writer.open(entry.conn, now, entry.url, status=entry.status, body=entry.body, headers=entry.headers)
        elif isinstance(entry, Close):
            clean = entry.code in (1000, 1001)
            writer.close(entry.conn, now, entry.by, entry.code, entry.reason, clean)
        else:
            writer.frame(entry.conn, now, entry.direction, message(entry.value))
    if not finish:
        writer.abandon()
        return load_cassette(path.with_name(path.name + ".partial"))
    return load_cassette(writer.finish())


@dataclass
class Say:
    """One step of a script: after how many messages were heard, what is sent."""

    heard: int
    frame: Frame


def scripts_of(tape: Cassette) -> dict[int, list[Say]]:
    """What the tape's client did, connection by connection."""
    scripts: dict[int, list[Say]] = {}
    for conn, taped in tape.connections.items():
        heard = 0
        scripts[conn] = []
        for record in taped.frames:
            if record.direction == "in":
                heard += 1
            else:
                scripts[conn].append(Say(heard, tape.frame(record)))
    return scripts


async def perform(
    tape: Cassette,
    scripts: dict[int, list[Say]] | None = None,
    *,
    policy: MatchPolicy | None = None,
    ids: Literal["canonical", "fresh"] = "canonical",
) -> list[Frame]:
    """Play scripts against a tape, one connection after the other, with a reader of its own; what was heard.

    Raises what the replay raises, out of its groups.
    """
    scripts = scripts_of(tape) if scripts is None else scripts
    heard: list[Frame] = []
    try:
        async with replay(tape, policy=policy, ids=ids) as transport:
            for conn in tape.connections:
                heard += await _connection(tape, transport, conn, scripts[conn])
    except BaseExceptionGroup as failures:
        raise unwrapped(failures) from None
    return heard


async def _connection(tape: Cassette, transport: ReplayTransport, conn: int, script: Sequence[Say]) -> list[Frame]:
    taped = tape.connections[conn]
    heard: list[Frame] = []
    is_over = False
    news = anyio.Event()

    async def read(channel: Channel) -> None:
        nonlocal is_over, news
        try:
            while True:
                heard.append(await channel.receive())
                news.set()
                news = anyio.Event()
        except ConnectionClosedError:
            is_over = True
            news.set()

    try:
        async with transport.open(ChannelRequest(taped.open.url or URL)) as channel:
            async with anyio.create_task_group() as group:
                group.start_soon(read, channel)
                for say in script:
                    while len(heard) < say.heard and not is_over:
                        await news.wait()
                    await channel.send(say.frame)
                inbound = sum(record.direction == "in" for record in taped.frames)
                while len(heard) < inbound and not is_over:
                    await news.wait()
                if taped.close is None or taped.close.by == "client":
                    await channel.aclose()
    except HandshakeError:
        if taped.open.status == 101:
            raise
    return heard


def unwrapped(failure: BaseException) -> BaseException:
    """The failure that came first, out of the groups that task groups make."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every leaf of a JSON value; an empty object or list is a leaf."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path


def event(name: str) -> dict[str, str]:
    """An event that is its type alone."""
    return {"type": name}


def talk(folder: Path, **changes: Any) -> Cassette:
    """a | 1 | b c | 2 | d | 3 | e: letters are received (lines 3, 5, 6, 8, 10), numbers sent (lines 4, 7, 9)."""
    kinds = [In, Out, In, In, Out, In, Out, In]
    return make_tape(
        folder / "t.jsonl",
        *(kind(event(name)) for kind, name in zip(kinds, "a1bc2d3e", strict=True)),
        Close(),
        **changes,
    )


async def heard(channel: Channel) -> str:
    """Receive the next message and give its type."""
    return str(json.loads((await channel.receive()).data)["type"])


def on(backend: Any, main: Callable[[], Awaitable[Any]]) -> Any:
    """Run in virtual time; the first failure out of its groups."""
    try:
        return run_virtual(main, backend=backend)
    except BaseExceptionGroup as failures:
        raise unwrapped(failures) from None
