"""The dynamic programme over widths: exact, within its budget, never worse than one width."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.errors import PlanError, TargetError
from widthwise.prune.knapsack import allocate, candidate_widths

SMALL = st.integers(0, 5) | st.integers(0, 10**9)  # small ones collide, large ones never do
LOSS = st.integers(0, 3).map(float) | st.floats(0, 1) | st.floats(0, 1e-9)
LAYER = st.lists(st.tuples(LOSS, SMALL), min_size=1, max_size=5)


def cost_and_loss(layers: Any, chosen: Any) -> tuple[int, float]:
    picked = [layer[level] for layer, level in zip(layers, chosen, strict=True)]
    return sum(cost for _, cost in picked), sum(loss for loss, _ in picked)


def split(layers: Any) -> tuple[Any, Any]:
    return [[loss for loss, _ in y] for y in layers], [[cost for _, cost in y] for y in layers]


@given(st.lists(LAYER, min_size=1, max_size=5), st.data())
def test_it_is_the_best_of_all_choices(layers: Any, data: Any) -> None:
    least = sum(min(cost for _, cost in layer) for layer in layers)
    most = sum(max(cost for _, cost in layer) for layer in layers)
    budget = data.draw(st.integers(least, most))
    every = product(*(range(len(layer)) for layer in layers))
    sums = [cost_and_loss(layers, chosen) for chosen in every]
    best = min(loss for cost, loss in sums if cost <= budget)
    cost, loss = cost_and_loss(layers, allocate(*split(layers), budget))
    assert cost <= budget
    assert loss == pytest.approx(best, rel=1e-12, abs=1e-15)  # sums of five in another order


@given(
    st.lists(
        st.lists(st.floats(0, 10), min_size=12, max_size=12), min_size=1, max_size=40
    ),
    st.integers(0, 11),
)  # fmt: skip
def test_it_is_never_worse_than_the_same_level_everywhere(losses: Any, level: int) -> None:
    costs = [[7 * k + 3 for k in range(12)]] * len(losses)
    budget = costs[0][level] * len(losses)
    chosen = allocate(losses, costs, budget)
    assert sum(costs[0][k] for k in chosen) <= budget
    even = sum(layer[level] for layer in losses)
    assert sum(y[k] for y, k in zip(losses, chosen, strict=True)) <= even * (1 + 1e-12)


def test_layers_that_lose_the_same_share_evenly_where_losses_are_convex() -> None:
    losses, costs = [[(10 - k) ** 2 * 1.0 for k in range(11)]] * 6, [list(range(11))] * 6
    assert allocate(losses, costs, 42) == (7,) * 6
    assert sorted(allocate(losses, costs, 45)) == [7, 7, 7, 8, 8, 8]


def test_of_equal_losses_the_cheapest_is_taken() -> None:
    assert allocate([[1.0, 1.0, 1.0], [0.0, 0.0]], [[5, 2, 9], [4, 3]], 100) == (1, 1)


@pytest.mark.parametrize(
    ("losses", "costs", "error", "message"),
    [
        ([[1.0], [1.0]], [[4], [5]], TargetError, "cost at most 8: even the narrowest .* cost 9"),
        ([], [], PlanError, "must have the same layers"),
        ([[1.0]], [[1, 2]], PlanError, "must have the same layers"),
        ([[]], [[]], PlanError, "losses of layer 0 must be finite numbers, at least one"),
        ([[1.0], [float("nan")]], [[1], [1]], PlanError, "losses of layer 1 must be finite"),
        ([[1.0]], [[1.5]], PlanError, "costs of layer 0 must be whole numbers from 0 on"),
        ([[1.0]], [[-1]], PlanError, "costs of layer 0 must be whole numbers from 0 on"),
        ([[1.0]], [[2**53]], PlanError, r"less than 2\^53; pass them in a larger unit"),
    ],
)
def test_what_cannot_be_allocated_is_told(
    losses: Any, costs: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        allocate(losses, costs, 8)


@given(st.integers(1, 20_000), st.sampled_from([1, 8, 16, 128]), st.data())
def test_levels_are_multiples_and_hold_the_uniform_width(
    size: int, alignment: int, data: Any
) -> None:
    if size <= alignment:
        return
    uniform = data.draw(st.integers(1, (size - 1) // alignment)) * alignment
    found = candidate_widths(size, alignment, uniform)
    assert list(found) == sorted(set(found))
    assert found[-1] == size
    assert uniform in found
    assert all(width % alignment == 0 for width in found[:-1])
    assert len(found) <= 130  # 128, the uniform width and the dense one
    step = alignment + size / 128  # by which the narrowest may be rounded down
    assert found[0] > min(size / 4, uniform / 2) - step
    assert found[0] <= uniform
    if uniform < size / 4:  # then there must be room below it as well
        assert found[0] <= max(step, uniform / 2)
