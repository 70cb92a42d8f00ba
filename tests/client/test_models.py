"""Model references, the providers they name, retired models, and the keys that belong to providers."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from xai_realtime.address import Address
from xai_realtime.errors import ConfigurationError
from xai_realtime.models import (
    PROVIDERS,
    RETIRED_MODELS,
    ModelRef,
    Provider,
    Providers,
    RetiredModelWarning,
    provider_key,
    retired_model,
)

OPENAI = Provider("openai", "https://api.openai.com/v1", "OPENAI_API_KEY", has_developer_role=True)
GATEWAY = Provider("My-Gateway_2", "http://127.0.0.1:9000/v1", token_field="max_tokens")


@pytest.mark.behaviour("model-reference")
@pytest.mark.parametrize(
    ("text", "provider", "name"),
    [
        ("grok.grok-4.6", "grok", "grok-4.6"),
        ("GROK.grok-4.20-reasoning", "grok", "grok-4.20-reasoning"),
        ("xai.grok-4.7", "xai", "grok-4.7"),
        ("grok-4.6", "xai", "grok-4.6"),
        ("grok-4.20-multi-agent", "xai", "grok-4.20-multi-agent"),
        ("grok-latest", "xai", "grok-latest"),
        ("gpt-4.1", "xai", "gpt-4.1"),
        ("openai.gpt-4o", "openai", "gpt-4o"),
        ("OpenAI.gpt-4.1", "openai", "gpt-4.1"),
        ("my-gateway_2.llama.3", "my-gateway_2", "llama.3"),
        ("some/gpt-4o", "xai", "some/gpt-4o"),
    ],
)
def test_reference_splits_at_the_first_dot_only_after_a_known_provider(text: str, provider: str, name: str) -> None:
    ref = ModelRef.parse(text, Providers(OPENAI, GATEWAY))
    assert (ref.provider, ref.name, ref.is_valid, ref.problem) == (provider, name, True, None)
    assert str(ref) == f"{provider}.{name}"


@pytest.mark.behaviour("model-reference-refusals")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("openai.gpt-4o", "provider 'openai' is not known; known are grok, xai; give another one"),
        ("OpenAI.gpt-4o", "provider 'OpenAI' is not known"),
        ("grok.", "names provider grok and no model"),
        ("grok", "names a provider and no model; write grok.<model>"),
        ("XAI", "names a provider and no model"),
        ("", "a model is empty"),
        ("  ", "a model is empty"),
        ("grok.grok 4", "is malformed; at most 200 characters of printable ASCII"),
        (" grok-4.6", "is malformed"),
        ("grok-4.6\n", "is malformed"),
        ("grök-4", "is malformed"),
        ("x" * 201, "is malformed"),
        (".grok-4", "does not begin or end with a dot"),
        ("grok-4.", "does not begin or end with a dot"),
        ("grok..grok-4", "does not begin or end with a dot"),
        (None, "a model is a NoneType"),
        (4, "a model is a int"),
    ],
)
def test_reference_that_is_none_is_refused_when_parsed_and_told_when_read(text: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ModelRef.parse(text)
    assert said in str(caught.value)
    read = ModelRef.read(text)
    assert not read.is_valid
    assert read.problem == str(caught.value)


@pytest.mark.behaviour("model-reference-refusals")
def test_reading_an_unknown_provider_keeps_what_was_named() -> None:
    read = ModelRef.read("openai.gpt-4.1")
    assert (read.provider, read.name, read.is_valid) == ("openai", "gpt-4.1", False)


@pytest.mark.behaviour("model-retired")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("grok.grok-3", "model grok-3 was retired on 2026-05-15: use grok-4.3"),
        ("grok-4-1-fast-non-reasoning", "use grok-4.20-non-reasoning"),
        ("Grok-4-0709", "model grok-4-0709 was retired"),
        ("xai.grok-3-mini", "model grok-3-mini was retired: use grok-4.3"),
        ("grok-2-vision-1212", "model grok-2-vision-1212 was retired: use"),
        ("grok-2", "use grok-4.3"),
    ],
)
def test_retired_model_warns_with_its_successor_when_parsed(text: str, said: str) -> None:
    with pytest.warns(RetiredModelWarning) as caught:
        ref = ModelRef.parse(text)
    assert said in str(caught[0].message)
    assert caught[0].filename == __file__
    assert ref.is_valid


@pytest.mark.behaviour("model-retired")
def test_retired_name_warns_nobody_when_it_is_read_or_belongs_to_another_provider() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ModelRef.read("grok.grok-3").retired == retired_model("grok-3")
        assert ModelRef.parse("openai.grok-3", Providers(OPENAI)).retired is None
        assert ModelRef.parse("grok-4.6").retired is None
        assert retired_model("grok-20") is None


@pytest.mark.behaviour("model-retired")
def test_no_successor_is_retired_itself() -> None:
    assert [row.successor for row in RETIRED_MODELS if retired_model(row.successor)] == []
    assert all(row.source for row in RETIRED_MODELS)


@pytest.mark.behaviour("model-providers")
def test_providers_are_values_and_registering_one_changes_no_other() -> None:
    more = PROVIDERS.with_provider(OPENAI)
    assert PROVIDERS.names == ("grok", "xai")
    assert more.names == ("grok", "openai", "xai")
    assert more.with_provider(GATEWAY).names == ("grok", "my-gateway_2", "openai", "xai")
    assert repr(more) == "Providers(grok, openai, xai)"
    found = more.find("OPENAI")
    assert found is OPENAI
    assert [row.is_built_in for row in more] == [True, True, False]


@pytest.mark.behaviour("model-providers")
@pytest.mark.parametrize("rows", [(OPENAI, OPENAI), (Provider("grok", "https://other.example/v1"),), ("openai",)])
def test_providers_refuse_a_name_given_twice_and_what_is_none(rows: Any) -> None:
    with pytest.raises(ConfigurationError):
        Providers(*rows)


@pytest.mark.behaviour("model-providers")
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "4you"}, "the name of a provider is '4you'"),
        ({"name": "a.b"}, "the name of a provider is 'a.b'"),
        ({"name": 5}, "the name of a provider is 5"),
        ({"base_url": "ftp://x"}, "address scheme 'ftp'"),
        ({"key_variable": "MY KEY"}, "key_variable of provider some is malformed"),
        ({"key_variable": 5}, "key_variable of provider some is malformed"),
        ({"key_variable": "XAI_API_KEY"}, "does not belong to https://other.example:443"),
        ({"has_developer_role": "yes"}, "has_developer_role is 'yes'"),
        ({"token_field": "tokens"}, "token_field is 'tokens'"),
    ],
)
def test_provider_row_is_refused_when_a_value_cannot_be_used(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Provider(**{"name": "some", "base_url": "https://other.example/v1", **fields})
    assert said in str(caught.value)


@pytest.mark.behaviour("model-keys", "bug-3")
def test_variable_of_a_provider_goes_to_its_own_origin_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    monkeypatch.setenv("XAI_API_KEY", "xai-own")
    own, other = Address("https://api.openai.com:443/v1/chat"), Address("https://api.openai.com:8443/v1")
    assert provider_key(OPENAI, own) == "sk-openai"
    assert provider_key(OPENAI, other) is None
    for provider in PROVIDERS:
        assert provider_key(provider, Address("https://api.x.ai/v1")) == "xai-own"
        assert provider_key(provider, own) is None
    assert provider_key(GATEWAY, Address(GATEWAY.base_url)) is None


@pytest.mark.behaviour("model-keys")
def test_variable_of_a_provider_is_none_when_blank_and_never_shown_when_malformed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = Address(OPENAI.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "  ")
    assert provider_key(OPENAI, address) is None
    monkeypatch.setenv("OPENAI_API_KEY", "a secret with spaces")
    with pytest.raises(ConfigurationError) as caught:
        provider_key(OPENAI, address)
    assert "OPENAI_API_KEY is malformed" in str(caught.value)
    assert "secret with" not in str(caught.value)
