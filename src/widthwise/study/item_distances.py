"""How far a network's next words are from the dense model's, item by item, as records keep it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..evaluate import Distance, TaskAnswer


@dataclass(frozen=True, kw_only=True)
class ItemDistances:
    """Means over the tokens of each item that was compared, in the order of the items.

    Attributes:
        tokens: Tokens that were compared, of each item.
        divergence: KL divergence, dense from the network, nats a token.
        agreement: Share of tokens of which both have the same likeliest word.
        acceptance: 1 less the total variation: the share of words drawn by the network that the
            dense model would accept as a draft.
    """

    tokens: tuple[int, ...]
    divergence: tuple[float, ...]
    agreement: tuple[float, ...]
    acceptance: tuple[float, ...]

    @classmethod
    def of(cls, answers: Sequence[TaskAnswer]) -> ItemDistances | None:
        """Those of a network's answers; None where none was compared."""
        found = [answer.distance for answer in answers if answer.distance is not None]
        if not found:
            return None
        return cls(
            tokens=tuple(each.tokens for each in found),
            divergence=tuple(each.divergence / each.tokens for each in found),
            agreement=tuple(each.agreement / each.tokens for each in found),
            acceptance=tuple(each.acceptance / each.tokens for each in found),
        )

    def each(self) -> list[Distance]:
        """Inverse of `of`."""
        means = zip(self.tokens, self.divergence, self.agreement, self.acceptance, strict=True)
        return [
            Distance(
                tokens=tokens,
                divergence=divergence * tokens,
                agreement=round(agreement * tokens),
                acceptance=acceptance * tokens,
            )
            for tokens, divergence, agreement, acceptance in means
        ]
