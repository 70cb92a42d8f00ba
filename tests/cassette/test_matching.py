"""What of a sent message must agree: values, ids, audio, addresses."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.tapes import URL, Close, In, Open, Out, Say, append, make_tape, message, perform
from xai_realtime.cassette.matching import IdBinding, MatchPolicy, compare, same_address
from xai_realtime.cassette.redaction import Rule
from xai_realtime.cassette.replay import replay
from xai_realtime.cassette.tape import Cassette
from xai_realtime.errors import ClosedByServerError, ConfigurationError, ReplayMismatchError
from xai_realtime.frames import Frame
from xai_realtime.transport.base import Channel, ChannelRequest

pytestmark = pytest.mark.anyio
REQUEST = ChannelRequest(URL)
MINTED = "3d301c41-bc81-4592-b73a-6c01a29d2d4a"
OTHER = "0f5efcd5-76f1-4a00-9cac-d907e17d4434"


async def value(channel: Channel) -> Any:
    return json.loads((await channel.receive()).data)


async def send(tape: Cassette, *values: Any, policy: MatchPolicy | None = None) -> None:
    """Send messages against a tape of sends alone."""
    await perform(tape, {1: [Say(0, message(each)) for each in values]}, policy=policy)


async def mismatch(tape: Cassette, *values: Any, policy: MatchPolicy | None = None) -> ReplayMismatchError:
    with anyio.fail_after(5), pytest.raises(ReplayMismatchError) as caught:
        await send(tape, *values, policy=policy)
    return caught.value


# Values.


@pytest.mark.parametrize(
    ("recorded", "sent", "where", "expected", "actual"),
    [
        ({"type": "a", "x": 1}, {"type": "a", "x": 2}, "x", "1", "2"),
        ({"type": "a", "x": 1}, {"type": "a", "x": True}, "x", "1", "True"),
        ({"type": "a", "x": 1}, {"type": "a"}, "x", "1", "(absent)"),
        ({"type": "a"}, {"type": "a", "x": None}, "x", "(absent)", "None"),
        ({"type": "a", "x": None}, {"type": "a"}, "x", "None", "(absent)"),
        ({"type": "a", "x": [{"y": 1}]}, {"type": "a", "x": [{"y": 2}]}, "x[0].y", "1", "2"),
        ({"type": "a", "x": [1, 2]}, {"type": "a", "x": [1]}, "x", "2 entries", "1 entries"),
        ({"type": "a", "x": [1]}, {"type": "a", "x": {"0": 1}}, "x", "[1]", "{'0': 1}"),
        ({"type": "a"}, {"type": "b"}, "type", "'a'", "'b'"),
        ({"type": "a", "s": {"event_id": "x"}}, {"type": "a", "s": {"event_id": "y"}}, "s.event_id", "'x'", "'y'"),
        ([1], [2], "[0]", "1", "2"),
        (5, 6, "", "5", "6"),
    ],
)
async def test_mismatch_names_path_expected_actual_and_line(
    tmp_path: Path, recorded: Any, sent: Any, where: str, expected: str, actual: str
) -> None:
    tape = make_tape(tmp_path / "t.jsonl", Out(recorded), In({"type": "after"}))
    error = await mismatch(tape, sent)
    assert (error.where, error.expected, error.actual, error.line) == (where, expected, actual, 3)
    assert error.around[0].startswith("line 3 out")
    assert error.around[1] == "line 4 in  after"
    text = str(error)
    assert f"{tape.path}:3: " in text
    assert f"expected {expected}" in text


@pytest.mark.parametrize("sent", [{"x": 1.0, "type": "a"}, {"type": "a", "x": 1, "event_id": "evt"}])
async def test_message_agrees_when_only_key_order_number_form_or_event_id_differ(tmp_path: Path, sent: Any) -> None:
    with anyio.fail_after(5):
        await send(make_tape(tmp_path / "t.jsonl", Out({"type": "a", "x": 1})), sent)
        await send(make_tape(tmp_path / "t.jsonl", Out({"type": "a", "x": 1, "event_id": "e"})), sent)


async def test_mismatch_shows_long_values_bounded_and_secrets_not_at_all(tmp_path: Path) -> None:
    secret = "xai-CANARYcanaryCANARYcanary0123456789"
    tape = make_tape(tmp_path / "t.jsonl", Out({"type": "a", "x": "y" * 5000}))
    error = await mismatch(tape, {"type": "a", "x": f"{secret} {'z' * 5000}"})
    assert len(str(error)) < 1000
    assert "(5002 characters)" in error.expected
    assert "CANARY" not in str(error)


@pytest.mark.parametrize(
    "sent", [Frame(b"no json"), Frame(b"no json too"), Frame(b"\xff"), Frame(b"", False), {"type": "a"}]
)
async def test_text_that_is_no_json_is_compared_as_it_is(tmp_path: Path, sent: Any) -> None:
    for recorded in (Frame(b"no json"), Frame(b"\xff"), Frame(b"", False)):
        tape = make_tape(tmp_path / "t.jsonl", Out(recorded))
        if message(sent) == recorded:
            await send(tape, sent)
        else:
            assert (await mismatch(tape, sent)).line == 3


async def test_send_beyond_the_end_of_the_tape_is_a_mismatch(tmp_path: Path) -> None:
    error = await mismatch(make_tape(tmp_path / "t.jsonl", Out({"type": "a"})), {"type": "a"}, {"type": "b"})
    assert (error.reason, error.actual, error.line) == ("the tape has no further outgoing frame", "b", 3)
    error = await mismatch(make_tape(tmp_path / "t.jsonl", Close(code=1000)), {"type": "b"})
    assert error.line == 3
    error = await mismatch(make_tape(tmp_path / "t.jsonl", In({"type": "x"}), Close(code=1000)), append(b"\1"))
    assert "audio was sent" in error.reason


async def test_send_after_the_end_of_a_tape_without_close_is_a_mismatch_though_its_end_was_read(tmp_path: Path) -> None:
    transport = replay(make_tape(tmp_path / "t.jsonl", Open()))
    async with transport.open(REQUEST) as channel:
        with anyio.fail_after(5), pytest.raises(ClosedByServerError):
            await channel.receive()
        with pytest.raises(ReplayMismatchError) as caught:
            await channel.send(message({"type": "late"}))
    assert caught.value.line == 2


@pytest.mark.behaviour("match-policy-is-data")
@pytest.mark.parametrize(
    ("ignore", "agrees"),
    [
        ({"a": ("x",)}, True),
        ({"*": ("x",)}, True),
        ({"a": ("x.y",)}, True),
        ({"a": ("x.y[0]",)}, True),
        ({"a": ("x.y[0].z",)}, True),
        ({"a": ("x.y[1]",)}, False),
        ({"a": ("x.yy", "xx", "")}, False),
        ({"b": ("x",)}, False),
        ({}, False),
    ],
)
async def test_policy_ignores_the_paths_it_lists_and_what_is_below(
    tmp_path: Path, ignore: dict[str, tuple[str, ...]], agrees: bool
) -> None:
    tape = make_tape(tmp_path / "t.jsonl", Out({"type": "a", "x": {"y": [{"z": 1}]}}))
    sent = {"type": "a", "x": {"y": [{"z": 2}]}}
    if agrees:
        await send(tape, sent, policy=MatchPolicy(ignore=ignore))
    else:
        await mismatch(tape, sent, policy=MatchPolicy(ignore=ignore))


@pytest.mark.behaviour("match-policy-is-data")
async def test_policy_ignores_fields_that_are_absent_and_ids(tmp_path: Path) -> None:
    tape = make_tape(tmp_path / "t.jsonl", Out({"type": "a", "x": 1, "item_id": "item_1"}))
    policy = MatchPolicy(ignore={"a": ("x", "y", "item_id")})
    await send(tape, {"type": "a", "y": 2, "item_id": "nonsense"}, policy=policy)


def test_policy_names_an_audio_mode_it_does_not_know() -> None:
    with pytest.raises(ConfigurationError, match="allowed are exact, length, ignore"):
        MatchPolicy(audio="exakt")  # type: ignore[arg-type]


@pytest.mark.behaviour("match-redacted-values")
async def test_what_is_sent_is_compared_as_it_stands_on_a_tape(tmp_path: Path) -> None:
    secret = "xai-CANARYcanaryCANARYcanary0123456789"
    tape = make_tape(
        tmp_path / "t.jsonl", Out({"type": "a", "authorization": "[redacted]", "words": "[redacted]"}), Close()
    )
    sent = message({"type": "a", "authorization": secret, "words": "my own secret words"})
    with anyio.fail_after(5):
        transport = replay(tape, rules=[Rule("words", keys=("words",))])
        async with transport, transport.open(REQUEST) as channel:
            await channel.send(sent)
        transport = replay(tape, secrets=["my own secret words"])
        async with transport, transport.open(REQUEST) as channel:
            await channel.send(sent)
        with pytest.raises(ReplayMismatchError):
            async with replay(tape).open(REQUEST) as channel:
                await channel.send(sent)


# Audio.

PCM = bytes(range(100))


def cut(audio: bytes, *sizes: int) -> list[bytes]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(audio[at : at + size])
        at += size
    return [piece for piece in [*pieces, audio[at:]] if piece]


@pytest.mark.behaviour("match-audio-is-one-stream")
@pytest.mark.parametrize("form", ["append", "binary"])
@pytest.mark.parametrize("mode", ["exact", "length", "ignore", None])
@pytest.mark.parametrize("recorded", [(), (50,), (10, 20, 33)])
@pytest.mark.parametrize("sent", [(), (1,), (10, 20, 33), (99,), (1,) * 100])
async def test_audio_agrees_however_it_is_cut(
    tmp_path: Path, form: str, mode: Any, recorded: tuple[int, ...], sent: tuple[int, ...]
) -> None:
    wrap = append if form == "append" else lambda audio: Frame(audio, False)
    tape = make_tape(
        tmp_path / "t.jsonl",
        *(Out(wrap(piece)) for piece in cut(PCM, *recorded)),
        Out({"type": "commit"}),
        In({"type": "x"}),
    )
    with anyio.fail_after(5):
        await send(
            tape, *(wrap(piece) for piece in cut(PCM, *sent)), {"type": "commit"}, policy=MatchPolicy(audio=mode)
        )


OTHER_PCM = bytes(100)


@pytest.mark.behaviour("match-audio-is-one-stream")
@pytest.mark.parametrize(
    ("mode", "audio", "media", "words"),
    [
        (None, PCM[:99] + b"\0", "full", "the audio differs"),
        ("exact", OTHER_PCM, "shortened", "the audio differs"),
        (None, PCM[:99], "full", "other than audio was sent"),
        (None, PCM + b"\0", "full", "more audio was sent"),
        ("length", PCM[:99], "full", "other than audio was sent"),
        ("length", PCM + b"\0", "full", "more audio was sent"),
        ("length", OTHER_PCM, "full", None),
        ("ignore", OTHER_PCM, "full", None),
        ("ignore", PCM * 5, "full", None),
        (None, PCM * 5, "shortened", None),
        ("length", PCM * 5, "shortened", "more audio was sent"),
    ],
)
async def test_audio_is_compared_as_the_policy_or_the_header_says(
    tmp_path: Path, mode: Any, audio: bytes, media: str, words: str | None
) -> None:
    tape = make_tape(tmp_path / "t.jsonl", Out(append(PCM)), Out({"type": "commit"}), Close(), media=media)
    pieces = [append(piece) for piece in cut(audio, 30, 60)]
    policy = MatchPolicy(audio=mode)
    if words is None:
        with anyio.fail_after(5):
            await send(tape, *pieces, {"type": "commit"}, policy=policy)
    else:
        assert words in (await mismatch(tape, *pieces, {"type": "commit"}, policy=policy)).reason


async def test_audio_mismatch_names_the_byte_and_the_line_of_its_chunk(tmp_path: Path) -> None:
    tape = make_tape(tmp_path / "t.jsonl", *(Out(append(piece)) for piece in cut(PCM, 10, 20, 30)))
    error = await mismatch(tape, append(PCM[:40]), append(b"\xff" + PCM[41:]))
    assert (error.line, error.where, error.expected, error.actual) == (5, "audio[40]", "0x28", "0xff")


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (Frame(PCM, False), "audio as append"),
        ({"type": "input_audio_buffer.append", "audio": "@@"}, "100 more bytes of audio"),
        ({"type": "input_audio_buffer.append", "audio": ""}, "100 more bytes of audio"),
        (append(PCM, extra=1), "100 more bytes of audio"),
    ],
)
async def test_audio_in_another_form_is_a_mismatch(tmp_path: Path, sent: Any, words: str) -> None:
    tape = make_tape(tmp_path / "t.jsonl", Out(append(PCM)))
    assert (await mismatch(tape, sent)).expected == words


async def test_audio_where_the_tape_holds_another_frame_is_a_mismatch(tmp_path: Path) -> None:
    tape = make_tape(tmp_path / "t.jsonl", Out({"type": "commit"}), Out(append(PCM)), media="shortened")
    assert (await mismatch(tape, append(PCM))).expected == "commit"


async def test_append_may_carry_an_event_id(tmp_path: Path) -> None:
    tape = make_tape(tmp_path / "t.jsonl", Out(append(PCM)), Out(append(b"\1", event_id="a")))
    with anyio.fail_after(5):
        await send(tape, append(PCM[:50], event_id="x"), append(PCM[50:] + b"\1"))


@pytest.mark.behaviour("match-audio-is-one-stream")
async def test_inbound_frame_in_the_midst_of_audio_is_released_by_bytes(tmp_path: Path) -> None:
    tape = make_tape(
        tmp_path / "t.jsonl", Out(append(PCM)), In({"type": "started"}), Out(append(PCM)), In({"type": "stopped"})
    )
    with anyio.fail_after(5):
        async with replay(tape) as transport, transport.open(REQUEST) as channel:
            await channel.send(message(append(PCM[:99])))
            with anyio.move_on_after(0.02):
                raise AssertionError(await value(channel))
            await channel.send(message(append(PCM[99:] + PCM[:1])))
            assert await value(channel) == {"type": "started"}
            await channel.send(message(append(PCM[1:])))
            assert await value(channel) == {"type": "stopped"}


# Ids.


@pytest.mark.behaviour("match-ids-both-ways")
async def test_client_minted_id_is_bound_and_later_frames_speak_it(tmp_path: Path) -> None:
    tape = make_tape(
        tmp_path / "t.jsonl",
        Out({"type": "create", "event_id": "event_1", "item": {"id": "item_1"}, "previous_item_id": "root"}),
        In({"type": "added", "item": {"id": "item_1", "text": "item_1"}, "previous_item_id": None}),
        In(
            {"type": "error", "event_id": "event_2", "error": {"event_id": "event_1", "message": "No item_1, item_11."}}
        ),
        Out({"type": "delete", "item_id": "item_1"}),
        Close("server", 1011, "item_1 is gone"),
    )
    with anyio.fail_after(5):
        async with replay(tape) as transport, transport.open(REQUEST) as channel:
            await channel.send(
                message({"type": "create", "event_id": OTHER, "item": {"id": MINTED}, "previous_item_id": "root"})
            )
            assert await value(channel) == {
                "type": "added",
                "item": {"id": MINTED, "text": "item_1"},
                "previous_item_id": None,
            }
            assert await value(channel) == {
                "type": "error",
                "event_id": "event_2",
                "error": {"event_id": OTHER, "message": f"No {MINTED}, item_11."},
            }
            with pytest.raises(ReplayMismatchError) as caught:
                await channel.send(message({"type": "delete", "item_id": "item_1"}))
            assert caught.value.where == "item_id"
            await channel.send(message({"type": "delete", "item_id": MINTED}))
            with pytest.raises(ClosedByServerError) as closed:
                await channel.receive()
            assert closed.value.reason == f"{MINTED} is gone"


@pytest.mark.behaviour("match-ids-both-ways")
async def test_server_ids_are_minted_fresh_for_a_run_and_bound(tmp_path: Path) -> None:
    tape = make_tape(
        tmp_path / "t.jsonl",
        In({"type": "call", "call_id": "call_1", "item": {"id": "item_1", "voice_id": "eve"}, "previous_item_id": "0"}),
        In({"type": "again", "items": [{"id": "item_1"}, {"id": "item_2"}], "metadata": {"order_id": "order_1"}}),
        Out({"type": "output", "call_id": "call_1"}),
    )
    seen = []
    for _ in range(2):
        async with replay(tape, ids="fresh") as transport, transport.open(REQUEST) as channel:
            first, again = await value(channel), await value(channel)
            assert uuid.UUID(first["call_id"]) and first["item"]["id"] == again["items"][0]["id"]
            assert first["item"]["voice_id"] == "eve" and first["previous_item_id"] == "0"
            assert again["metadata"] == {"order_id": "order_1"}
            for wrong in ("call_1", first["item"]["id"], MINTED):
                with pytest.raises(ReplayMismatchError):
                    await channel.send(message({"type": "output", "call_id": wrong}))
            await channel.send(message({"type": "output", "call_id": first["call_id"]}))
            seen += [first["call_id"], first["item"]["id"], again["items"][1]["id"]]
    assert len(set(seen)) == 6


@pytest.mark.behaviour("match-ids-both-ways")
@pytest.mark.parametrize("wrong", ["item_2", "item_3", MINTED, "", None, 5, "root"])
async def test_reference_to_the_wrong_id_is_a_mismatch(tmp_path: Path, wrong: Any) -> None:
    tape = make_tape(
        tmp_path / "t.jsonl",
        In({"type": "a", "item_id": "item_1"}),
        In({"type": "a", "item_id": "item_2"}),
        Out({"type": "truncate", "item_id": "item_1"}),
    )
    transport = replay(tape)
    async with transport.open(REQUEST) as channel:
        await channel.receive(), await channel.receive()
        with pytest.raises(ReplayMismatchError) as caught:
            await channel.send(message({"type": "truncate", "item_id": wrong}))
    assert (caught.value.where, caught.value.line) == ("item_id", 5)


@pytest.mark.parametrize(
    ("recorded", "sent", "agrees"),
    [
        ({"id": "item_1"}, {"id": MINTED}, True),
        ({"id": "item_1"}, {"id": "item_2"}, False),
        ({"id": "item_1"}, {"id": "msg"}, False),
        ({"id": "item_1"}, {}, False),
        ({}, {"id": MINTED}, False),
        ({"id": "own"}, {"id": "own"}, True),
        ({"id": "own"}, {"id": MINTED}, False),
        ({"id": "item_1", "item_id": "item_1"}, {"id": MINTED, "item_id": MINTED}, True),
        ({"id": "item_1", "item_id": "item_1"}, {"id": MINTED, "item_id": OTHER}, False),
        ({"id": "item_1", "item_id": "item_2"}, {"id": MINTED, "item_id": MINTED}, False),
        ({"metadata": {"user_id": MINTED}}, {"metadata": {"user_id": OTHER}}, False),
        ({"parameters": {"properties": {"id": MINTED}}}, {"parameters": {"properties": {"id": OTHER}}}, False),
        ({"voice_id": MINTED}, {"voice_id": OTHER}, False),
        ({"event_id": "event_1"}, {"event_id": MINTED}, True),
        ({"event_id": "event_1"}, {"event_id": 5}, True),
    ],
)
def test_ids_agree_when_one_can_stand_for_the_other(recorded: Any, sent: Any, agrees: bool) -> None:
    difference, _ = compare(recorded, sent, "a", MatchPolicy(), IdBinding("canonical"))
    assert (difference is None) is agrees


def test_nothing_is_bound_by_a_frame_that_does_not_match() -> None:
    binding = IdBinding("canonical")
    difference, _ = compare({"id": "item_1", "x": 1}, {"id": MINTED, "x": 2}, "a", MatchPolicy(), binding)
    assert difference is not None
    assert binding.allows("item_1", OTHER, {})
    assert binding.to_recorded(MINTED) == MINTED


# Addresses.


@pytest.mark.behaviour("replay-several-connections")
async def test_conversation_id_of_an_address_is_bound_both_ways(tmp_path: Path) -> None:
    resumed = f"{URL}&conversation_id=conversation_1"
    tape = make_tape(
        tmp_path / "t.jsonl",
        Open(1),
        In({"type": "created", "conversation": {"id": "conversation_1"}}),
        Close(),
        Open(2, url=resumed),
    )
    async with replay(tape, ids="fresh") as transport:
        async with transport.open(REQUEST) as channel:
            live = (await value(channel))["conversation"]["id"]
        for wrong in ("conversation_1", MINTED, "conversation_2"):
            with pytest.raises(ReplayMismatchError):
                async with transport.open(ChannelRequest(f"{URL}&conversation_id={wrong}")):
                    raise AssertionError("opened")
        async with transport.open(ChannelRequest(f"{URL}&conversation_id={live}")):
            pass
    tape = make_tape(
        tmp_path / "u.jsonl", Open(1, url=resumed), In({"type": "a", "conversation": {"id": "conversation_1"}})
    )
    async with replay(tape) as transport, transport.open(ChannelRequest(f"{URL}&conversation_id={MINTED}")) as channel:
        assert (await value(channel))["conversation"]["id"] == MINTED


@pytest.mark.parametrize(
    ("one", "other", "agrees"),
    [
        ("wss://a/v1?x=1&y=2", "wss://b/v1?y=2&x=1", True),
        ("wss://a/v1?x=", "wss://b/v1", False),
        ("wss://a/v1?x=1&x=2", "wss://b/v1?x=2&x=1", True),
        ("wss://a/v1?x=1", "wss://b/v1?x=1&x=1", False),
        ("wss://a/v1?call_id=call_1", f"wss://b/v1?call_id={MINTED}", True),
        ("wss://a/v1?call_id=call_1", "wss://b/v1?call_id=nonsense", False),
    ],
)
def test_addresses_agree_in_path_and_query(one: str, other: str, agrees: bool) -> None:
    assert same_address(one, other, IdBinding("canonical"))[0] is agrees
