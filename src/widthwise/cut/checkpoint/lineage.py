"""What a checkpoint folder says of the parent that it was cut from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..plan import Plan
from .reader import read_json
from .refit_record import REFIT_FILE

PLAN_FILE = "widthwise_plan.json"
HEALING_FILE = "widthwise_healing.json"


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """How a checkpoint came from another one.

    Attributes:
        parent: Name of the checkpoint that it was cut from.
        parent_width: Neurons of each GLU block of the parent.
        parent_weights: Beginning of the fingerprint of the parent's GLU weights.
        criterion: How neurons were chosen, with `+refit` where down_proj was refitted.
        ratio: Expansion ratio that is left, of layers of unequal widths in the mean.
        healed: Whether it was trained after the cut.
        healed_from: Name of the checkpoint that the training began with; None where no file says.
        healed_from_weights: Beginning of the fingerprint of its GLU weights.
    """

    parent: str
    parent_width: int
    parent_weights: str
    criterion: str
    ratio: float
    healed: bool
    healed_from: str | None = None
    healed_from_weights: str | None = None

    @property
    def stored(self) -> dict[str, Any]:
        """As records keep it: what is known."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def lineage_of(folder: Path) -> Lineage | None:
    """What the files of a cut say that lie in a checkpoint folder; None where there are none.

    Raises:
        PlanError, CheckpointError: A file of them cannot be read.
    """
    path, healing = folder / PLAN_FILE, folder / HEALING_FILE
    if not path.is_file():
        return None
    plan, is_refitted = Plan.load(path), (folder / REFIT_FILE).is_file()
    record = read_json(healing) if healing.is_file() else {}
    is_refitted |= record.get("child_refit") is not None  # which the healing took over
    child = record.get("child")
    child = child if isinstance(child, dict) else {}
    return Lineage(
        parent=plan.parent,
        parent_width=plan.intermediate_size,
        parent_weights=plan.fingerprint[:16],
        criterion=plan.criterion + "+refit" * is_refitted,
        ratio=plan.expansion_ratio,
        healed=healing.is_file(),
        healed_from=child.get("name"),
        healed_from_weights=str(child["fingerprint"])[:16] if "fingerprint" in child else None,
    )
