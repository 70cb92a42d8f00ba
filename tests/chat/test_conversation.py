"""The context of a chat: what is added and heard, one instruction, trimming, JSON, and what it shares with sessions."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chat.bodies import chat_body
from xai_realtime.chat.conversation import ChatConversation, estimated_tokens
from xai_realtime.chat.messages import InstructionConflictWarning, image_part
from xai_realtime.codec import chat_codec, realtime_codec
from xai_realtime.errors import ConfigurationError
from xai_realtime.events import chat as wire
from xai_realtime.frames import Frame
from xai_realtime.protocol.conversation import Conversation
from xai_realtime.protocol.session_events import SessionItem


def with_tools() -> ChatConversation:
    talk = ChatConversation([("system", "notes"), ("user", "weather?")], system="be kind")
    talk.add_assistant("Let me look.", tool_calls=[("c1", "look", {"city": "Porto"}), ("c2", "look", "")])
    talk.add_tool("c1", "sun").add_tool("c2", "rain")
    return talk.add_assistant("Sun and rain.", reasoning_content="hm").add_user("thanks", name="ann")


def roles(messages: Any) -> list[str]:
    return [message["role"] for message in messages]


# Adding


@pytest.mark.behaviour("chat-conversation-adding")
def test_conversation_holds_what_was_said_called_and_answered() -> None:
    talk = with_tools().add_developer("note").add_system("more")
    assert roles(talk) == ["system", "user", "assistant", "tool", "tool", "assistant", "user", "developer", "system"]
    calls = talk.messages[2]["tool_calls"]
    assert [call["function"]["arguments"] for call in calls] == ['{"city":"Porto"}', "{}"]
    assert talk.messages[5] == {"role": "assistant", "content": "Sun and rain.", "reasoning_content": "hm"}
    assert talk.messages[6]["name"] == "ann"
    assert len(talk) == 9


@pytest.mark.behaviour("chat-conversation-adding")
def test_calls_are_open_until_each_is_answered_once() -> None:
    talk = ChatConversation([("user", "hi")])
    talk.add_assistant(tool_calls=[("c1", "a", "{}"), {"id": "c2", "function": {"name": "b"}}])
    assert talk.open_calls == ("c1", "c2")
    talk.add_tool("c2", "x")
    assert talk.open_calls == ("c1",)
    for call_id in ("c2", "c3"):
        with pytest.raises(ConfigurationError, match="message 3 is an output without an open call before it"):
            talk.add_tool(call_id, "y")
    assert len(talk) == 3


@pytest.mark.behaviour("chat-conversation-adding")
def test_message_of_an_answer_of_the_service_goes_back_without_what_is_its_own() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}, "index": 0, "x": 1}
    message = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call], "new": 5}
    body = json.dumps({"id": "a", "choices": [{"index": 0, "message": message}]}).encode()
    answer = chat_codec.decode(body, wire.ChatCompletion)
    assert isinstance(answer, wire.ChatCompletion) and answer.choices
    talk = ChatConversation([("user", "hi"), answer.choices[0].message])  # type: ignore[list-item]
    assert talk.messages[1] == {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
    }


def test_messages_given_out_are_copies() -> None:
    talk = with_tools()
    talk.messages[2]["tool_calls"].clear()
    next(iter(talk))["content"] = "changed"
    assert talk == with_tools()


def test_conversations_are_equal_when_they_hold_the_same_and_show_no_text() -> None:
    assert with_tools() == with_tools()
    assert with_tools() != with_tools().add_user("more")
    assert ChatConversation() != "conversation"
    assert repr(with_tools()) == "<ChatConversation of 7 messages, the last tool, assistant, user>"
    assert repr(ChatConversation()) == "<ChatConversation of 0 messages>"
    talk = with_tools()
    talk.clear()
    assert (len(talk), talk.system) == (0, "be kind")


@pytest.mark.parametrize(
    "make",
    [
        lambda: ChatConversation(system=5),  # type: ignore[arg-type]
        lambda: ChatConversation(developer_as="tool"),  # type: ignore[arg-type]
        lambda: ChatConversation([("nobody", "x")]),
        lambda: ChatConversation().add_assistant("x", reasoning_content=5),  # type: ignore[arg-type]
        lambda: ChatConversation().heard(5),  # type: ignore[arg-type]
    ],
)
def test_conversation_refuses_what_is_no_message(make: Any) -> None:
    with pytest.raises(ConfigurationError):
        make()


# Heard


@pytest.mark.behaviour("chat-conversation-heard")
def test_of_speech_that_was_cut_off_what_was_heard_is_kept() -> None:
    talk = ChatConversation([("user", "hi")]).add_assistant("One two three.", heard="One two")
    assert talk.messages[1]["content"] == "One two"
    talk.add_assistant("Four five six.").add_user("stop")
    assert talk.heard("Four")
    assert [message["content"] for message in talk] == ["hi", "One two", "Four", "stop"]


@pytest.mark.behaviour("chat-conversation-heard")
def test_message_of_which_nothing_was_heard_goes_unless_it_made_calls() -> None:
    talk = ChatConversation([("user", "hi"), ("assistant", "never heard"), ("user", "stop")])
    assert talk.heard(" ")
    assert roles(talk) == ["user", "user"]
    assert not talk.heard("x")
    calling = ChatConversation().add_assistant("Let me look", tool_calls=[("c1", "look", "{}")])
    assert calling.heard("")
    assert (calling.messages[0]["content"], calling.open_calls) == ("", ("c1",))


# The instruction


@pytest.mark.behaviour("chat-conversation-instruction")
def test_instruction_of_the_conversation_goes_before_system_messages_and_that_of_the_call_before_it() -> None:
    talk = ChatConversation([("system", "listed"), ("user", "hi")], system="own")
    with pytest.warns(InstructionConflictWarning, match="of the conversation is sent") as caught:
        body = chat_body("grok-4.6", talk)
    assert [entry.filename for entry in caught] == [__file__]
    assert [message["content"] for message in body["messages"]] == ["own", "hi"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = chat_body("grok-4.6", talk, system="call")["messages"]
        assert [message["content"] for message in again] == ["call", "hi"]
        assert roles(talk.with_overrides(("user", "x")).outgoing()) == ["system", "user", "user"]


@pytest.mark.behaviour("chat-conversation-instruction")
def test_instruction_of_the_call_over_that_of_the_conversation_warns_when_they_differ() -> None:
    talk = ChatConversation([("user", "hi")], system="own")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(talk.outgoing(system="own")) == 2
        assert talk.outgoing(system="")[0]["content"] == "own"
    with pytest.warns(InstructionConflictWarning, match="of the call is sent"):
        assert talk.outgoing(system="other")[0]["content"] == "other"


@pytest.mark.behaviour("chat-conversation-instruction")
def test_developer_role_of_the_conversation_gives_way_to_that_of_the_call() -> None:
    talk = ChatConversation([("developer", "x")], developer_as="system")
    assert roles(talk.outgoing()) == ["system"]
    assert roles(talk.outgoing(developer_as="user")) == ["user"]
    assert roles(talk.outgoing(has_developer_role=True)) == ["developer"]


def test_empty_conversation_is_not_sent() -> None:
    with pytest.raises(ConfigurationError, match="the conversation is empty"):
        chat_body("grok-4.6", ChatConversation())


# Trimming


def units(message: Any) -> int:
    return 10


@pytest.mark.behaviour("chat-conversation-trim")
@pytest.mark.parametrize(
    ("max_tokens", "kept"),
    [
        (80, ["system", "user", "assistant", "tool", "tool", "assistant", "user"]),
        (79, ["system", "assistant", "tool", "tool", "assistant", "user"]),
        (70, ["system", "assistant", "tool", "tool", "assistant", "user"]),
        (69, ["system", "assistant", "user"]),
        (40, ["system", "assistant", "user"]),
        (39, ["system", "user"]),
        (1, ["system", "user"]),
    ],
)
def test_trimming_keeps_instruction_whole_tool_rounds_and_the_newest(max_tokens: int, kept: list[str]) -> None:
    talk = with_tools()
    taken = talk.trim(max_tokens=max_tokens, count=units)
    assert roles(talk) == kept
    assert len(taken) + len(talk) == 7
    assert talk.system == "be kind"


@pytest.mark.behaviour("chat-conversation-trim")
def test_trimming_counts_by_an_estimate_when_no_count_is_given() -> None:
    talk = ChatConversation([("user", "x" * 400), ("user", "y" * 400)])
    assert [estimated_tokens(message) for message in talk] == [104, 104]
    assert talk.trim(max_tokens=208) == ()
    assert len(talk.trim(max_tokens=207)) == 1
    assert (
        estimated_tokens({"role": "user", "content": ["x"] and [image_part("u"), {"type": "text", "text": "abcd"}]})
        == 261
    )
    assert estimated_tokens(with_tools().messages[2]) == 4 + -(-(12 + 4 + 16 + 4 + 2) // 4)
    for wrong in (0, 1.5, True, "9"):
        with pytest.raises(ConfigurationError, match="a whole number from 1"):
            talk.trim(max_tokens=wrong)  # type: ignore[arg-type]


@given(st.lists(st.sampled_from(["user", "assistant", "round", "system"]), max_size=12), st.integers(1, 200))
def test_trimming_never_parts_a_call_from_its_output_and_fits_where_it_can(kinds: list[str], limit: int) -> None:
    talk = ChatConversation()
    for number, kind in enumerate(kinds):
        if kind == "round":
            talk.add_assistant(tool_calls=[(f"c{number}", "f", "{}"), (f"d{number}", "f", "{}")])
            talk.add_tool(f"d{number}", "x").add_tool(f"c{number}", "y")
        else:
            talk.add((kind, "text"))
    whole = talk.messages
    taken = talk.trim(max_tokens=limit, count=units)
    assert talk.open_calls == ()
    assert all(message["role"] != "system" for message in taken)
    rest = [message for message in talk if message["role"] != "system"]
    spoken = [message for message in whole if message["role"] != "system"]
    assert rest == spoken[len(spoken) - len(rest) :]
    assert bool(rest) is bool(spoken)
    newest = 3 if spoken and spoken[-1]["role"] == "tool" else 1
    assert 10 * len(talk) <= limit or len(rest) <= newest


# Beside the conversation


@pytest.mark.behaviour("chat-conversation-overrides")
def test_question_beside_the_conversation_does_not_change_it() -> None:
    talk = with_tools()
    talk.settings = {"temperature": 0.1, "seed": 1}
    beside = talk.with_overrides(
        ("user", "sum up"), system="be short", settings={"temperature": 1}, developer_as="system"
    )
    beside.heard("gone")
    assert (beside.system, beside.developer_as, beside.settings) == (
        "be short",
        "system",
        {"temperature": 1, "seed": 1},
    )
    assert roles(beside)[-1] == "user" and len(beside) == 8
    assert talk == with_tools()
    assert talk.settings == {"temperature": 0.1, "seed": 1}
    same = talk.with_overrides()
    assert same == talk and same.settings == talk.settings
    assert ChatConversation().with_overrides().settings is None


# JSON


@pytest.mark.behaviour("chat-conversation-json")
def test_conversation_comes_back_from_json_as_it_was() -> None:
    talk = with_tools().add_user([image_part("https://x.example/é.png"), "grüße"])
    talk.developer_as = "system"
    text = talk.to_json()
    assert "grüße" in text
    back = ChatConversation.from_json(text, settings={"seed": 1})
    assert back == talk and back.settings == {"seed": 1}
    assert ChatConversation.from_json(text.encode()).to_json() == text
    assert json.loads(text)["version"] == 1


@pytest.mark.behaviour("chat-conversation-json")
@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 2, "messages": []}', '{"version": 1}', '{"version": 1, "messages": [5]}', "{"]
)
def test_json_that_is_no_conversation_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        ChatConversation.from_json(text)


# Shared with sessions


def told(*events: dict[str, Any]) -> Conversation:
    conversation = Conversation()
    for event in events:
        conversation.receive(realtime_codec.decode(Frame(json.dumps(event).encode())))
    return conversation


def item(**fields: Any) -> dict[str, Any]:
    return {"type": "conversation.item.created", "event_id": "e", "previous_item_id": None, "item": fields}


@pytest.mark.behaviour("chat-conversation-session")
def test_conversation_of_a_session_goes_over_with_its_calls_and_what_was_heard() -> None:
    session = told(
        item(id="i1", type="message", role="user", content=[{"type": "input_text", "text": "weather?"}]),
        item(id="i2", type="message", role="assistant", content=[{"type": "text", "text": "Let me look."}]),
        item(id="i3", type="function_call", call_id="c1", name="look", arguments="{}"),
        item(id="i4", type="function_call", call_id="c2", name="lost", arguments="{}"),
        item(id="i5", type="message", role="user", content=[{"type": "input_text", "text": "quick"}]),
        item(id="i6", type="function_call_output", call_id="c1", output="sun"),
        item(id="i7", type="message", role="assistant", content=[{"type": "text", "text": "Sun and more."}]),
    )
    session.items[-1].heard = "Sun"
    talk = ChatConversation.from_session(session, system="be kind", settings={"seed": 1})
    assert [(message["role"], message["content"]) for message in talk] == [
        ("user", "weather?"),
        ("assistant", "Let me look."),
        ("tool", "sun"),
        ("user", "quick"),
        ("assistant", "Sun"),
    ]
    assert talk.messages[1]["tool_calls"][0]["function"] == {"name": "look", "arguments": "{}"}
    assert (talk.open_calls, talk.system, talk.settings) == ((), "be kind", {"seed": 1})


@pytest.mark.behaviour("chat-conversation-session")
def test_history_in_any_form_becomes_a_conversation() -> None:
    talk = ChatConversation.from_session(
        [
            ("system", "notes"),
            SessionItem("a", "function_call", "assistant", call_id="c1", name="look", arguments=""),
            SessionItem("b", "function_call", "assistant", call_id="c2", name="look", arguments='{"x":1}'),
            SessionItem("c", "function_call_output", "tool", call_id="c1", output="one"),
            SessionItem("d", "function_call_output", "tool", call_id="c2", output="two"),
            SessionItem("e", "message", "assistant", "one two", heard="one"),
            {"role": "user", "content": "bye"},
            {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": ""}]},
        ]
    )
    assert roles(talk) == ["system", "assistant", "tool", "tool", "assistant", "user"]
    assert [call["id"] for call in talk.messages[1]["tool_calls"]] == ["c1", "c2"]
    assert [message["content"] for message in talk][2:] == ["one", "two", "one", "bye"]


@pytest.mark.behaviour("chat-conversation-session")
def test_conversation_goes_to_a_session_and_back_unchanged() -> None:
    talk = with_tools().add_developer("note")
    history = talk.to_history()
    assert [entry.type for entry in history] == [
        "message",
        "message",
        "message",
        "function_call",
        "function_call",
        "function_call_output",
        "function_call_output",
        "message",
        "message",
        "message",
    ]
    back = ChatConversation.from_session(history)
    assert roles(back) == [*roles(talk)[:-1], "system"]
    assert [message.get("tool_calls") for message in back] == [message.get("tool_calls") for message in talk]
    assert [message["content"] for message in back] == [message["content"] for message in talk]


@pytest.mark.behaviour("chat-conversation-session")
def test_what_a_session_cannot_hold_is_left_out_of_its_history() -> None:
    talk = ChatConversation([("user", [image_part("u")]), {"role": "function", "name": "f", "content": "x"}])
    assert talk.to_history() == []


@pytest.mark.behaviour("chat-conversation-session")
def test_history_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"history\[0\]"):
        ChatConversation.from_session([5])  # type: ignore[list-item]
