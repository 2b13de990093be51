"""All factors of a network at one width, as plain data, and their use."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, cast, get_args

from ..errors import LimitError
from ..io import from_plain
from .apply import draw_, scale_inputs_, scale_logits_
from .groups import (
    Adjustment,
    Optimizer,
    check_optimizer,
    is_for_muon,
    muon_groups,
    own_groups,
    split_groups,
)
from .listing import listing, name_pattern
from .scaling import AskedRole, Kind, ParameterScaling, compare
from .shapes import Shapes, named_parameters, read_shapes

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Parametrization:
    """Changes of a network's settings from the base width to another.

    It holds names and numbers only, can be pickled or written as JSON, and looks up parameters of a
    model by name, which may be compiled, sharded (FSDP with `use_orig_params`) or loaded from a
    state dict.

    Attributes:
        kind: `mup`, or, to compare with, `sp`, the standard parametrization, or `sp-embedding`, the
            same with Adam's learning rate of tables times the growth of the width.
        weights: Every parameter with its factors.
        multipliers: Factors of the inputs of heads that share the weight of an embedding; no other
            modules need one.
        attention: Scales of the logits of attention modules whose heads grow.
        unscaled: Factors, from the base width, of such modules whose scale was not found.
    """

    kind: Kind
    weights: tuple[ParameterScaling, ...]
    multipliers: Mapping[str, float]
    attention: Mapping[str, float]
    unscaled: Mapping[str, float] = field(default_factory=dict, metadata={"added_later": True})

    def groups(
        self,
        model: nn.Module,
        *,
        lr: float,
        optimizer: Optimizer = "adamw",
        weight_decay: float = 0.0,
        eps: float = 1e-8,
        decays_vectors: bool = False,
        beside_muon: bool = False,
    ) -> list[dict[str, Any]]:
        """Parameter groups for an optimizer of torch, one for each role and factor, with names.

        Decoupled weight decay is multiplied by the learning rate, so that it is divided by its
        factor: lr x weight_decay is the same at all widths. Adam's epsilon goes as the gradients.

        Args:
            model: Network, whose parameters that take no gradients are left out.
            lr: Learning rate at the base width.
            optimizer: Kind of the optimizer: `adamw` and `adam` stand for all entrywise ones with
                an epsilon, `lion` for those without.
            weight_decay: Weight decay at the base width, of matrices and tables.
            eps: Epsilon of `adamw` and `adam` at the base width.
            decays_vectors: Whether gains, biases and the like decay too.
            beside_muon: Whether to leave out what `muon_groups` has.

        Raises:
            LimitError: The optimizer is another one, adam has weight decay, lr or eps is not above
                0, the scale of attention whose heads grow was not found (`unscaled`), or the model
                is not that of this parametrization.
        """
        self._refuse_unscaled()
        check_optimizer(optimizer)
        if not (math.isfinite(eps) and eps > 0):
            raise LimitError(f"eps must be above 0; got {eps}")
        settings = {"lr": lr, "weight_decay": weight_decay, "eps": eps}
        if optimizer in ("lion", "sgd"):
            del settings["eps"]
        return own_groups(
            [w for w in self.weights if not (beside_muon and is_for_muon(w))],
            self._parameters(model),
            settings,
            optimizer=optimizer,
            decays_vectors=decays_vectors,
        )

    def muon_groups(
        self,
        model: nn.Module,
        *,
        lr: float,
        weight_decay: float = 0.0,
        adjust_lr_fn: Adjustment = "original",
    ) -> list[dict[str, Any]]:
        """Groups for `torch.optim.Muon`: the hidden matrices; all else is for AdamW.

        Experts that are stored as one tensor of three dimensions are among what is for AdamW.

        Args:
            model: Network, whose parameters that take no gradients are left out.
            lr: Muon's learning rate at the base width; AdamW's is `groups(..., beside_muon=True)`.
            weight_decay: Weight decay at the base width.
            adjust_lr_fn: How Muon adjusts its rate to shapes: `original` (root of max(1, rows /
                columns)), `match_rms_adamw` (root of max(rows, columns)), or, where it is there,
                `spectral_unclamped` (root of rows / columns). It is part of the groups.

        Raises:
            LimitError: lr is not above 0, the adjustment is another one, the scale of attention
                whose heads grow was not found, or the model is not that of this parametrization.

        Source: the spectral condition, arXiv 2310.17813.
        """
        self._refuse_unscaled()
        return muon_groups(
            self.weights,
            self._parameters(model),
            lr=lr,
            weight_decay=weight_decay,
            adjustment=adjust_lr_fn,
            is_standard=self.kind != "mup",
        )

    def split_groups(
        self,
        model: nn.Module,
        groups: Iterable[Mapping[str, Any]],
        *,
        optimizer: Optimizer = "adamw",
    ) -> list[dict[str, Any]]:
        """Groups that exist, each in parts with the factors of this parametrization.

        All settings of a group stay, but for lr, weight_decay and eps, which are those of the base
        width and get their factors: as in `groups`, but that each group keeps its own decay.

        Args:
            model: Network, of which groups may leave parameters out.
            groups: Groups as an optimizer of torch takes them, each with its lr.
            optimizer: Kind of the optimizer; see `groups`.

        Raises:
            LimitError: A group has no lr, or a parameter of another model, a parameter is in two
                groups, or as `groups`.
        """
        self._refuse_unscaled()
        return split_groups(self.weights, self._parameters(model), groups, optimizer=optimizer)

    def init_(
        self,
        model: nn.Module,
        std: float | Mapping[str, float],
        generator: torch.Generator | None = None,
    ) -> None:
        """Draw initial weights anew: normal, the deviation of the base width times the factor.

        Args:
            model: Network, not yet sharded.
            std: Deviation of all parameters of two and more dimensions (`initializer_range` of a
                config), or one for each parameter by name, as from `initial_stds`; parameters with
                0 or none, as gains and biases, do not change.

        Raises:
            LimitError: A deviation is not finite or below 0, one of a parameter that is not there,
                or the model is not that of this parametrization.
        """
        draw_(self._parameters(model, whole=True), self.weights, std, generator)

    def apply_(self, model: nn.Module) -> None:
        """Set the scales of attention and the multipliers of heads in a model.

        Calling it again changes nothing. Neither is part of a state dict: call it on every model
        that the weights are loaded into. Pickling keeps both. Where `multipliers` and `attention`
        are empty it does nothing.

        Raises:
            LimitError: A module is not there, or the scale of attention whose heads grow was not
                found (`unscaled`).
        """
        self._refuse_unscaled()
        scale_inputs_(model, self.multipliers)
        scale_logits_(model, self.attention)

    def _refuse_unscaled(self) -> None:
        if self.unscaled:
            paths = ", ".join(dict.fromkeys(map(name_pattern, self.unscaled)))
            raise LimitError(
                f"attention whose heads grow must have its logits scaled by 1/d, and where {paths} "
                "keeps its scale was not found; give the module an attribute `scaling` that its "
                "logits are multiplied by, or scale them in its code and take "
                "dataclasses.replace(parametrization, unscaled={})"
            )

    def to_json(self) -> str:
        """The parametrization as text."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Parametrization:
        """The parametrization from the text of `to_json`.

        Raises:
            LimitError: The text is another.
        """
        try:
            return cast("Parametrization", from_plain(cls, json.loads(text), "a parametrization"))
        except (ValueError, TypeError) as error:
            raise LimitError(f"this is no parametrization as to_json writes it: {error}") from error

    def __str__(self) -> str:
        """The table of `listing`."""
        return listing(self.weights, self.multipliers, self.attention, unscaled=self.unscaled)

    def _parameters(self, model: nn.Module, *, whole: bool = False) -> dict[str, nn.Parameter]:
        """Parameters by name, checked to be those of this parametrization.

        Shards of FSDP are vectors; shapes of other parameters are compared.
        """
        parameters = named_parameters(model)
        names = {weight.name for weight in self.weights}
        if different := names ^ set(parameters):
            name = min(different)
            raise LimitError(
                "the model must have the parameters that the parametrization was made for; "
                f"{name} is {'missing' if name in names else 'not among them'}"
            )
        for weight in self.weights:
            shape = tuple(parameters[weight.name].shape)
            if shape != weight.shape and (whole or len(shape) > 1):
                raise LimitError(
                    f"{weight.name} must have the shape {weight.shape} that the parametrization "
                    f"was made for; got {shape}"
                )
        return parameters


