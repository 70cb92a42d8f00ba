"""Redaction: no secret survives on a tape, clean frames stay as they are, and twice is once."""

from __future__ import annotations

import base64
import json
import random
from typing import Any
from urllib.parse import quote, quote_plus, unquote_plus

import pytest

from xai_realtime.cassette.redaction import PLACEHOLDER, Redactor, Rule
from xai_realtime.errors import ConfigurationError

CANARY = 'canary/+ä"key 0123456789'
XAI_KEY = "xai-" + "Ab3" * 14
CLIENT_SECRET = "xai-realtime-client-secret-" + "q7" * 20
SK_KEY = "sk-" + "proj-0aB1" * 4

AUDIO_DELTA: dict[str, Any] = {
    "type": "response.output_audio.delta",
    "event_id": "ed0ace42-3a00-4911-9810-d36cee99fb58",
    "item_id": "ad758f3e-5c77-46e7-a474-7711a8a9c8a4",
    "delta": base64.b64encode(random.Random(7).randbytes(4_801)).decode(),
    "output_index": 0,
    "ts": 1785214086092,
    "previous_item_id": None,
}


@pytest.fixture
def redactor() -> Redactor:
    """A redactor that knows the canary and nothing of this process's environment."""
    return Redactor([CANARY], environ={})


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *(leaf for child in value.values() for leaf in leaves(child))]
    if isinstance(value, list):
        return [leaf for child in value for leaf in leaves(child)]
    return [value]


# -- by key name


@pytest.mark.behaviour("redaction.keys")
@pytest.mark.parametrize(
    "key",
    [
        "authorization",
        "Proxy-Authorization",
        "cookie",
        "Set-Cookie",
        "api_key",
        "apikey",
        "x-api-key",
        "api-key",
        "XAI_API_KEY",
        "client_secret",
        "secret",
        "token",
        "access_token",
        "password",
    ],
)
def test_json_value_is_replaced_when_its_key_names_a_secret(redactor: Redactor, key: str) -> None:
    assert redactor.json({"a": [{key: "x1"}]}) == {"a": [{key: PLACEHOLDER}]}


def test_json_keeps_types_and_keys_below_a_secret_key(redactor: Redactor) -> None:
    frame = {"credentials": {"user": "ann", "pin": 1234, "on": True, "off": None, "empty": "", "all": ["x", 0.5]}}
    assert redactor.json(frame) == {
        "credentials": {"user": PLACEHOLDER, "pin": 0, "on": True, "off": None, "empty": "", "all": [PLACEHOLDER, 0]}
    }


@pytest.mark.behaviour("redaction.client-secret")
@pytest.mark.parametrize(
    ("answer", "clean"),
    [
        ({"value": "abc", "expires_at": 17}, {"value": PLACEHOLDER, "expires_at": 17}),
        (
            {"client_secret": {"value": "abc", "expires_at": 17}},
            {"client_secret": {"value": PLACEHOLDER, "expires_at": 17}},
        ),
    ],
)
def test_client_secret_is_replaced_and_its_expiry_stays(redactor: Redactor, answer: Any, clean: Any) -> None:
    assert redactor.json(answer) == clean


@pytest.mark.behaviour("redaction.mcp")
def test_mcp_tool_loses_its_authorization_and_all_its_headers(redactor: Redactor) -> None:
    tool = {"type": "mcp", "server_url": "https://u:p@m.example/x", "authorization": "abc", "headers": {"X-Team": "t1"}}
    assert redactor.json({"tools": [tool]}) == {
        "tools": [
            {
                "type": "mcp",
                "server_url": "https://m.example/x",
                "authorization": PLACEHOLDER,
                "headers": {"X-Team": PLACEHOLDER},
            }
        ]
    }


@pytest.mark.parametrize("name", ["Authorization", "x-api-key"])
def test_header_written_as_name_and_value_is_replaced(redactor: Redactor, name: str) -> None:
    headers = [{"name": name, "value": "abc"}, {"name": "accept", "value": "text"}, {"name": 1, "value": "b"}]
    assert redactor.json({"headers": headers}) == {"headers": [{"name": name, "value": PLACEHOLDER}, *headers[1:]]}


