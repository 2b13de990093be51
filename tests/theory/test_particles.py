"""Limits by particles: beside exact ones, beside networks, and what their error says."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from widthwise.errors import LimitError
from widthwise.theory import (
    Activation,
    ToyTask,
    Trajectory,
    activation,
    fit_rate,
    limit,
    mup,
    particle_limit,
    toy,
    train,
)
from widthwise.theory import particles as room
from widthwise.theory.activations import expectations_of
from widthwise.theory.linear import linear_limit
from widthwise.theory.quadrature import TrainedLayers

TANH = activation("tanh")
SHORT = toy(lr=0.3, steps=8)


def all_of(hidden: int, *, starts: bool = True) -> TrainedLayers:
    return TrainedLayers(layers=(True,) * (hidden + 1), readout_starts=starts)


def beside(found: Trajectory, exact: Trajectory) -> float:
    """Largest difference of an output, in half-widths of the interval."""
    assert found.error is not None
    return float(np.abs(found.outputs - exact.outputs).max() / found.error)


@pytest.mark.parametrize("starts", [True, False])
def test_two_linear_layers_are_the_exact_limit(starts: bool) -> None:
    """Golden numbers: the response of a matrix to what its transpose met is most of it here."""
    found = particle_limit(SHORT, activation("linear"), all_of(2, starts=starts), particles=200_000)
    exact = linear_limit(SHORT, all_of(2, starts=starts))
    # The largest of 27 differences, each with its own error, over the largest half-width.
    assert beside(found, exact) < 1.5
    assert found.error is not None
    assert found.error < 0.03
    np.testing.assert_allclose(found.movement, exact.movement, rtol=0.02)
    assert found.fitted.shape == (9, 4, 1)


def test_one_layer_is_what_quadrature_gives() -> None:
    found = particle_limit(toy(), TANH, all_of(1), particles=200_000)
    assert beside(found, limit(mup(1), toy(), TANH)) < 1.5
    np.testing.assert_array_equal(found.outputs[0].shape, (3, 1))


def distances(hidden: int, target: Trajectory, widths: Any, seeds: int) -> np.ndarray:
    return np.array(
        [
            [
                np.sqrt(np.square(train(mup(hidden), SHORT, TANH, width=n, seed=k).outputs
                                  - target.outputs).mean())
                for k in range(seeds)
            ]
            for n in widths
        ]
    )  # fmt: skip


@pytest.mark.parametrize("hidden", [2, pytest.param(3, marks=pytest.mark.long)])
def test_networks_come_near_as_the_root_of_the_width(
    hidden: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not where a matrix does not answer to what its transpose was applied to."""
    widths, seeds = (64, 128, 256, 512), 8
    target = limit(mup(hidden), SHORT, TANH, particles=400_000)
    slope = fit_rate(widths, distances(hidden, target, widths, seeds)).slope
    low, high = slope.interval()
    assert low <= -0.5 <= high
    assert slope.value == pytest.approx(-0.5, abs=0.15)

    def without(self: Any, vector: Any, other: Any, draw: Any, *, keep: bool) -> Any:
        kept = other.gaussians
        other.gaussians = np.zeros_like(kept)
        try:
            return answering(self, vector, other, draw, keep=keep)
        finally:
            other.gaussians = kept

    answering = room._Images.of
    monkeypatch.setattr(room._Images, "of", without)
    wrong = limit(mup(hidden), SHORT, TANH, particles=400_000)
    flat = fit_rate(widths, distances(hidden, wrong, widths, seeds)).slope
    assert flat.value > slope.value + 0.15
    assert flat.interval()[0] > -0.5


def test_the_error_halves_with_four_times_the_particles() -> None:
    """Both what is said and what is true, of a limit that is known."""
    exact = linear_limit(SHORT, all_of(2))
    said, true = [], []
    for particles in (8_000, 32_000):
        runs = [
            particle_limit(SHORT, activation("linear"), all_of(2), particles=particles, seed=seed)
            for seed in range(12)
        ]
        said.append(np.mean([run.error for run in runs]))
        squares = [np.square(run.outputs - exact.outputs).mean() for run in runs]
        true.append(np.sqrt(np.mean(squares)))
    # A ratio of two deviations from 12 runs, of 27 outputs that go together: 20 % is usual.
    assert said[0] / said[1] == pytest.approx(2, rel=0.3)
    assert true[0] / true[1] == pytest.approx(2, rel=0.5)


def test_before_training_covariances_are_those_of_the_kernels() -> None:
    generator = np.random.default_rng(0)
    one = room._Particles(SHORT, TANH, all_of(3), 100_000, generator)
    a, b = SHORT.tests[:2]
    features = [one._features(point, keep=True)[0] for point in (a, b)]
    gram = np.array([[p @ q for q in (a, b)] for p in (a, b)])
    for layer in range(3):
        found = [[x[layer] @ y[layer] / 100_000 for y in features] for x in features]
        np.testing.assert_allclose(found, gram, atol=0.02)  # 5 deviations of such a mean
        uu, uv, vv = (np.array([gram[i, j]]) for i, j in ((0, 0), (0, 1), (1, 1)))
        cross = expectations_of(TANH, uu, uv, vv)[0][0]
        own = [expectations_of(TANH, s, s, s)[0][0] for s in (uu, vv)]
        gram = np.array([[own[0], cross], [cross, own[1]]])


def test_the_same_seed_gives_the_same_bits_and_a_shifted_parametrization_too() -> None:
    found = [
        limit(one, SHORT, TANH, particles=8_000)
        for one in (mup(2), mup(2).reparametrized(Fraction(1, 3)))
    ]
    np.testing.assert_array_equal(found[0].outputs, found[1].outputs)
    other = particle_limit(SHORT, TANH, all_of(2), particles=8_000, seed=1)
    assert np.abs(other.outputs - found[0].outputs).max() > 0


def test_vectors_that_are_the_same_need_no_new_draws() -> None:
    """An example that is given twice with nothing learned between: no basis of rounding."""
    still = ToyTask(
        inputs=SHORT.inputs[:1], targets=SHORT.targets[:1], tests=SHORT.inputs[:1], lr=1e-9, steps=4
    )
    generator = np.random.default_rng(0)
    one = room._Particles(still, TANH, all_of(2), 2_000, generator)
    one.run()
    assert len(one.matrices[0]._there.basis) == 1


@pytest.mark.parametrize("particles", [7_999, 10**12])
def test_numbers_that_do_not_fit_are_refused(particles: int) -> None:
    with pytest.raises(LimitError, match="particles must be at least 8,000"):
        particle_limit(SHORT, TANH, all_of(2), particles=particles)


def test_progress_is_told() -> None:
    told: list[float] = []
    particle_limit(SHORT, TANH, all_of(2), particles=8_000, progress=told.append)
    assert told == [part / 8 for part in range(1, 9)]
    assert isinstance(TANH, Activation)
