"""Power laws of the width as plain values; their slopes are fitted anew when they are read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..theory import PowerLawFit, fit_rate

Runs = tuple[tuple[float, ...], ...]  # of each width, and there of each seed


def plain_runs(rate: PowerLawFit) -> Runs:
    """The runs that a power was fitted to."""
    return tuple(map(tuple, rate.runs.tolist()))


def fitted_again(widths: Sequence[int], runs: Runs) -> PowerLawFit:
    """The power of runs that were read.

    Raises:
        ValueError: Not every width has as many runs.
    """
    if len(runs) != len(widths) or len({len(row) for row in runs}) != 1:
        raise ValueError("every width must have as many runs")
    return fit_rate(widths, np.array(runs, dtype=np.float64))
