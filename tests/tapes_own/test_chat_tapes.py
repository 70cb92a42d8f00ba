"""The project's tapes of chat: recorded again they are the same, played they are whole, each shows its thing."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.tapes import BACKENDS, on
from tests.tapes_own.test_tapes import files
from tools.own_chat import CHATS, Tide
from tools.record_tapes import SEED, hold_chat, record_tape
from xai_realtime import AsyncClient, record, replay
from xai_realtime.cassette.checking import check_cassette
from xai_realtime.cassette.records import MarkRecord
from xai_realtime.cassette.tape import Cassette, load_cassette
from xai_realtime.chat.taped import TapedChat, chats_of
from xai_realtime.cli.reports import check_tape
from xai_realtime.emulator import Emulator
from xai_realtime.player import Playback, play
from xai_realtime.protocol.chat_outcome import TextDelta
from xai_realtime.transport.websocket import WebSocketTransport

FOLDER = Path(__file__).resolve().parents[2] / "cassettes" / "chat"
NAMES = pytest.mark.parametrize("name", list(CHATS))
SHOWS = pytest.mark.behaviour("chat-tapes-show")
MAX_BYTES = 200_000
LIMIT_S = 30
SEA = "That is 9 knots two metres high at 16:40."


def path_of(name: str) -> Path:
    return FOLDER / f"{name}.jsonl"


def tape_of(name: str) -> Cassette:
    return load_cassette(path_of(name))


def chats(name: str) -> list[TapedChat]:
    return list(chats_of(tape_of(name).exchanges.values()))


def replies(name: str) -> list[Any]:
    """The answers that there are."""
    return [chat.reply for chat in chats(name) if chat.reply is not None]


def chunks(name: str) -> list[Any]:
    """The chunks of all streams, as JSON."""
    texts = [chunk.text or "" for exchange in tape_of(name).exchanges.values() for chunk in exchange.chunks]
    lines = [line for text in texts for line in text.splitlines() if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_every_chat_has_its_tape_and_every_tape_its_chat() -> None:
    assert sorted(FOLDER.iterdir()) == sorted(path_of(name) for name in CHATS)


@pytest.mark.behaviour("chat-tapes-record-again")
@BACKENDS
@NAMES
def test_recording_a_chat_again_changes_no_byte(name: str, backend: str, tmp_path: Path) -> None:
    found, wanted = files(record_tape(name, tmp_path, backend)), files(path_of(name))
    assert found["tape"].splitlines() == wanted["tape"].splitlines()
    assert found == wanted


@pytest.mark.behaviour("chat-tapes-record-again")
def test_recording_shows_a_change_when_the_model_takes_more_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xai_realtime.emulator.chat_app.TOKEN_MS", 21.0)
    again = record_tape("emulator_stream", tmp_path)
    assert files(again)["tape"] != files(path_of("emulator_stream"))["tape"]


@pytest.mark.behaviour("chat-tapes-replay")
@NAMES
def test_tape_of_chat_plays_with_one_digest_on_every_backend_and_clock(name: str) -> None:
    tape = tape_of(name)

    async def at_once() -> Playback:
        with anyio.fail_after(LIMIT_S):
            return await play(tape)

    digests = set()
    for backend in ("asyncio", "trio"):
        for playback in (
            anyio.run(at_once, backend=backend),
            on(backend, partial(play, tape, clock="virtual")),
        ):
            report = playback.to_json()
            assert [report[count] for count in ("unknown_events", "invalid_events", "unread", "unsent")] == [0] * 4
            assert report["requests"] == len(tape.exchanges)
            assert playback.chats == chats(name)
            digests.add(playback.digest)
    assert len(digests) == 1


def test_tapes_of_different_chats_have_different_digests() -> None:
    digests = {name: anyio.run(play, tape_of(name)).digest for name in CHATS if name != "emulator_models"}
    # Whole or in fragments, the calls are the same.
    assert digests.pop("emulator_fragments") == digests["emulator_parallel_tools"]
    assert len(set(digests.values())) == len(digests)


@pytest.mark.behaviour("chat-tapes-replay")
@BACKENDS
@NAMES
def test_recording_of_a_replay_of_chat_is_identical(name: str, backend: str, tmp_path: Path) -> None:
    """By the player, and by the client that made the tape, whose marks and leavings are on it too."""
    tape, target = tape_of(name), tmp_path / f"{name}.jsonl"

    async def played() -> None:
        await play(tape, clock="virtual", around=lambda transport: record(target, transport))

    async def chatted() -> None:
        recording = record(target, replay(tape, clock="virtual"))
        async with AsyncClient(transport=recording, api_key="xai-emulator") as client:
            await CHATS[name].talk(client, recording.mark)

    on(backend, played)
    assert target.read_bytes() == tape.path.read_bytes()
    on(backend, chatted)
    assert target.read_bytes() == tape.path.read_bytes()


async def hold_all(folder: Path) -> None:
    """Every tape at the same time, each over sockets of its own."""

    async def held(name: str) -> None:
        chat = CHATS[name]
        async with Emulator(chat.scenario, seed=SEED, chat=chat.quirks) as emulator:
            await hold_chat(chat, folder / f"{name}.jsonl", WebSocketTransport(), base_url=emulator.url)

    with anyio.fail_after(LIMIT_S):
        async with anyio.create_task_group() as tasks:
            for name in CHATS:
                tasks.start_soon(held, name)


@pytest.mark.behaviour("chat-tapes-sockets")
def test_chat_over_real_sockets_says_what_the_tapes_say(tmp_path: Path) -> None:
    anyio.run(hold_all, tmp_path)
    for name in CHATS:
        ours, theirs = load_cassette(tmp_path / f"{name}.jsonl"), tape_of(name)
        if name == "emulator_deferred":  # how often it is asked depends on the time
            assert anyio.run(play, ours).chats[0].body == anyio.run(play, theirs).chats[0].body
            continue
        assert [exchange.request.body for exchange in ours.exchanges.values()] == [
            exchange.request.body for exchange in theirs.exchanges.values()
        ]
        if name != "emulator_cancelled":  # nor how much came before it was left
            assert anyio.run(play, ours).digest == anyio.run(play, theirs).digest


@NAMES
@SHOWS
def test_tape_of_chat_says_what_it_is_and_passes_every_check(name: str) -> None:
    report = check_tape(path_of(name))
    assert (report.findings, report.notes) == ([], [])
    assert check_cassette(path_of(name)).findings == []
    header = tape_of(name).header
    assert (header.origin, header.service, header.timing) == ("emulator", "chat", "recorded")
    assert header.spec_sha256
    assert header.notes == f"{CHATS[name].shows} Recorded from the emulator."


@SHOWS
def test_tapes_of_chat_stay_small_and_short() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MAX_BYTES
    assert all(tape_of(name).tape_ms < 5_000 for name in CHATS)


# What each one shows


@SHOWS
def test_plain_answer_has_its_settings_and_its_usage() -> None:
    (chat,) = chats("emulator_answer")
    assert chat.body["temperature"] == 0.2
    assert chat.body["max_completion_tokens"] == 40
    assert "stream" not in chat.body
    assert chat.reply is not None
    assert chat.reply.text == "On the north side, where it is damp."
    assert chat.reply.usage.is_complete


@SHOWS
def test_stream_thinks_before_it_speaks_and_states_its_usage_at_the_end() -> None:
    (reply,) = replies("emulator_stream")
    assert reply.reasoning == "Midsummer is in June."
    assert (reply.outcome.status, reply.outcome.reason) == ("complete", "stop")
    assert (reply.usage.reasoning_tokens, reply.usage.cached_tokens, reply.usage.arithmetic) == (4, 4, "exclusive")
    stated = [chunk.get("usage") for chunk in chunks("emulator_stream")]
    assert stated[:-1] == [None] * (len(stated) - 1)
    assert chunks("emulator_stream")[-1]["choices"] == []


@SHOWS
@pytest.mark.behaviour("bug-10")
def test_usage_on_every_chunk_is_cumulative_and_counts_once() -> None:
    name = "emulator_usage_every_chunk"
    (reply,) = replies(name)
    counted = [chunk["usage"]["completion_tokens"] for chunk in chunks(name) if "usage" in chunk]
    assert len(counted) > 5
    assert counted == sorted(counted)
    assert reply.usage.completion_tokens == counted[-1] == 9
    assert sum("role" in ((chunk["choices"] or [{}])[0].get("delta") or {}) for chunk in chunks(name)) > 5


@SHOWS
@pytest.mark.parametrize("name", ["emulator_parallel_tools", "emulator_fragments"])
def test_three_calls_have_their_outputs_in_the_order_of_the_calls(name: str) -> None:
    calls, answer = replies(name)
    assert [call.name for call in calls.tool_calls] == ["get_wind", "get_swell", "get_tide"]
    assert {call.arguments for call in calls.tool_calls} == {'{"place":"Sines"}'}
    assert calls.text == "Let me look. "
    assert answer.text == SEA
    second = chats(name)[1]
    assert [message["content"] for message in second.new] == ["9 knots", "two metres", "high at 16:40"]
    pieces = [chunk for chunk in chunks(name) if (chunk["choices"] or [{}])[0].get("delta", {}).get("tool_calls")]
    assert (len(pieces) > 1) == (name == "emulator_fragments")
    assert {call["index"] for chunk in pieces for call in chunk["choices"][0]["delta"]["tool_calls"]} == (
        {1, 2, 3} if name == "emulator_fragments" else {0, 1, 2}
    )


@SHOWS
def test_structured_answer_is_spoken_before_it_is_whole() -> None:
    (reply,) = replies("emulator_structured")
    assert Tide.model_validate_json(reply.text).turns_at == ["06:10", "12:25"]
    marks = [record.at_ms for record in tape_of("emulator_structured").records if isinstance(record, MarkRecord)]
    assert marks == [320, 340, 360, 380]
    assert reply.outcome.total_ms == 480


@SHOWS
def test_error_amid_an_answer_ends_it_and_keeps_what_came() -> None:
    first, second = replies("emulator_error_midway")
    assert (first.text, second.text) == ("On the north ", "There it is ")
    assert {reply.outcome.status for reply in (first, second)} == {"failed"}
    assert "currently unavailable" in str(first.outcome.error)


@SHOWS
def test_stream_that_was_left_ends_where_it_was_left() -> None:
    (chat,) = chats("emulator_cancelled")
    assert chat.reply is not None
    assert chat.reply.outcome is not None
    assert (chat.reply.text, chat.reply.outcome.status) == ("On the north side, ", "cancelled")
    assert not chat.reply.usage.is_complete


@SHOWS
def test_request_that_is_turned_away_comes_again_at_the_time_that_was_asked_for() -> None:
    told = chats("emulator_turned_away")
    assert [chat.asked_ms for chat in told] == [0, 2000, 3000]
    assert [chat.end for chat in told] == ["refused", "refused", "answered"]
    assert len({json.dumps(chat.body) for chat in told}) == 1


@SHOWS
def test_deferred_answer_is_asked_for_until_it_is_there() -> None:
    told = chats("emulator_deferred")
    assert [chat.end for chat in told] == ["later", "pending", "pending", "answered", "refused"]
    assert replies("emulator_deferred")[0].text == "On the north side, where it is damp."


@SHOWS
def test_models_are_listed_and_an_unknown_one_is_not_found() -> None:
    statuses = [
        exchange.response.status for exchange in tape_of("emulator_models").exchanges.values() if exchange.response
    ]
    assert statuses == [200, 200, 200, 200, 404]
    assert chats("emulator_models") == []


@SHOWS
def test_every_word_has_a_time_of_its_own_on_the_tape() -> None:
    (chat,) = chats("emulator_stream")
    times = [at_ms for at_ms, told in chat.told if isinstance(told, TextDelta)]
    assert times == [380.0 + 20 * place for place in range(9)]
