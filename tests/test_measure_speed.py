"""Speeds: what is timed, in which order, and how the rounds become one number."""

from __future__ import annotations

import itertools
import random
import statistics
from typing import Any

import pytest
import torch
from families import tiny

from widthwise.errors import RunError
from widthwise.measure import faster_dtype, measure_speed


@pytest.fixture
def models() -> dict[str, Any]:
    return {"wide": tiny("llama"), "narrow": tiny("llama", intermediate_size=16)}


def test_each_model_has_both_speeds_in_order(models: dict[str, Any]) -> None:
    steps: list[int] = []
    speeds = measure_speed(
        models, prompt_tokens=7, new_tokens=3, repeats=5, seed=0, on_step=steps.append
    )
    assert [(speed.model, speed.quantity, speed.tokens) for speed in speeds] == [
        ("wide", "prefill", 7),
        ("wide", "decode", 3),
        ("narrow", "prefill", 7),
        ("narrow", "decode", 3),
    ]
    assert steps == list(range(1, 2 * (5 + 1) + 1))
    for speed in speeds:
        assert speed.n == len(speed.seconds) == 5
        rates = [speed.tokens / seconds for seconds in speed.seconds]
        assert speed.value == statistics.median(rates)
        assert 0 < speed.standard_error < max(rates) - min(rates)
        assert (speed.unit, speed.device, speed.dtype) == ("tokens_per_sec", "cpu", "float32")


def test_the_warm_up_round_is_not_counted(
    models: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that slows down: the first round would be the longest."""
    ticks = itertools.accumulate(1000.0 / number for number in range(1, 10**6))
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks))
    speeds = measure_speed(models, prompt_tokens=2, new_tokens=1, repeats=5, seed=0)
    # each visit reads the clock three times, so the second round begins with the seventh reading
    assert all(max(speed.seconds) <= 1000.0 / 8 for speed in speeds)


def test_standard_error_is_that_of_the_median(
    models: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    monkeypatch.setattr("time.perf_counter", lambda: float(next(ticks)))
    speeds = measure_speed(models, prompt_tokens=2, new_tokens=4, repeats=5, seed=0)
    assert [(speed.value, speed.standard_error) for speed in speeds] == [(2, 0), (4, 0)] * 2


def test_bootstrap_of_the_median_has_the_known_error() -> None:
    """For n normal values the median's error is about sqrt(pi / 2n) of their deviation."""
    from widthwise.measure.speed import _median_error

    chance, n = random.Random(2), 101
    values = [chance.gauss(10, 1) for _ in range(n)]
    # one sample's estimate of this error itself varies by some 30 % at n = 101
    assert _median_error(values, 0) == pytest.approx((3.14159 / 2 / n) ** 0.5, rel=0.6)
    assert _median_error(values, 0) == _median_error(values, 0)


def test_decode_writes_a_fixed_number_of_tokens(models: dict[str, Any]) -> None:
    """Even when every token is end-of-text; the prompt is read once a round."""
    model = models["wide"]
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.config.eos_token_id = 0  # all logits equal: argmax is token 0
    lengths: list[tuple[int, ...]] = []
    hook = model.get_input_embeddings().register_forward_hook(
        lambda module, inputs, output: lengths.append(tuple(inputs[0].shape))
    )
    measure_speed({"wide": model}, prompt_tokens=7, new_tokens=3, repeats=5, seed=0)
    hook.remove()
    assert lengths == [(1, 7), (1, 1), (1, 1), (1, 1)] * 6


def test_order_is_shuffled_by_the_seed() -> None:
    visits: list[str] = []
    models = {name: tiny("llama", num_hidden_layers=1) for name in "abcd"}
    for name, model in models.items():
        model.get_input_embeddings().register_forward_hook(
            lambda module, inputs, output, name=name: (
                visits.append(name) if inputs[0].shape[1] > 1 else None
            )
        )
    for seed in (0, 0, 1):
        measure_speed(models, prompt_tokens=2, new_tokens=1, repeats=5, seed=seed)
    rounds = [tuple(visits[i : i + 4]) for i in range(0, len(visits), 4)]
    assert all(sorted(visit) == list("abcd") for visit in rounds)
    assert rounds[:6] == rounds[6:12] != rounds[12:]
    assert len(set(rounds[:6])) > 1


@pytest.mark.parametrize(
    ("name", "value"), [("prompt_tokens", 0), ("new_tokens", 0), ("repeats", 4)]
)
def test_settings_out_of_range_are_named(name: str, value: int, models: dict[str, Any]) -> None:
    settings = {"prompt_tokens": 2, "new_tokens": 2, "repeats": 5, name: value}
    with pytest.raises(RunError, match=rf"{name} must be at least \d; got {value}"):
        measure_speed(models, **settings, seed=0)


def test_faster_dtype_is_the_one_that_won() -> None:
    choice = faster_dtype()
    assert choice.name == ("bfloat16" if choice.speedup >= 1 else "float32")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_speed_on_cuda(models: dict[str, Any]) -> None:
    on_device = {name: model.cuda() for name, model in models.items()}
    speeds = measure_speed(on_device, prompt_tokens=7, new_tokens=3, repeats=5, seed=0)
    assert {speed.device for speed in speeds} == {"cuda"}
