"""Initial weights, multipliers of heads and scales of attention, set in a model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import LimitError
from .attention_scale import find_scale
from .module_source import starts_at_zero
from .scaling import ParameterScaling
from .shapes import named_modules, named_parameters

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class _Multiply:
    """A hook that multiplies the input of a module, and can be pickled."""

    by: float

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (inputs[0] * self.by, *inputs[1:])


def initial_stds(base: nn.Module) -> dict[str, float]:
    """Standard deviations of the parameters of a network as its own initialisation left them.

    Parameters that start constant have 0. `Parametrization.init_` takes those of the base width.

    Raises:
        LimitError: It is on the meta device, where nothing has a value.
    """
    stds = {}
    for name, parameter in named_parameters(base).items():
        if parameter.is_meta:
            raise LimitError(f"{name} is on the meta device; deviations are those of real weights")
        stds[name] = float(parameter.detach().double().std(correction=0))
    return stds


def draw_(
    parameters: Mapping[str, nn.Parameter],
    weights: Sequence[ParameterScaling],
    std: float | Mapping[str, float],
    generator: torch.Generator | None,
) -> None:
    """Initial weights; see `Parametrization.init_`."""
    import torch

    if isinstance(std, Mapping):
        base = dict(std)
        if set(base) - set(parameters):
            raise LimitError(
                f"{min(set(base) - set(parameters))} has a deviation and is no parameter"
            )
    else:
        base = {weight.name: std for weight in weights if len(weight.shape) > 1}
    for name, value in base.items():
        if not (math.isfinite(value) and value >= 0):
            raise LimitError(
                f"an initial deviation must be finite and at least 0; got {value} of {name}"
            )
    for weight in weights:
        if base.get(weight.name):
            deviation = base[weight.name] * weight.std
            torch.nn.init.normal_(parameters[weight.name], std=deviation, generator=generator)


def start_gains_(model: nn.Module, gains: Mapping[str, float]) -> None:
    """Set gains to what they start at; those that 1 is added to, to as much less."""
    import torch

    modules, parameters = named_modules(model), named_parameters(model)
    with torch.no_grad():
        for name, start in gains.items():
            one = float(starts_at_zero(modules[name.rpartition(".")[0]]))
            parameters[name].fill_(start - one)


def scale_inputs_(model: nn.Module, multipliers: Mapping[str, float]) -> None:
    """Multiply the inputs of modules; earlier multipliers are replaced."""
    modules = named_modules(model)
    for path, by in multipliers.items():
        module = _module(modules, path)
        for key, hook in list(module._forward_pre_hooks.items()):
            if isinstance(hook, _Multiply):
                del module._forward_pre_hooks[key]
        module.register_forward_pre_hook(_Multiply(by=by))


def scale_logits_(model: nn.Module, attention: Mapping[str, float]) -> None:
    """Set the scales of attention's logits.

    Raises:
        LimitError: A module is not there, or keeps no scale.
    """
    modules = named_modules(model)
    for path, scale in attention.items():
        module = _module(modules, path)
        current = find_scale(module)
        if current is None:
            raise LimitError(
                f"{path} must keep the scale of its logits; {type(module).__name__} does not"
            )
        current.set_(module, scale)


def _module(modules: Mapping[str, nn.Module], path: str) -> nn.Module:
    if path not in modules:
        raise LimitError(f"the model must have a module {path}, which needs a scale; it has none")
    return modules[path]
