"""Criteria: how much a neuron of a GLU block matters, from its weights (and activations).

G and U are the rows of gate and up, shape (neurons, hidden_size); D holds the columns of down,
shape (hidden_size, neurons), all in the dtype in which they are stored. A score is float32, and
higher for a neuron that should be kept. Largest and smallest values are exact in any dtype; sums
are made in float64 and rounded to float32, so that the order in which a device adds does not
decide which neuron goes. Of a block without a gate, scores are made of the parts that it has.

Sources: optipfair 0.4.2 for `ppm`, `vow`, `pon`, `l2` and `ppm_activation`, the library behind
arXiv 2512.22671. The paper words its criterion as max|w| (here `max_abs`), its code computes `ppm`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from operator import add, mul
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Float, Float32
    from torch import Generator, Tensor

RowCriterion = Callable[..., "Tensor"]  # of the rows of gate and up, or of up alone


def _sum(scores: Iterable[Tensor]) -> Tensor:
    return reduce(add, scores)


def _peak_to_peak(rows: Float[Tensor, "neurons hidden"]) -> Float32[Tensor, " neurons"]:
    # Two reductions: aminmax over a dimension is four times slower than both (torch 2.13, CPU).
    return rows.amax(dim=1).float() + rows.amin(dim=1).float().abs()


def ppm(*rows: Float[Tensor, "neurons hidden"]) -> Float32[Tensor, " neurons"]:
    """Peak-to-peak magnitude: (max_j G_ij + |min_j G_ij|) + (max_j U_ij + |min_j U_ij|)."""
    return _sum(map(_peak_to_peak, rows))


def max_abs(*rows: Float[Tensor, "neurons hidden"]) -> Float32[Tensor, " neurons"]:
    """Maximum absolute weight, as the paper words it: max_j |G_ij| + max_j |U_ij|."""
    return _sum(part.abs().amax(dim=1).float() for part in rows)


def vow(*rows: Float[Tensor, "neurons hidden"]) -> Float32[Tensor, " neurons"]:
    """Variance of weights: var_j(G_ij) + var_j(U_ij), the unbiased estimate (n - 1)."""
    return _sum(part.double().var(dim=1) for part in rows).float()


def pon(*rows: Float[Tensor, "neurons hidden"]) -> Float32[Tensor, " neurons"]:
    """Product of norms: sum_j |G_ij| * sum_j |U_ij|."""
    norms = [part.double().abs().sum(dim=1) for part in rows]
    return reduce(mul, norms).float()


def l2(*rows: Float[Tensor, "neurons hidden"]) -> Float32[Tensor, " neurons"]:
    """Sum of Euclidean norms: |G_i|_2 + |U_i|_2."""
    return _sum(part.double().square().sum(dim=1).sqrt() for part in rows).float()


def random(neurons: int, generator: Generator) -> Float32[Tensor, " {neurons}"]:
    """Seeded control: a uniform score for each neuron, the same on every device."""
    import torch

    return torch.rand(neurons, generator=generator)


def ppm_activation(
    rows: Sequence[Float[Tensor, "neurons hidden"]],
    down: Float[Tensor, "hidden neurons"],
    activation_norms: Float[Tensor, " neurons"],
) -> Float32[Tensor, " neurons"]:
    """Weights times activations, the paper library's hybrid: (g_i + u_i + d_i) * a_i.

    g, u and d are the peak-to-peak magnitudes of the rows of G and U and the columns of D, each
    divided by (its largest value in the layer + 1e-8); a_i is the Euclidean norm of neuron i's
    activation over all calibration tokens. Needs whole tensors, not chunks of rows.
    """
    peaks = (_peak_to_peak(part) for part in (*rows, down.T))
    share = _sum(peak / (peak.max() + 1e-8) for peak in peaks)
    return share * activation_norms.to(share)


def activation(
    down: Float[Tensor, "hidden neurons"], activation_norms: Float[Tensor, " neurons"]
) -> Float32[Tensor, " neurons"]:
    """What the output loses on average without a neuron: E[h_i^2] * |D_i|^2.

    h_i is the neuron's activation over the calibration tokens, whose Euclidean norm is
    `activation_norms`, and D_i its column of D; the number of tokens, a constant, is left out.
    """
    return (activation_norms.double().square() * down.double().square().sum(dim=0)).float()


ROW_CRITERIA: dict[str, RowCriterion] = {
    "ppm": ppm,
    "max_abs": max_abs,
    "vow": vow,
    "pon": pon,
    "l2": l2,
}
CRITERIA = (*ROW_CRITERIA, "random", "ppm_activation")
MOMENT_CRITERIA = ("activation", "obs")  # of the second moments of activations (`Calibration`)
MEANINGS = {  # which neurons stay
    "ppm": "those whose weights spread the most, from the lowest to the highest",
    "max_abs": "those with the largest absolute weights",
    "vow": "those whose weights vary the most",
    "pon": "those with the largest product of the L1 norms of gate and up",
    "l2": "those with the largest L2 norms of gate and up",
    "random": "drawn by lot: the control, which every criterion should beat",
    "ppm_activation": "those whose weights, times their activations on a text, spread the most",
    "activation": "those that a text uses the most",
    "obs": "those that the others could replace the least on a text",
}
# Where none is asked for: of those here, the best one on text that nothing was calibrated on.
DEFAULT_CRITERION = "activation"  # with a refit (docs/calibrated.md)
PAPER_CRITERION = "ppm"  # of arXiv 2512.22671, as its code computes it
CALIBRATED = ("ppm_activation", *MOMENT_CRITERIA)  # all that need calibration text


def best_first(scores: Tensor) -> Tensor:
    """Indices by score, the highest first; of equal scores the lower index comes first.

    The order is total, so the sets nest: what is kept at a width is kept at every larger width.
    """
    return scores.cpu().sort(descending=True, stable=True).indices


def keep_highest(scores: Float[Tensor, " neurons"], width: int) -> list[int]:
    """Indices of the `width` highest scores by `best_first`, ascending."""
    return sorted(best_first(scores)[:width].tolist())
