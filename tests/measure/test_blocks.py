"""Blocks alone: what they are given, which are called, and what their time is divided by."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from families import HIDDEN, LAYERS, tiny

from widthwise.errors import RunError, UnsupportedModelError
from widthwise.measure import Workload, measure_blocks, workload

BATCHES = Workload(name="four", prompt_tokens=(7, 5, 7, 2), new_tokens=3, batch=1)


@pytest.fixture
def models() -> dict[str, Any]:
    return {"wide": tiny("llama"), "narrow": tiny("llama", intermediate_size=16)}


class Clock:
    """Goes on in the GLU blocks only: by `seconds(shape of the input)` a call of one."""

    def __init__(self, seconds: Callable[[tuple[int, ...]], float]) -> None:
        self.now_sec = 0.0
        self.seconds = seconds
        self.calls: list[tuple[str, int, tuple[int, ...]]] = []  # model, layer, shape

    def __call__(self) -> float:
        return self.now_sec

    def watch(self, name: str, model: Any) -> None:
        for layer, block in enumerate(layer.mlp for layer in model.model.layers):

            def called(_: Any, inputs: Any, __: Any, layer: int = layer) -> None:
                shape = tuple(inputs[0].shape)
                self.calls.append((name, layer, shape))
                self.now_sec += self.seconds(shape)

            block.register_forward_hook(called)


@pytest.fixture
def clock(models: dict[str, Any]) -> Clock:
    """A second for each token of a row, ten for each row: no sweep is done twice."""
    clock = Clock(lambda shape: 10.0 * shape[0] + shape[1])
    for name, model in models.items():
        clock.watch(name, model)
    return clock


def test_blocks_see_each_batch_and_one_new_token_of_its_rows(
    models: dict[str, Any], clock: Clock
) -> None:
    work = Workload(name="three", prompt_tokens=(7, 5, 4), new_tokens=3, batch=2)
    measure_blocks(models, work, clock=clock)
    sizes = {shape for _, _, shape in clock.calls}
    assert sizes == {(rows, tokens, HIDDEN) for rows, tokens in [(2, 7), (1, 4), (2, 1), (1, 1)]}


def test_a_time_is_that_of_one_block_and_of_the_mean_batch(
    models: dict[str, Any], clock: Clock
) -> None:
    """Prompts of 7, 5, 7 and 2 tokens: the 7 counts twice, though it is measured once a round."""
    for cost in measure_blocks(models, BATCHES, clock=clock):
        assert cost.prefill_sec == (10 + (7 + 5 + 7 + 2) / 4,) * 5
        assert cost.decode_sec == (10 + 1,) * 5
        assert (cost.workload, cost.reason) == (BATCHES, None)
    sevens = [call for call in clock.calls if call[0] == "wide" and call[2][1] == 7]
    assert len(sevens) == 1 + 6 * LAYERS  # a first call, then a sweep in each round


def test_all_layers_are_called_in_turn(models: dict[str, Any], clock: Clock) -> None:
    measure_blocks({"wide": models["wide"]}, workload("7x3"), clock=clock)
    layers = [layer for _, layer, _ in clock.calls]
    sweep = list(range(LAYERS))
    assert layers == [0, *sweep] * 2 + sweep * 2 * 5  # warm-up, then five rounds, of two shapes


def test_short_sweeps_are_repeated_a_fixed_number_of_times(models: dict[str, Any]) -> None:
    """4 ms a block, 12 ms a sweep: 4 sweeps are 48 ms, so a round takes 8."""
    clock = Clock(lambda shape: 0.004)
    clock.watch("wide", models["wide"])
    cost = measure_blocks({"wide": models["wide"]}, workload("1x3"), clock=clock)[0]
    assert len(clock.calls) == 1 + (1 + 2 + 4 + 8) * LAYERS + 5 * 8 * LAYERS
    # the clock's sums are rounded: 168 additions of less than 2^-53 relative each
    assert cost.prefill_sec == cost.decode_sec == pytest.approx([0.004] * 5, rel=1e-13)


def test_a_clock_that_stands_still_ends(models: dict[str, Any]) -> None:
    shallow = tiny("llama", num_hidden_layers=1)
    cost = measure_blocks({"shallow": shallow}, workload("1x1"), clock=lambda: 0.0)[0]
    assert cost.prefill_sec == (0.0,) * 5


def test_the_warm_up_is_not_counted(models: dict[str, Any]) -> None:
    """A clock that slows down: a round that came later is always shorter."""
    ticks = itertools.accumulate(1000.0 / number for number in range(1, 10**6))
    costs = measure_blocks(models, workload("2x1"), clock=lambda: next(ticks))
    # two readings a sweep, two shapes, two models: the second round begins with the ninth reading
    for cost in costs:
        assert len(cost.prefill_sec) == len(cost.decode_sec) == 5
        assert max(*cost.prefill_sec, *cost.decode_sec) <= 1000.0 / 10 / LAYERS


def test_every_round_visits_all_models_in_an_order_of_the_seed() -> None:
    models = {name: tiny("llama", num_hidden_layers=1) for name in "abcd"}
    clock = Clock(lambda shape: 1.0)
    for name, model in models.items():
        clock.watch(name, model)
    orders = []
    for seed in (0, 0, 1):
        clock.calls.clear()
        steps: list[int] = []
        costs = measure_blocks(
            models, workload("1x1"), seed=seed, on_step=steps.append, clock=clock
        )
        assert [cost.model for cost in costs] == list("abcd")
        assert steps == list(range(1, 4 * 6 + 1))
        visits = [name for name, _, _ in clock.calls[2 * 4 :]]  # two calls each to warm up
        orders.append([tuple(visits[start : start + 4]) for start in range(0, len(visits), 4)])
    assert all(sorted(visit) == list("abcd") for order in orders for visit in order)
    assert orders[0] == orders[1] != orders[2]
    assert len(orders[0]) == 5
    assert len(set(orders[0])) > 1


def test_inputs_are_random_and_of_the_dtype_of_the_weights(models: dict[str, Any]) -> None:
    seen: list[torch.Tensor] = []
    model = models["wide"].to(torch.bfloat16)
    model.model.layers[1].mlp.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for seed in (0, 1):
        measure_blocks(
            {"wide": model}, workload("7x1"), seed=seed, clock=itertools.count().__next__
        )
    assert {hidden.dtype for hidden in seen} == {torch.bfloat16}
    first, last = seen[0], seen[-2]  # of a prompt, by either seed
    assert first.shape == last.shape == (1, 7, HIDDEN)
    assert not torch.equal(first, last)
    assert len(first.unique()) > HIDDEN  # bfloat16 has few values for 224 numbers, but not one


def test_blocks_that_do_not_fit_leave_the_others(models: dict[str, Any]) -> None:
    block = models["wide"].model.layers[1].mlp
    plain = block.forward

    def forward(hidden: torch.Tensor) -> torch.Tensor:
        if hidden.shape[1] > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")
        return plain(hidden)

    block.forward = forward
    clock = itertools.count().__next__
    wide, narrow = measure_blocks(models, workload("3x1x2"), clock=clock)
    assert wide.reason == "wide does not fit into memory on 3x1x2, its GLU blocks alone"
    assert (wide.prefill_sec, wide.decode_sec) == ((), ())
    assert narrow.reason is None
    assert len(narrow.prefill_sec) == len(narrow.decode_sec) == 5
    assert measure_blocks(models, workload("2x1x2"), clock=clock)[0].reason is None


def test_memory_that_ends_later_takes_the_number_away(models: dict[str, Any]) -> None:
    """A round that was cut short must not stay as a shorter list."""
    block, calls = models["wide"].model.layers[0].mlp, itertools.count()
    plain = block.forward

    def forward(hidden: torch.Tensor) -> torch.Tensor:
        if next(calls) == 9:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(hidden)

    block.forward = forward
    clock = itertools.count().__next__
    wide, narrow = measure_blocks(models, workload("3x1"), clock=clock)
    assert (wide.prefill_sec, wide.decode_sec) == ((), ())
    assert wide.reason is not None
    assert len(narrow.prefill_sec) == 5


def test_other_errors_are_not_taken_for_memory(models: dict[str, Any]) -> None:
    def forward(hidden: torch.Tensor) -> Any:
        raise RuntimeError("shapes do not fit")

    models["wide"].model.layers[2].mlp.forward = forward
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        measure_blocks(models, workload("2x1"))


@pytest.mark.parametrize("family", ["phi3", "glm4", "gemma2"])
def test_fused_and_other_families_are_measured(family: str) -> None:
    model, clock = tiny(family), Clock(lambda shape: 1.0)
    clock.watch(family, model)
    cost = measure_blocks({family: model}, workload("3x2"), clock=clock)[0]
    assert cost.prefill_sec == cost.decode_sec == (1.0,) * 5
    assert {layer for _, layer, _ in clock.calls} == set(range(LAYERS))


def test_a_model_without_blocks_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedModelError, match="must be a transformers model"):
        measure_blocks({"one": torch.nn.Linear(2, 2)}, workload("2x1"))


@pytest.mark.parametrize(("count", "rounds"), [(0, 5), (2, 4)])
def test_too_few_rounds_or_models_are_refused(
    count: int, rounds: int, models: dict[str, Any]
) -> None:
    some = dict(list(models.items())[:count])
    with pytest.raises(RunError, match=f"5 rounds and a model; got {rounds} and {count} models"):
        measure_blocks(some, workload("2x1"), rounds=rounds)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_blocks_on_cuda(models: dict[str, Any]) -> None:
    on_device = {name: model.cuda() for name, model in models.items()}
    for cost in measure_blocks(on_device, workload("7x3x2")):
        assert cost.reason is None
        assert min(*cost.prefill_sec, *cost.decode_sec) > 0