def parametrize(
    model: Any,
    base: Any,
    delta: Any = None,
    *,
    kind: Kind = "mup",
    roles: Mapping[str, AskedRole] | None = None,
) -> Parametrization:
    """The parametrization by which the settings of a base width suit a network of another.

    Dimensions that differ between `base` and `delta` grow; without a delta, those that differ
    between `base` and the model. At the base width muP is the standard parametrization. Where the
    weights of embedding and head are shared, the head needs a multiplier, and attention whose heads
    grow another scale (1/d in place of 1/sqrt(d)): see `Parametrization.apply_`.

    Args:
        model: Module, also on the meta device, config of transformers, or mapping from names to
            shapes.
        base: Network at the width that settings are known for, as any of these.
        delta: Network at a third width.
        kind: `mup`, `sp` or `sp-embedding`; see `Parametrization`.
        roles: Roles of parameters that grow, by patterns of their names (`*.pos_embed`), where the
            module does not say them: `input`, `hidden`, `output` or `vector`.

    Raises:
        LimitError: Networks differ in more than widths or not at all, something grows that muP has
            no rule for, or of which nothing says what it does, or a role is none or fits no name.

    Source: arXiv 2203.03466, Table 3, Table 8 where weights are shared, and Definition 4.1.

    Example:
        >>> base = {"up.weight": (8, 3), "mid.weight": (8, 8), "head.weight": (5, 8)}
        >>> wide = {"up.weight": (32, 3), "mid.weight": (32, 32), "head.weight": (5, 32)}
        >>> [(w.role, w.std, w.adam) for w in parametrize(wide, base).weights]
        [('input', 1.0, 1.0), ('hidden', 0.5, 0.25), ('output', 0.25, 0.25)]
    """
    if kind not in get_args(Kind):
        raise LimitError(f"kind must be one of {', '.join(get_args(Kind))}; got {kind!r}")
    here, at_base = read_shapes(model, "the model"), read_shapes(base, "base")
    at_delta = here if delta is None else read_shapes(delta, "delta")
    weights = compare(here, at_base, at_delta, kind, roles or {})
    if kind != "mup":
        return Parametrization(kind=kind, weights=weights, multipliers={}, attention={})
    return Parametrization(
        kind=kind,
        weights=weights,
        multipliers=_multipliers(here, weights),
        attention=_scales(here, at_base),
        unscaled=_unscaled(here, at_base),
    )


def _multipliers(model: Shapes, weights: tuple[ParameterScaling, ...]) -> dict[str, float]:
    """1 over the growth of an embedding, for heads that share it.

    Where rows of the embedding are multiplied by a scale, their deviation is smaller by the same,
    which the head makes up for.
    """
    wider = {weight.name: weight for weight in weights if weight.role != "fixed"}
    return {
        path: 1 / (wider[name].fan_out * wider[name].adam)
        for path, name in model.heads.items()
        if name in wider
    }


def _scales(model: Shapes, base: Shapes) -> dict[str, float]:
    """The base's scale times the ratio of its heads to the model's, where heads grow."""
    both = {path: base.attention[path] for path in model.attention if path in base.attention}
    return {
        path: scale * head / model.attention[path][1]
        for path, (scale, head) in both.items()
        if head != model.attention[path][1]
    }


def _unscaled(model: Shapes, base: Shapes) -> dict[str, float]:
    """Ratios of the base's heads to the model's, where the scale of attention cannot be set."""
    sizes = {**base.fixed, **{path: head for path, (_, head) in base.attention.items()}}
    return {
        path: sizes[path] / head
        for path, head in model.fixed.items()
        if sizes.get(path, head) != head
    }
