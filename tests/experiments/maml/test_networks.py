"""First-order MAML: the step is autograd's, the limit is what wide networks come near."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from maml_networks import EXACT, PIXELS, STEP, batches, random_weights

from widthwise.experiments.maml import (
    LayerScales,
    Omniglot,
)
from widthwise.experiments.maml.data import Episodes
from widthwise.experiments.maml.networks import (
    GramNetwork,
    WeightNetwork,
    finite_network,
    limit_network,
)
from widthwise.theory import fit_rate

SCALES = LayerScales(u=0.8, v=0.6, bias=0.7)


def grams_of(net: WeightNetwork) -> GramNetwork:
    return GramNetwork(
        net.first.T @ net.first, net.readout @ net.first, net.readout @ net.readout.T
    )


@pytest.mark.parametrize(("ways", "shots"), [(5, 1), (3, 2), (8, 3)])
@pytest.mark.parametrize("inner_steps", [1, 3])
def test_inner_products_of_the_weights_are_enough(
    data: Omniglot, inner_steps: int, ways: int, shots: int
) -> None:
    net = random_weights(7, ways=ways)
    grams = grams_of(net)
    for batch in batches(data, 6, ways=ways, shots=shots):
        norms = [n.meta_step(batch, inner_steps=inner_steps, **STEP) for n in (net, grams)]
        assert norms[0] == pytest.approx(norms[1], rel=EXACT)
        answers = [n.logits(batch, 0.4, 20) for n in (net, grams)]
        np.testing.assert_allclose(*answers, atol=EXACT)


def test_the_limit_is_the_small_network_of_special_weights(data: Omniglot) -> None:
    """U = [s I; 0] and V = [0 | s' I], of width d + o: the way the paper's own code has it."""
    first, readout = np.zeros((PIXELS + 5, PIXELS + 1)), np.zeros((5, PIXELS + 5))
    first[:PIXELS, :PIXELS] = SCALES.u * np.eye(PIXELS)
    readout[:, PIXELS:] = SCALES.v * np.eye(5)
    small, limit = WeightNetwork(first, readout), limit_network(PIXELS, SCALES, dtype=np.float64)
    for batch in batches(data, 6):
        for net in (small, limit):
            net.meta_step(batch, inner_steps=1, **STEP)
        np.testing.assert_allclose(*(n.logits(batch, 0.4, 20) for n in (small, limit)), atol=EXACT)


def after_steps(net: Any, work: list[Episodes]) -> np.ndarray:
    for batch in work[1:]:
        net.meta_step(batch, inner_steps=1, **STEP)
    return np.asarray(net.logits(work[0], 0.4, 5))


def test_networks_come_near_the_limit_as_they_get_wider(data: Omniglot) -> None:
    work = batches(data, 6)
    limit = after_steps(limit_network(PIXELS, SCALES, dtype=np.float64), work)
    widths, seeds = (64, 256, 1024, 4096), 12
    runs = np.empty((len(widths), seeds))
    for i, width in enumerate(widths):
        for seed in range(seeds):
            rng = np.random.default_rng([width, seed])
            found = after_steps(finite_network(width, PIXELS, SCALES, rng, dtype=np.float64), work)
            runs[i, seed] = np.sqrt(np.square(found - limit).mean())
    rate = fit_rate(widths, runs)
    # A run's logarithm varies by 0.3, so that the slope of 48 has an error of 0.03.
    assert rate.slope.value == pytest.approx(-0.5, abs=0.1)
    assert rate.sizes[-1] < 0.1 * np.abs(limit).max()


def test_the_mean_of_many_networks_comes_near_the_limit_faster(data: Omniglot) -> None:
    """Fluctuations average out; what is left is the bias of a finite width, of order 1 / n."""
    work = batches(data, 4)
    limit = after_steps(limit_network(PIXELS, SCALES, dtype=np.float64), work)

    def bias(width: int, seeds: int = 120) -> float:
        rngs = (np.random.default_rng([width, seed]) for seed in range(seeds))
        nets = (finite_network(width, PIXELS, SCALES, rng, dtype=np.float64) for rng in rngs)
        mean = np.mean([after_steps(net, work) for net in nets], axis=0)
        return float(np.sqrt(np.square(mean - limit).mean()))

    # Ten times the width: by n^-1/2 it would fall to 0.32, by 1 / n to 0.1, beside what noise 120
    # networks leave.
    assert bias(40) < 0.22 * bias(4)


def test_gradients_of_the_limit_are_those_of_a_very_wide_network(data: Omniglot) -> None:
    """By what one unclipped step does to the function at all inputs, M = VU."""
    (batch,) = batches(data, 1)
    wide = finite_network(400_000, PIXELS, SCALES, np.random.default_rng(0), dtype=np.float64)
    limit = limit_network(PIXELS, SCALES, dtype=np.float64)
    assert isinstance(wide, GramNetwork)
    before = wide.m.copy()
    for net in (wide, limit):
        net.meta_step(batch, inner_steps=1, inner_lr=0.4, lr=1e-3, clip=1e9)
    # Entries of inner products are off by 1 / sqrt(400 000) = 0.0016, of which sums are taken.
    size = np.abs(limit.m).max()
    np.testing.assert_allclose(wide.m - before, limit.m, atol=0.01 * size)
