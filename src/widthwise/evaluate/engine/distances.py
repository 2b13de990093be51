"""How far a model's next words are from those of the dense model that it was cut from."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...prune.calibration import answered_at_once

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from .lm_head import LmHead

MOST_TOKENS = 2048  # that are compared of one reference


@dataclass(frozen=True, kw_only=True)
class Distance:
    """How far a model is from the dense one, as sums over tokens that follow the same text.

    With the probabilities p of the dense model and q of the other one:

    Attributes:
        tokens: Number of tokens that are predicted.
        divergence: Sum of the KL divergence, sum p log(p / q), in nats.
        agreement: Tokens of which both have the same likeliest word.
        acceptance: Sum of min(p, q), which is 1 less the total variation: the chance that a word
            drawn by the other model would be accepted as a draft of the dense one.

    Source: acceptance, Leviathan, Kalman and Matias 2023, "Fast Inference from Transformers via
        Speculative Decoding", corollary 3.6.
    """

    tokens: int
    divergence: float
    agreement: int
    acceptance: float

    @classmethod
    def total(cls, parts: Iterable[Distance]) -> Distance:
        """The sum of some, of no or more tokens."""
        parts = tuple(parts)
        return cls(
            tokens=sum(part.tokens for part in parts),
            divergence=sum(part.divergence for part in parts),
            agreement=sum(part.agreement for part in parts),
            acceptance=sum(part.acceptance for part in parts),
        )


class DenseReference:
    """What the dense model would say next, at some tokens of some requests.

    Kept are the inputs of its vocabulary projection.

    Args:
        compared: The requests that are compared, as lm-eval has their arguments. Of each as many
            tokens are taken, evenly spread, so that there are `MOST_TOKENS` in all, and one at
            least.

    Attributes:
        model: The dense model; None before it has answered.

    Memory: the hidden size, in the model's dtype, for each token; and the model.
    """

    def __init__(self, compared: Iterable[tuple[Any, ...]]) -> None:
        self._compared = {_key(arguments) for arguments in compared}
        self._tokens = max(1, MOST_TOKENS // max(1, len(self._compared)))
        self._states: dict[Hashable, Tensor] = {}
        self.model: Any = None
        self._answered: set[tuple[str, ...]] = set()

    def compares(self, arguments: tuple[Any, ...]) -> bool:
        """Whether a request is compared."""
        return _key(arguments) in self._compared

    def places(self, scored: int) -> list[int]:
        """Which of the scored tokens of a request are compared."""
        count = min(scored, self._tokens)
        return [number * scored // count for number in range(count)]

    def lacks(self, requests: Iterable[tuple[Any, ...]]) -> bool:
        """Whether the dense model has yet to answer any of these that are compared."""
        keys = {_key(arguments) for arguments in requests}
        return bool(keys & self._compared - self._answered)

    def answered(self, requests: Iterable[tuple[Any, ...]]) -> None:
        """The dense model has answered these."""
        self._answered |= {_key(arguments) for arguments in requests}

    def give_up(self) -> None:
        """Compare nothing any more, as the dense model could not answer."""
        self._compared.clear()

    def keep(self, model: Any, request: Hashable, states: Float[Tensor, "tokens hidden"]) -> None:
        """States of the dense model at the `places` of a request."""
        self.model, self._states[request] = model, states.cpu()

    def states(self, request: Hashable) -> Float[Tensor, "tokens hidden"] | None:
        """The same; None where the dense model has given none."""
        return self._states.get(request)


def distances(
    dense: Float[Tensor, "tokens hidden"],
    own: Float[Tensor, "tokens hidden"],
    heads: tuple[LmHead, LmHead],
    sizes: Sequence[int],
) -> list[Distance]:
    """From the dense model to another one, for each of some requests.

    Args:
        dense, own: The inputs of their projections at the tokens of all requests, one request
            after the other.
        heads: Of the dense model and of the other one.
        sizes: Tokens of each request.
    """
    import torch

    found, pair = [], tuple(zip(heads, (dense, own), strict=True))
    for rows in answered_at_once(len(dense), heads[0].vocabulary):
        p, q = (head.logits(states[rows]).log_softmax(-1) for head, states in pair)
        agreement = p.argmax(-1) == q.argmax(-1)
        ratio = (p - q).masked_fill_(p.isneginf(), 0.0)  # 0 log 0 is 0
        divergence = torch.linalg.vecdot(p.exp_(), ratio)
        acceptance = torch.minimum(p, q.exp_()).sum(-1)
        found.append(torch.stack([divergence, agreement.to(p.dtype), acceptance]).double().cpu())
    requests = torch.split(torch.cat(found, dim=1), list(sizes), dim=1)
    sums = zip(sizes, (each.sum(1).tolist() for each in requests), strict=True)
    return [
        Distance(tokens=size, divergence=kl, agreement=round(same), acceptance=accepted)
        for size, (kl, same, accepted) in sums
    ]


def _key(arguments: tuple[Any, ...]) -> tuple[str, ...]:
    """What tells one request from another: its texts."""
    return tuple(map(str, arguments))