@pytest.mark.behaviour("redaction.usage")
@pytest.mark.parametrize(
    "frame",
    [
        {"usage": {"input_tokens": 7, "input_token_details": {"text_tokens": 7, "grok_tokens": 0}, "total_tokens": 9}},
        {"logprobs": {"content": [{"token": "hi", "logprob": -0.5, "top_logprobs": [{"token": "ho", "logprob": -1}]}]}},
        {"pagination_token": "p2", "prompt_cache_key": "k", "max_tokens": 5, "api_key_disabled": False, "key": "a"},
        {"headers": {"content-type": "audio/wav"}, "value": "plain", "expires_in": 5},
        {"sdk": "xai-realtime/0.1", "model": "grok-voice-latest", "text": "docs of xai-realtime-emulator-scenarios"},
        {"transcript": "My token of thanks. The secret: be kind. A bearer of news, bearer certificate. sk-8 task-1"},
        {"message": "The API key is missing: send an Authorization header."},
    ],
)
def test_ordinary_frame_stays_as_it_is(redactor: Redactor, frame: Any) -> None:
    assert redactor.json(frame) == frame
    assert redactor.scan(json.dumps(frame)) is None


@pytest.mark.behaviour("redaction.internals")
def test_provider_internals_are_emptied_and_their_types_stay(redactor: Redactor) -> None:
    frame = {
        "session": {
            "xvad_settings": {"threshold": 0.5, "expires_at": 3},
            "asr_classifier": ["a"],
            "response_patient_starter_config": {},
            "model_address": "10.0.0.1:50051",
            "xvad_model_name": "v7",
            "voice": "ara",
        }
    }
    assert redactor.json(frame) == {
        "session": {
            "xvad_settings": {},
            "asr_classifier": [],
            "response_patient_starter_config": {},
            "model_address": PLACEHOLDER,
            "xvad_model_name": PLACEHOLDER,
            "voice": "ara",
        }
    }
    assert redactor.scan(json.dumps(frame)) == "provider internals"


# -- by pattern


