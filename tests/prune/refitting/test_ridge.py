"""The closed form of a refit at every width, its error, and the order in which obs deletes."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from least_squares import closed_form, output_loss, relative_error

from widthwise.errors import RunError
from widthwise.prune.refitting import Removal, Ridge, obs_order, output_power
from widthwise.prune.refitting.ridge import TOLERANCE, cholesky, damped

M, D, N = 11, 5, 60


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


def refitted(moment: Any, weight: Any, lam: float, k: int, widest: int | None = None) -> Any:
    """V of the first k neurons."""
    ridge = Ridge(moment, lam, "layer 0", widest)
    return weight[:k] + ridge.change(Removal(moment, weight, k))


@pytest.mark.parametrize("lam", [0.0, 1e-3, 1.0])
def test_the_refit_is_the_closed_form_at_every_width(lam: float) -> None:
    """By numpy; condition below 1e5, so 1e-9."""
    _, moment, weight = problem()
    for k in range(1, M + 1):
        expected = closed_form(moment, weight, range(k), lam)
        for widest in (None, k):
            got = refitted(moment, weight, lam, k, widest)
            torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)


def test_a_refit_by_sums_is_that_by_means() -> None:
    _, moment, weight = problem()
    torch.testing.assert_close(
        refitted(N * moment, weight, 1e-2, 6), refitted(moment, weight, 1e-2, 6)
    )


def test_without_a_ridge_the_refit_is_least_squares_on_the_activations() -> None:
    rows, moment, weight = problem(1)
    for k in range(1, M + 1):
        expected = np.linalg.lstsq(rows[:, :k].numpy(), (rows @ weight).numpy(), rcond=None)[0]
        got = refitted(moment, weight, 0.0, k).numpy()
        np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-8)


def test_a_large_ridge_leaves_the_weights_as_they_were() -> None:
    _, moment, weight = problem()
    torch.testing.assert_close(refitted(moment, weight, 1e9, 6), weight[:6], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("lam", [0.0, 1e-2])
def test_the_curve_is_the_loss_at_every_width(lam: float) -> None:
    _, moment, weight = problem(2)
    ridge = Ridge(moment, lam, "layer 0")
    curve, matrix = ridge.curve(weight), damped(moment, lam)
    assert curve.shape == (M + 1,)
    for k in range(M + 1):
        direct = relative_error(matrix, weight, range(k), refitted(moment, weight, lam, k))
        assert float(curve[k]) == pytest.approx(direct, abs=1e-12)
        assert float(curve[k]) == pytest.approx(
            exact_loss(matrix.numpy(), weight.numpy(), list(range(k)))
            / exact_loss(matrix.numpy(), weight.numpy(), []),
            abs=1e-12,
        )


def test_a_removal_says_what_the_output_loses() -> None:
    _, moment, weight = problem(3)
    _, other, _ = problem(4)
    for k in (1, 6, M):
        removal = Removal(other, weight, k)
        for values in (weight[:k], torch.zeros(k, D), refitted(moment, weight, 1e-2, k)):
            expected = output_loss(other, weight, range(k), values)
            assert removal.loss(values - weight[:k]) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("neurons", [1, 512, 1100])
def test_the_power_of_an_output_is_found_from_half_of_the_products(neurons: int) -> None:
    """Whole panels, a part of one, and less than one."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(9, neurons, generator=generator, dtype=torch.float64)
    weight = torch.randn(neurons, 3, generator=generator, dtype=torch.float64)
    expected = float((rows @ weight).square().sum())
    assert output_power(rows.T @ rows, weight) == pytest.approx(expected, rel=1e-12)
    above = torch.ones(neurons, neurons, dtype=torch.bool).triu(512)
    unread = (rows.T @ rows).masked_fill(above, float("nan"))
    assert output_power(unread, weight) == pytest.approx(expected, rel=1e-12)


def activations(kind: str) -> torch.Tensor:
    """Of 256 neurons on 1024 tokens, of badly conditioned second moments; float64."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    rows, turn = normal(1024, 256), torch.linalg.qr(normal(256, 256)).Q
    if kind == "decaying spectrum":  # eigenvalues from 1 to 1e-12
        return rows * torch.logspace(0, -6, 256, dtype=torch.float64) @ turn
    if kind == "fewer tokens than neurons":
        return rows[:128] @ turn
    if kind == "twins":  # neuron i + 128 is neuron i
        return rows[:, :128].repeat(1, 2) + 1e-5 * normal(1024, 256)
    if kind == "some huge neurons":
        rows = rows @ turn
        rows[:, ::50] *= 1e4
        return rows
    assert kind == "one huge direction"  # in all neurons
    return rows + 3e3 * normal(1024, 1) * normal(1, 256).sign()


KINDS = (
    "decaying spectrum", "fewer tokens than neurons", "twins", "some huge neurons",
    "one huge direction",
)  # fmt: skip


def float32_problem(kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums of second moments and weights, best neurons first."""
    rows = activations(kind)
    weight = torch.randn(256, 24, generator=torch.Generator().manual_seed(1))
    moment = (rows.T @ rows).float()
    order = (moment.diagonal() * weight.square().sum(1)).argsort(descending=True)
    return moment[order][:, order], weight[order]


