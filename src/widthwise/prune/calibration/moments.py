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

    The products of the tokens that are added together are summed in float32, and these sums in
    float64: rounded to float32 at the end, the whole is the same in whatever order it was added
    up, but for sums that lie within 1e-16 of where rounding turns.

    Attributes:
        tokens: How many were added.

    Args:
        total: The sum, symmetric.
        tokens: How many are in it.

    Memory: 4 I^2 bytes. Cost of a token: about I^2 additions and multiplications.
    """

    def __init__(self, total: Tensor, tokens: int) -> None:
        import torch

        spans = _spans(len(total))
        self._panels = [
            total[start:, start:stop].to(torch.float64, copy=True) for start, stop in spans
        ]
        self.tokens = tokens

    @classmethod
    def empty(cls, neurons: int, device: torch.device | str = "cpu") -> Moments:
        """No token yet."""
        import torch

        return cls(torch.zeros(1, 1, device=device).expand(neurons, neurons), 0)

    def add(self, rows: Float[Tensor, "tokens neurons"]) -> None:
        """Add the activations of some tokens."""
        import torch

        exact = rows.dtype == torch.bfloat16
        rows = rows.float()
        with bfloat16_products() if exact else float32_products():
            for panel, (start, stop) in zip(self._panels, _spans(rows.shape[1]), strict=True):
                panel.add_(rows[:, start:].T @ rows[:, start:stop])
        self.tokens += len(rows)

    @staticmethod
    def flops(neurons: int) -> int:
        """FLOPs by which one token is added; a multiply-add is 2 of them."""
        return sum(2 * (neurons - start) * (stop - start) for start, stop in _spans(neurons))

    def add_all(self, other: Moments) -> None:
        """Add the tokens of others, on any device."""
        if self.neurons != other.neurons:
            raise RunError(
                f"moments of {self.neurons} neurons and of {other.neurons} neurons cannot be added"
            )
        for panel, more in zip(self._panels, other._panels, strict=True):
            panel.add_(more.to(panel.device))
        self.tokens += other.tokens

    def merged(self, other: Moments) -> Moments:
        """The moments of the tokens of both."""
        result = self._with([panel.clone() for panel in self._panels])
        result.add_all(other)
        return result

    def cpu(self) -> Moments:
        """The same on the CPU, to be kept without filling the device."""
        return self._with([panel.cpu() for panel in self._panels])

    def __getstate__(self) -> dict[str, Any]:
        """As it travels between processes: arrays are copied once, tensors several times."""
        return {"tokens": self.tokens, "panels": [each.cpu().numpy() for each in self._panels]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        import torch

        self.tokens = state["tokens"]
        self._panels = [torch.from_numpy(each) for each in state["panels"]]

    @property
    def neurons(self) -> int:
        """How many neurons there are."""
        return len(self._panels[0])

    @property
    def total(self) -> Float32[Tensor, "neurons neurons"]:
        """The sum so far, symmetric, as a new matrix."""
        import torch

        first = self._panels[0]
        result = torch.empty(len(first), len(first), device=first.device)
        for panel, (start, stop) in zip(self._panels, _spans(len(first)), strict=True):
            result[start:, start:stop] = panel
            own = result[start:stop, start:stop]
            own.copy_(own.tril() + own.tril(-1).T)
            result[start:stop, stop:] = result[stop:, start:stop].T
        return result

    def ordered(
        self, order: Int[Tensor, " neurons"], where: str
    ) -> Float32[Tensor, "neurons neurons"]:
        """The sum, neurons in an order, as a new matrix. Raises as `mean`."""
        import torch

        self._check(where)
        total = self.total
        result, order = torch.empty_like(total), order.to(total.device)
        for start, stop in _spans(len(order)):  # a few rows at a time are there twice
            result[start:stop] = total[order[start:stop]].index_select(1, order)
        return result

    def _with(self, panels: list[Tensor]) -> Moments:
        """The same tokens with other panels."""
        result = Moments.__new__(Moments)
        result._panels, result.tokens = panels, self.tokens
        return result

    @property
    def _diagonal(self) -> Float64[Tensor, " neurons"]:
        """That of the sum, rounded as the sum is."""
        import torch

        return torch.cat([panel.diagonal() for panel in self._panels]).float().double()

    def diagonal(self, where: str) -> Float64[Tensor, " neurons"]:
        """The diagonal of H. Raises as `mean`."""
        self._check(where)
        return self._diagonal.div_(self.tokens)

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
        if not self._diagonal.isfinite().all():
            raise RunError(
                f"{where}: its activations are not finite: they overflow in this dtype (load the "
                "model in bfloat16 or float32), or weights up to this layer hold NaN or Inf"
            )


def _spans(size: int) -> list[tuple[int, int]]:
    """Begin and end of the columns of each panel."""
    return [(start, min(start + _PANEL, size)) for start in range(0, size, _PANEL)]


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