@pytest.mark.behaviour("redaction.patterns")
@pytest.mark.parametrize(
    ("text", "clean", "rule"),
    [
        (f"key {XAI_KEY}, thanks", "key [redacted], thanks", "xai key"),
        (CLIENT_SECRET, "[redacted]", "client secret"),
        ("xai-client-secret.abc", "xai-client-secret.[redacted]", "xai sub-protocol"),
        (
            "realtime, openai-insecure-api-key.ab-c, openai-beta.realtime-v1",
            "realtime, openai-insecure-api-key.[redacted], openai-beta.realtime-v1",
            "openai sub-protocol",
        ),
        (f"'{SK_KEY}'", "'[redacted]'", "sk key"),
        ("sent Bearer abc123def!", "sent Bearer [redacted]!", "bearer token"),
        ("BEARER%20abcdefghijklmnopqrstuvwxyz", "BEARER%20[redacted]", "bearer token"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.sig_-", "[redacted]", "json web token"),
        ("no route to wss://ann:pw@h:1/x", "no route to wss://h:1/x", "url userinfo"),
        ("GET /v1?model=m&api_key=a%20b&x=1", "GET /v1?model=m&api_key=[redacted]&x=1", "query value"),
        ('got {"api_key": "a b", "x": 1}', 'got {"api_key": "[redacted]", "x": 1}', "quoted secret"),
        ('{\\"secret\\": \\"a b\\", \\"x\\": 1}', '{\\"secret\\": \\"[redacted]\\", \\"x\\": 1}', "quoted secret"),
        ('{"client_secret": "cut of', '{"client_secret": "[redacted]', "quoted secret"),
        ("authorization: Basic dXNlcjpw", "authorization: Basic [redacted]", "named secret"),
        ("Incorrect API key provided: xai-***abcd.", "Incorrect API key provided: [redacted]", "named secret"),
        ("password=hunter2", "password=[redacted]", "named secret"),
        ("Cookie: sid=1; theme=dark", "Cookie: [redacted]", "cookie"),
        ('"model_address": "10.0.0.1:5"', '"model_address": "[redacted]"', "provider internals"),
    ],
)
def test_pattern_finds_a_secret_in_text(redactor: Redactor, text: str, clean: str, rule: str) -> None:
    assert redactor.scan(text) == rule
    assert redactor.text(text) == clean
    assert redactor.scan(clean) is None
    assert redactor.json({"a": [text]}) == {"a": [clean]}


@pytest.mark.parametrize(
    "text",
    [
        "xai-realtime/0.1 python/3.11",
        "xai-" + "a" * 19,
        "Authorization: Bearer [redacted]",
        '"api_key": "", "password": null, "token": true',
        "https://docs.x.ai/@user?model=m&max_tokens=5",
        "",
    ],
)
def test_pattern_leaves_text_alone_when_it_is_no_secret(redactor: Redactor, text: str) -> None:
    assert redactor.text(text) == text
    assert redactor.scan(text) is None


# -- by value


@pytest.mark.behaviour("redaction.values")
@pytest.mark.parametrize(
    "form",
    [
        CANARY,
        quote(CANARY),
        quote(CANARY, safe=""),
        quote_plus(CANARY).lower(),
        json.dumps(CANARY)[1:-1],
        json.dumps(CANARY, ensure_ascii=False)[1:-1],
        *(base64.b64encode(before + CANARY.encode() + b"!").decode() for before in (b"", b"u", b"u:", b"usr")),
        base64.urlsafe_b64encode(CANARY.encode()).decode(),
    ],
)
def test_configured_value_is_found_in_every_form(redactor: Redactor, form: str) -> None:
    assert redactor.scan(f"x {form} y") == "configured value"
    clean = redactor.text(f"x {form} y")
    assert PLACEHOLDER in clean
    assert redactor.scan(clean) is None


@pytest.mark.behaviour("redaction.environment")
def test_every_api_key_of_the_environment_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", " plain-words-9 ")
    monkeypatch.setenv("SHORT_API_KEY", "eve")
    assert Redactor().text("say plain-words-9 to eve") == "say [redacted] to eve"
    given_keys = {"OTHER_API_KEY": "another-value", "API_KEY_FILE": "not-a-key-value", "EMPTY_API_KEY": ""}
    assert Redactor(environ=given_keys).text("another-value not-a-key-value plain-words-9") == (
        "[redacted] not-a-key-value plain-words-9"
    )


@pytest.mark.parametrize("secret", ["", "   ", "seven77", "redacted", PLACEHOLDER])
def test_value_is_passed_over_when_it_is_short_or_part_of_the_placeholder(secret: str) -> None:
    redactor = Redactor([secret], environ={})
    assert redactor.text("seven77 [redacted]") == "seven77 [redacted]"


def test_secret_of_digits_is_found_as_a_number() -> None:
    redactor = Redactor(["1234567890"], environ={})
    assert redactor.json({"a": 1234567890, "b": [1234567891, 0.5, float("inf")], "c": True}) == {
        "a": 0,
        "b": [1234567891, 0.5, float("inf")],
        "c": True,
    }
    assert redactor.scan('{"a": 1234567890}') == "configured value"


def test_secret_in_a_key_is_replaced_and_no_entry_is_lost() -> None:
    redactor = Redactor(["first-phrase", "second-phrase"], environ={})
    frame = {"first-phrase": 1, "second-phrase": 2, PLACEHOLDER: 3}
    clean = redactor.json(frame)
    assert clean == {PLACEHOLDER: 1, f"{PLACEHOLDER} 2": 2, f"{PLACEHOLDER} 3": 3}
    assert redactor.json(clean) == clean
    assert redactor.scan('{"first\\u002dphrase": 1}') == "configured value"


def test_secret_learned_later_is_found_in_keys_seen_before() -> None:
    redactor = Redactor(environ={})
    assert redactor.json({"late-phrase": 1}) == {"late-phrase": 1}
    redactor.add_secret("late-phrase")
    assert redactor.json({"late-phrase": 1}) == {PLACEHOLDER: 1}


@pytest.mark.parametrize(
    "request_parts",
    [
        {"headers": {"Authorization": "Bearer in-use-value", "User-Agent": "python-client"}},
        {"headers": {"X-Api-Key": "in-use-value"}},
        {"url": "wss://h/v1?api_key=in-use%2Dvalue&model=python-client"},
        {"subprotocols": ["realtime", "xai-client-secret.in-use-value", "python-client"]},
        {"subprotocols": ["openai-insecure-api-key.in-use-value"]},
    ],
)
def test_secrets_of_a_request_are_learned_and_nothing_else(request_parts: dict[str, Any]) -> None:
    redactor = Redactor(environ={})
    redactor.learn(**request_parts)
    assert redactor.text("in-use-value of python-client") == "[redacted] of python-client"


# -- headers and URLs


@pytest.mark.behaviour("redaction.headers")
def test_headers_keep_an_allow_list_and_show_that_a_key_was_sent(redactor: Redactor) -> None:
    headers = {
        "Authorization": "Bearer abc",
        "X-API-Key": "abc",
        "Cookie": "a=b",
        "Content-Type": "text/event-stream",
        "X-Request-Id": "r1",
        "Retry-After": "3",
        "X-RateLimit-Remaining-Requests": "9",
        "Location": f"https://u:p@h.example/x?token=abc&n={quote(CANARY)}",
        "Sec-WebSocket-Protocol": "realtime, xai-client-secret.abc",
        "Date": "Thu, 01 Jan 1970 00:00:00 GMT",
        "User-Agent": "x",
        CANARY: "x",
    }
    assert redactor.headers(headers) == {
        "authorization": PLACEHOLDER,
        "x-api-key": PLACEHOLDER,
        "cookie": PLACEHOLDER,
        "content-type": "text/event-stream",
        "x-request-id": "r1",
        "retry-after": "3",
        "x-ratelimit-remaining-requests": "9",
        "location": "https://h.example/x?token=[redacted]&n=[redacted]",
        "sec-websocket-protocol": "realtime, xai-client-secret.[redacted]",
    }


def test_headers_given_as_pairs_are_joined_when_a_name_repeats(redactor: Redactor) -> None:
    pairs = [("accept", "a"), ("Accept", CANARY), ("set-cookie", "x=1"), ("set-cookie", "y=2")]
    assert redactor.headers(pairs) == {"accept": "a, [redacted]", "set-cookie": PLACEHOLDER}


@pytest.mark.behaviour("redaction.urls")
@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("wss://ann:pw@api.x.ai/v1/realtime?model=m", "wss://api.x.ai/v1/realtime?model=m"),
        ("https://a@b@h/x", "https://h/x"),
        (
            "https://h/?api%5Fkey=a&Token=b;sig=c#key=d",
            "https://h/?api%5Fkey=[redacted]&Token=[redacted];sig=[redacted]#key=[redacted]",
        ),
        ("https://h/?token=&model=m", "https://h/?token=&model=m"),
        (f"https://h/a/{quote(CANARY, safe='')}/b?q={quote_plus(CANARY)}", "https://h/a/[redacted]/b?q=[redacted]"),
        ("https://h/x%2Dy?q=xai%2D" + "a1" * 12, "https://h/x%2Dy?q=[redacted]"),
        (f"h/{XAI_KEY}", "h/[redacted]"),
        ("/v1/tts?voice=eve&language=en#top", "/v1/tts?voice=eve&language=en#top"),
        ("wss://[::1]:8000/v1?conversation_id=conversation_1", "wss://[::1]:8000/v1?conversation_id=conversation_1"),
        ("", ""),
    ],
)
def test_url_loses_userinfo_and_secrets_and_nothing_else(redactor: Redactor, url: str, clean: str) -> None:
    assert redactor.url(url) == clean
    assert redactor.url(clean) == clean
    assert redactor.scan(clean) is None


