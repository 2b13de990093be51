"""Learning-rate transfer drawn: loss over the learning rate, one curve a width."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from ...figures import INK, MUTED, shades, style_axes, write_head
from .optimum import LrCurve, OptimumShift

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NARROW, _WIDE = (0.55, 0.75, 0.93), (0.02, 0.17, 0.36)  # blues, darker when wider
_NAMES = {
    "sp": "standard parametrization",
    "sp-embedding": "standard, but the embedding's rate x the width",
    "mup": "muP",
}
_TOP = 0.6  # of the curves' whole range: how far above the lowest losses is shown


def draw_transfer(shifts: Sequence[OptimumShift], note: str) -> Figure:
    """A panel for each parametrization, on the same scales.

    Every run is a faint mark, means over seeds are joined; a diamond with its interval is the best
    learning rate of a width, where it is known. Runs that diverged are left out.

    Args:
        shifts: As of `optimum_shifts`.
        note: What was trained, as a line under the title.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4 * len(shifts) + 0.4, 5.7), facecolor="white")
    panels = figure.subplots(1, len(shifts), sharey=True, squeeze=False)[0]
    figure.subplots_adjust(left=0.07, right=0.985, top=0.75, bottom=0.1, wspace=0.06)
    for axes, shift in zip(panels, shifts, strict=True):
        for curve, color in zip(
            shift.curves, shades(_NARROW, _WIDE, len(shift.curves)), strict=True
        ):
            _draw(axes, curve, color)
        axes.set_xscale("log", base=2)
        below = "learning rate at the base width (log scale)"
        style_axes(axes, _title(shift), below, size=9.5)
    panels[0].set_ylabel("loss on text held out [nats a token]", color=MUTED)
    panels[0].set_ylim(*_range(shifts))
    panels[-1].legend(frameon=False, labelcolor=INK, fontsize=9, title="width", loc="upper center")
    title = "Does the best learning rate stay when a network gets wider?"
    write_head(figure, title, note, (0.955, 0.917))
    return figure


def _draw(axes: Axes, curve: LrCurve, color: Any) -> None:
    x = np.asarray(curve.rates)
    for losses in curve.losses:
        whole = np.isfinite(losses)
        axes.plot(x[whole], losses[whole], "o", color=color, ms=3, alpha=0.35, mew=0)
    whole = np.isfinite(curve.losses).all(axis=0)
    means = np.where(whole, curve.losses.mean(axis=0), np.nan)
    axes.plot(x, means, "-", color=color, lw=1.8, label=f"{curve.width:,}")
    if curve.best is None or not whole.any():
        return
    height = float(np.interp(curve.best.value, np.log2(x[whole]), means[whole]))
    ends = 2 ** np.clip(curve.best.interval(), np.log2(x[0]), np.log2(x[-1]))
    axes.plot(ends, [height, height], "-", color=color, lw=1.2, zorder=4)
    axes.plot(2**curve.best.value, height, "D", color=color, ms=6, mec="white", mew=0.8, zorder=5)


def _range(shifts: Sequence[OptimumShift]) -> tuple[float, float]:
    """From below the lowest mean to well above the best of each width; what is worse is cut off."""
    means = np.concatenate(
        [curve.losses.mean(axis=0) for shift in shifts for curve in shift.curves]
    )
    means = means[np.isfinite(means)]
    if not len(means):
        return 0.0, 1.0
    low, high = float(means.min()), float(means.max())
    room = max(high - low, 1e-6)
    return low - 0.05 * room, low + (1.05 if room < 1 else _TOP) * room


def _title(shift: OptimumShift) -> str:
    """The parametrization, and below it what may be said of it, wrapped."""
    sentence = shift.sentence.partition(": ")[2]
    return "\n".join((_NAMES[shift.kind], *wrap(sentence, 62)))
