"""Equal seeds and equal input give equal bytes, however often the engine is asked."""

from __future__ import annotations

import pytest

from tests.emulator.engine.driving import VAD, Call, say
from xai_realtime.emulator.engine import Engine
from xai_realtime.emulator.world import World
from xai_realtime.frames import Frame

AUDIO = say("What is the weather in Oslo?") + say("No wait.", after_ms=700)
TOOL = {"type": "function", "name": "get_weather"}


def transcript(seed: int = 7, *, chunk_ms: float = 100.0) -> list[tuple[float, bytes]]:
    """Everything that a call with speech, a tool and a barge-in brings, with its times."""
    call = Call(session={**VAD, "tools": [TOOL]}, seed=seed)
    call.stream(AUDIO, chunk_ms=chunk_ms)
    call.run(8_000)
    for tool in call.conversation.tool_calls:
        call.bring(tool.call_id, "Snow.")
    call.run(1_000)
    call.stream(say("Thank you"))
    call.run(8_000)
    return [(at_ms, frame.data) for at_ms, frame in call.frames]


@pytest.mark.behaviour("emulator-deterministic")
def test_equal_seed_and_input_give_equal_bytes_20_times() -> None:
    first = transcript()
    assert len(first) > 60
    assert all(transcript() == first for _ in range(20))


@pytest.mark.slow
def test_equal_seed_and_input_give_equal_bytes_1000_times() -> None:
    first = transcript()
    assert all(transcript() == first for _ in range(1_000))


def test_another_seed_gives_other_bytes() -> None:
    assert transcript(7) != transcript(8)


def test_without_a_seed_every_run_has_its_own_ids() -> None:
    one, two = (Call(seed=None).of("session.created")[0]["session"]["id"] for _ in range(2))
    assert one != two


def test_how_often_the_engine_is_asked_does_not_matter() -> None:
    def frames(step_ms: float) -> list[bytes]:
        engine = Engine(World(seed=3), {}, 0.0)
        engine.receive(Frame(b'{"type":"session.update","session":{}}'), 0.0)
        item = b'{"type":"message","content":[{"type":"input_text","text":"Hello"}]}'
        engine.receive(Frame(b'{"type":"conversation.item.create","item":' + item + b"}"), 0.0)
        engine.receive(Frame(b'{"type":"response.create"}'), 0.0)
        got: list[bytes] = []
        for step in range(int(10_000 / step_ms)):
            got += [piece.data for piece in engine.take((step + 1) * step_ms) if isinstance(piece, Frame)]
        return got

    assert frames(10.0) == frames(1_000.0) == frames(10_000.0)


def test_connections_of_one_seed_do_not_share_their_ids() -> None:
    world = World(seed=1)
    one, two = Call(world=world), Call(world=world)
    assert one.of("session.created")[0]["session"]["id"] != two.of("session.created")[0]["session"]["id"]