# -- the canary


@pytest.mark.behaviour("redaction.canary")
@pytest.mark.parametrize("canary", [CANARY, XAI_KEY, CLIENT_SECRET, SK_KEY])
def test_canary_has_no_hits_when_it_was_everywhere(redactor: Redactor, canary: str) -> None:
    def planted(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: planted(child) for key, child in value.items()} | {canary: 1}
        return [planted(child) for child in value] if isinstance(value, list) else f"a {canary} b"

    frame = {"session": {"tools": [{"name": 1, "parameters": {"x": 2}}], "voice": 3}, "delta": 4, "arguments": 5}
    names = ["content-type", "x-request-id", "authorization", "location", "retry-after", "x-other"]
    encoded = quote(canary, safe="")
    outputs = [
        redactor.json(planted(frame)),
        redactor.json({"delta": AUDIO_DELTA["delta"] + canary}),
        redactor.headers(dict.fromkeys(names, f"x {canary}")),
        redactor.text(f"closed: {canary}"),
        redactor.text(f"cassettes/{canary}.jsonl"),
        redactor.url(f"wss://{encoded}:{encoded}@h/{encoded}?model={encoded}&token={encoded}#{encoded}"),
    ]
    for output in outputs:
        assert not any(canary in leaf or canary in unquote_plus(leaf) for leaf in map(str, leaves(output)))
        line = json.dumps(output)
        assert PLACEHOLDER in line
        assert redactor.scan(line) is None


