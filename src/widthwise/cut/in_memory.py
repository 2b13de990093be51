"""Cutting a model in memory."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ..arch import TensorCut
from .plan import WIDTHS_KEY, Plan
from .tensor_cut import cut_tensor, zero_padded
from .weights import ModelWeights, check_finite, check_plan, check_refit

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .refit_result import Refit

    Model = TypeVar("Model", bound=nn.Module)


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
    import torch

    weights = ModelWeights(model)
    check_plan(plan, weights)
    down = check_refit(plan, refit)
    parameters = dict(model.named_parameters())
    _check_finite(parameters, weights)
    memo: dict[int, Any] = {}
    for name, cut in weights.architecture.cuts.items():
        old = parameters[name]
        new = _new_tensor(old.detach(), cut, plan, down)
        memo[id(old)] = torch.nn.Parameter(new, requires_grad=old.requires_grad)
    result = copy.deepcopy(model, memo)
    set_sizes(result, plan)
    _state_widths(result, plan)
    return result


def apply_(model: Model, plan: Plan, refit: Refit | Literal[False] | None = None) -> Model:
    """Cut `model` itself, and return it. All layers are checked before the first is touched.

    Arguments and errors: as `apply`.
    """
    import torch

    weights = ModelWeights(model)
    check_plan(plan, weights)
    down = check_refit(plan, refit)
    _check_finite(dict(model.named_parameters()), weights)
    for name, cut in weights.architecture.cuts.items():
        owner, _, attribute = name.rpartition(".")
        module = model.get_submodule(owner)
        old = getattr(module, attribute)
        new = _new_tensor(old.detach(), cut, plan, down)
        setattr(module, attribute, torch.nn.Parameter(new, requires_grad=old.requires_grad))
    set_sizes(model, plan)
    _state_widths(model, plan)
    return model


def _new_tensor(
    tensor: Tensor, cut: TensorCut, plan: Plan, down: Sequence[Tensor] | None
) -> Tensor:
    """What takes the place of one tensor of a GLU block."""
    import torch

    if down is not None and cut.axis == 1:
        new = down[cut.layer].to(tensor, copy=True)
    else:
        new = cut_tensor(tensor, cut, torch.tensor(plan.keep[cut.layer]), plan.intermediate_size)
    return zero_padded(new, cut, plan.width)


def _state_widths(model: nn.Module, plan: Plan) -> None:
    """The widths of the layers in the config, where they are not all the same."""
    config: Any = model.config
    text = config.get_text_config()
    if plan.uniform:
        vars(text).pop(WIDTHS_KEY, None)
    else:
        setattr(text, WIDTHS_KEY, list(plan.widths))


def _check_finite(parameters: Mapping[str, Tensor], weights: ModelWeights) -> None:
    for name in weights.architecture.cuts:
        check_finite(parameters[name].detach(), name)


def set_sizes(model: nn.Module, plan: Plan) -> None:
    """Every place that states the (widest) width: the config, the blocks, their linear layers."""
    config: Any = model.config
    text = config.get_text_config()
    text.intermediate_size = plan.width
    for module in model.modules():  # a part may hold a copy of the config
        own: Any = getattr(module, "config", None)
        own = own.get_text_config() if hasattr(own, "get_text_config") else None
        if own is not None and own.model_type == text.model_type:
            own.intermediate_size = plan.width
    stem = ModelWeights(model).architecture.stem
    for layer in range(len(plan.keep)):
        block: Any = model.get_submodule(f"{stem}.{layer}.mlp")
        if hasattr(block, "intermediate_size"):
            block.intermediate_size = plan.width
        for linear in block.children():
            weight = getattr(linear, "weight", None)
            if weight is not None and hasattr(linear, "out_features"):
                linear.out_features, linear.in_features = weight.shape
