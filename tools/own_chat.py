"""The chats that are on the project's own tapes: what is asked, how it is answered, and when.

As the calls of `own_calls.py`: each is a scenario for the emulator, what it does otherwise than usual, and a client.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import anyio
from pydantic import BaseModel

from tools.own_calls import Mark, Scenario, Talk
from xai_realtime import AsyncClient
from xai_realtime.emulator import ChatQuirks, Prompt, Refuse, ToolRequest, Turn
from xai_realtime.errors import NotFoundError, ServiceError
from xai_realtime.protocol.chat_policy import ChatPolicy

__all__ = ["CHATS", "OwnChat", "Tide"]

MODEL: Final = "grok-4.6"
PATIENT: Final = ChatPolicy(max_retries=2)


@dataclass(frozen=True)
class OwnChat:
    """One tape: what it shows, what the emulator answers and how, and what the client does."""

    shows: str
    talk: Talk
    scenario: Scenario
    quirks: ChatQuirks = field(default_factory=ChatQuirks)


class Tide(BaseModel):
    """A structured answer, whose first field is spoken while the others are still written."""

    response: str
    height_m: float
    turns_at: list[str]


def brain(prompt: Prompt) -> Turn | str:
    """What is answered to what was asked."""
    if prompt.heard == "How is the sea at Sines?":
        calls = tuple(ToolRequest(name, {"place": "Sines"}) for name in ("get_wind", "get_swell", "get_tide"))
        return Turn(say="Let me look. ", calls=calls, then="That is {output}.")
    return ANSWERS[prompt.heard]


ANSWERS: Final[Mapping[str, str]] = {
    "Where does moss grow?": "On the north side, where it is damp.",
    "Which is the longer day, 21 June or 21 July?": "The 21st of June, by about half an hour.",
    "And at Lagos?": "There it is calm.",
    "When does the tide turn?": '{"response": "It turns at noon.", "height_m": 3.1, "turns_at": ["06:10", "12:25"]}',
}


async def get_wind(place: str) -> str:
    """Wind at a place."""
    await anyio.sleep(0.3)
    return "9 knots"


async def get_swell(place: str) -> str:
    """Swell at a place."""
    await anyio.sleep(0.1)
    return "two metres"


async def get_tide(place: str) -> str:
    """Tide at a place."""
    await anyio.sleep(0.2)
    return "high at 16:40"


async def plain(client: AsyncClient, mark: Mark) -> None:
    """One question, one body."""
    await client.chat.create(MODEL, "Where does moss grow?", system="Be brief.", temperature=0.2, max_tokens=40)


async def streamed(client: AsyncClient, mark: Mark) -> None:
    """One question, an answer in pieces."""
    async with client.chat.stream(MODEL, "Which is the longer day, 21 June or 21 July?") as stream:
        await stream.finish()


async def asked_the_sea(client: AsyncClient, mark: Mark) -> None:
    """Three functions at once, and the answer that uses them."""
    tools = [get_wind, get_swell, get_tide]
    await client.chat.run(MODEL, "How is the sea at Sines?", tools=tools)


async def structured(client: AsyncClient, mark: Mark) -> None:
    """An object that grows, one field of it read at once."""
    async with client.chat.stream(MODEL, "When does the tide turn?", response_format=Tide) as stream:
        async for _ in stream.text_of("response"):
            mark("spoken")


async def broken(client: AsyncClient, mark: Mark) -> None:
    """An answer that ends in an error, and one to the next question."""
    for question in ("Where does moss grow?", "And at Lagos?"):
        try:
            async with client.chat.stream(MODEL, question) as stream:
                await stream.finish()
        except ServiceError:
            mark("failed")


async def cancelled(client: AsyncClient, mark: Mark) -> None:
    """An answer that is not wanted any more."""
    async with client.chat.stream(MODEL, "Where does moss grow?") as stream:
        async for piece in stream.text():
            if piece == "side, ":
                mark("enough")
                break


async def refused(client: AsyncClient, mark: Mark) -> None:
    """A question that is turned away twice."""
    async with client.chat.stream(MODEL, "And at Lagos?", policy=PATIENT) as stream:
        await stream.finish()


async def deferred(client: AsyncClient, mark: Mark) -> None:
    """A question whose answer is fetched later; and one that was never asked."""
    request_id = await client.chat.defer(MODEL, "Where does moss grow?")
    await client.chat.wait_deferred(request_id, every_s=0.5)
    try:
        await client.chat.deferred("00000000-0000-4000-8000-000000000000")
    except NotFoundError:
        mark("not found")


async def listed(client: AsyncClient, mark: Mark) -> None:
    """What models there are."""
    await client.models.list()
    await client.models.get(MODEL)
    await client.models.language_models()
    await client.models.language_model("grok-latest")
    try:
        await client.models.get("nobody")
    except NotFoundError:
        mark("not found")


CHATS: Final[Mapping[str, OwnChat]] = {
    "emulator_answer": OwnChat("One question and its answer in one body.", plain, brain),
    "emulator_stream": OwnChat(
        "An answer in pieces: thought, words, why it ended, usage at the end.",
        streamed,
        brain,
        ChatQuirks(reasoning="Midsummer is in June.", cached_tokens=4),
    ),
    "emulator_usage_every_chunk": OwnChat(
        "A cumulative usage on every chunk, as the service sent it in 2024; each says the role.",
        streamed,
        brain,
        ChatQuirks(usage_style="every_chunk", odd_chunks=True),
    ),
    "emulator_parallel_tools": OwnChat(
        "Three calls in one chunk, whole; their outputs go back in the order of the calls.", asked_the_sea, brain
    ),
    "emulator_fragments": OwnChat(
        "Three calls in fragments of all at once, their index from 1, words beside the first.",
        asked_the_sea,
        brain,
        ChatQuirks(tool_calls="interleaved", first_call_index=1, content_with_calls=True),
    ),
    "emulator_structured": OwnChat("A structured answer, one field of which is read as it grows.", structured, brain),
    "emulator_error_midway": OwnChat(
        "Streams that end in an error amid the answer.", broken, brain, ChatQuirks(fails_after=3)
    ),
    "emulator_cancelled": OwnChat("A stream that the client leaves amid the answer.", cancelled, brain),
    "emulator_turned_away": OwnChat(
        "Two refusals, 429 with Retry-After and 503, then the answer.",
        refused,
        brain,
        ChatQuirks(
            refuse=(
                Refuse(status=429, retry_after_s=2, path="/chat/completions"),
                Refuse(status=503, retry_after_s=1, path="/chat/completions"),
            )
        ),
    ),
    "emulator_deferred": OwnChat(
        "An answer that is asked for until it is there, and one that does not exist.", deferred, brain
    ),
    "emulator_models": OwnChat("The models, one of each list, and one that does not exist.", listed, brain),
}
