"""What a refit leaves: a plan, its weights of down_proj, and how well it fits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from ..stats import Ratio, counted, estimate_text, fixed
from .plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

# Scales of the rows of tensors, of vectors their elements, by the number of the layer and the name
# in it; each of shape (rows,), in float32.
RowScales: TypeAlias = "Mapping[tuple[int, str], Tensor]"


@dataclass(frozen=True, kw_only=True, eq=False)
class Refit:
    """A plan together with the down_proj weights that belong to it.

    Attributes:
        plan: Which neurons stay.
        down: For each layer the refitted weight of down_proj, shape (hidden_size, width), in the
            dtype in which it is to be stored.
        layers: How well each layer was fitted.
        parts: The calibration text.
        sequential: Whether each layer was fitted behind the layers that were already cut.
        losses: What all of the cut loses on each text; empty of a model that predicts no next
            token, and where several widths were made at once.
        scales: How scales of rows were found; None where nothing was scaled. Those of down_proj are
            in `down`.
        rows: Scales of the rows of other tensors, which the result stores multiplied by them.
    """

    plan: Plan
    down: tuple[Tensor, ...]
    layers: tuple[LayerFit, ...]
    parts: tuple[CalibrationSource, ...]
    sequential: bool
    losses: tuple[TextLoss, ...] = ()
    scales: ScaleTuning | None = None
    rows: RowScales = field(default_factory=dict)

    @property
    def warning(self) -> str | None:
        """What is wrong with the refit; None where nothing is known to be."""
        parts = (self._overfitted, self._unfitted, self._unseen)
        return "; ".join(filter(None, parts)) or None

    @property
    def _unseen(self) -> str | None:
        """Whether experts were sent fewer tokens than the neurons of both halves."""
        experts = [
            (fit.tokens, neurons)
            for fit, neurons in zip(self.layers, self.plan.neurons, strict=False)
            if fit.tokens is not None
        ]
        few = [tokens for tokens, neurons in experts if tokens < 2 * neurons]
        if not few:
            return None
        return (
            f"the router sent {len(few)} of {len(experts)} experts fewer tokens than twice their "
            f"neurons (the least {min(few)}), so they were shown other tokens of their layers as "
            "well: calibrate on more text"
        )

    @property
    def _unfitted(self) -> str | None:
        """Whether the best ridge of a layer is the largest, which leaves weights as they are."""
        count = sum(fit.lam * 2 > MOST_LAM for fit in self.layers)  # a ridge is a power of ten
        if not count:
            return None
        return (
            f"{count} of {len(self.layers)} layers took the largest ridge that is tried, "
            f"{MOST_LAM:g}, so their refit changes next to nothing: calibrate on more text, "
            "and on text such as the model will be used for"
        )

    @property
    def _overfitted(self) -> str | None:
        """Whether the held-out half is reproduced far worse than the fitted one."""
        ratios = [fit.held_out_error / max(fit.fit_error, 1e-12) for fit in self.layers]
        layer = max(range(len(ratios)), key=ratios.__getitem__)
        median = sorted(ratios)[len(ratios) // 2]
        if median < DIVERGENCE_FACTOR:
            return None
        return (
            f"the refit does {median:.1f} times worse on the held-out half of the text than on the "
            f"other ({self.plan.unit} {layer}: {ratios[layer]:.1f} times): calibrate on more text, "
            "and on text such as the model will be used for"
        )


DIVERGENCE_FACTOR = 2.0  # times the fit error; see docs/calibrated.md for what usual text gives


LEAST_LAM, MOST_LAM = 1e-6, 1e4  # how far ridges are tried beyond those, where an end is the best


@dataclass(frozen=True, kw_only=True)
class LayerFit:
    """How well the refit of one layer does.

    Errors are the mean squared difference that the cut makes to the output of down_proj, over the
    mean square of that output: 0 is none, 1 as if the block were gone.

    Attributes:
        lam: Ridge, as a share of the mean of the diagonal of the second moments; the best on the
            held-out half of those tried: `RIDGES`, and further ones until the error rises.
        fit_error: On the half that the refit is made from.
        held_out_error: On the other half, to which no weight was fitted. It chose `lam` among
            three or more, so that on a third text the error is likely a little larger.
        tokens: Tokens that the router sent to the expert; None of a block that all tokens pass.
        curve: Loss at every width from 0 to I as a share of that at 0, on the first half, the
            ridge counted in. What an allocation of widths to layers starts from.
    """

    lam: float
    fit_error: float
    held_out_error: float
    tokens: int | None = None
    curve: tuple[float, ...] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class CalibrationSource:
    """One text that was added: what it is, and its tokens in both halves."""

    source: str
    fingerprint: str
    fit_tokens: int
    held_out_tokens: int


@dataclass(frozen=True, kw_only=True)
class ScaleTuning:
    """How scales of rows were found with which a cut answers more as the dense model does.

    Attributes:
        tokens: Tokens that were tuned on, of the half of the text that the refit is made from.
        steps: Steps of the tuning.
        kept_step: The step whose scales are kept; 0 where none did better than no scales.
        before: Mean KL divergence of the next token, dense from cut, in nats a token, on other
            rows of this half, without scales.
        after: The same with the scales, which were chosen by it.
    """

    tokens: int
    steps: int
    kept_step: int
    before: float
    after: float

    def __str__(self) -> str:
        if not self.kept_step:
            return f"none of {self.steps} steps on {self.tokens:,} tokens was better than no scales"
        return (
            f"KL {fixed(self.before, 3)} to {fixed(self.after, 3)} nats a token on held-out rows, "
            f"by {self.kept_step} steps on {self.tokens:,} tokens"
        )


@dataclass(frozen=True, kw_only=True)
class TextLoss:
    """What a cut model loses on held-out blocks of one text, beside the dense model.

    The held-out half chose the ridge of every layer, so on a third text the loss is likely a little
    larger.

    Attributes:
        source: The text.
        blocks: Number of blocks.
        divergence: Mean KL divergence of the next token, dense from cut, in nats a token.
        added_loss: What the cut adds to the mean loss on the next token, in nats.
        error: Standard error of `added_loss` over blocks; None of one block.
    """

    source: str
    blocks: int
    divergence: float
    added_loss: float
    error: float | None

    @property
    def perplexity_ratio(self) -> Ratio:
        """Perplexity over that of the dense model."""
        value = math.exp(self.added_loss)
        error = None if self.error is None else value * self.error
        return Ratio(value=value, standard_error=error, n=self.blocks, log_error=self.error)

    def __str__(self) -> str:
        return (
            f"KL {fixed(self.divergence, 3)} nats a token, perplexity over dense "
            f"{estimate_text(self.perplexity_ratio)}, on {counted(self.blocks, 'held-out block')} "
            f"of {self.source}"
        )
