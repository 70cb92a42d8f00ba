"""Recording around any transport: what is kept, and what a failed or killed run leaves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.tapes import (
    REQUEST,
    URL,
    In,
    Out,
    append,
    make_tape,
    message,
)
from xai_realtime.cassette.recording import record
from xai_realtime.cassette.redaction import Rule
from xai_realtime.cassette.replay import replay
from xai_realtime.cassette.tape import load_cassette
from xai_realtime.errors import (
    ClosedByServerError,
    ClosedByUsError,
    ConfigurationError,
    ConnectError,
    ConnectionBrokenError,
    ConnectionClosedError,
    HandshakeError,
    LocalProtocolError,
    MessageTooLargeError,
    RedactionError,
)
from xai_realtime.frames import Frame
from xai_realtime.transport.base import Channel, ChannelRequest, Transport
from xai_realtime.transport.memory import memory_pair

EPOCH = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Scripted(Transport):
    """A transport whose handshake or line fails as told."""

    def __init__(self, *, refusal: Exception | None = None, end: ConnectionClosedError | None = None) -> None:
        self.refusal = refusal
        self.end = end
        self.left_with: object = "never entered"

    @asynccontextmanager
    async def open(self, request: ChannelRequest) -> AsyncIterator[Channel]:  # type: ignore[override]
        if self.refusal is not None:
            raise self.refusal
        yield ScriptedChannel(self.end)

    async def __aexit__(self, *failure: Any) -> None:
        self.left_with = failure[0]


class ScriptedChannel(Channel):
    """Answers each message with itself, until it is told to end; frames arrive even while we close."""

    subprotocol = "xai.v1"

    def __init__(self, end: ConnectionClosedError | None) -> None:
        self.frames: list[Frame] = []
        self.end = end

    async def send(self, frame: Frame) -> None:
        if frame.data == b'"end"' and self.end is not None:
            raise self.end
        self.frames.append(frame)

    async def receive(self) -> Frame:
        if not self.frames:
            raise self.end or ClosedByUsError(1000)
        return self.frames.pop(0)

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        return None


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def kinds(path: Path) -> list[str]:
    return [line["kind"] for line in lines(path)]


@pytest.mark.anyio
async def test_recording_holds_what_passed_in_both_directions(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "t.jsonl"
    frames = [message({"type": "a"}), Frame(b"no json"), Frame(b"\1\2", False), message(append(b"\3\4"))]
    with anyio.fail_after(5):
        async with record(path, Scripted(), recorded_at=EPOCH, notes="a note") as transport:
            async with transport.open(REQUEST) as channel:
                assert channel.subprotocol == "xai.v1"
                for frame in frames:
                    await channel.send(frame)
                    assert await channel.receive() == frame
                transport.mark("barge-in")
    tape = load_cassette(path)
    assert tape.complete
    assert [record.direction for record in tape.connections[1].frames] == ["out", "in"] * 4
    assert [tape.frame(record) for record in tape.connections[1].frames] == [frame for frame in frames for _ in "ab"]
    written = lines(path)
    assert [line["kind"] for line in written[-3:]] == ["mark", "close", "end"]
    assert written[-2] | {"at_ms": 0} == {
        "kind": "close",
        "conn": 1,
        "at_ms": 0,
        "by": "client",
        "code": 1000,
        "reason": "",
        "clean": True,
    }
    assert (written[0]["recorded_at"], written[0]["notes"]) == ("2026-01-02T03:04:05Z", "a note")
    assert written[1] | {"at_ms": 0} == {
        "kind": "open",
        "conn": 1,
        "at_ms": 0,
        "url": URL,
        "subprotocol": "xai.v1",
        "status": 101,
        "headers": {},
        "body": None,
    }
    assert transport.path == path


@pytest.mark.anyio
@pytest.mark.behaviour("replay-ends-as-recorded")
@pytest.mark.parametrize("side", ["send", "receive"])
@pytest.mark.parametrize(
    ("end", "by", "code", "clean"),
    [
        (ClosedByServerError(1000), "server", 1000, True),
        (ClosedByServerError(1011, "why"), "server", 1011, False),
        (ConnectionBrokenError(None, "why"), "network", None, False),
        (MessageTooLargeError(limit_bytes=5, reason="why"), "client", 1009, False),
        (ClosedByUsError(1001), "client", 1001, True),
    ],
)
async def test_end_of_the_line_is_on_the_tape_and_replays_as_it_was(
    tmp_path: Path, side: str, end: ConnectionClosedError, by: str, code: int | None, clean: bool
) -> None:
    async with record(tmp_path / "t.jsonl", Scripted(end=end)) as transport, transport.open(REQUEST) as channel:
        with pytest.raises(type(end)):
            await (channel.send(Frame(b'"end"')) if side == "send" else channel.receive())
        with pytest.raises(type(end)):
            await channel.receive()
        await channel.aclose()
    closes = [line for line in lines(tmp_path / "t.jsonl") if line["kind"] == "close"]
    assert [(close["by"], close["code"], close["reason"], close["clean"]) for close in closes] == [
        (by, code, end.reason, clean)
    ]
    if isinstance(end, ClosedByUsError):
        return
    async with replay(tmp_path / "t.jsonl") as again, again.open(REQUEST) as channel:
        if side == "send":
            await channel.send(Frame(b'"end"'))
        with anyio.fail_after(5), pytest.raises(type(end)):
            await channel.receive()


@pytest.mark.anyio
async def test_frame_that_arrives_while_we_close_is_handed_on_and_the_tape_still_loads(tmp_path: Path) -> None:
    async with record(tmp_path / "t.jsonl", Scripted()) as transport, transport.open(REQUEST) as channel:
        await channel.send(message({"type": "a"}))
        await channel.aclose(1000)
        assert await channel.receive() == message({"type": "a"})
        await channel.send(message({"type": "late"}))
    assert kinds(tmp_path / "t.jsonl") == ["header", "open", "frame", "close", "end"]
    load_cassette(tmp_path / "t.jsonl")


@pytest.mark.anyio
@pytest.mark.behaviour("replay-refused-handshake")
async def test_refused_handshake_is_recorded_and_replays(tmp_path: Path) -> None:
    refusal = HandshakeError(
        "no",
        status=400,
        headers={"X-Request-Id": "r", "Set-Cookie": "c=1", "Server": "s"},
        body=b'{"code":"x","error":"Incorrect API key provided: xai-CANARYcanaryCANARYcanary0123456789"}',
    )
    with anyio.fail_after(5):
        async with record(tmp_path / "t.jsonl", Scripted(refusal=refusal)) as transport:
            with pytest.raises(HandshakeError):
                async with transport.open(REQUEST):
                    raise AssertionError("opened")
        opened = lines(tmp_path / "t.jsonl")[1]
        assert opened["status"] == 400
        assert opened["headers"] == {"x-request-id": "r", "set-cookie": "[redacted]"}
        async with replay(tmp_path / "t.jsonl") as again:
            with pytest.raises(HandshakeError) as caught:
                async with again.open(REQUEST):
                    raise AssertionError("opened")
    assert (caught.value.status, caught.value.code) == (400, "x")
    assert "CANARY" not in str(caught.value)


@pytest.mark.anyio
async def test_handshake_error_of_the_users_own_block_is_no_refused_handshake(tmp_path: Path) -> None:
    with pytest.raises(HandshakeError):
        async with record(tmp_path / "t.jsonl", Scripted()) as transport, transport.open(REQUEST):
            raise HandshakeError("another", status=401)
    assert kinds(tmp_path / "t.failed.jsonl") == ["header", "open", "close", "end"]


@pytest.mark.anyio
async def test_connection_that_never_came_about_leaves_no_record(tmp_path: Path) -> None:
    async with record(tmp_path / "t.jsonl", Scripted(refusal=ConnectError("none"))) as transport:
        with pytest.raises(ConnectError):
            async with transport.open(REQUEST):
                raise AssertionError("opened")
    assert kinds(tmp_path / "t.jsonl") == ["header", "end"]


# What a run leaves.


@pytest.mark.anyio
@pytest.mark.behaviour("record-failed-run-is-kept-apart")
async def test_failed_run_is_kept_beside_the_tape_and_replaces_nothing(tmp_path: Path) -> None:
    make_tape(tmp_path / "t.jsonl", In({"type": "good"}))
    good = (tmp_path / "t.jsonl").read_bytes()
    inner = Scripted()
    with pytest.raises(KeyError):
        async with record(tmp_path / "t.jsonl", inner) as transport, transport.open(REQUEST) as channel:
            await channel.send(message({"type": "a"}))
            raise KeyError("mine")
    assert (tmp_path / "t.jsonl").read_bytes() == good
    failed = load_cassette(tmp_path / "t.failed.jsonl")
    assert transport.path == failed.path
    assert not failed.complete
    assert failed.connections[1].frames[0].type == "a"
    assert inner.left_with is KeyError


@pytest.mark.anyio
@pytest.mark.behaviour("record-failed-run-is-kept-apart")
async def test_run_whose_transport_fails_at_its_end_is_kept_as_failed(tmp_path: Path) -> None:
    tape = make_tape(tmp_path / "source.jsonl", In({"type": "a"}), Out({"type": "1"}))
    with pytest.raises(Exception, match="unsent"):
        async with record(tmp_path / "t.jsonl", replay(tape)) as transport, transport.open(REQUEST) as channel:
            await channel.receive()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source.jsonl", "t.failed.jsonl"]


@pytest.mark.anyio
@pytest.mark.behaviour("record-failed-run-is-kept-apart")
async def test_cancelled_run_is_kept_as_failed(tmp_path: Path) -> None:
    with anyio.move_on_after(0.01):
        async with record(tmp_path / "t.jsonl", Scripted()) as transport, transport.open(REQUEST):
            await anyio.sleep_forever()
    assert not load_cassette(tmp_path / "t.failed.jsonl").complete
    assert not (tmp_path / "t.jsonl").exists()


@pytest.mark.anyio
@pytest.mark.behaviour("tape-partial-loads")
async def test_killed_run_leaves_a_partial_that_loads(tmp_path: Path) -> None:
    partial = tmp_path / "t.jsonl.partial"
    async with record(tmp_path / "t.jsonl", Scripted()) as transport, transport.open(REQUEST) as channel:
        await channel.send(message(append(b"\1\2\3\4")))
        tape = load_cassette(partial)
        assert not tape.complete
        assert json.loads(tape.frame(tape.connections[1].frames[0]).data) == append(b"\1\2\3\4")
        with anyio.fail_after(5):
            again = replay(tape)
            async with again.open(REQUEST) as replayed:
                await replayed.send(message(append(b"\1\2\3\4")))
                with pytest.raises(ClosedByServerError):
                    await replayed.receive()
    assert not partial.exists()


@pytest.mark.anyio
async def test_inner_transport_is_left_when_the_tape_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    inner = Scripted()
    with pytest.raises(OSError):
        async with record(tmp_path / "file" / "t.jsonl", inner):
            raise AssertionError("entered")
    assert inner.left_with is not None
    assert isinstance(inner.left_with, type) and issubclass(inner.left_with, OSError)


# Secrets.

CANARY = "xai-CANARYcanaryCANARYcanary0123456789"


@pytest.mark.anyio
@pytest.mark.behaviour("tape-holds-no-secret")
async def test_key_in_use_is_nowhere_on_the_tape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_API_KEY", "otherKEYother")
    key = "plainKEYplain"
    request = ChannelRequest(
        f"{URL}&token={key}",
        headers={"Authorization": f"Bearer {key}"},
        subprotocols=(f"xai-client-secret.{CANARY}",),
    )
    async with record(
        tmp_path / "t.jsonl",
        Scripted(),
        secrets=["mineMINEmine"],
        rules=[Rule("r", pattern="zebra")],
        notes=f"n {CANARY}",
    ) as transport:
        async with transport.open(request) as channel:
            for secret in (key, CANARY, "otherKEYother", "mineMINEmine", "zebra"):
                await channel.send(message({"type": "a", "said": f"the {secret}"}))
                await channel.receive()
                await channel.send(Frame(f"no json {secret}".encode()))
            transport.mark(f"mark {key}")
    text = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in (key, CANARY, "otherKEYother", "mineMINEmine", "zebra"):
        assert secret.encode() not in text
    assert json.loads(text.splitlines()[0])["redaction"]["policy"] == "custom"


@pytest.mark.anyio
@pytest.mark.behaviour("tape-scan-refuses")
async def test_recording_refuses_to_put_a_tape_in_place_when_its_scan_finds_a_secret(tmp_path: Path) -> None:
    async def run() -> None:
        async with record(tmp_path / "t.jsonl", Scripted()) as transport:
            async with transport.open(REQUEST) as channel:
                await channel.send(message({"type": "a", "said": "learntLATER"}))
            late = ChannelRequest(URL, headers={"Authorization": "Bearer learntLATER"})
            async with transport.open(late):
                pass

    with pytest.raises(RedactionError) as caught:
        await run()
    assert caught.value.line == 3
    assert "LATER" not in str(caught.value)
    assert not (tmp_path / "t.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"origin": "x"}, "origin 'x': allowed are live"),
        ({"service": "x"}, "service 'x': allowed are realtime"),
        ({"path": "t.json"}, "ends in .jsonl"),
    ],
)
def test_record_names_the_setting_that_is_wrong(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        record(tmp_path / options.pop("path", "t.jsonl"), Scripted(), **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.anyio
async def test_recording_that_was_not_entered_says_so(tmp_path: Path) -> None:
    transport = record(tmp_path / "t.jsonl", Scripted())
    with pytest.raises(LocalProtocolError, match="enter it"):
        transport.mark("x")
    with pytest.raises(LocalProtocolError, match="enter it"):
        async with transport.open(REQUEST):
            raise AssertionError("opened")


def test_recording_needs_a_key_when_what_it_records_does(tmp_path: Path) -> None:
    assert record(tmp_path / "t.jsonl", Scripted()).needs_key
    assert not record(tmp_path / "t.jsonl", memory_pair()[0]).needs_key
    assert not list(tmp_path.iterdir())


@pytest.mark.anyio
@pytest.mark.parametrize("keep", [True, False])
async def test_minted_ids_get_names_unless_they_are_kept(tmp_path: Path, keep: bool) -> None:
    minted = "3d301c41-bc81-4592-b73a-6c01a29d2d4a"
    async with record(tmp_path / "t.jsonl", Scripted(), keep_ids=keep) as transport:
        async with transport.open(REQUEST) as channel:
            await channel.send(message({"type": "a", "item_id": minted}))
    assert lines(tmp_path / "t.jsonl")[2]["json"]["item_id"] == (minted if keep else "item_1")
