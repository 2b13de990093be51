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
    log_ratio,
    mean_of_draws,
)
from .cost_prose import (
    busiest,
    cost_sentence,
    load_warnings,
    measured_sentences,
    other_network_sentences,
)
from .costs import cost_ratios, size_ratio, speed_ratio, took_turns, turn_ratio
from .curves import SHARE_LOSS
from .decision import closest_criterion, decision_sentences
from .descent import Descent, comparisons, descents, kin_sentences, parents_of
from .distances import Flips, NextWords, compared_text, divergence_text, flips, next_words
from .grid import (
    COST_UNITS,
    SIZE_UNITS,
    Grid,
    GridRow,
    build_grid,
    estimate_of,
    network_of,
)
from .pairs import TaskPair, judge_pairs, shown_word, task_pairs, why_not_paired
from .prose import answer, answer_sentences
from .table import Table
from .tables import score_text
from .types import (
    CurvePoint,
    Findings,
    Front,
    FrontPoint,
    Hypothesis,
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
    "Flips",
    "Front",
    "FrontPoint",
    "Grid",
    "GridRow",
    "Hypothesis",
    "Knee",
    "NextWords",
    "SmallestSufficientWidth",
    "Table",
    "TaskCorrelation",
    "TaskPair",
    "WidthCurve",
    "answer",
    "answer_sentences",
    "beats_its_floor",
    "build_findings",
    "build_grid",
    "busiest",
    "closest_criterion",
    "compare_to_control",
    "compare_to_dense",
    "compared_text",
    "comparisons",
    "cost_ratios",
    "cost_sentence",
    "decision_sentences",
    "descents",
    "describe_draws",
    "divergence_text",
    "estimate_of",
    "flips",
    "floor_status",
    "is_above_floor",
    "is_worse",
    "judge_pairs",
    "kin_sentences",
    "load_warnings",
    "log_ratio",
    "mean_of_draws",
    "measured_sentences",
    "network_of",
    "next_words",
    "other_network_sentences",
    "parents_of",
    "score_text",
    "shown_word",
    "size_ratio",
    "speed_ratio",
    "task_pairs",
    "took_turns",
    "turn_ratio",
    "why_not_paired",
]
