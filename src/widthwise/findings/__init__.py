"""What records say: networks side by side, and what each difference may be called."""

from .build import build_findings
from .comparisons import (
    CONFIDENCE,
    Comparison,
    Comparisons,
    beats_its_floor,
    compare_to_control,
    compare_to_dense,
    describe_draws,
    floor_status,
    is_above_floor,
    is_worse,
    mean_of_draws,
)
from .descent import Descent, comparisons, descents, kin_sentences, parents_of
from .grid import COST_UNITS, SIZE_UNITS, Grid, GridRow, build_grid, estimate_of, network_of
from .noninferiority import SHARE_LOSS
from .pair_verdicts import judge_pairs, shown_word
from .same_items import why_not_paired
from .table import Table
from .types import (
    CurvePoint,
    Findings,
    Front,
    FrontPoint,
    Knee,
    SmallestSufficientWidth,
    TaskCorrelation,
    WidthCurve,
)

__all__ = [
    "CONFIDENCE",
    "COST_UNITS",
    "SHARE_LOSS",
    "SIZE_UNITS",
    "Comparison",
    "Comparisons",
    "CurvePoint",
    "Descent",
    "Findings",
    "Front",
    "FrontPoint",
    "Grid",
    "GridRow",
    "Knee",
    "SmallestSufficientWidth",
    "Table",
    "TaskCorrelation",
    "WidthCurve",
    "beats_its_floor",
    "build_findings",
    "build_grid",
    "compare_to_control",
    "compare_to_dense",
    "comparisons",
    "descents",
    "describe_draws",
    "estimate_of",
    "floor_status",
    "is_above_floor",
    "is_worse",
    "judge_pairs",
    "kin_sentences",
    "mean_of_draws",
    "network_of",
    "parents_of",
    "shown_word",
    "why_not_paired",
]
