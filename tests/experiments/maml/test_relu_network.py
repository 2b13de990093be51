"""A finite ReLU network: its step is autograd's, its kernel limit is the ReLU NTK."""

from __future__ import annotations

import numpy as np
import pytest
from maml_networks import EXACT, PIXELS, batches, check_step, random_weights

from widthwise.experiments.maml import KernelMethod, LayerScales, Omniglot
from widthwise.experiments.maml.kernels import DictionaryFunction
from widthwise.experiments.maml.relu_network import ReluNetwork, relu_network
from widthwise.theory import fit_rate


@pytest.mark.parametrize(("ways", "shots"), [(5, 1), (3, 2)])
@pytest.mark.parametrize("inner_steps", [1, 3])
def test_a_step_is_that_of_autograd(
    data: Omniglot, inner_steps: int, ways: int, shots: int
) -> None:
    weights = random_weights(9, ways=ways)
    net = ReluNetwork(weights.first, weights.readout)
    for batch in batches(data, 3, ways=ways, shots=shots):
        check_step(net, batch, inner_steps)


def kernel_gap(data: Omniglot, width: int, seed: int) -> float:
    """How far a network in the neural tangent parametrization is from its kernel after 5 steps.

    Neurons come in pairs of the same U and opposite V, so that it starts at 0, as the kernel does.
    """
    (batch,) = batches(data, 1, bias=0.0)
    rng = np.random.default_rng([width, seed])
    scales = LayerScales(u=width**0.25, v=width**0.25, bias=0.0)
    half = relu_network(width // 2, PIXELS, scales, rng, dtype=np.float64)
    first, readout = half.first / 2**0.5, half.readout / 2**0.5
    net = ReluNetwork(np.concatenate([first, first]), np.concatenate([readout, -readout], axis=1))
    ntk = DictionaryFunction(KernelMethod(kind="ntk"), data.train)
    lr = 0.1
    found, limit = net.logits(batch, lr / width**0.5, 5), ntk.logits(batch, lr, 5)
    return float(np.sqrt(np.square(found - limit).mean() / np.square(limit).mean()))


def test_wide_networks_in_the_tangent_parametrization_come_near_their_kernel(
    data: Omniglot,
) -> None:
    widths = (64, 256, 1024, 4096)
    gaps = np.array([[kernel_gap(data, width, seed) for seed in range(12)] for width in widths])
    rate = fit_rate(widths, gaps)
    # A run's logarithm varies by 0.3 or less, so that the slope of 48 has an error of 0.03.
    assert rate.slope.value == pytest.approx(-0.5, abs=0.1)
    assert rate.sizes[-1] < 0.1


def test_a_copy_does_not_change_with_the_original(data: Omniglot) -> None:
    (batch,) = batches(data, 1)
    net = relu_network(16, PIXELS, LayerScales(u=1, v=1, bias=1), np.random.default_rng(0))
    twin, before = net.copy(), net.first.copy()
    net.meta_step(batch, inner_lr=0.4, inner_steps=1, lr=1.0, clip=9.0)
    np.testing.assert_array_equal(twin.first, before)
    assert np.abs(net.first - before).max() > EXACT