@pytest.mark.parametrize("lam", [1.0, 1e-2, 1e-3, 1e-4, 1e-6])
@pytest.mark.parametrize("kind", KINDS)
def test_a_float32_refit_loses_what_the_float64_one_does(kind: str, lam: float) -> None:
    """Within the stated tolerance, however bad the condition; 1.5 as the residual is estimated."""
    moment, weight = float32_problem(kind)
    try:
        exact = refitted(moment.double(), weight.double(), lam, 200, 200)
    except RunError:  # the rounding of the sums alone is more than such a ridge
        with pytest.raises(RunError, match="not positive definite"):
            refitted(moment, weight, lam, 200, 200)
        return
    matrix = damped(moment.double(), lam)
    least = output_loss(matrix, weight, range(200), exact)
    got = output_loss(matrix, weight, range(200), refitted(moment, weight, lam, 200, 200))
    assert got <= least * (1 + 1.5 * TOLERANCE)


@pytest.mark.parametrize(
    ("kind", "lam"), [("decaying spectrum", 1e-6), ("fewer tokens than neurons", 1e-6)]
)
def test_where_float32_would_lose_more_the_refit_is_that_in_float64(kind: str, lam: float) -> None:
    moment, weight = float32_problem(kind)
    exact = refitted(moment.double(), weight.double(), lam, 200)
    factor = torch.linalg.cholesky(damped(moment, lam, 200))
    rough = weight[:200] + torch.cholesky_solve(moment[:200, 200:] @ weight[200:], factor)
    matrix = damped(moment.double(), lam)
    losses = [output_loss(matrix, weight, range(200), each) for each in (rough, exact)]
    assert losses[0] > losses[1] * (1 + 100 * TOLERANCE)
    torch.testing.assert_close(refitted(moment, weight, lam, 200), exact, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("lam", [1e-3, 1e-1, 1.0])
def test_a_usual_float32_refit_is_far_within_the_rounding_of_bfloat16(lam: float) -> None:
    """A tenth of a rounding, 2^-9: eigenvalues over four orders, a large neuron, alike neurons."""
    rows = activations("decaying spectrum") + 1e-2 * activations("twins")
    rows[:, 7] *= 30
    weight = torch.randn(256, 24, generator=torch.Generator().manual_seed(1))
    moment = (rows.T @ rows).float()
    exact = refitted(moment.double(), weight.double(), lam, 200)
    away = (refitted(moment, weight, lam, 200) - exact).norm() / exact.norm()
    assert float(away) < 0.1 * 2**-9


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
        ridge = Ridge(moment[order][:, order], 1e-2, "layer 0")
        losses.append(float(ridge.curve(weight[order])[32]))
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
        Ridge(flat - 0.1 * torch.eye(M), 0.0, "layer 0")
    with pytest.raises(RunError, match=r"layer 0: .* not positive definite .* calibrate on more"):
        Ridge((flat - 0.1 * torch.eye(M)).float(), 0.0, "layer 0")
    with pytest.raises(RunError, match="not positive definite"):
        cholesky(torch.full((3, 3), float("nan"), dtype=torch.float64), "layer 0")
    with pytest.raises(RunError, match=r"layer 0: none of its neurons is active .* are zeros"):
        cholesky(torch.zeros(3, 3, dtype=torch.float64), "layer 0")
    weight[-1, 0] = float("inf")
    for dtype in (torch.float32, torch.float64):
        with pytest.raises(RunError, match="the refit is not finite"):
            refitted(moment.to(dtype), weight.to(dtype), 1e-3, 4)


def test_a_neuron_that_is_always_silent_is_no_trouble_and_goes_first() -> None:
    rows, _, weight = problem()
    rows[:, 3] = 0
    moment = rows.T @ rows / N
    order = obs_order(moment, weight, "layer 0", rounds=M)
    assert order[-1] == 3
    for dtype in (torch.float32, torch.float64):
        assert torch.isfinite(refitted(moment.to(dtype), weight.to(dtype), 1e-3, M - 1)).all()


def test_at_the_width_of_the_dense_model_nothing_would_be_lost() -> None:
    _, moment, weight = problem()
    assert torch.equal(refitted(moment, weight, 1.0, M), weight)
    assert Ridge(moment, 1.0, "layer 0").curve(weight)[M] == 0
