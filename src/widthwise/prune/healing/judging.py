"""How far a child is from its parent on blocks that it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ...stats import Difference, Mean, paired_difference
from .loss import Head, in_rows, thoughts

if TYPE_CHECKING:
    from torch import Tensor


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
    """A child beside its parent on the blocks held out.

    Attributes:
        blocks: The values that the others are made of.
    """

    blocks: Blockwise

    @property
    def divergence(self) -> Mean:
        """KL(parent || child) in nats a token, the mean over blocks."""
        return Mean.of(self.blocks.divergence)

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
        found = self.excess
        return _exp(found.value), _exp(found.low), _exp(found.high)

    def summary(self) -> dict[str, float | int | tuple[float, float] | None]:
        """The numbers, as JSON."""
        ratio, low, high = self.perplexity_ratio
        divergence = self.divergence
        several = divergence.n > 1
        return {
            "blocks": divergence.n,
            "divergence_nats": divergence.value,
            "divergence_interval": divergence.interval() if several else None,
            "perplexity": self.perplexity if math.isfinite(self.perplexity) else None,
            "perplexity_ratio": ratio if math.isfinite(ratio) else None,  # JSON has no infinity
            "perplexity_ratio_interval": (low, high) if several and math.isfinite(high) else None,
        }


def gain_of(before: HeldOut, after: HeldOut) -> Difference:
    """Nats a token by which KL from the parent fell, block by block."""
    return paired_difference(before.blocks.divergence, after.blocks.divergence)


def shown(gain: Difference) -> Literal["closer", "further", None]:
    """What a gain shows; of a few blocks the interval alone is too sure, so p has a say too."""
    if gain.p_value > 0.05 or gain.low <= 0 <= gain.high:
        return None
    return "closer" if gain.low > 0 else "further"


def _exp(nats: float) -> float:
    """exp, infinite where no float is large enough: of a model that training has ruined."""
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf


def judge(child: Any, parent: Any, rows: Tensor, micro: int) -> HeldOut:
    """Run both models over blocks.

    Args:
        child, parent: `transformers` models on one device.
        rows: Token rows, shape (blocks, tokens).
        micro: Blocks run at once.
    """
    import torch

    device = next(child.parameters()).device
    values: list[list[float]] = [[], [], []]
    with torch.no_grad():
        for some in torch.split(rows, max(1, micro)):
            part = some.to(device)
            for known, new in zip(values, _of_rows(child, parent, part), strict=True):
                known += new.view(len(part), -1).mean(1).tolist()
    divergence, own, other = map(tuple, values)
    return HeldOut(blocks=Blockwise(divergence=divergence, child=own, parent=other))


def _of_rows(child: Any, parent: Any, rows: Tensor) -> Sequence[Tensor]:
    """Divergence of every token, and -log p of every next token by both; float64, on the CPU."""
    import torch

    own, other = thoughts(child, rows).last, thoughts(parent, rows).last
    heads = Head.of(child), Head.of(parent)
    target = torch.cat([rows[:, 1:], rows[:, :1]], 1).flatten()  # what follows the last is unknown
    found: list[list[Tensor]] = [[], [], []]
    for place, logs, other_logs in in_rows(own, heads[0], other, heads[1]):
        next_token = target[place, None]
        found[1].append(-logs.gather(1, next_token)[:, 0])
        found[2].append(-other_logs.gather(1, next_token)[:, 0])
        likely = other_logs.exp()
        vecdot = torch.linalg.vecdot
        found[0].append(vecdot(likely, other_logs) - vecdot(likely, logs))
    whole = [torch.cat(parts).double().cpu() for parts in found]
    known = [part.view(len(rows), -1)[:, :-1].flatten() for part in whole[1:]]
    return [whole[0], *known]
