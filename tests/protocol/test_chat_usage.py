"""The usage of a request equals what the service means, in every style it was ever stated in."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xai_realtime.events import chat as wire
from xai_realtime.protocol.chat_usage import FIGURES, ChatUsage, UsageFold

FIELDWISE = pytest.mark.behaviour("chat-usage-fieldwise")
ARITHMETIC = pytest.mark.behaviour("ask-32")

FULL = {
    "prompt_tokens": 32,
    "completion_tokens": 9,
    "total_tokens": 135,
    "prompt_tokens_details": {"text_tokens": 32, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 6},
    "completion_tokens_details": {
        "reasoning_tokens": 94,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
    "num_sources_used": 0,
    "cost_in_usd_ticks": 1_234_500,
}


def usage(**fields: Any) -> wire.Usage:
    return wire.Usage.model_validate(fields)


def folded(*stated: dict[str, Any] | None) -> ChatUsage:
    fold = UsageFold()
    for fields in stated:
        fold.push(None if fields is None else wire.Usage.model_validate(fields))
    return fold.usage


def test_every_figure_of_the_wire_is_read() -> None:
    found = folded(FULL)
    stated = {name: getattr(found, name) for name in FIGURES}
    assert stated == {
        "prompt_tokens": 32,
        "completion_tokens": 9,
        "total_tokens": 135,
        "cached_tokens": 6,
        "prompt_text_tokens": 32,
        "prompt_audio_tokens": 0,
        "prompt_image_tokens": 0,
        "reasoning_tokens": 94,
        "completion_audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
        "num_sources_used": 0,
        "cost_in_usd_ticks": 1_234_500,
    }
    assert found.to_json() == stated | {
        "output_tokens": 103,
        "cost_usd": "0.00012345",
        "arithmetic": "exclusive",
        "is_complete": False,
    }


@FIELDWISE
def test_nothing_stated_is_unknown_and_never_zero() -> None:
    for found in (folded(), folded(None), folded({}), folded({"prompt_tokens_details": None}), ChatUsage()):
        assert not found.is_known
        assert (found.prompt_tokens, found.output_tokens, found.visible_tokens, found.cost_usd) == (None,) * 4
        assert found.to_json() == {"arithmetic": "unknown", "is_complete": False}


TRUTH = st.fixed_dictionaries(
    {
        "prompt": st.integers(1, 5000),
        "completion": st.integers(1, 60),
        "reasoning": st.integers(0, 60),
        "cached": st.integers(0, 5000),
        "ticks": st.integers(1, 10**12),
        "is_exclusive": st.booleans(),
    }
)


def snapshot(truth: dict[str, Any], completion: int, reasoning: int) -> dict[str, Any]:
    """What the service states when it has got so far."""
    completion = completion if truth["is_exclusive"] else completion + reasoning
    return {
        "prompt_tokens": truth["prompt"],
        "completion_tokens": completion,
        "total_tokens": truth["prompt"] + completion + (reasoning if truth["is_exclusive"] else 0),
        "prompt_tokens_details": {"cached_tokens": truth["cached"]},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
        "cost_in_usd_ticks": truth["ticks"],
    }


@st.composite
def streams(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any] | None]]:
    """A truth, and the usage objects of a stream that states it in one of the known styles, with noise of each kind."""
    truth = draw(TRUTH)
    last = snapshot(truth, truth["completion"], truth["reasoning"])
    style = draw(st.sampled_from(["end", "every chunk", "last chunk of many nulls", "zeros first", "field by field"]))
    stated: list[dict[str, Any] | None]
    if style == "every chunk":
        done = range(1, truth["completion"] + 1)
        stated = [snapshot(truth, so_far, truth["reasoning"]) for so_far in done]
    elif style == "field by field":
        stated = [{name: value} for name, value in draw(st.permutations(sorted(last.items())))]
    elif style == "zeros first":
        zeros = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "cost_in_usd_ticks": 0}
        stated = [zeros, last]
    else:
        stated = [None, None, last]
    if draw(st.booleans()):
        stated = [entry for entry in stated for _ in range(draw(st.integers(1, 3)))]
    noise: list[dict[str, Any] | None] = [
        None,
        {},
        {"prompt_tokens": None, "prompt_tokens_details": None},
        {"completion_tokens_details": {}},
        {"completion_tokens_details": {"reasoning_tokens": None}},
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        {"prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}},
        {"prompt_tokens": -1, "completion_tokens": 10**30},
    ]
    for entry in draw(st.lists(st.sampled_from(noise), max_size=6)):
        stated.insert(draw(st.integers(0, len(stated))), entry)
    return truth, stated


@FIELDWISE
@pytest.mark.behaviour("bug-2")
@given(streams())
def test_usage_equals_the_truth_in_whatever_style_it_is_stated(
    stream: tuple[dict[str, Any], list[dict[str, Any] | None]],
) -> None:
    truth, stated = stream
    found = folded(*stated)
    assert found.prompt_tokens == truth["prompt"]
    assert (found.cached_tokens or 0) == truth["cached"]
    assert (found.reasoning_tokens or 0) == truth["reasoning"]
    assert found.output_tokens == truth["completion"] + truth["reasoning"]
    assert found.visible_tokens == truth["completion"]
    assert found.total_tokens == truth["prompt"] + truth["completion"] + truth["reasoning"]
    assert found.cost_usd == Decimal(truth["ticks"]).scaleb(-10)


@pytest.mark.behaviour("bug-2")
def test_prompt_tokens_are_corrected_when_a_later_chunk_states_them_anew() -> None:
    assert folded({"prompt_tokens": 10}, {"prompt_tokens": 12}, {"prompt_tokens": 11}).prompt_tokens == 11


@ARITHMETIC
@pytest.mark.behaviour("bug-1")
@pytest.mark.parametrize(
    ("prompt", "completion", "reasoning", "total", "arithmetic", "output"),
    [
        (12, 1, 228, 241, "exclusive", 229),
        (291, 26, 189, 506, "exclusive", 215),
        (32, 9, 94, 135, "exclusive", 103),
        (32, 103, 94, 135, "inclusive", 103),
        (10, 5, 0, 15, "inclusive", 5),
        (10, 5, None, 15, "inclusive", 5),
        (10, 5, 0, None, "unknown", 5),
        (10, 5, None, None, "unknown", None),
        (10, 5, 3, None, "unknown", None),
        (10, 5, 3, 99, "unknown", None),
        (10, 5, 7, 15, "unknown", None),
        (10, 5, None, 99, "unknown", None),
        (10, None, 3, 13, "unknown", None),
        (None, 5, 3, 13, "unknown", None),
    ],
)
def test_total_of_the_wire_decides_whether_thought_is_among_the_completion(
    prompt: int, completion: int, reasoning: int, total: int, arithmetic: str, output: int | None
) -> None:
    found = ChatUsage(prompt, completion, total, reasoning_tokens=reasoning)
    assert (found.arithmetic, found.output_tokens, found.total_tokens) == (arithmetic, output, total)
    visible = None if output is None else output - (reasoning or 0)
    assert found.visible_tokens == visible


@ARITHMETIC
def test_cost_is_exact_to_the_tick() -> None:
    assert folded({"cost_in_usd_ticks": 10_000_000_001}).cost_usd == Decimal("1.0000000001")
    assert folded({"cost_in_usd_ticks": 0}).cost_usd == 0
    assert folded({"cost_in_usd_ticks": 20_000_000_000}).to_json()["cost_usd"] == "2"


@pytest.mark.behaviour("chat-usage-incomplete")
def test_usage_is_incomplete_until_the_service_has_said_all() -> None:
    fold = UsageFold()
    fold.finish()
    assert not fold.usage.is_complete
    fold.push(usage(prompt_tokens=1))
    assert not fold.usage.is_complete
    fold.finish()
    assert fold.usage.is_complete


def test_what_the_spec_lacks_is_kept_and_not_hidden_by_what_is_empty() -> None:
    found = folded(
        {"new": 5, "list": [1], "prompt_tokens_details": {"newer": 7}},
        {"new": 0, "list": [], "prompt_tokens_details": {"newer": None}, "zero": 0},
    )
    assert found.extra == {"new": 5, "list": [1], "prompt_tokens_details.newer": 7, "zero": 0}