@pytest.mark.behaviour("redaction.scan")
@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ('{"kind":"frame","json":{"password":"x1"}}', "secret key"),
        ('{"value":"x1","expires_at":5}', "client secret value"),
        ('{"server_url":"https://h","headers":{"a":"x1"}}', "mcp headers"),
        ('{"credentials":{"pin":17}}', "secret key"),
        (json.dumps({"text": CANARY}), "configured value"),
        ('{"text":"xai\\u002d' + "a1" * 12 + '"}', "xai key"),
        ('{"text":"' + XAI_KEY, "xai key"),
        ("[" * 100_000 + XAI_KEY, "xai key"),
        ('"password=x1"', "named secret"),
    ],
)
def test_scan_names_the_rule_and_never_the_value(redactor: Redactor, line: str, rule: str) -> None:
    assert redactor.scan(f'{{"kind":"header"}}\n\n{line}\n{{"kind":"end"}}') == rule


# -- rules of one's own


@pytest.mark.behaviour("redaction.rules")
def test_rules_of_ones_own_are_added_and_change_the_policy() -> None:
    rules = [
        Rule("customer", pattern=r"customer (?P<secret>\d{4})|CUST\d{4}"),
        Rule("team", keys=("Team-Name", "token"), replace="[team]"),
    ]
    redactor = Redactor(environ={}, rules=rules)
    frame = {"text": "customer 1234 of CUST5678", "team_name": "blue", "token": "a", "logprob": 1, "api_key": "k"}
    clean = {"text": "customer [redacted] of [redacted]", "team_name": "[team]", "token": "[team]", "logprob": 1}
    assert redactor.json(frame) == {**clean, "api_key": PLACEHOLDER}
    assert redactor.json(redactor.json(frame)) == redactor.json(frame)
    assert redactor.headers({"team-name": "blue"}) == {"team-name": "[team]"}
    assert redactor.scan("CUST5678") == "customer"
    assert redactor.scan('{"team_name":"blue"}') == "team"
    default = Redactor(["some-secret"], environ={}).policy
    assert default == Redactor(environ={}).policy
    assert default["policy"] == "default"
    assert len(default["sha256"]) == 64
    assert redactor.policy["policy"] == "custom"
    assert (
        len({default["sha256"], redactor.policy["sha256"], Redactor(environ={}, rules=rules[:1]).policy["sha256"]}) == 3
    )


@pytest.mark.parametrize(
    "rule",
    [
        {"name": "", "pattern": "x"},
        {"name": "a"},
        {"name": "a", "pattern": "("},
        {"name": "a", "pattern": "x*"},
        {"name": "a", "pattern": "redacted"},
        {"name": "a", "pattern": "x", "replace": "<x>"},
        {"name": "a", "keys": "name"},
        {"name": "a", "keys": ("name", "-")},
    ],
)
def test_rule_is_refused_when_it_cannot_work(rule: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Rule(**rule)


def test_rule_is_refused_when_its_replacement_is_itself_redacted() -> None:
    with pytest.raises(ConfigurationError, match="replacement"):
        Redactor(environ={}, rules=[Rule("a", pattern="x+", replace="Bearer 0123456789")])


def test_text_is_dropped_whole_when_replacing_never_settles() -> None:
    first, second = Rule("a", pattern="ping", replace="pong!"), Rule("b", pattern="pong", replace="ping?")
    with pytest.raises(ConfigurationError, match="replacement"):
        Redactor(environ={}, rules=[first, second])
    grows = Rule("grow", pattern="a(?=b)", replace="aa")
    assert Redactor(environ={}, rules=[grows]).text("xab") == PLACEHOLDER


# -- what stays as it is


def test_clean_frame_is_returned_itself(redactor: Redactor) -> None:
    assert redactor.json(AUDIO_DELTA) is AUDIO_DELTA


def test_given_frame_is_not_changed(redactor: Redactor) -> None:
    frame = {"a": [{"password": "x", CANARY: [CANARY]}]}
    before = json.dumps(frame)
    redactor.json(frame)
    assert json.dumps(frame) == before


def test_value_that_is_no_json_is_refused_without_showing_it(redactor: Redactor) -> None:
    with pytest.raises(TypeError, match=r"^bytes is no JSON$"):
        redactor.json({"a": b"something"})  # type: ignore[dict-item]


def test_repr_shows_counts_and_no_secret() -> None:
    redactor = Redactor(["visible-secret"], environ={"A_API_KEY": "another-secret"})
    assert "secret-" not in repr(redactor)
    assert "visible" not in f"{redactor} {redactor!r}"
    assert "another" not in f"{redactor} {redactor!r}"


def test_keys_seen_are_forgotten_when_there_are_very_many(redactor: Redactor) -> None:
    frame = {f"key-number-{number}": number for number in range(5_000)}
    assert redactor.json(frame) == frame
    assert len(redactor._keys) < 4_097
