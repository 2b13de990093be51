"""Cutting a model in memory."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ..arch import OVERRIDES, RUN_EXPERTS, Architecture, width_settings
from .plan import WIDTHS_KEY, Plan
from .tensor_cut import cut_group, scaled_rows, zero_padded
from .weights import (
    ModelWeights,
    check_finite,
    check_plan,
    check_refit,
    kept_widths,
    scales_by_name,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .refit_result import Refit

    Model = TypeVar("Model", bound=nn.Module)


_SIZES = ("intermediate_size", "intermediate_dim")  # attributes of blocks that state their width


def apply(model: Model, plan: Plan, refit: Refit | Literal[False] | None = None) -> Model:
    """A new model with the planned neurons only; the one passed is unchanged.

    The removed weights are never copied: memory is that of the result, not of a second parent.
    Layers of unequal widths are padded with zeros to the widest, as a family's config has one width
    for all: the answers are those of the narrow layers, cost and memory those of the widest.

    Args:
        model: A `transformers` model.
        plan: Which neurons stay.
        refit: The plan's refit, whose down_proj weights are taken; False for none where the
            criterion ought to have one.

    Raises:
        PlanError: The plan was made for other weights, or the refit for another plan.
        UnsupportedModelError: The model has no plain GLU blocks.
    """
    weights = ModelWeights(model)
    replacements = dict(_cut_parameters(model, weights, plan, refit))
    memo: dict[int, Any] = {
        id(getattr(*owner_of(model, name))): new for name, new in replacements.items()
    }
    result = copy.deepcopy(model, memo)
    set_sizes(result, weights.architecture, kept_widths(plan, weights.architecture))
    _state_widths(result, plan)
    return result


def apply_(model: Model, plan: Plan, refit: Refit | Literal[False] | None = None) -> Model:
    """Cut `model` itself, and return it. All layers are checked before the first is touched.

    Arguments and errors: as `apply`.
    """
    weights = ModelWeights(model)
    for name, new in _cut_parameters(model, weights, plan, refit):
        setattr(*owner_of(model, name), new)
    set_sizes(model, weights.architecture, kept_widths(plan, weights.architecture))
    _state_widths(model, plan)
    return model


def owner_of(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    """Module and attribute that hold a parameter."""
    owner, _, attribute = name.rpartition(".")
    return model.get_submodule(owner), attribute


def _cut_parameters(
    model: nn.Module, weights: ModelWeights, plan: Plan, refit: Refit | Literal[False] | None
) -> Iterator[tuple[str, nn.Parameter]]:
    """What takes the place of each tensor that changes, one after the other."""
    import torch

    check_plan(plan, weights)
    down = check_refit(plan, refit)
    architecture = weights.architecture
    parameters, cuts = dict(model.named_parameters()), architecture.cuts
    for name in cuts:
        check_finite(parameters[name].detach(), name)
    for name, cut in cuts.items():
        old = parameters.pop(name)
        new = narrow_tensor(architecture, name, old.detach(), plan.keep, down)
        new = new if plan.uniform else zero_padded(new, cut, plan.width)
        yield name, torch.nn.Parameter(new, requires_grad=old.requires_grad)
    for name, scales in scales_by_name(architecture, refit).items():
        old = parameters.pop(name)
        new = scaled_rows(old.detach(), scales)
        yield name, torch.nn.Parameter(new, requires_grad=old.requires_grad)


def narrow_tensor(
    architecture: Architecture,
    name: str,
    tensor: Tensor,
    keep: Mapping[int, Sequence[int]] | Sequence[Sequence[int]],
    down: Mapping[int, Tensor] | Sequence[Tensor] | None = None,
) -> Tensor:
    """What a plan leaves of a whole tensor, in new memory.

    Args:
        architecture: Of the dense model.
        name: One of `architecture.cuts`.
        tensor: The tensor.
        keep: The neurons that stay, by groups.
        down: Refitted weights of down by groups, shape (hidden size, neurons); None for none.
    """
    import torch

    cut = architecture.cuts[name]
    refits = [None if down is None else down[group] for group in cut.groups]
    parts = [
        cut_group(architecture, name, group, part, keep[group], refit)
        for group, part, refit in zip(
            cut.groups, tensor if cut.stacked else [tensor], refits, strict=True
        )
    ]
    if cut.stacked:
        return torch.stack(parts).to(tensor)
    return parts[0].to(tensor, copy=parts[0] is refits[0])


def _state(config: Any, settings: dict[str, Any]) -> None:
    """Settings in a config of transformers, which holds those of single layers in its own way."""
    vars(config).update({key: value for key, value in settings.items() if key != OVERRIDES})
    if OVERRIDES in settings:
        setattr(config, OVERRIDES, settings[OVERRIDES])


def _state_widths(model: nn.Module, plan: Plan) -> None:
    """The widths of the layers in the config, where they are not all the same."""
    config: Any = model.config
    text = config.get_text_config()
    if plan.uniform:
        vars(text).pop(WIDTHS_KEY, None)
    else:
        setattr(text, WIDTHS_KEY, list(plan.widths))


def set_sizes(model: nn.Module, architecture: Architecture, widths: tuple[int, ...]) -> None:
    """Every place that states the (widest) width: the config, the blocks, their linear layers.

    Experts of a width for which transformers' fast way has no kernel are run one by one.

    Args:
        model: The model, its tensors already cut.
        architecture: Of the dense model.
        widths: The width of each kind of group.
    """
    config: Any = model.config
    text = config.get_text_config()
    settings = width_settings(architecture.config, architecture.kinds, widths)
    configs = [text]
    for module in model.modules():  # a part may hold a copy of the config
        part: Any = getattr(module, "config", None)
        part = part.get_text_config() if hasattr(part, "get_text_config") else None
        if part is not None and part.model_type == text.model_type:
            configs.append(part)
    for each in configs:
        vars(each).pop(RUN_EXPERTS, None)
        _state(each, settings)
    if RUN_EXPERTS in settings:
        whole: Any = model
        whole.set_experts_implementation(settings[RUN_EXPERTS])
    owners = {
        group.module: architecture.width_of(index, widths)
        for index, group in enumerate(architecture.groups)
    }
    for name, neurons in owners.items():
        block: Any = model.get_submodule(name)
        for attribute in _SIZES:
            if hasattr(block, attribute):
                setattr(block, attribute, neurons)
        for linear in block.children():
            weight = getattr(linear, "weight", None)
            if weight is not None and hasattr(linear, "out_features"):
                linear.out_features, linear.in_features = weight.shape
