"""Multipliers of the forward pass made part of parameters, so that a model needs no hooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..errors import LimitError
from .layer_names import at_layer, layer_pattern
from .probe import Probe
from .scaling import ParameterScaling


@dataclass(kw_only=True)
class Absorber:
    """Parameters into which multipliers go, one after the other.

    Attributes:
        probe: The model, tried on a tiny network.
        weights: Scalings by name, as they become.
        absorbed: The multiplier within each parameter that has one.
        reasons: Modules whose multiplier stays one of the forward pass, with the reason.
    """

    probe: Probe
    weights: dict[str, ParameterScaling]
    absorbed: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def heads(self, multipliers: Mapping[str, float]) -> dict[str, float]:
        """Multipliers of heads' inputs, into the gain of the norm before; those that stay."""
        left = {}
        for head, by in multipliers.items():
            try:
                norm = self.probe.norm_before(head)
            except LimitError as error:
                left[head], self.reasons[head] = by, str(error)
            else:
                self._into((name for name in self.weights if _owner(name) == norm), by)
        return left

    def attention(
        self, scales: Mapping[str, float], factors: Mapping[str, float]
    ) -> dict[str, float]:
        """Factors of the logits, into queries; the scales that have to be set instead.

        Args:
            scales: The scale of each attention module.
            factors: The same over what it is in the model as it is built.
        """
        left, found = {}, dict[str, str]()
        for path, scale in scales.items():
            alike = layer_pattern(path)
            try:
                if alike not in found:
                    found[alike] = self.probe.query_factor(path)
            except LimitError as error:
                found[alike] = ""
                self.reasons[path] = str(error)
            if not found[alike]:
                left[path] = scale
                continue
            owner = at_layer(found[alike], path)
            self._into((name for name in self.weights if _owner(name) == owner), factors[path])
        return left

    def depth(self, ratio: float, stacks: Iterable[str]) -> None:
        """1 over the growth of the number of layers, into what ends branches of the stream.

        Epsilon of all else in the layers is smaller by the same, as their gradients are; for the
        same reason SGD's rate of all that is in the layers is larger by it.

        Raises:
            LimitError: What ends branches is not known.

        Source: CompleteP, arXiv 2505.01618, alpha = 1.
        """
        ends = self.probe.branch_ends()
        inside = [name for name in self.weights if any(name.startswith(f"{s}.") for s in stacks)]
        self._into((name for name in inside if layer_pattern(name) in ends), 1 / ratio)
        for name in inside:
            weight = self.weights[name]
            self.weights[name] = replace(weight, eps=weight.eps / ratio, sgd=weight.sgd * ratio)

    def _into(self, names: Iterable[str], factor: float) -> None:
        for name in list(names):
            self.weights[name] = self.weights[name].absorbing(factor)
            self.absorbed[name] = self.absorbed.get(name, 1.0) * factor


def _owner(name: str) -> str:
    return name.rpartition(".")[0]
