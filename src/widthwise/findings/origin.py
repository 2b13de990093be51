"""Of a checkpoint that was cut from another one: what it is, and where it stands beside that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .words import joined

if TYPE_CHECKING:
    from .grid import Grid

KEY = "cut_from"  # in the settings of a record
WEIGHTS = "glu_weights"  # likewise: the beginning of the fingerprint of the whole network


@dataclass(frozen=True, kw_only=True)
class Origin:
    """How a checkpoint was cut from its parent, as its records tell.

    Attributes as of `prune.checkpoint.Lineage`.
    """

    parent: str
    parent_width: int
    parent_weights: str
    criterion: str
    ratio: float
    healed: bool

    def __str__(self) -> str:
        healed = " and healed" if self.healed else ""
        return f"cut to {self.ratio:.2f}x by {self.criterion}{healed}, of {self.parent_name}"

    @property
    def parent_name(self) -> str:
        """The last part of the parent's name."""
        return Path(self.parent).name or self.parent

    @property
    def label(self) -> str:
        """What a table calls the checkpoint."""
        return "this healed cut" if self.healed else "this cut"


def origin_in(settings: Mapping[str, Any]) -> Origin | None:
    """What the settings of a record say; None of a model that no file says was cut."""
    told = settings.get(KEY)
    return None if told is None else Origin(**told)


def parent_of(grid: Grid, others: tuple[Grid, ...]) -> Grid | None:
    """The records of the model that the whole network of a grid was cut from, if they are there.

    It is known by its weights; of records that do not name these, by its name and its width.
    """
    origin = grid.origin
    if origin is None:
        return None
    for other in others:
        if other.dense is None:
            continue
        records = [record for (n, _), record in other.cells.items() if n == other.dense]
        weights = {r.settings[WEIGHTS] for r in records if WEIGHTS in r.settings}
        name = Path(other.model).name
        by_name = name == origin.parent_name and other.dense.width == origin.parent_width
        if weights == {origin.parent_weights} or (by_name and not weights):
            return other
    return None


def of_parent(grid: Grid, parent: Grid | None) -> str:
    """Whether the parent was measured, and on which tasks it alone beats the floor; "" for a model
    that no file says was cut."""
    from .judge import beats_its_floor

    origin = grid.origin
    if origin is None:
        return ""
    if parent is None:
        return (
            f"Its parent {origin.parent_name} was not measured here, so what the cut cost is not "
            "seen: ask both the same items, and draw both on one page (widthwise report PARENT "
            "CUT), or measure both in one study."
        )
    own = {q: grid.cells.get((grid.dense, q)) for q in grid.quality if grid.dense}
    of_parent = {q: parent.cells.get((parent.dense, q)) for q in own if parent.dense}
    low = [q for q, record in own.items() if record and not beats_its_floor(record)]
    alone = [q for q in low if beats_its_floor(of_parent.get(q))]
    neither = [q for q in low if q not in alone and of_parent.get(q) is not None]
    said = []
    if alone:
        said.append(
            f"Its parent {origin.parent_name} beats the floor on {joined(alone)}, where this one "
            "is not shown to."
        )
    if neither:
        said.append(
            f"On {joined(neither)} its parent {origin.parent_name} is not shown to be above the "
            "floor either, so what the cut cost cannot be seen there."
        )
    return " ".join(said)
