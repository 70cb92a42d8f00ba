"""What goes wrong on the wire and is no reason to end: errors of the service, messages that cannot be read."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from tests.session.driving import BACKENDS, run, talking
from tests.session.serving import serving
from xai_realtime.errors import ClosedByUsError, ServiceError
from xai_realtime.events._base import InvalidEvent, UnknownEvent
from xai_realtime.frames import Frame
from xai_realtime.protocol.session_events import (
    AudioOutput,
    ResponseDone,
    ResponseStarted,
    SessionReady,
    SessionWarning,
    Transcript,
)
from xai_realtime.transport.faults import Fault

BENIGN = [
    "response_cancel_not_active",
    "conversation_already_has_active_response",
    "item_not_found",
    "item_truncate_invalid_item_id",
]
WARNED = [
    "invalid_audio_format",
    "invalid_tool_call_id",
    "rate_limit_exceeded",
    "server_error",
    "unheard_of",
    "timeout",
    "max_duration",
]
TYPES = ["invalid_request_error", "invalid_event", "internal_error", "timeout", "max_duration", "a_type_of_tomorrow"]


def nested(code: str | None, **fields: Any) -> dict[str, Any]:
    detail = {"type": "invalid_request_error", "message": "words of the service", **fields}
    return {"type": "error", "error": detail if code is None else {**detail, "code": code}}


def flat(code: str) -> dict[str, Any]:
    return {"type": "error", "error": "short", "code": code, "message": "words of the service"}


async def told_of(*errors: Any) -> list[str]:
    """A session gets these messages while nobody speaks, and is then asked something; what it warned of."""
    async with serving() as (talk, server):
        await talk.next(SessionReady)
        await server.say(*errors)
        await talk.session.send_text("still there?")
        done = await talk.next(ResponseDone)
        assert (done.status, len(talk.of(ResponseDone)), server.replies) == ("completed", 1, 1)
        assert [told.text for told in talk.of(Transcript)] == ["yes"]
        return [warning.code for warning in talk.of(SessionWarning)]


@BACKENDS
@pytest.mark.behaviour("bug-16")
def test_session_goes_on_after_every_known_error_in_both_forms(backend: str) -> None:
    async def main() -> None:
        for code in (*BENIGN, *WARNED):
            told = [] if code in BENIGN else [code]
            assert await told_of(nested(code)) == told, code
            assert await told_of(flat(code)) == told, code

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("bug-16")
def test_session_goes_on_after_an_error_of_every_type(backend: str) -> None:
    async def main() -> None:
        for name in TYPES:
            assert await told_of(nested(None, type=name)) == [name]

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("bug-16")
def test_session_goes_on_after_a_hundred_errors_that_say_nothing(backend: str) -> None:
    async def main() -> None:
        assert await told_of(*[{"type": "error"}] * 100) == ["error"] * 100

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("bug-16")
def test_error_in_the_middle_of_a_reply_takes_nothing_from_it(backend: str) -> None:
    async def main() -> None:
        async with serving() as (talk, server):
            *pieces, end = server.reply("resp_1")
            errors = [nested(code) for code in WARNED[: len(pieces)]]
            mixed = [event for pair in zip(pieces, errors, strict=True) for event in pair]
            server.answers = lambda _: [*mixed, end]
            await talk.session.send_text("hello")
            await talk.next(ResponseDone, status="completed")

            assert len(talk.audio()) == 24 * 2 * 100
            assert [warning.code for warning in talk.of(SessionWarning)] == WARNED[: len(pieces)]

    run(main, backend)


@BACKENDS
def test_warning_of_an_error_has_its_code_its_words_and_its_event(backend: str) -> None:
    async def main() -> None:
        async with serving() as (talk, server):
            await server.say(nested("invalid_tool_call_id"))
            warning = await talk.next(SessionWarning)

            assert (warning.code, warning.message) == ("invalid_tool_call_id", "words of the service")
            assert warning.details == {"kind": "other"}
            assert warning.raw.error.code == "invalid_tool_call_id"

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("ask-42")
def test_error_about_the_key_ends_the_session_with_the_words_of_the_service(backend: str) -> None:
    async def main() -> None:
        async with serving() as (talk, server):
            await server.say(nested("invalid_api_key"))
            error = await talk.ended()

            assert isinstance(error, ServiceError)
            assert (error.code, error.message) == ("invalid_api_key", "words of the service")
            with pytest.raises(ServiceError):
                await talk.session.send_text("anybody there?")

    run(main, backend)


UNREADABLE = {
    "no JSON": Frame(b"{'type': 'ping'"),
    "no UTF-8": Frame(b'{"type": "ping\xff"}'),
    "nothing": Frame(b""),
    "a known type with a bad body": Frame(b'{"type": "response.output_audio.delta", "delta": 7}'),
    "an error with a bad body": Frame(b'{"type": "error", "error": {"code": 429}}'),
    "a number that JSON has not": Frame(b'{"type": "ping", "timestamp": NaN}'),
}


@BACKENDS
@pytest.mark.behaviour("bug-37")
def test_session_warns_of_a_message_that_cannot_be_read_and_goes_on(backend: str) -> None:
    async def main() -> None:
        for name, frame in UNREADABLE.items():
            assert await told_of(frame) == ["invalid_event"], name

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("bug-37")
def test_warning_of_an_unreadable_message_says_what_is_wrong_and_shows_none_of_it(backend: str) -> None:
    async def main() -> None:
        async with serving() as (talk, server):
            ids = {"item_id": "item_1", "response_id": "resp_1"}
            await server.say({"type": "response.output_audio.delta", "delta": {"secret": 1}, **ids})
            warning = await talk.next(SessionWarning)

            assert warning.details == {"type": "response.output_audio.delta"}
            assert "delta" in warning.message
            assert "secret" not in f"{warning} {warning.message}"
            assert isinstance(warning.raw, InvalidEvent)

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("ask-46")
def test_session_goes_on_after_types_that_the_spec_does_not_know(backend: str) -> None:
    async def main() -> None:
        seen: list[Any] = []
        strange = [{"type": "rate_limits.updated", "limits": []}, [1, 2], None, "text", 7, {"no": "type"}]
        async with serving(observer=lambda direction, event: seen.append(event)) as (talk, server):
            await server.say(*(Frame(json.dumps(value).encode()) for value in strange))
            await talk.session.send_text("still there?")
            await talk.next(ResponseDone, status="completed")

            unknown = [event.type for event in seen if isinstance(event, UnknownEvent)]
            assert unknown == ["rate_limits.updated", None, None, None, None, None]
            assert talk.of(SessionWarning) == []

    run(main, backend)


@BACKENDS
@pytest.mark.behaviour("bug-37")
@pytest.mark.parametrize("how", ["bad_json", "bad_utf8", "missing_field", "wrong_type", "unknown_type"])
def test_session_talks_on_when_any_message_of_a_reply_is_damaged(backend: str, how: Any) -> None:
    kinds = [
        "conversation.item.added",
        "response.created",
        "response.output_item.added",
        "response.output_audio.delta",
        "response.output_audio_transcript.delta",
        "response.output_audio_transcript.done",
        "response.output_audio.done",
        "response.output_item.done",
        "response.done",
    ]

    async def main() -> None:
        for kind in kinds:
            await two_replies(Fault.corrupt(how, on=kind))

    run(main, backend)


async def two_replies(fault: Fault) -> None:
    async with talking({"one": "First answer", "two": "Second answer"}, fault) as talk:
        await talk.session.send_text("one")
        await talk.session.send_text("two")
        await talk.until(lambda: len(talk.of(ResponseDone)) == 2)

        assert [told.text for told in talk.of(Transcript)][-1:] == ["Second answer"], fault
        assert len(talk.of(ResponseStarted)) == 2, fault


@BACKENDS
@pytest.mark.behaviour("bug-37")
def test_reply_whose_end_cannot_be_read_is_over_at_once(backend: str) -> None:
    async def main() -> None:
        async with talking({"one": "First answer"}, Fault.corrupt("missing_field", on="response.done")) as talk:
            await talk.session.send_text("one")
            done = await talk.next(ResponseDone)

            assert (done.status, done.reason, done.usage) == ("incomplete", "unreadable", None)
            assert isinstance(done.raw, InvalidEvent)
            assert talk.heard() == "First answer"
            assert talk.session.usage.session.unknown_responses == 1

    run(main, backend)


@BACKENDS
def test_audio_that_is_no_base64_is_warned_of_and_left_out(backend: str) -> None:
    async def main() -> None:
        async with talking(
            {"one": "First answer"}, Fault.corrupt("bad_base64", on="response.output_audio.delta")
        ) as talk:
            await talk.session.send_text("one")
            await talk.next(ResponseDone, status="completed")

            (warning,) = talk.of(SessionWarning)
            assert warning.code == "bad_audio"
            assert warning.details == {"item_id": talk.of(AudioOutput)[0].item_id}
            assert talk.session.conversation.bad_audio == 1

    run(main, backend)


class Surprise(Exception):
    """What the observer of a test raises."""


@BACKENDS
@pytest.mark.parametrize("at", ["session.created", "session.updated", "response.create", "response.output_audio.delta"])
def test_observer_that_raises_ends_the_session_and_surfaces_from_its_iterator(backend: str, at: str) -> None:
    def observe(direction: str, event: Any) -> None:
        if event.type == at:
            raise Surprise(at)

    async def main() -> None:
        with anyio.fail_after(60):
            async with serving(observer=observe, wait_until_ready=False) as (talk, _):
                await talk.session.send_text("hello")
                assert isinstance(await talk.ended(), Surprise)
                with pytest.raises(Surprise):
                    await talk.session.send_text("more")

    run(main, backend)


@BACKENDS
def test_observer_that_raises_over_microphone_audio_surfaces_from_the_iterator_alone(backend: str) -> None:
    def observe(direction: str, event: Any) -> None:
        if event.type == "input_audio_buffer.append":
            raise Surprise

    async def main() -> None:
        async with serving(observer=observe) as (talk, _):
            await talk.session.send_audio(bytes(960))
            assert isinstance(await talk.ended(), Surprise)

    run(main, backend)


@BACKENDS
def test_session_that_the_server_ends_in_order_ends_its_iterator(backend: str) -> None:
    async def main() -> None:
        async with serving() as (talk, server):
            await server.close()
            assert await talk.ended() is None
            with pytest.raises(ClosedByUsError):
                await talk.session.send_text("more")

    run(main, backend)
