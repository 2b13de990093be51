"""Parameter groups of optimizers, with the factors of a parametrization."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..errors import LimitError
from .scaling import ParameterScaling

if TYPE_CHECKING:
    from torch import nn

Optimizer = Literal["adamw", "adam", "lion", "sgd"]
Adjustment = Literal["original", "match_rms_adamw", "spectral_unclamped"]

_WITH_EPS = ("adamw", "adam")
_EPS = 1e-8  # torch's


def check_optimizer(optimizer: Optimizer) -> None:
    if optimizer not in get_args(Optimizer):
        raise LimitError(
            f"optimizer must be one of {', '.join(get_args(Optimizer))}; got {optimizer!r}"
        )


def check_rate(lr: float) -> None:
    if not (math.isfinite(lr) and lr > 0):
        raise LimitError(f"lr must be above 0; got {lr}")


def is_for_muon(weight: ParameterScaling) -> bool:
    """Whether Muon is to train a parameter: matrices between input and output."""
    return weight.role == "hidden" and len(weight.shape) == 2


def check_hidden(weights: Sequence[ParameterScaling]) -> None:
    """Raise LimitError where no matrix is known to be one for Muon."""
    if not any(map(is_for_muon, weights)):
        raise LimitError(
            "Muon is for hidden matrices, which grow along both dimensions, and here none does: "
            "give parametrize delta=, a network of another width, so that they are seen"
        )


def muon_factor(weight: ParameterScaling, adjustment: Adjustment) -> float:
    """Factor of Muon's learning rate of a hidden matrix.

    Its step has all singular values near the rate times what Muon adjusts that by. In muP they go
    as the root of outputs over inputs.

    Source: the spectral condition, arXiv 2310.17813.
    """
    wanted = math.sqrt(weight.fan_out / weight.fan_in)
    base, here = (_adjusted(shape, adjustment) for shape in (weight.base, weight.shape))
    return round(wanted * base / here, 12)  # equal ones are one group


def muon_rate(
    weight: ParameterScaling, adjustment: Adjustment, absorbed: Mapping[str, float] | None
) -> float:
    """The same with the multiplier within the matrix; 1 in the standard parametrization.

    Args:
        absorbed: Multipliers within parameters; None in the standard parametrization.
    """
    factor = muon_factor(weight, adjustment)
    return 1.0 if absorbed is None else factor * absorbed.get(weight.name, 1.0)


def _adjusted(shape: tuple[int, ...], adjustment: Adjustment) -> float:
    """What torch's Muon multiplies the rate of a matrix by, but for constants."""
    rows, columns = shape
    if adjustment == "original":
        return math.sqrt(max(1, rows / columns))
    if adjustment == "match_rms_adamw":
        return math.sqrt(max(rows, columns))
    if adjustment == "spectral_unclamped":
        return math.sqrt(rows / columns)
    raise LimitError(
        f"adjust_lr_fn must be one of {', '.join(get_args(Adjustment))}; got {adjustment!r}"
    )


def muon_groups(
    weights: Sequence[ParameterScaling],
    parameters: Mapping[str, nn.Parameter],
    *,
    lr: float,
    weight_decay: float,
    adjustment: Adjustment,
    absorbed: Mapping[str, float] | None,
) -> list[dict[str, Any]]:
    """Groups of the hidden matrices; see `Parametrization.muon_groups`.

    Args:
        absorbed: Multipliers within parameters; None in the standard parametrization, which has the
            same rate for all.
    """
    check_rate(lr)
    check_hidden(weights)
    groups: dict[float, dict[str, Any]] = {}
    for weight in filter(is_for_muon, weights):
        factor = muon_rate(weight, adjustment, absorbed)
        fresh = {
            "params": [],
            "lr": lr * factor,
            "weight_decay": weight_decay / factor,
            "adjust_lr_fn": adjustment,
            "name": f"hidden, lr x {factor:.4g}",
        }
        if parameters[weight.name].requires_grad:
            groups.setdefault(factor, fresh)["params"].append(parameters[weight.name])
    return list(groups.values())


def own_groups(
    weights: Sequence[ParameterScaling],
    parameters: Mapping[str, nn.Parameter],
    settings: Mapping[str, Any],
    *,
    optimizer: Optimizer,
    decays_vectors: bool,
) -> list[dict[str, Any]]:
    """A group for each role and factor; see `Parametrization.groups`."""
    trained = [weight for weight in weights if parameters[weight.name].requires_grad]
    groups = []
    for is_kept, its in ((False, settings), (True, {**settings, "weight_decay": 0.0})):
        some = [w for w in trained if (w.is_vector and not decays_vectors) == is_kept]
        groups += _split(some, parameters, its, optimizer, prefix="")
    return groups


def split_groups(
    weights: Sequence[ParameterScaling],
    parameters: Mapping[str, nn.Parameter],
    groups: Iterable[Mapping[str, Any]],
    *,
    optimizer: Optimizer,
) -> list[dict[str, Any]]:
    """The user's groups, each in parts; see `Parametrization.split_groups`."""
    by_id = {id(parameters[weight.name]): weight for weight in weights}
    result, seen = [], set()
    for number, group in enumerate(groups):
        if "lr" not in group:
            raise LimitError(f"each group must have its lr; group {number} has none")
        some = []
        for given in _members(group):
            if id(given) not in by_id:
                raise LimitError(
                    f"group {number} has a parameter of shape {tuple(given.shape)} that is not of "
                    "the model"
                )
            weight = by_id[id(given)]
            if weight.name in seen:
                raise LimitError(f"{weight.name} is in two groups")
            seen.add(weight.name)
            some.append(weight)
        settings = {key: value for key, value in group.items() if key not in ("params", "name")}
        prefix = f"{group.get('name', f'group {number}')}: "
        result += _split(some, parameters, settings, optimizer, prefix=prefix)
    return result


def _members(group: Mapping[str, Any]) -> Iterator[nn.Parameter]:
    """Parameters of a group, which torch also takes with their names."""
    given = group["params"]
    for member in given if isinstance(given, Iterable) and not hasattr(given, "shape") else [given]:
        yield member[1] if isinstance(member, tuple) else member


def _split(
    weights: Sequence[ParameterScaling],
    parameters: Mapping[str, nn.Parameter],
    settings: Mapping[str, Any],
    optimizer: Optimizer,
    *,
    prefix: str,
) -> list[dict[str, Any]]:
    """Groups of those that share role and factors, with settings of the base width."""
    check_optimizer(optimizer)
    lr, decay = settings["lr"], settings.get("weight_decay", 0.0)
    check_rate(lr)
    if optimizer == "adam" and decay:
        raise LimitError(
            "weight decay must be 0 with adam, which adds it to gradients of which none can "
            f"say how large they are; got {decay}: take adamw"
        )
    groups: dict[tuple[str, float, float], dict[str, Any]] = {}
    for weight in weights:
        factor = weight.sgd if optimizer == "sgd" else weight.adam
        key = weight.role, factor, weight.eps if optimizer in _WITH_EPS else 1.0
        if key not in groups:
            name = f"{prefix}{weight.role}, lr x {factor:.4g}{', no decay' * (not decay)}"
            scaled = {"lr": lr * factor, "weight_decay": decay / factor}
            if optimizer in _WITH_EPS:
                scaled["eps"] = settings.get("eps", _EPS) * weight.eps
            groups[key] = {**settings, **scaled, "params": [], "name": name}
        groups[key]["params"].append(parameters[weight.name])
    return list(groups.values())
