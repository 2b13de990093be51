"""A child compared with its parent, on blocks that it was not trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ...stats import Difference, Estimate, mean_with_error, paired_difference


@dataclass(frozen=True, kw_only=True)
class Blockwise:
    """Two models on the same blocks, a value a block, in nats a token.

    Attributes:
        divergence: KL(parent || child), at temperature 1.
        child: -log p of the next token, by the child.
        parent: The same by the parent.
    """

    divergence: tuple[float, ...]
    child: tuple[float, ...]
    parent: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """A child compared with its parent on the blocks held out.

    Attributes:
        blocks: The values that the others are made of.
    """

    blocks: Blockwise

    @property
    def divergence(self) -> Estimate:
        """KL(parent || child) in nats a token, the mean over blocks."""
        return mean_with_error(self.blocks.divergence)

    @property
    def excess(self) -> Difference:
        """Nats a token by which the child is worse than its parent at the next token."""
        return paired_difference(self.blocks.child, self.blocks.parent)

    @property
    def perplexity(self) -> float:
        """Of the child."""
        return _exp(sum(self.blocks.child) / len(self.blocks.child))

    @property
    def perplexity_ratio(self) -> tuple[float, float, float]:
        """Perplexity of the child over that of its parent, and its 95 % interval."""
        result = self.excess
        return _exp(result.value), _exp(result.low), _exp(result.high)

    def summary(self) -> HeldOutSummary:
        """The numbers alone."""
        ratio, low, high = self.perplexity_ratio
        divergence = self.divergence
        several = divergence.n > 1
        return HeldOutSummary(
            blocks=divergence.n,
            divergence_nats=divergence.value,
            divergence_interval=divergence.interval() if several else None,
            perplexity=self.perplexity if math.isfinite(self.perplexity) else None,
            perplexity_ratio=ratio if math.isfinite(ratio) else None,
            perplexity_ratio_interval=(low, high) if several and math.isfinite(high) else None,
        )


@dataclass(frozen=True, kw_only=True)
class HeldOutSummary:
    """The numbers of a `HeldOut` as a record keeps them; None where one is not finite or not known.

    Attributes:
        blocks: Number of blocks held out.
        divergence_nats: KL(parent || child) in nats a token, the mean over blocks.
        divergence_interval: Its 95 % interval over blocks.
        perplexity: Perplexity of the child.
        perplexity_ratio: Perplexity of the child over that of its parent.
        perplexity_ratio_interval: Its 95 % interval.
    """

    blocks: int
    divergence_nats: float
    divergence_interval: tuple[float, float] | None
    perplexity: float | None
    perplexity_ratio: float | None
    perplexity_ratio_interval: tuple[float, float] | None

    @property
    def nats(self) -> str:
        """The divergence and its interval as they are printed."""
        value, *ends = nats_text(self.divergence_nats, *(self.divergence_interval or ()))
        return f"{value} [{', '.join(ends)}]" if ends else value

    @property
    def ratio(self) -> str:
        """The ratio of perplexities and its interval as they are printed."""
        if self.perplexity_ratio is None:
            return "beyond all floats"
        ends = ", ".join(f"{end:.3f}" for end in self.perplexity_ratio_interval or ())
        return f"{self.perplexity_ratio:.3f}" + (f" [{ends}]" if ends else "")


def gain_verdict(gain: Difference) -> Literal["closer", "further", None]:
    """What a gain shows; of a few blocks the interval alone is too sure, so p has a say too."""
    if gain.p_value > 0.05 or gain.low <= 0 <= gain.high:
        return None
    return "closer" if gain.low > 0 else "further"


def nats_text(first: float, *others: float) -> tuple[str, ...]:
    """Nats a token as they are printed: four decimals, or more where the first is so small that
    three digits of it need them.

    Example:
        >>> nats_text(0.14671, 0.1, 0.2), nats_text(0.0000123), nats_text(0.0)
        (('0.1467', '0.1000', '0.2000'), ('0.0000123',), ('0.0000',))
    """
    size = abs(first)
    decimals = 4 if not 0 < size < 1 else min(12, max(4, 2 - math.floor(math.log10(size))))
    return tuple(f"{value:.{decimals}f}" for value in (first, *others))


def _exp(nats: float) -> float:
    """exp, infinite where no float is large enough: of a model that training has ruined."""
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf
