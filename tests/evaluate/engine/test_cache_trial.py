"""Whatever a model keeps of what it has read, answers are those of each text read alone."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from families import FAMILIES, tiny
from sharp import sharp
from special_families import CUT, OTHERS, VOCAB, crossing, special

from widthwise.cut import apply
from widthwise.errors import RunError
from widthwise.evaluate.engine import (
    CacheUse,
    Prompt,
    ScoringRequest,
    cache_use,
    can_share,
    check_causal,
    generate,
    log_likelihoods,
    prefixes,
)
from widthwise.prune import Nested, make_plan

SPECIAL = [*CUT, *OTHERS]
# Sums of 3 log-probabilities of size 10 in float32, layers of states adding up in another order:
# 6e-5 at most. Wrong states are off by 0.1 and more.
CLOSE = 5e-4


@pytest.fixture(autouse=True)
def _cheap_stems(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small rows must be worth a stem."""
    monkeypatch.setattr(prefixes, "_PREFIX_COST", 4)


def words(draw: random.Random, length: int) -> tuple[int, ...]:
    return tuple(draw.choices(range(3, VOCAB), k=length))


def runs_of(stem: int) -> list[ScoringRequest]:
    draw = random.Random(stem)
    begin = words(draw, stem)
    rests = [words(draw, length) for length in (2, 3, 3, 5, 9, 12)]
    return [
        *(ScoringRequest((*begin, *rest), 2) for rest in rests),
        ScoringRequest(words(draw, 20), 3),
    ]


def alone(model: Any, run: ScoringRequest) -> float:
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([run.tokens[:-1]])).logits[0, -run.scored :]
    chosen = logits.double().log_softmax(-1)[range(run.scored), list(run.tokens[-run.scored :])]
    return float(chosen.sum())


def written(model: Any, prompt: Prompt) -> tuple[int, ...]:
    """Greedy decoding, the whole text read for each token."""
    ids = list(prompt.tokens)
    for _ in range(prompt.limit):
        with torch.no_grad():
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return tuple(ids[len(prompt.tokens) :])


@pytest.mark.parametrize("family", SPECIAL)
def test_likelihoods_are_those_of_each_row_alone_also_the_second_time(family: str) -> None:
    """Beginnings shorter and longer than windows (24), chunks of states (64) and of text (16)."""
    model = special(family)
    for stem in (9, 30, 150):
        runs = runs_of(stem)
        expected = [alone(model, run) for run in runs]
        for _ in range(2):
            got = [scored.log_likelihood for scored in log_likelihoods(model, runs)]
            assert got == pytest.approx(expected, abs=CLOSE)


@pytest.mark.parametrize("family", SPECIAL)
def test_texts_are_those_of_each_row_alone(family: str) -> None:
    """Rows come and go; prompts are shorter and longer than windows and chunks."""
    model, draw = special(family), random.Random(1)
    lengths = (4, 11, 11, 3, 70, 35, 2, 11, 20, 35)
    prompts = [
        Prompt(tokens=words(draw, length), limit=1 + 5 * (number % 4))
        for number, length in enumerate(lengths)
    ]
    got = generate(model, prompts, frozenset(), rows=4)
    assert [text.tokens for text in got] == [written(model, prompt) for prompt in prompts]


@pytest.mark.parametrize("family", ["qwen3_5_text", "gemma4_shared"])
def test_a_narrowed_model_answers_as_a_cut_one_and_is_itself_again(family: str) -> None:
    """Nothing of one width is left for the next, nor for the dense model."""
    model, runs = special(family), runs_of(30)
    dense = log_likelihoods(model, runs)
    with Nested(model) as nested:
        nested.sort("ppm")
        for width in (40, 20, 40):
            cut = apply(
                special(family), make_plan(special(family), width=width, align=1, criterion="ppm")
            )
            with nested.at(width) as narrow:
                got = [scored.log_likelihood for scored in log_likelihoods(narrow, runs)]
            assert got == pytest.approx([alone(cut, run) for run in runs], abs=CLOSE)
    assert log_likelihoods(model, runs) == dense


def test_cross_layers_without_an_image_keep_nothing() -> None:
    model, runs = crossing(), runs_of(30)
    expected = [alone(model, run) for run in runs]
    got = [scored.log_likelihood for scored in log_likelihoods(model, runs)]
    assert got == pytest.approx(expected, abs=CLOSE)
    assert cache_use(model) == "joined"


