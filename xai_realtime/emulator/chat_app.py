"""The emulated chat and the model lists as routes. In: HTTP requests. Out: their answers, at their time.

Imports: starlette (extra `emulator`), anyio, rooms 0-4, 7.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from traceback import extract_tb
from typing import Any, Final

import anyio
from anyio.lowlevel import checkpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Send

from xai_realtime.emulator import rest
from xai_realtime.emulator.chat_models import language_model, language_models
from xai_realtime.emulator.chat_reply import ChatAnswer, made_answer
from xai_realtime.emulator.chat_request import ChatAsk, read_request
from xai_realtime.emulator.chat_stream import (
    UNAVAILABLE,
    Envelope,
    Pace,
    Step,
    completion,
    cut_after,
    dumped,
    lines,
    total_ms,
)
from xai_realtime.emulator.link import Clock
from xai_realtime.emulator.rest import INVALID, NOT_FOUND, Refusal
from xai_realtime.emulator.scenario import DEFAULT_SCENARIO, Turn
from xai_realtime.emulator.speaking import checked
from xai_realtime.emulator.speech_app import Answer, read_body
from xai_realtime.emulator.world import World

__all__ = ["chat_answers"]

logger: Final = logging.getLogger("xai_realtime.emulator")

FIRST_TOKEN_MS: Final = 300.0
TOKEN_MS: Final = 20.0
KEPT_MS: Final = 24 * 3600 * 1000.0
MAX_DEFERRED: Final = 10_000
MAX_CALLS: Final = 10_000
EVENT_STREAM: Final = "text/event-stream"
BAD_SCHEMA: Final = (TypeError, ValueError, KeyError, IndexError, AttributeError, RecursionError)


def chat_answers(world: World, clock: Clock) -> Mapping[str, Mapping[str, Answer]]:
    """What answers, by path below the root and by method. Keys have been checked by then."""
    desk = ChatDesk(world, clock)
    return {
        "/chat/completions": {"POST": desk.complete},
        "/chat/deferred-completion/{request_id}": {"GET": desk.deferred},
        "/models": {"GET": desk.models},
        "/models/{name:path}": {"GET": desk.model},
        "/language-models": {"GET": desk.language_models},
        "/language-models/{name:path}": {"GET": desk.language_model},
    }


class Cut(Exception):
    """The line is to be cut here."""


class Paced:
    """The steps of a body, each at its time. Raises Cut where the line is to be cut."""

    def __init__(self, steps: Iterator[Step], clock: Clock, start_ms: float) -> None:
        self._steps = steps
        self._clock = clock
        self._start_ms = start_ms

    def __aiter__(self) -> Paced:
        return self

    async def __anext__(self) -> bytes:
        step = next(self._steps, None)
        if step is None:
            raise StopAsyncIteration
        await wait_until(self._clock, self._start_ms + step.at_ms)
        if step.data is None:
            raise Cut
        return step.data


class PacedResponse(StreamingResponse):
    """A body in steps; one that is cut ends without its last chunk, as when a server goes away."""

    async def stream_response(self, send: Send) -> None:
        """Send the steps."""
        try:
            await super().stream_response(send)
        except Cut:
            logger.debug("the answer was cut")


class ChatDesk:
    """Answers chat requests for one emulator: whole, streamed, deferred."""

    def __init__(self, world: World, clock: Clock) -> None:
        self._world = world
        self._quirks = world.chat
        self._clock = clock
        self._refused: Counter[int] = Counter()
        self._errors_in_body = 0
        self._turns: OrderedDict[str, Turn] = OrderedDict()
        self._deferred: OrderedDict[str, tuple[float, dict[str, Any] | Refusal]] = OrderedDict()

    async def complete(self, request: Request) -> Response:
        """`POST /v1/chat/completions`."""
        named = {"x-request-id": self._world.ids.uuid()}
        now_ms = self._clock.now_ms()
        body = self._planned("/chat/completions") or await read_body(request)
        ask = body if isinstance(body, Refusal) else read_request(self._quirks, body)
        if isinstance(ask, Refusal):
            return refused(ask, named)
        if self._errors_in_body < self._quirks.error_in_body:
            self._errors_in_body += 1
            return JSONResponse({"code": UNAVAILABLE, "error": "An error that was asked for."}, headers=named)
        turn = self._turn(ask)
        told = turn if isinstance(turn, Refusal) else self._answer(ask, turn)
        delay_ms, drop = (0.0, None) if isinstance(turn, Refusal) else (turn.delay_ms, turn.drop)
        if ask.is_deferred:
            return JSONResponse(self._defer(ask, told, now_ms + delay_ms), headers=named)
        if isinstance(told, Refusal):
            await wait_until(self._clock, now_ms + delay_ms)
            return refused(told, named)
        steps = self._steps(ask, told, delay_ms)
        if drop is not None:
            steps = cut_after(steps, delay_ms + drop.after_ms)
        kind = EVENT_STREAM if ask.is_stream else "application/json"
        return PacedResponse(Paced(steps, self._clock, now_ms), headers=named, media_type=kind)

    async def deferred(self, request: Request) -> Response:
        """`GET /v1/chat/deferred-completion/{request_id}`: 202 while it is pending."""
        named = {"x-request-id": self._world.ids.uuid()}
        planned = self._planned("/chat/deferred-completion")
        if planned is not None:
            return refused(planned, named)
        request_id, now_ms = request.path_params["request_id"], self._clock.now_ms()
        ready_ms, told = self._deferred.get(request_id, (0.0, None))
        if told is None or now_ms >= ready_ms + KEPT_MS:
            message = f"The deferred request {request_id[:80]} does not exist."
            return refused(Refusal(404, NOT_FOUND, message), named)
        if now_ms < ready_ms:
            return Response(status_code=202, headers=named)
        return refused(told, named) if isinstance(told, Refusal) else JSONResponse(told, headers=named)

    async def models(self, request: Request) -> dict[str, Any] | Refusal:
        """`GET /v1/models`."""
        return self._planned("/models") or rest.models()

    async def model(self, request: Request) -> dict[str, Any] | Refusal:
        """`GET /v1/models/{name}`."""
        return self._planned("/models") or rest.model(request.path_params["name"])

    async def language_models(self, request: Request) -> dict[str, Any] | Refusal:
        """`GET /v1/language-models`."""
        return self._planned("/language-models") or language_models()

    async def language_model(self, request: Request) -> dict[str, Any] | Refusal:
        """`GET /v1/language-models/{name}`."""
        return self._planned("/language-models") or language_model(request.path_params["name"])

    def _planned(self, path: str) -> Refusal | None:
        for number, rule in enumerate(self._quirks.refuse):
            is_meant = rule.path is None or path == rule.path or path.startswith(f"{rule.path}/")
            if is_meant and self._refused[number] < rule.times:
                self._refused[number] += 1
                headers = {} if rule.retry_after_s is None else {"retry-after": str(rule.retry_after_s)}
                body = None if rule.body is None else rule.body.encode()
                message = "A refusal that was asked for."
                return Refusal(rule.status, UNAVAILABLE, message, headers, body, rule.content_type)
        return None

    def _turn(self, ask: ChatAsk) -> Turn | Refusal:
        """The turn of the scenario, or that of the calls whose outputs came."""
        outputs = ask.prompt.outputs
        before = next((self._turns[name] for name in ask.call_ids if name in self._turns), None)
        if before is not None and before.then is not None:
            return Turn(say=before.answer(outputs))
        try:
            return checked(self._world.scenario.turn(ask.prompt))
        except Exception as error:  # noqa: BLE001
            name, place = type(error).__name__, extract_tb(error.__traceback__)[-1]
            logger.error("the scenario failed: %s in line %s of %s", name, place.lineno, place.filename)
            return Refusal(500, "Internal error", f"The scenario failed: {name}.")

    def _answer(self, ask: ChatAsk, turn: Turn) -> ChatAnswer | Refusal:
        if turn.error is not None:
            return Refusal(400, turn.error.code or INVALID, turn.error.message)
        if turn.fail:
            return Refusal(503, UNAVAILABLE, "The model failed to answer.")
        is_usual = self._world.scenario is DEFAULT_SCENARIO
        try:
            answer = made_answer(ask, turn, self._quirks, self._call_id, is_usual=is_usual)
        except BAD_SCHEMA:
            return Refusal(400, INVALID, "Invalid request content: a JSON schema could not be read.")
        for call in answer.calls:
            self._turns[call.id] = turn
        while len(self._turns) > MAX_CALLS:
            self._turns.popitem(last=False)
        return answer

    def _steps(self, ask: ChatAsk, answer: ChatAnswer, delay_ms: float) -> Iterator[Step]:
        envelope, pace = self._envelope(ask), self._pace()
        if ask.is_stream:
            made = lines(envelope, ask, answer, self._quirks, pace)
            return (replace(step, at_ms=step.at_ms + delay_ms) for step in made)
        whole = dumped(completion(envelope, ask, answer, self._quirks))
        return iter((Step(total_ms(answer, pace) + delay_ms, whole),))

    def _defer(self, ask: ChatAsk, told: ChatAnswer | Refusal, now_ms: float) -> dict[str, str]:
        request_id = self._world.ids.uuid()
        kept = told if isinstance(told, Refusal) else completion(self._envelope(ask), ask, told, self._quirks)
        self._deferred[request_id] = (now_ms + self._quirks.deferred_ms, kept)
        while len(self._deferred) > MAX_DEFERRED:
            self._deferred.popitem(last=False)
        return {"request_id": request_id}

    def _envelope(self, ask: ChatAsk) -> Envelope:
        created = self._world.now_epoch_ms(self._clock.now_ms()) // 1000
        return Envelope.of(ask, self._world.ids.uuid(), created)

    def _pace(self) -> Pace:
        usual = (0.0, 0.0) if self._world.pace == "instant" else (FIRST_TOKEN_MS, TOKEN_MS)
        given = (self._quirks.first_token_ms, self._quirks.token_ms)
        first_ms, token_ms = (
            float(own) if mine is None else float(mine) for own, mine in zip(usual, given, strict=True)
        )
        return Pace(first_ms, token_ms)

    def _call_id(self) -> str:
        return f"call_{10_000_000 + self._world.ids.below(90_000_000)}"


def refused(refusal: Refusal, headers: Mapping[str, str]) -> Response:
    """A refusal as a response."""
    return Response(refusal.data, refusal.status, {**headers, **refusal.headers}, refusal.content_type)


async def wait_until(clock: Clock, until_ms: float) -> None:
    """Sleep until a time of the emulator's clock; others have their turn in any case."""
    left_ms = until_ms - clock.now_ms()
    if left_ms > 0:
        await anyio.sleep(left_ms / 1000)
    else:
        await checkpoint()
