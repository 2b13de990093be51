"""One layer's least squares: which neurons to keep, and what down_proj becomes without the rest.

Symbols: h the input of down_proj, shape (m,); H its second moment, shape (m, m), or any multiple of
it, such as the sum of h h^T over tokens; W the transpose of down_proj, shape (m, d). Neurons S
stay, k of them, and neurons R are removed. V = W_S + C, shape (k, d), takes the place of W_S so
that h_S V is near h W. With B = H_SR W_R and c = tr(W_R^T H_RR W_R), the square of what is lost is

    c - 2 <C, B> + <C, H_SS C>

and C is what makes the sum of that and lam |C|^2 least: (H_SS + lam I) C = B. So C goes to 0, and V
to W_S, as lam grows. lam is stated as a share of the mean of the diagonal of H.

Sums of second moments are float32, and refits are too, unless that would cost accuracy. With the
residual E = B - (H_SS + lam I) C, in float64, C makes the sum larger than the least one by
<E, (H_SS + lam I)^-1 E>, at most |E|^2 / lam. Where that is more than `TOLERANCE` of the least, or
where H_SS + lam I is positive definite in float64 only, the refit is made in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...errors import RunError

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float, Float64, Int
    from torch import Tensor

SELECTION_LAM = 1e-2  # of the ridge under which `obs` deletes; what all published users of it take
ROUNDS = 64
TOLERANCE = 1e-4
_PROBES = 8  # sums of columns with random signs, by which |E|^2 is estimated
_PANEL = 512  # rows and columns at a time, where half of a symmetric or triangular matrix will do


def damped(
    moment: Float[Tensor, "m m"],
    lam: float,
    kept: int | None = None,
    dtype: torch.dtype | None = None,
) -> Float[Tensor, "k k"]:
    """H_SS + lam * mean(diag H) * I of the first neurons, as a new matrix."""
    result = moment[:kept, :kept].to(dtype or moment.dtype, copy=True)
    result.diagonal().add_(_ridge(moment, lam))
    return result


def _ridge(moment: Float[Tensor, "m m"], lam: float) -> float:
    return lam * float(moment.diagonal().double().mean())


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


class Removal:
    """What the output loses with all but the first k neurons, as a function of the change C.

    Args:
        moment: H, shape (m, m), neurons in the order in which they are kept.
        weight: W, shape (m, d), in the same order.
        kept: k.

    Attributes:
        kept: As given.
        pull: B, shape (k, d).

    Cost: 2 k (m - k) d + (m - k)^2 d operations; `loss` k^2 d.
    """

    def __init__(
        self, moment: Float[Tensor, "m m"], weight: Float[Tensor, "m d"], kept: int
    ) -> None:
        self.kept, self._moment, self._weight = kept, moment, weight
        self.pull = self.pull_in(moment.dtype)
        self._whole = output_power(moment[kept:, kept:], weight[kept:])

    def pull_in(self, dtype: torch.dtype) -> Float[Tensor, "k d"]:
        """B, multiplied in a dtype."""
        return self._moment[: self.kept, self.kept :].to(dtype) @ self._weight[self.kept :].to(
            dtype
        )

    def loss(self, change: Float[Tensor, "k d"]) -> float:
        """Square of what is lost; of C = 0 without a refit, of C = -W_S the output itself."""
        stay = self._moment[: self.kept, : self.kept]
        lost = self._whole - 2 * inner(change, self.pull) + output_power(stay, change)
        return max(lost, 0.0)  # below 0 only by rounding

    def least(self, change: Float[Tensor, "k d"]) -> float:
        """The least sum of what is lost and lam |C|^2, of the C that has it."""
        return self._whole - inner(change, self.pull)


class Ridge:
    """Refits at every width, from one factorisation: each the same, whatever others are made.

    With L L^T = H + lam I, neurons in the order in which they are kept, the factor of the first k
    is L_kk; and with Y = L^T W the least loss, ridge included, is the sum of |Y_i|^2 over i > k.

    Args:
        moment: H, shape (m, m), float32 or float64, neurons in the order in which they are kept.
        lam: The ridge, as a share of the mean of the diagonal of H.
        where: Name of the layer, for errors.
        widest: Most neurons that will be kept; m if None. Refits with another one differ by
            rounding.

    Raises:
        RunError: H + lam I is not positive definite.

    Cost: of the widest k^3 / 3 operations; of a change 2 k^2 d, and k^3 / 3 in float64.
    Memory: one matrix of k^2, of float64 where float32 will not do.
    """

    def __init__(
        self, moment: Float[Tensor, "m m"], lam: float, where: str, widest: int | None = None
    ) -> None:
        self._moment, self._lam, self._where = moment, lam, where
        self._factor = self._factored(moment.dtype, widest)

    def change(self, removal: Removal) -> Float[Tensor, "k d"]:
        """C, shape (k, d), of a removal by the same moments.

        Raises:
            RunError: It is not finite.
        """
        import torch

        factor = self._factor[: removal.kept, : removal.kept]
        change = _solution(factor, removal)
        if change.dtype == torch.float32 and not self._is_accurate(removal, change):
            change = _solution(self._factored(torch.float64, removal.kept), removal)
        if not torch.isfinite(change).all():
            raise RunError(f"{self._where}: the refit is not finite; calibrate on more text")
        return change

    def curve(self, weight: Float[Tensor, "m d"]) -> Float64[Tensor, " widths"]:
        """Least loss at every k from 0 to m, as a share of that at 0; falls to 0. Shape (m + 1,).

        Cost: m^2 d operations.
        """
        import torch

        factor, weight = self._factor, weight.to(self._factor)
        halves = (factor[a:, a:b].T @ weight[a:] for a, b in _panels(len(factor)))  # Y
        gains = torch.cat([each.square().sum(dim=1, dtype=torch.float64) for each in halves])
        left = gains.flip(0).cumsum(0).flip(0)
        return torch.cat([left, left.new_zeros(1)]) / left[0]

    def _factored(self, dtype: torch.dtype, kept: int | None) -> Tensor:
        """L of the first neurons; of float64 where it is not positive definite in float32."""
        import torch

        try:
            return cholesky(damped(self._moment, self._lam, kept, dtype), self._where)
        except RunError:
            if dtype == torch.float64:
                raise
        return self._factored(torch.float64, kept)

    def _is_accurate(self, removal: Removal, change: Tensor) -> bool:
        """Whether the loss is near the least, by the residual on sums of columns."""
        import torch

        generator = torch.Generator().manual_seed(0)
        signs = torch.randint(0, 2, (change.shape[1], _PROBES), generator=generator) * 2 - 1
        probes = signs.to(change.device, torch.float64)
        sums, ridge = change.double() @ probes, _ridge(self._moment, self._lam)
        residual = removal.pull.double() @ probes - ridge * sums
        for start, stop in _panels(removal.kept):
            rows = self._moment[start:stop, : removal.kept].double()
            residual[start:stop] -= rows @ sums
        excess = float(residual.square().sum()) / _PROBES
        return excess <= TOLERANCE * ridge * removal.least(change)  # False where it is not finite


def _solution(factor: Tensor, removal: Removal) -> Tensor:
    """C by the factor of H_SS + lam I, in its dtype."""
    import torch

    pull = removal.pull
    if pull.dtype != factor.dtype:
        pull = removal.pull_in(factor.dtype)
    half = torch.linalg.solve_triangular(factor, pull, upper=False)
    result: Tensor = torch.linalg.solve_triangular(factor.T, half, upper=True)
    return result


def output_power(moment: Float[Tensor, "m m"], weight: Float[Tensor, "m d"]) -> float:
    """Square of the output of a weight: tr(W^T H W), from the lower half of H."""
    total = 0.0
    for start, stop in _panels(len(weight)):
        rows, own = moment[start:stop, :stop].to(weight.dtype), weight[start:stop]
        half = rows[:, start:] @ own
        total += inner(half.addmm_(rows[:, :start], weight[:start], alpha=2), own)
    return total


def inner(left: Float[Tensor, "k d"], right: Float[Tensor, "k d"]) -> float:
    """Sum of the products, in float64."""
    import torch

    return float((left * right).sum(dtype=torch.float64))


def _panels(size: int) -> Iterator[tuple[int, int]]:
    """Begin and end of one panel after the other."""
    for start in range(0, size, _PANEL):
        yield start, min(start + _PANEL, size)


def cholesky(matrix: Float[Tensor, "m m"], where: str) -> Float[Tensor, "m m"]:
    """Lower Cholesky factor, which takes the place of the matrix.

    Raises:
        RunError: The matrix is not positive definite.
    """
    import torch

    if not matrix.diagonal().any():
        raise RunError(
            f"{where}: none of its neurons is active on any token: its weights or its inputs are "
            "zeros"
        )
    factor = matrix.T  # stored by columns, as LAPACK has it, so that no copy is made
    info = torch.zeros((), dtype=torch.int32, device=matrix.device)
    torch.linalg.cholesky_ex(factor, out=(factor, info))
    if int(info) or not torch.isfinite(factor.diagonal()).all():
        raise RunError(
            f"{where}: the second moments of its activations are not positive definite "
            f"(row {int(info)} of {len(matrix)}); calibrate on more, and more varied, text"
        )
    return factor