def test_states_are_shared_and_joined_where_that_changes_nothing() -> None:
    """Of an ordinary family all is saved; of some, as their code stands, little or nothing."""
    assert all(can_share(sharp(family)) for family in FAMILIES)
    assert [can_share(special(f)) for f in ("qwen3_5_text", "gemma4_shared")] == [True, True]
    uses = {family: cache_use(special(family)) for family in ("qwen3_5_text", "llama4_text")}
    assert uses == {"qwen3_5_text": "joined", "llama4_text": "own"}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_rounding_is_not_taken_for_another_answer(dtype: torch.dtype) -> None:
    for family in ("llama", "qwen3", "phi3"):
        model = tiny(family, initializer_range=0.3).to(dtype)
        check_causal(model)
        assert can_share(model)
        assert cache_use(model) == "joined"


def test_a_model_that_looks_ahead_is_refused() -> None:
    model = tiny("gemma3_text", use_bidirectional_attention=True, initializer_range=0.3)
    with pytest.raises(RunError, match="gemma3_text also uses the tokens that come after"):
        log_likelihoods(model, runs_of(9))


class Forgetful:
    """A forward pass that goes wrong in one way where a cache is given.

    Args:
        model: Whose.
        wrong: Changes the keywords of a call.
    """

    def __init__(self, model: Any, wrong: Any) -> None:
        self.forward, self.wrong = model.forward, wrong

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **self.wrong(kwargs))


def broken(wrong: Any) -> Any:
    model = sharp("llama", max_position_embeddings=256)
    model.forward = Forgetful(model, wrong)
    return model


def no_cache(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {**kwargs, "past_key_values": None, "use_cache": False}


def no_padding_mask(kwargs: dict[str, Any]) -> dict[str, Any]:
    mask = kwargs.get("attention_mask")
    return kwargs if mask is None or mask.ndim != 2 else {**kwargs, "attention_mask": None}


def refusing(kwargs: dict[str, Any]) -> dict[str, Any]:
    if kwargs.get("past_key_values") is not None:
        raise NotImplementedError("no cache from outside")
    return kwargs


@pytest.mark.parametrize(
    ("wrong", "use"), [(no_cache, "none"), (no_padding_mask, "own"), (refusing, "none")]
)
def test_a_model_whose_cache_fails_is_read_without_it(wrong: Any, use: CacheUse) -> None:
    model, runs = broken(wrong), runs_of(30)
    assert cache_use(model) == use
    expected = [alone(model, run) for run in runs]
    got = [scored.log_likelihood for scored in log_likelihoods(model, runs)]
    assert got == pytest.approx(expected, abs=CLOSE)
    draw = random.Random(2)
    prompts = [Prompt(tokens=words(draw, length), limit=6) for length in (3, 8, 8, 5)]
    got_texts = generate(model, prompts, frozenset(), rows=3)
    assert [text.tokens for text in got_texts] == [written(model, prompt) for prompt in prompts]


def test_padding_that_tells_only_a_little_is_found_out_in_bfloat16() -> None:
    """Less than rounding: but what stands in the padding must not change a bit."""
    model = tiny("llama", initializer_range=0.3).to(torch.bfloat16)
    forward = model.forward

    def leaking(ids: Any, **kwargs: Any) -> Any:
        out = forward(ids, **kwargs)
        out.logits = out.logits + 0.02 * (ids[:, :1] > 90)[..., None]
        return out

    model.forward = leaking
    assert cache_use(model) != "joined"


def test_rotations_that_depend_on_the_longest_row_are_refused() -> None:
    """Dynamic scaling: beyond 64 tokens a number would depend on the rows read before."""
    rope = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    model = sharp("llama", max_position_embeddings=64, rope_parameters=rope)
    draw = random.Random(3)
    fitting = [ScoringRequest(words(draw, length + 1), 2) for length in (64, 30, 60)]
    with torch.no_grad():
        model(input_ids=torch.tensor([words(draw, 100)]))  # which the model remembers
    with pytest.raises(RunError, match=r"beyond 64 tokens, the model.* this text has 65"):
        log_likelihoods(model, [*fitting, ScoringRequest(words(draw, 66), 2)])
    got = [scored.log_likelihood for scored in log_likelihoods(model, fitting)]
    fresh = sharp("llama", max_position_embeddings=64, rope_parameters=rope)
    assert got == pytest.approx([alone(fresh, run) for run in fitting], abs=CLOSE)
    with pytest.raises(RunError, match=r"more than 64 tokens .* may have 65"):
        generate(model, [Prompt(tokens=words(draw, 60), limit=5)], frozenset())
