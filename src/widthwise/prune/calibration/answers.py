"""What models that differ in their layers answer to the same tokens, compared part by part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .exact_projection import exact_projection
from .layerwise import LayerwiseRunner

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

READ_TOKENS = 4096  # held-out tokens that are run through the layers of each model, and
JUDGED_TOKENS = 2048  # of these, evenly spread, whose answers are compared
_LOGITS_BYTES = 2**26  # of float32 logits of one model made at once


def answered_at_once(tokens: int, vocabulary: int) -> list[slice]:
    """So many tokens in parts, each with few enough logits to be in memory."""
    step = max(1, _LOGITS_BYTES // (4 * vocabulary))
    return [slice(start, start + step) for start in range(0, tokens, step)]


def log_ratios(
    runner: LayerwiseRunner, dense: Tensor, others: Sequence[Tensor]
) -> Iterator[tuple[slice, int, Float[Tensor, "rows words"], Float[Tensor, "rows words"]]]:
    """By how much each next word is more likely to the dense model than to others.

    Args:
        runner: It makes logits of final hidden states.
        dense: Final hidden states of the dense model, as `LayerwiseRunner.final_states` has them.
        others: Those of other models on the same tokens.

    Yields:
        Some rows, the number of the other model, log p of the dense model and log p - log q.

    Memory: 0.3 GB, whatever the vocabulary.
    """
    import torch

    head = runner.logits
    with exact_projection(runner.module):
        for rows in answered_at_once(len(dense), head(dense[:1]).shape[-1]):
            own = torch.log_softmax(head(dense[rows]).float(), dim=-1)
            for number, other in enumerate(others):
                ratio = torch.log_softmax(head(other[rows]).float(), dim=-1)
                yield rows, number, own, torch.sub(own, ratio, out=ratio)


def divergence_sum(own: Float[Tensor, "rows words"], ratio: Float[Tensor, "rows words"]) -> float:
    """Sum over rows of the KL divergence, dense from other, in nats, of a part of `log_ratios`."""
    import torch

    return float(torch.linalg.vecdot(own.exp(), ratio).double().sum())
