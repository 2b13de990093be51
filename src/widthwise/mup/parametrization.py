"""All factors of a network at one width, as plain data, and their use."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, cast

from ..errors import LimitError
from ..io import from_plain
from .apply import draw_, scale_inputs_, scale_logits_, start_gains_
from .groups import (
    Adjustment,
    Optimizer,
    check_hidden,
    check_optimizer,
    is_for_muon,
    muon_groups,
    own_groups,
    split_groups,
)
from .listing import by_pattern, listing, name_pattern
from .patterns import PatternMultipliers, patterns_of
from .scaling import Kind, ParameterScaling
from .shapes import named_parameters

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
        multipliers: Factors of the inputs of heads that share the weight of an embedding, where the
            gain of the norm before cannot take them.
        attention: Scales of the logits of attention modules whose heads grow, where the projection
            of queries cannot take what they change by.
        unscaled: Factors, from the base width, of such modules whose scale was not found.
        absorbed: The multiplier within each parameter that has one.
        reasons: Why multipliers and scales are not in a parameter, by module.
    """

    kind: Kind
    weights: tuple[ParameterScaling, ...]
    multipliers: Mapping[str, float]
    attention: Mapping[str, float]
    unscaled: Mapping[str, float] = field(default_factory=dict, metadata={"added_later": True})
    absorbed: Mapping[str, float] = field(default_factory=dict, metadata={"added_later": True})
    reasons: Mapping[str, str] = field(default_factory=dict, metadata={"added_later": True})

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
                0, nothing is left for Muon, the scale of attention whose heads grow was not found
                (`unscaled`), or the model is not that of this parametrization.
        """
        self._refuse_unscaled()
        check_optimizer(optimizer)
        if not (math.isfinite(eps) and eps > 0):
            raise LimitError(f"eps must be above 0; got {eps}")
        if beside_muon:
            check_hidden(self.weights)
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
            LimitError: lr is not above 0, the adjustment is another one, no matrix grows along both
                dimensions, the scale of attention whose heads grow was not found, or the model is
                not that of this parametrization.

        Source: the spectral condition, arXiv 2310.17813.
        """
        self._refuse_unscaled()
        return muon_groups(
            self.weights,
            self._parameters(model),
            lr=lr,
            weight_decay=weight_decay,
            adjustment=adjust_lr_fn,
            absorbed=self.absorbed if self.kind == "mup" else None,
        )

    def patterns(
        self, *, muon: Adjustment | None = None, decays_vectors: bool = False
    ) -> list[PatternMultipliers]:
        """Multipliers of learning rate, weight decay and epsilon by patterns of names.

        Regular expressions, each of whole names; every parameter is found by one. They are names of
        the model that this was made from: for a trainer with models of its own give `parametrize`
        these, as torchtitan's, whose `param_groups` take an optimizer and its numbers by pattern.
        Initial deviations and what gains start at are not among them.

        Args:
            muon: How Muon adjusts its rate, where it trains the hidden matrices; None for AdamW
                alone.
            decays_vectors: Whether gains, biases and the like decay too.

        Raises:
            LimitError: No matrix is known to be for Muon.
        """
        absorbed = self.absorbed if self.kind == "mup" else None
        return patterns_of(self.weights, absorbed, muon=muon, decays_vectors=decays_vectors)

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

        Gains that are among `gains` are set to what they start at.

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
        start_gains_(model, self.gains)

    def apply_(self, model: nn.Module) -> None:
        """Set the scales of attention and the multipliers of heads in a model.

        Calling it again changes nothing. Neither is part of a state dict: call it on every model
        that the weights are loaded into. Pickling keeps both. Where `multipliers` and `attention`
        are empty it does nothing: what is trained is then a plain checkpoint.

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
        return listing(self.weights, self.notes)

    @property
    def gains(self) -> dict[str, float]:
        """What gains of norms start at, in place of 1."""
        gains = {w.name for w in self.weights if w.is_vector and w.name.endswith("weight")}
        return {name: by for name, by in self.absorbed.items() if name in gains}

    @property
    def notes(self) -> list[str]:
        """Lines on what is not a factor of a parameter."""
        gains = by_pattern(self.gains)
        lines = [f"the gain of {name} starts at {by:.4g}: init_ sets it" for name, by in gains]
        lines += [f"input of {path} x {by:.4g}" for path, by in self.multipliers.items()]
        for path, scale in by_pattern(self.attention):
            lines.append(f"attention scale of {path} = {scale:.4g}")
        for path, why in by_pattern(self.reasons):
            lines.append(f"  {path} needs apply_, since {why}")
        for path, by in by_pattern(self.unscaled):
            lines.append(
                f"attention scale of {path} was not found: it must be that of the base x {by:.4g} "
                "(1/d)"
            )
        return lines

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
