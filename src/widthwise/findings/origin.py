"""How a checkpoint that was cut from another one is told from its parent and its kin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..cut.checkpoint import Lineage

KEY = "cut_from"  # in the settings of a record
WEIGHTS = "glu_weights"  # likewise: the beginning of the fingerprint of the whole network


@dataclass(frozen=True, kw_only=True)
class Origin(Lineage):
    """The lineage of a checkpoint as its records tell it."""

    def __str__(self) -> str:
        healed = " and healed" if self.healed else ""
        return f"cut to {self.ratio:.2f}x by {self.criterion}{healed}, of {self.parent_name}"

    @property
    def parent_name(self) -> str:
        """The last part of the parent's name."""
        return Path(self.parent).name or self.parent

    def is_cut_as(self, other: Origin) -> bool:
        """Whether both were cut from the same weights in the same way, healed or not."""
        mine, theirs = ((o.parent_weights, o.criterion, o.ratio) for o in (self, other))
        return mine == theirs

    @property
    def label(self) -> str:
        """What a table calls the checkpoint."""
        return "this healed cut" if self.healed else "this cut"


def origin_in(settings: Mapping[str, Any]) -> Origin | None:
    """What the settings of a record say; None of a model that no file says was cut."""
    stored = settings.get(KEY)
    return None if stored is None else Origin(**stored)
