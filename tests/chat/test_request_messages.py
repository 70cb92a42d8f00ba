"""Messages of a chat request: every form, content parts, roles, and the one system instruction."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from pydantic import BaseModel

from tests.chat.bodies import chat_body
from xai_realtime.chat.messages import (
    InstructionConflictWarning,
    as_message,
    call_part,
    file_part,
    image_part,
    text_of,
    text_part,
)
from xai_realtime.errors import ConfigurationError
from xai_realtime.models import Provider, Providers

WITH_DEVELOPER = Providers(Provider("other", "https://other.example/v1", has_developer_role=True))


class Said(BaseModel):
    """The message of an answer, as the service sends it."""

    role: str = "assistant"
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


def sent(*messages: Any, model: str = "grok-4.6", **options: Any) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = chat_body(model, list(messages), **options)["messages"]
    return made


# Forms


@pytest.mark.behaviour("chat-messages-forms")
def test_messages_may_be_a_text_pairs_mappings_and_answers() -> None:
    assert chat_body("grok-4.6", "hi")["messages"] == [{"role": "user", "content": "hi"}]
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": ""}, "index": 0}
    answer = Said(content=None, tool_calls=[call], reasoning_content="hm")
    assert sent(("user", "hi"), answer, {"role": "tool", "tool_call_id": "c1", "content": "seen", "name": "look"}) == [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "hm",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "seen", "name": "look"},
    ]


@pytest.mark.behaviour("chat-messages-forms")
def test_answer_without_content_goes_back_as_an_empty_text() -> None:
    assert as_message(Said()) == {"role": "assistant", "content": ""}
    assert as_message({"role": "assistant", "content": None, "tool_calls": []}) == {"role": "assistant", "content": ""}


@pytest.mark.behaviour("chat-messages-forms")
def test_message_that_goes_out_is_a_copy() -> None:
    given = {"role": "user", "content": [{"type": "text", "text": "hi"}]}
    (made,) = sent(given)
    given["content"][0]["text"] = "changed"  # type: ignore[index]
    assert made["content"] == [{"type": "text", "text": "hi"}]


@pytest.mark.behaviour("chat-messages-content")
def test_content_may_be_texts_images_and_files() -> None:
    parts = [
        "one",
        text_part("two"),
        {"type": "input_text", "text": "three"},
        image_part("https://x.example/a.png", detail="low"),
        image_part(b"\x89PNG", media_type="image/png"),
        image_part(file_id="f1"),
        {"type": "image_url", "image_url": "https://x.example/b.png"},
        file_part(file_id="f2"),
        file_part(url="https://x.example/c.pdf"),
        {"type": "something_new", "x": 1},
    ]
    (made,) = sent(("user", parts))
    assert made["content"] == [
        {"type": "text", "text": "one"},
        {"type": "text", "text": "two"},
        {"type": "text", "text": "three"},
        {"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
        {"type": "image_url", "image_url": {"file_id": "f1"}},
        {"type": "image_url", "image_url": {"url": "https://x.example/b.png"}},
        {"type": "file", "file": {"file_id": "f2"}},
        {"type": "file", "file": {"url": "https://x.example/c.pdf"}},
        {"type": "something_new", "x": 1},
    ]
    assert text_of(made) == "one two three"
    assert sent(("user", text_part("alone")))[0]["content"] == [{"type": "text", "text": "alone"}]


@pytest.mark.behaviour("chat-messages-content")
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: image_part(), "one of the two"),
        (lambda: image_part("u", file_id="f"), "one of the two"),
        (lambda: image_part("u", detail="huge"), "detail is 'huge'"),
        (lambda: image_part(b"x"), "media_type is None"),
        (lambda: image_part(b"x", media_type="image/gif"), "media_type is 'image/gif'"),
        (lambda: file_part(), "one of the two"),
        (lambda: file_part(file_id="f", url="u"), "one of the two"),
        (lambda: text_part(5), "text is a int"),  # type: ignore[arg-type]
        (lambda: call_part("c", "n", {"x": object()}), "cannot be written as JSON"),
    ],
)
def test_part_that_cannot_be_made_is_refused(make: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert said in str(caught.value)


@pytest.mark.behaviour("chat-messages-refusals")
@pytest.mark.parametrize(
    ("message", "said"),
    [
        (5, "messages[0] is a int"),
        (("user", "a", "b"), "messages[0] is a tuple"),
        ({"content": "x"}, "the role of messages[0] is None"),
        (("agent", "x"), "the role of messages[0] is 'agent'; allowed are system, developer"),
        ({"role": "user"}, "messages[0] has no content"),
        (("user", []), "the content of messages[0] is a list"),
        (("user", b"x"), "the content of messages[0] is a bytes"),
        (("user", 5), "the content of messages[0] is a int"),
        (("user", [5]), "part 0 of messages[0] is a int"),
        (("user", [{"text": "x"}]), "part 0 of messages[0] is a dict"),
        (("user", [{"type": "text"}]), "part 0 of messages[0] holds no text"),
        (("user", [{"type": "image_url"}]), "is an image without url or file_id"),
        (("user", [{"type": "image_url", "image_url": {}}]), "is an image without url or file_id"),
        (("user", [{"type": "file"}]), "is a file without file_id or url"),
        ({"role": "tool", "content": "x"}, "is the output of a tool without its tool_call_id"),
        ({"role": "assistant", "tool_calls": "x"}, "tool_calls of messages[0] is a str"),
        ({"role": "assistant", "tool_calls": [5]}, "call 0 of messages[0] has no id or no function"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": "x"}}]}, "has no id or no function"),
        ({"role": "assistant", "tool_calls": [{"id": "c", "function": {}}]}, "call 0 of messages[0] names no function"),
    ],
)
def test_message_that_is_none_is_refused_with_its_place(message: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        sent(message)
    assert said in str(caught.value)


@pytest.mark.behaviour("chat-messages-refusals")
def test_messages_must_be_a_list_with_something_in_it() -> None:
    with pytest.raises(ConfigurationError, match="at least one message"):
        chat_body("grok-4.6", [])
    for wrong in (b"hi", {"role": "user"}, 5):
        with pytest.raises(ConfigurationError, match="a list of messages"):
            chat_body("grok-4.6", wrong)  # type: ignore[arg-type]


# Roles


@pytest.mark.behaviour("chat-messages-developer")
def test_developer_goes_out_as_user_or_system_and_as_it_is_where_there_is_the_role() -> None:
    given = ("developer", "be brief")
    assert sent(given)[0]["role"] == "user"
    assert sent(given, developer_as="system")[0]["role"] == "system"
    assert sent(given, model="other.m", providers=WITH_DEVELOPER, developer_as="system")[0]["role"] == "developer"


@pytest.mark.behaviour("chat-messages-developer")
def test_developer_messages_sent_as_system_stay_beside_the_instruction() -> None:
    made = sent(("user", "a"), ("developer", "note"), system="be kind", developer_as="system")
    assert [message["content"] for message in made] == ["be kind", "a", "note"]


# The instruction


@pytest.mark.behaviour("chat-messages-instruction")
def test_instruction_of_the_call_replaces_system_messages_with_a_warning_that_shows_no_text() -> None:
    listed = [("system", "secret one"), ("user", "hi"), ("system", "secret two")]
    with pytest.warns(InstructionConflictWarning) as caught:
        made = sent(*listed, system="secret three")
    assert made == [{"role": "system", "content": "secret three"}, {"role": "user", "content": "hi"}]
    assert [entry.filename for entry in caught] == [__file__]
    assert "secret" not in str(caught[0].message)
    assert "of the call is sent" in str(caught[0].message)


@pytest.mark.behaviour("chat-messages-instruction")
@pytest.mark.parametrize("blank", [None, "", "  "])
def test_system_messages_stay_when_the_call_gives_no_instruction(blank: str | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = sent(("system", "one"), ("user", "hi"), system=blank)
        assert [message["role"] for message in made] == ["system", "user"]
        assert len(sent(("system", "same"), ("user", "hi"), system="same ")) == 2
