"""The closed form of a refit at every width, its error, and the order in which obs deletes."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch

from widthwise.errors import RunError
from widthwise.prune.refitting import Ridge, obs_order
from widthwise.prune.refitting.ridge import cholesky, damped, output_power, weight_fallback

M, D, N = 11, 5, 60


def relative_error(moment: Any, weight: Any, kept: Any, values: Any) -> float:
    """Mean squared error of the output, over that of the output itself: 0 none, 1 as if cut off."""
    lost = output_power(moment, weight_fallback(weight, kept, values))
    return lost / output_power(moment, weight)


def problem(seed: int = 0, neurons: int = M) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Activations of correlated neurons, their mean second moment, and weights; float64."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(neurons, neurons, generator=generator, dtype=torch.float64)
    rows = torch.randn(N, neurons, generator=generator, dtype=torch.float64) @ mix
    weight = torch.randn(neurons, D, generator=generator, dtype=torch.float64)
    return rows, rows.T @ rows / N, weight


def exact_loss(moment: np.ndarray, weight: np.ndarray, kept: list[int]) -> float:
    """min over V of tr[(W - E V)^T H (W - E V)], by the normal equations."""
    lost = weight.copy()
    if kept:
        lost[kept] -= np.linalg.solve(moment[np.ix_(kept, kept)], moment[kept] @ weight)
    return float(np.trace(lost.T @ moment @ lost))


@pytest.mark.parametrize("lam", [0.0, 1e-3, 1.0])
def test_the_refit_is_the_closed_form_at_every_width(lam: float) -> None:
    """V = (H_SS + lam I)^-1 (H_S: W + lam W_S), by numpy; condition below 1e5, so 1e-9."""
    _, moment, weight = problem()
    order = torch.randperm(M, generator=torch.Generator().manual_seed(1))
    ridge = Ridge(moment, weight, order, lam, "layer 0")
    h, w, mu = moment.numpy(), weight.numpy(), lam * float(moment.diagonal().mean())
    for k in range(1, M + 1):
        s = order[:k].numpy()
        left = h[np.ix_(s, s)] + mu * np.eye(k)
        expected = np.linalg.solve(left, h[s] @ w + mu * w[s])
        np.testing.assert_allclose(ridge.at(k).numpy(), expected, rtol=1e-9, atol=1e-9)


def test_without_a_ridge_the_refit_is_least_squares_on_the_activations() -> None:
    rows, moment, weight = problem(1)
    order = torch.arange(M)
    ridge = Ridge(moment, weight, order, 0.0, "layer 0")
    for k in range(1, M + 1):
        expected = np.linalg.lstsq(rows[:, :k].numpy(), (rows @ weight).numpy(), rcond=None)[0]
        np.testing.assert_allclose(ridge.at(k).numpy(), expected, rtol=1e-8, atol=1e-8)


def test_a_large_ridge_leaves_the_weights_as_they_were() -> None:
    _, moment, weight = problem()
    order = torch.arange(M)
    left = Ridge(moment, weight, order, 1e9, "layer 0").at(6)
    torch.testing.assert_close(left, weight[:6], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("lam", [0.0, 1e-2])
def test_the_curve_is_the_loss_at_every_width(lam: float) -> None:
    _, moment, weight = problem(2)
    order = torch.randperm(M, generator=torch.Generator().manual_seed(4))
    ridge = Ridge(moment, weight, order, lam, "layer 0")
    curve, matrix = ridge.curve(), damped(moment, lam)
    assert curve.shape == (M + 1,)
    for k in range(M + 1):
        values = ridge.at(k) if k else weight[:0]
        direct = relative_error(matrix, weight, order[:k], values)
        assert float(curve[k]) == pytest.approx(direct, abs=1e-12)
        assert float(curve[k]) == pytest.approx(
            exact_loss(matrix.numpy(), weight.numpy(), order[:k].tolist())
            / exact_loss(matrix.numpy(), weight.numpy(), []),
            abs=1e-12,
        )


def test_obs_deletes_what_an_exhaustive_search_finds_cheapest() -> None:
    """One at a time: each deletion is the one whose refit leaves the least loss, of all left."""
    for seed in range(5):
        _, moment, weight = problem(seed, 8)
        matrix = damped(moment, 1e-2).numpy()
        order = obs_order(moment, weight, "layer 0", rounds=8).tolist()
        for k in range(7, 0, -1):
            losses = {
                gone: exact_loss(matrix, weight.numpy(), [i for i in order[: k + 1] if i != gone])
                for gone in order[: k + 1]
            }
            assert order[k] == min(losses, key=losses.__getitem__)


def test_obs_in_blocks_is_a_whole_order_and_nearly_as_good() -> None:
    """16 rounds of 4 instead of 64: the loss at half the width is within a tenth."""
    _, moment, weight = problem(5, 64)
    losses = []
    for rounds in (64, 16):
        order = obs_order(moment, weight, "layer 0", rounds=rounds)
        assert sorted(order.tolist()) == list(range(64))
        losses.append(float(Ridge(moment, weight, order, 1e-2, "layer 0").curve()[32]))
    assert losses[1] < 1.1 * losses[0]


def test_obs_beats_the_activation_score_where_neurons_repeat_each_other() -> None:
    """Neuron i + 4 copies neuron i: the four largest, two pairs, can do without their copies."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(400, 4, generator=generator, dtype=torch.float64)
    rows = torch.cat([rows, rows + 0.01 * torch.randn(400, 4, generator=generator)], 1)
    rows[:, [0, 1, 4, 5]] *= 3
    moment = rows.T @ rows / 400
    weight = torch.randn(8, D, generator=generator, dtype=torch.float64)
    best = min(
        exact_loss(moment.numpy(), weight.numpy(), list(c)) for c in combinations(range(8), 4)
    )
    kept = obs_order(moment, weight, "layer 0", rounds=8)[:4].tolist()
    assert {i % 4 for i in kept} == {0, 1, 2, 3}
    assert exact_loss(moment.numpy(), weight.numpy(), kept) < 2 * best


def test_numbers_that_allow_no_refit_are_told() -> None:
    _, moment, weight = problem()
    flat = torch.ones(M, M, dtype=torch.float64)
    with pytest.raises(RunError, match=r"layer 0: .* not positive definite .* calibrate on more"):
        Ridge(flat - 0.1 * torch.eye(M), weight, torch.arange(M), 0.0, "layer 0")
    with pytest.raises(RunError, match="not positive definite"):
        cholesky(torch.full((3, 3), float("nan"), dtype=torch.float64), "layer 0")
    with pytest.raises(RunError, match=r"layer 0: none of its neurons is active .* are zeros"):
        cholesky(torch.zeros(3, 3, dtype=torch.float64), "layer 0")
    weight[0, 0] = float("inf")
    with pytest.raises(RunError, match="the refit is not finite"):
        Ridge(moment, weight, torch.arange(M), 0.0, "layer 0").at(4)


def test_a_neuron_that_is_always_silent_is_no_trouble_and_goes_first() -> None:
    rows, _, weight = problem()
    rows[:, 3] = 0
    moment = rows.T @ rows / N
    order = obs_order(moment, weight, "layer 0", rounds=M)
    assert order[-1] == 3
    assert torch.isfinite(Ridge(moment, weight, order, 1e-3, "layer 0").at(M)).all()


def test_at_the_width_of_the_dense_model_nothing_would_be_lost() -> None:
    _, moment, weight = problem()
    ridge = Ridge(moment, weight, torch.arange(M), 1.0, "layer 0")
    torch.testing.assert_close(ridge.at(M), weight)
    assert ridge.curve()[M] == 0
