"""One layer's least squares: which neurons to keep, and what down_proj becomes without the rest.

Symbols: h the input of down_proj, shape (m,); H its mean second moment, shape (m, m); W the
transpose of down_proj, shape (m, d). Neurons S stay, k of them. V, shape (k, d), takes the place of
W_S so that h_S V is near h W:

    min over V of  tr[(W - E V)^T (H + lam I) (W - E V)],  E the columns S of the unit matrix
    V = (H_SS + lam I)^-1 (H_S: W + lam W_S)

The ridge stands on both sides, so V goes to W_S, not to 0, as lam grows. lam is stated as a share
of the mean of the diagonal of H. All of it is float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import RunError

if TYPE_CHECKING:
    from jaxtyping import Float64, Int
    from torch import Tensor

SELECTION_LAM = 1e-2  # of the ridge under which `obs` deletes; what all published users of it take
ROUNDS = 64


def damped(moment: Float64[Tensor, "m m"], lam: float) -> Float64[Tensor, "m m"]:
    """H + lam * mean(diag H) * I, as a new matrix."""
    result = moment.clone()
    result.diagonal().add_(lam * float(moment.diagonal().mean()))
    return result


def obs_order(
    moment: Float64[Tensor, "m m"], weight: Float64[Tensor, "m d"], where: str, rounds: int = ROUNDS
) -> Int[Tensor, " m"]:
    """Neurons best first, by deleting the cheapest again and again, each time with refit.

    The cost of a neuron, |V_i|^2 / [(H + lam I)^-1]_ii with V refitted to all deletions so far, is
    exactly by how much its deletion and the next refit raise the loss. The cheapest
    m / rounds are deleted together, and V and the inverse brought up to date.

    Args:
        moment: H, shape (m, m), float64.
        weight: W, shape (m, d), float64.
        where: Name of the layer, for errors.
        rounds: Number of times that costs are computed.

    Returns:
        Indices, shape (m,): the last deleted first.

    Raises:
        RunError: H is not positive definite.

    Source: optimal brain surgeon (Hassibi and Stork 1993); in blocks as OSSCAR, arXiv 2403.12983.
    Cost: about 2 m^3 operations, two matrices of m^2.
    """
    import torch

    inverse = torch.cholesky_inverse(cholesky(damped(moment, SELECTION_LAM), where))
    fitted, alive = weight.clone(), torch.arange(len(weight), device=weight.device)
    deleted: list[Tensor] = []
    step = -(-len(weight) // rounds)
    while len(alive) > step:
        costs = fitted.square().sum(dim=1) / inverse.diagonal()
        ranked = torch.argsort(costs, stable=True)
        gone, stay = ranked[:step], ranked[step:].sort().values
        deleted.append(alive[gone])
        block = torch.linalg.cholesky(inverse[gone][:, gone])
        across = torch.linalg.solve_triangular(block, inverse[gone][:, stay], upper=False)
        change = torch.linalg.solve_triangular(block, fitted[gone], upper=False)
        fitted = fitted[stay] - across.T @ change
        inverse = inverse[stay][:, stay].addmm_(across.T, across, alpha=-1)
        alive = alive[stay]
    costs = fitted.square().sum(dim=1) / inverse.diagonal()
    deleted.append(alive[torch.argsort(costs, stable=True)])
    return torch.cat(deleted).flip(0).cpu()


class Ridge:
    """The refit of one layer at every width, from one factorisation in keep order.

    With L L^T = H + lam I and Y = L^-1 (H + lam I) W, both in the order of `order`, the refit at k
    is V = L_kk^-T Y_k, and its loss is the sum of |Y_i|^2 over i > k.

    Args:
        moment: H, shape (m, m), float64.
        weight: W, shape (m, d), float64.
        order: Neurons best first, shape (m,).
        lam: The ridge, as a share of the mean of the diagonal of H.
        where: Name of the layer, for errors.

    Raises:
        RunError: H + lam I is not positive definite.

    Cost: m^3 / 3 + 2 m^2 d operations; a width k^2 d.
    """

    def __init__(
        self,
        moment: Float64[Tensor, "m m"],
        weight: Float64[Tensor, "m d"],
        order: Int[Tensor, " m"],
        lam: float,
        where: str,
    ) -> None:
        self._order = order.to(moment.device)
        self._weight, self._ridge = weight, lam * float(moment.diagonal().mean())
        self._factor = cholesky(damped(moment, lam)[self._order][:, self._order], where)
        self._half = self._factor.T @ weight[self._order]  # Y = L^-1 (L L^T) W
        self._where = where

    def curve(self) -> Float64[Tensor, " widths"]:
        """Loss at every k from 0 to m, as a share of that at 0; falls to 0. Shape (m + 1,)."""
        import torch

        gains = self._half.square().sum(dim=1)
        left = gains.flip(0).cumsum(0).flip(0)
        return torch.cat([left, left.new_zeros(1)]) / left[0]

    def error(self, k: int, values: Float64[Tensor, "{k} d"]) -> float:
        """Mean squared error of the output at k, over that of the output itself.

        It is that on the tokens that the refit was made from: the loss less the ridge's share of
        it, so that no product with H is needed.
        """
        losses = self._half[k:].square().sum(), self._half.square().sum()
        lost = weight_fallback(self._weight, self._order[:k], values)
        shares = (self._ridge * part.square().sum() for part in (lost, self._weight))
        error, whole = (float(a - b) for a, b in zip(losses, shares, strict=True))
        return max(error, 0.0) / whole

    def at(self, k: int) -> Float64[Tensor, "{k} d"]:
        """V for the first k neurons of the order, shape (k, d).

        Raises:
            RunError: It is not finite.
        """
        import torch

        factor = self._factor[:k, :k]
        result: Tensor = torch.linalg.solve_triangular(factor.T, self._half[:k], upper=True)
        if not torch.isfinite(result).all():
            raise RunError(f"{self._where}: the refit is not finite; calibrate on more text")
        return result


def weight_fallback(
    weight: Float64[Tensor, "m d"], kept: Int[Tensor, " k"], values: Float64[Tensor, "k d"]
) -> Float64[Tensor, "m d"]:
    """W - E V, shape (m, d)."""
    lost = weight.clone()
    lost[kept.to(weight.device)] -= values
    return lost


def output_power(moment: Float64[Tensor, "m m"], weight: Float64[Tensor, "m d"]) -> float:
    """Mean square of the output of a weight: tr(W^T H W)."""
    return float(((moment @ weight) * weight).sum())


def cholesky(matrix: Float64[Tensor, "m m"], where: str) -> Float64[Tensor, "m m"]:
    """Lower Cholesky factor.

    Raises:
        RunError: The matrix is not positive definite.
    """
    import torch

    if not matrix.any():
        raise RunError(
            f"{where}: none of its neurons is active on any token: its weights or its inputs are "
            "zeros"
        )
    factor: Tensor
    factor, info = torch.linalg.cholesky_ex(matrix)
    if int(info) or not torch.isfinite(factor.diagonal()).all():
        raise RunError(
            f"{where}: the second moments of its activations are not positive definite "
            f"(row {int(info)} of {len(matrix)}); calibrate on more, and more varied, text"
        )
    return factor
