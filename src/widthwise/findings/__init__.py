"""What records say: networks side by side, and what each difference may be called."""

from .build import findings_of
from .changes import change_text, difference_text, number
from .comparisons import (
    CONFIDENCE,
    Judged,
    Judgements,
    beats_its_floor,
    beside_control,
    beside_dense,
    draws_told,
    floor_word,
    is_above_floor,
    is_worse,
    mean_of_draws,
)
from .descent import Descent, comparisons, descents, kin_sentences, parents_of
from .format import capital, joined, p_text
from .grid import (
    COST_UNITS,
    SIZE_UNITS,
    Grid,
    Network,
    arrange,
    estimate_of,
    is_perplexity,
    network_of,
)
from .noninferiority import SHARE_LOSS
from .pair_verdicts import judge_pairs, shown_word
from .same_items import why_not_paired
from .types import Curve, Findings, Front, FrontPoint, Knee, Pair, Point, Smallest, Table

__all__ = [
    "CONFIDENCE",
    "COST_UNITS",
    "SHARE_LOSS",
    "SIZE_UNITS",
    "Curve",
    "Descent",
    "Findings",
    "Front",
    "FrontPoint",
    "Grid",
    "Judged",
    "Judgements",
    "Knee",
    "Network",
    "Pair",
    "Point",
    "Smallest",
    "Table",
    "arrange",
    "beats_its_floor",
    "beside_control",
    "beside_dense",
    "capital",
    "change_text",
    "comparisons",
    "descents",
    "difference_text",
    "draws_told",
    "estimate_of",
    "findings_of",
    "floor_word",
    "is_above_floor",
    "is_perplexity",
    "is_worse",
    "joined",
    "judge_pairs",
    "kin_sentences",
    "mean_of_draws",
    "network_of",
    "number",
    "p_text",
    "parents_of",
    "shown_word",
    "why_not_paired",
]
