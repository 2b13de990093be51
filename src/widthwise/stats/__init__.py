"""Uncertainty: means with errors, paired differences, Holm's adjustment, one rule for verdicts, and
the one way to write all of these.

Arrays in, frozen dataclasses out. Nothing here knows about networks or files.
"""

from .correlation import Correlation, correlation, correlation_lead
from .difference import (
    Difference,
    add_draw_variance,
    paired_difference,
    unpaired_difference,
)
from .estimates import (
    LARGEST_LOG,
    Estimate,
    Positive,
    Ratio,
    Share,
    mean_with_error,
    median_with_error,
    paired_ratio,
    ratio_with_error,
)
from .format import (
    NOTHING,
    capital,
    change_text,
    counted,
    difference_text,
    estimate_text,
    fixed,
    interval_text,
    is_perplexity,
    joined,
    number,
    p_text,
    percent,
    unit_text,
    with_ends,
    with_error,
)
from .groups import grouped
from .intervals import (
    paired_share_interval,
    share_interval,
    skewed_interval,
    t_interval,
    t_p_value,
    t_quantile,
)
from .rank import RankCorrelation, RankDifference, rank_correlation, rank_lead
from .sequential import (
    SequenceInterval,
    Stopped,
    confidence_sequence,
    sequential_difference,
    stopping_index,
)
from .verdicts import Verdict, beats_floor, holm, verdict

__all__ = [
    "LARGEST_LOG",
    "NOTHING",
    "Correlation",
    "Difference",
    "Estimate",
    "Positive",
    "RankCorrelation",
    "RankDifference",
    "Ratio",
    "SequenceInterval",
    "Share",
    "Stopped",
    "Verdict",
    "add_draw_variance",
    "beats_floor",
    "capital",
    "change_text",
    "confidence_sequence",
    "correlation",
    "correlation_lead",
    "counted",
    "difference_text",
    "estimate_text",
    "fixed",
    "grouped",
    "holm",
    "interval_text",
    "is_perplexity",
    "joined",
    "mean_with_error",
    "median_with_error",
    "number",
    "p_text",
    "paired_difference",
    "paired_ratio",
    "paired_share_interval",
    "percent",
    "rank_correlation",
    "rank_lead",
    "ratio_with_error",
    "sequential_difference",
    "share_interval",
    "skewed_interval",
    "stopping_index",
    "t_interval",
    "t_p_value",
    "t_quantile",
    "unit_text",
    "unpaired_difference",
    "verdict",
    "with_ends",
    "with_error",
]
