"""Activation functions, and averages of their values and slopes over Gaussians."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import LimitError

if TYPE_CHECKING:
    from jaxtyping import Float64

Array: TypeAlias = NDArray[np.float64]
Expectations: TypeAlias = Callable[[Array, Array, Array], tuple[Array, Array]]

NODES = 64


@dataclass(frozen=True, kw_only=True)
class Activation:
    """A function of one number, for all entries of an array.

    Attributes:
        expectations: Closed forms of E[phi(u) phi(v)] and E[phi'(u) phi'(v)] for centred Gaussians
            with the variances and the covariance E[uu], E[uv], E[vv], in this order; None where
            only quadrature gives them.
    """

    name: str
    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    expectations: Expectations | None = None


def activation(name: str) -> Activation:
    """The activation of that name.

    Raises:
        LimitError: There is none; `Activation` makes one of any function and its derivative.
    """
    if name not in ACTIVATIONS:
        raise LimitError(
            f"an activation must be one of {', '.join(ACTIVATIONS)}; got {name[:40]!r}"
        )
    return ACTIVATIONS[name]


def gaussian_grid(
    nodes: int,
) -> tuple[Float64[Array, " {nodes}"], Float64[Array, " {nodes}"]]:
    """Points and weights, shape (nodes,), for averages over N(0, 1).

    Exact of polynomials of a degree below twice the nodes.

    >>> points, weights = gaussian_grid(3)
    >>> round(float(weights @ points**4), 12)
    3.0
    """
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    return np.asarray(points, dtype=np.float64), np.asarray(weights / weights.sum())


def expectations_of(
    phi: Activation,
    uu: Float64[Array, "*points"],
    uv: Float64[Array, "*points"],
    vv: Float64[Array, "*points"],
    nodes: int = NODES,
) -> tuple[Float64[Array, "*points"], Float64[Array, "*points"]]:
    """E[phi(u) phi(v)] and E[phi'(u) phi'(v)], in closed form or by quadrature with nodes^2 points.

    Gauss-Hermite quadrature in both Gaussians is exact for polynomials, fast for smooth functions,
    slow where there is a kink. Where the variance of u is 0, so is the covariance.

    Args:
        phi: The activation.
        uu, uv, vv: Variances and covariance of u and v, arrays of one shape.
    """
    if phi.expectations is not None:
        return phi.expectations(uu, uv, vv)
    points, weights = gaussian_grid(nodes)
    deviation = np.sqrt(uu)
    slope = np.divide(uv, deviation, out=np.zeros_like(uv), where=deviation > 0)
    rest = np.sqrt(np.maximum(vv - slope**2, 0.0))
    u = deviation[..., None, None] * points[:, None]
    v = slope[..., None, None] * points[:, None] + rest[..., None, None] * points[None, :]
    both = weights[:, None] * weights[None, :]
    value = (both * phi.value(u) * phi.value(v)).sum(axis=(-2, -1))
    return value, (both * phi.slope(u) * phi.slope(v)).sum(axis=(-2, -1))


def _linear(uu: Array, uv: Array, vv: Array) -> tuple[Array, Array]:
    return uv, np.ones_like(uv)


def _relu(uu: Array, uv: Array, vv: Array) -> tuple[Array, Array]:
    """Cho and Saul 2009, the arc-cosine kernels of degree 1 and 0."""
    scale = np.sqrt(uu * vv)
    cosine = np.divide(uv, scale, out=np.zeros_like(uv), where=scale > 0).clip(-1, 1)
    angle = np.arccos(-cosine)
    sine = np.sqrt(1 - cosine**2)
    return scale * (sine + cosine * angle) / (2 * np.pi), angle / (2 * np.pi)


def _erf(uu: Array, uv: Array, vv: Array) -> tuple[Array, Array]:
    """Williams 1997."""
    scale = (1 + 2 * uu) * (1 + 2 * vv)
    value = 2 / np.pi * np.arcsin(2 * uv / np.sqrt(scale))
    return value, 4 / np.pi / np.sqrt(scale - 4 * uv**2)


def _erf_value(x: Array) -> Array:
    from scipy.special import erf

    return np.asarray(erf(x))


def _tanh_slope(x: Array) -> Array:
    return 1 - np.tanh(x) ** 2


ACTIVATIONS = {
    "linear": Activation(
        name="linear", value=lambda x: x, slope=np.ones_like, expectations=_linear
    ),
    "relu": Activation(
        name="relu",
        value=lambda x: np.maximum(x, 0.0),
        slope=lambda x: (x > 0).astype(np.float64),
        expectations=_relu,
    ),
    "erf": Activation(
        name="erf",
        value=_erf_value,
        slope=lambda x: 2 / np.sqrt(np.pi) * np.exp(-(x**2)),
        expectations=_erf,
    ),
    "tanh": Activation(name="tanh", value=np.tanh, slope=_tanh_slope),
}
