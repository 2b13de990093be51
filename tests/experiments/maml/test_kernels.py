"""Kernels, and functions in their spaces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from maml_networks import EXACT, PIXELS, STEP, batches
from torch.nn.functional import cross_entropy

from widthwise.experiments.maml import (
    KernelMethod,
    Omniglot,
)
from widthwise.experiments.maml.kernels import DictionaryFunction, LinearFunction


def relu_features(images: np.ndarray, kernel: KernelMethod, width: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    hidden = images @ rng.normal(size=(images.shape[1], width)) * kernel.w**0.5
    hidden += rng.normal(size=width) * kernel.b**0.5
    return np.maximum(hidden, 0), hidden > 0, rng.normal(size=width) * kernel.v**0.5


def test_relu_kernels_are_those_of_a_very_wide_network() -> None:
    images, width = np.random.default_rng(1).random((6, 5)), 400_000
    gp = KernelMethod(kind="gp", w=0.7, b=0.3)
    ntk = KernelMethod(kind="ntk", w=0.7, b=0.3, v=1.7)
    features, active, out = relu_features(images, ntk, width)
    sampled = features @ features.T / width
    by_first = (active * out) @ (active * out).T / width * (images @ images.T)
    # Four standard errors of a mean of 400 000 products of this size: 4 x 3 / 632.
    np.testing.assert_allclose(gp.between(images, images), sampled, atol=0.02)
    np.testing.assert_allclose(ntk.between(images, images), sampled + by_first, atol=0.02)


def test_relu_kernels_at_a_point_and_its_mirror() -> None:
    x = np.array([[3.0, 4.0]])
    gp = KernelMethod(kind="gp", w=2.0, b=1.0)
    assert gp.between(x, x)[0, 0] == pytest.approx((2 * 25 + 1) / 2)  # E[relu^2] is half
    ntk = KernelMethod(kind="ntk", w=1.0, v=3.0)
    assert ntk.between(x, x)[0, 0] == pytest.approx(12.5 + 3 * 0.5 * 25)
    assert ntk.between(x, -x)[0, 0] == pytest.approx(0.0, abs=1e-12)  # never active at once


@pytest.mark.parametrize(("ways", "shots"), [(5, 1), (3, 2)])
def test_the_dictionary_holds_what_the_weights_of_the_linear_kernel_hold(
    data: Omniglot, ways: int, shots: int
) -> None:
    kernel = KernelMethod(kind="linear", w=0.5, b=0.3)
    weights = LinearFunction(kernel, PIXELS, ways)
    table = DictionaryFunction(kernel, data.train, ways)
    for batch in batches(data, 5, ways=ways, shots=shots):
        norms = [f.meta_step(batch, inner_steps=2, **STEP) for f in (weights, table)]
        assert norms[0] == pytest.approx(norms[1])
        np.testing.assert_allclose(*(f.logits(batch, 0.4, 20) for f in (weights, table)))
    assert 0 < np.count_nonzero(table.coefficients.any(axis=1)) <= 5 * 4 * ways


def test_the_linear_kernel_is_descent_of_linear_weights(data: Omniglot) -> None:
    """Its norm and its step are those of W in f(x) = W x, in the coordinates of the kernel."""
    (batch,) = batches(data, 1, bias=0.0)
    function = LinearFunction(KernelMethod(kind="linear"), PIXELS)
    net = torch.zeros((5, PIXELS), dtype=torch.float64)
    labels, total = torch.arange(5), torch.zeros_like(net)
    for support, query in zip(batch.support, batch.query, strict=True):
        adapted = net
        for images in (support, query):
            leaf = adapted.clone().requires_grad_()
            loss = cross_entropy(torch.tensor(images[:, :-1]) @ leaf.T, labels)
            (gradient,) = torch.autograd.grad(loss, leaf)
            adapted = adapted - STEP["inner_lr"] * gradient
        total += gradient
    assert function.meta_step(batch, inner_steps=1, **STEP) == pytest.approx(float(total.norm()))
    rate = STEP["lr"] * min(1.0, STEP["clip"] / float(total.norm()))
    np.testing.assert_allclose(function.weights.T, -rate * total, atol=EXACT)
