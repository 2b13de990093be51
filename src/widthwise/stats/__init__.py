"""Uncertainty: means with errors, paired differences, Holm's adjustment and one rule for verdicts.

Arrays in, frozen dataclasses out. Nothing here knows about networks or files.
"""

from .correlation import Correlation, correlation
from .estimates import (
    Estimate,
    Mean,
    Positive,
    Ratio,
    mean_with_error,
    median_with_error,
    paired_ratio,
    ratio_with_error,
)
from .paired import Difference, paired_difference, with_luck_of_draws
from .partial import RankCorrelation, RankLead, rank_correlation, rank_lead
from .sequential import Interval, confidence_sequence, first_narrow, sequential_difference
from .verdicts import Verdict, beats_floor, holm, verdict

__all__ = [
    "Correlation",
    "Difference",
    "Estimate",
    "Interval",
    "Mean",
    "Positive",
    "RankCorrelation",
    "RankLead",
    "Ratio",
    "Verdict",
    "beats_floor",
    "confidence_sequence",
    "correlation",
    "first_narrow",
    "holm",
    "mean_with_error",
    "median_with_error",
    "paired_difference",
    "paired_ratio",
    "rank_correlation",
    "rank_lead",
    "ratio_with_error",
    "sequential_difference",
    "verdict",
    "with_luck_of_draws",
]
