"""Weights that are trained in float32 while a model computes with narrower copies of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import RunError
from .settings import CLIP

BETAS, DECAY = (0.9, 0.95), 0.01


class MasterWeights:
    """The trained weights of a model, their gradients and AdamW's sums, in float32 at least.

    Where the model's own weights are narrower they are copies, renewed after each step; their
    gradients are added up in float32 as they come, so that a step of many parts loses nothing to
    rounding.

    Args:
        model: The model; all of its parameters that require a gradient are trained.
        exact: Values of parameters that the model itself holds only rounded.
        factors: Factors of learning rates, by which weight decay is divided, by name; 1 where there
            is none.

    Attributes:
        weights: Name to trained weight, each once where several names share it.

    Raises:
        RunError: There is nothing to train.

    Memory: 16 bytes a parameter, and the model's own.
    """

    def __init__(
        self,
        model: nn.Module,
        exact: Mapping[str, Tensor] | None = None,
        factors: Mapping[str, float] | None = None,
    ) -> None:
        self._copies: dict[str, Tensor] = {}
        self.weights: dict[str, Tensor] = {}
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            wide = torch.promote_types(parameter.dtype, torch.float32)
            if parameter.dtype == wide:
                self.weights[name] = parameter
                continue
            first = (exact or {}).get(name, parameter).detach()
            self.weights[name] = first.to(parameter.device, wide).requires_grad_()
            copy: Any = parameter
            self._copies[name] = copy
            copy.register_post_accumulate_grad_hook(_adder(self.weights[name]))
        if not self.weights:
            raise RunError("none of the child's parameters requires a gradient; nothing to train")
        groups = _groups(self.weights, factors or {})
        self._adam = torch.optim.AdamW(groups, lr=0.0, betas=BETAS, fused=True)

    def step(self, rate: float) -> float:
        """One step of AdamW, gradients clipped to a norm of 1; then they are forgotten.

        Returns:
            The norm before it was clipped. Where that is not finite no weight is touched.
        """
        norm = float(torch.nn.utils.clip_grad_norm_(list(self.weights.values()), CLIP))
        if norm - norm == 0:  # neither NaN nor infinite
            for group in self._adam.param_groups:
                group["lr"] = rate * group["factor"]
            self._adam.step()
            self._refresh()
        self.forget()
        return norm

    def forget(self) -> None:
        """Drop the gradients so far."""
        for weight in self.weights.values():
            weight.grad = None

    def copied(self) -> dict[str, Tensor]:
        """The weights as they are now, copied to the CPU's memory, for `restore`."""
        return {name: weight.detach().to("cpu", copy=True) for name, weight in self.weights.items()}

    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Take earlier weights again, and forget gradients and AdamW's sums."""
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(weights[name])
        self._adam.state.clear()
        self.forget()
        self._refresh()

    @contextmanager
    def rounded(self, dtypes: Mapping[str, Any]) -> Iterator[None]:
        """While open, weights are as these dtypes hold them; between steps only.

        Memory: 4 bytes a parameter, where gradients were before.
        """
        exact = {}
        with torch.no_grad():
            for name, dtype in dtypes.items():
                weight = self.weights[name]
                if weight.dtype != dtype:
                    exact[name] = weight.detach().clone()
                    weight.copy_(weight.to(dtype))
            self._refresh()
            yield
            for name, value in exact.items():
                self.weights[name].copy_(value)
            self._refresh()

    def state(self) -> dict[str, Tensor]:
        """Weights and AdamW's sums, as tensors by name."""
        result = {f"weight:{name}": weight.detach() for name, weight in self.weights.items()}
        for name, weight in self.weights.items():
            for key, value in self._adam.state[weight].items():
                result[f"{key}:{name}"] = value
        return result

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        sums: dict[str, dict[str, Tensor]] = {}
        with torch.no_grad():
            for whole, value in state.items():
                key, _, name = whole.partition(":")
                if key == "weight":
                    self.weights[name].copy_(value)
                else:
                    sums.setdefault(name, {})[key] = value
        for name, values in sums.items():
            weight = self.weights[name]
            self._adam.state[weight] = {key: v.to(weight.device) for key, v in values.items()}
        self._refresh()

    def _refresh(self) -> None:
        with torch.no_grad():
            for name, copy in self._copies.items():
                copy.copy_(self.weights[name])


def _groups(weights: Mapping[str, Tensor], factors: Mapping[str, float]) -> list[dict[str, Any]]:
    """Parameter groups: one for each factor, matrices first, vectors without weight decay.

    Their rate times their decay is the same for all factors.
    """
    groups: dict[tuple[bool, float], dict[str, Any]] = {}
    for plain in (False, True):
        for name, weight in weights.items():
            factor = factors.get(name, 1.0)
            if (weight.ndim < 2) == plain:
                decay = 0.0 if plain else DECAY / factor
                fresh = {"params": [], "weight_decay": decay, "factor": factor}
                groups.setdefault((plain, factor), fresh)["params"].append(weight)
    return list(groups.values())


def _adder(weight: Tensor) -> Callable[[Tensor], None]:
    """A hook that adds the gradient of a copy to that of its weight."""

    def add(copy: Any) -> None:
        gradient, copy.grad = copy.grad, None
        if weight.grad is None:
            weight.grad = gradient.to(weight)
        else:
            weight.grad += gradient

    return add
