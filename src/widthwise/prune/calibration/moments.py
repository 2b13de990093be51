"""Second moments of intermediate activations: sums that add up over batches, files and machines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...errors import RunError

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float, Float32, Float64, Int
    from torch import Tensor

HALVES = ("fit", "held_out")
_PANEL = 384  # columns: the sum is symmetric, so only panels on and below the diagonal are made


class Moments:
    """The sum of h h^T over tokens, h the input of one down_proj, shape (neurons,).

    Attributes:
        tokens: How many were added.

    Memory: 4 I^2 bytes. Cost of a token: about I^2 additions and multiplications.
    """

    def __init__(self, total: Tensor, tokens: int) -> None:
        self._total = total  # whole only on and below the panels of the diagonal
        self.tokens = tokens

    @classmethod
    def empty(cls, neurons: int, device: torch.device | str = "cpu") -> Moments:
        """No token yet."""
        import torch

        return cls(torch.zeros(neurons, neurons, device=device), 0)

    def add(self, rows: Float[Tensor, "tokens neurons"]) -> None:
        """Add the activations of some tokens."""
        import torch

        neurons, exact = rows.shape[1], rows.dtype == torch.bfloat16
        rows = rows.float()
        with bfloat16_products() if exact else float32_products():
            for start in range(0, neurons, _PANEL):
                stop = min(start + _PANEL, neurons)
                self._total[start:, start:stop].addmm_(rows[:, start:].T, rows[:, start:stop])
        self.tokens += len(rows)

    @staticmethod
    def flops(neurons: int) -> int:
        """FLOPs by which one token is added; a multiply-add is 2 of them."""
        starts = range(0, neurons, _PANEL)
        return sum(2 * (neurons - start) * min(_PANEL, neurons - start) for start in starts)

    def merged(self, other: Moments) -> Moments:
        """The moments of the tokens of both."""
        if self._total.shape != other._total.shape:
            raise RunError(
                f"moments of {len(self._total)} neurons and of {len(other._total)} neurons cannot "
                "be added"
            )
        return Moments(self._total + other._total, self.tokens + other.tokens)

    def cpu(self) -> Moments:
        """The same on the CPU, to be kept without filling the device."""
        return Moments(self._total.cpu(), self.tokens)

    @property
    def total(self) -> Float32[Tensor, "neurons neurons"]:
        """The sum, symmetric; it changes with what is added."""
        for start in range(0, len(self._total), _PANEL):
            stop = start + _PANEL
            own = self._total[start:stop, start:stop]
            own.copy_(own.tril() + own.tril(-1).T)
            self._total[start:stop, stop:] = self._total[stop:, start:stop].T
        return self._total

    def ordered(
        self, order: Int[Tensor, " neurons"], where: str
    ) -> Float32[Tensor, "neurons neurons"]:
        """The sum, neurons in an order, as a new matrix. Raises as `mean`."""
        import torch

        self._check(where)
        total, order = self.total, order.to(self._total.device)
        result = torch.empty_like(total)
        for start in range(0, len(order), _PANEL):  # a few rows at a time are there twice
            stop = start + _PANEL
            result[start:stop] = total[order[start:stop]].index_select(1, order)
        return result

    def diagonal(self, where: str) -> Float64[Tensor, " neurons"]:
        """The diagonal of H. Raises as `mean`."""
        self._check(where)
        return self._total.diagonal().double().div_(self.tokens)

    def mean(self, where: str) -> Float64[Tensor, "neurons neurons"]:
        """H = total / tokens, on the device of the sums.

        Raises:
            RunError: No token was added, or an activation overflowed; `where` names the layer.
        """
        self._check(where)
        return self.total.double().div_(self.tokens)

    def _check(self, where: str) -> None:
        if not self.tokens:
            raise RunError(f"{where}: no token to calibrate on; all of the batches are padding")
        if not self._total.diagonal().isfinite().all():
            raise RunError(
                f"{where}: its activations are not finite: they overflow in this dtype (load the "
                "model in bfloat16 or float32), or weights up to this layer hold NaN or Inf"
            )


@contextmanager
def bfloat16_products() -> Iterator[None]:
    """float32 matrices are multiplied by units for bfloat16 or, on CUDA, TF32, where there are any.

    Sums stay float32. Of numbers that come from bfloat16 the products are exact, and take a third
    of the time (AMX, torch 2.13).
    """
    with _multiplied(mkldnn="bf16", cuda="tf32"):
        yield


@contextmanager
def float32_products() -> Iterator[None]:
    """float32 matrices are multiplied as they are, whatever a caller chose for a training."""
    with _multiplied(mkldnn="ieee", cuda="ieee"):
        yield


@contextmanager
def _multiplied(**names: str) -> Iterator[None]:
    """The precision of products of float32 matrices is this, by the name of what makes them.

    Torch refuses to tell its one setting for all once a caller has chosen TF32 for CUDA alone.
    """
    import torch

    units: Any = torch.backends
    before = {unit: getattr(units, unit).matmul.fp32_precision for unit in names}
    try:
        for unit, name in names.items():
            getattr(units, unit).matmul.fp32_precision = name
        yield
    finally:
        for unit, name in before.items():
            getattr(units, unit).matmul.fp32_precision = name


@dataclass(frozen=True, kw_only=True)
class FitAndHoldout:
    """One group's moments over the two halves of a text.

    Attributes:
        fit, held_out: The halves.
        sent: Tokens that the router sent to the expert in both; None of a block of all tokens.
    """

    fit: Moments
    held_out: Moments
    sent: int | None = None

    def cpu(self) -> FitAndHoldout:
        """Both on the CPU."""
        return replace(self, fit=self.fit.cpu(), held_out=self.held_out.cpu())

    def merged(self, other: FitAndHoldout) -> FitAndHoldout:
        """Half by half."""
        sent = [each.sent for each in (self, other) if each.sent is not None]
        return FitAndHoldout(
            fit=self.fit.merged(other.fit),
            held_out=self.held_out.merged(other.held_out),
            sent=sum(sent) if sent else None,
        )
