"""Which neurons draft layers keep, beside a plan of the model's own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DraftPlan:
    """Neurons to keep in the blocks of draft layers, as many as the config of the result states.

    Attributes:
        criterion: How neurons were scored.
        keep: For each group of `Architecture.drafts` the indices kept, ascending.
    """

    criterion: str
    keep: tuple[tuple[int, ...], ...]
