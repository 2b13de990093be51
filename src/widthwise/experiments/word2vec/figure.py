"""A drawing of runs: accuracy epoch by epoch, and by width beside the limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...figures import FEATURE, INK, KERNEL, MUTED, line_styles, mark_widths, style_axes, write_head
from ...stats import counted
from .networks import Word2vecNetwork
from .summary import SummaryRow, summary
from .training import Word2vecResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_KERNEL_LOOK: dict[str, Any] = {"color": KERNEL, "lw": 1.5, "ls": "--"}


def draw_runs(results: Sequence[Word2vecResult]) -> Figure:
    """Accuracy against epochs, and after the last one against the width.

    Left one line a run. Right a mark a width with its 95 % interval; the limit is a level line
    with its interval as a band, the kernels are one at theirs.

    Args:
        results: Runs; failed ones are left out.
    """
    from matplotlib.figure import Figure

    rows = [row for row in summary(results) if row.run.score is not None]
    figure = Figure(figsize=(10, 4.9), facecolor="white")
    left, right = figure.subplots(1, 2, sharey=True)
    figure.subplots_adjust(left=0.075, right=0.985, top=0.83, bottom=0.135, wspace=0.08)
    lines = line_styles(row.run.width for row in rows)
    looks = [
        _KERNEL_LOOK if row.run.network in Word2vecNetwork.kernel_names else lines[row.run.width]
        for row in rows
    ]
    for row, look in zip(rows, looks, strict=True):
        if row.run.curve:
            epochs = range(1, len(row.run.curve) + 1)
            accuracy = [100 * value for value, _ in row.run.curve]
            left.plot(epochs, accuracy, label=row.run.label, marker=".", ms=4, **look)
    if left.lines:
        left.legend(frameon=False, fontsize=8.5, labelcolor=INK)
        left.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    _by_width(right, rows, looks)
    style_axes(left, "after each epoch", "epochs")
    style_axes(right, "after the last epoch", "width n (log scale)")
    left.set_ylabel("analogies answered rightly [%]", color=MUTED)
    left.set_ylim(bottom=0)
    title = "word2vec: networks in muP, their limit, and kernels"
    asked = max((row.run.score.asked for row in rows if row.run.score is not None), default=0)
    note = (
        f"{counted(asked, 'question')} whose words are in the vocabulary. "
        "Bars and band: 95 % intervals."
    )
    write_head(figure, title, note, (0.945, 0.902))
    return figure


def _by_width(axes: Axes, rows: Sequence[SummaryRow], looks: Sequence[dict[str, Any]]) -> None:
    kernels = [row.run.label for row in rows if row.run.network in Word2vecNetwork.kernel_names]
    for row, look in zip(rows, looks, strict=True):
        assert row.run.score is not None
        assert row.interval is not None
        value, (low, high) = 100 * row.run.score.accuracy, (100 * end for end in row.interval)
        if row.run.width is not None:
            ends = [[value - low], [high - value]]
            color = look["color"]
            axes.errorbar(row.run.width, value, yerr=ends, fmt="o", ms=6, color=color, capsize=0)
        elif row.run.network == "limit":
            axes.axhline(value, **look, label=row.run.label)
            axes.axhspan(low, high, color=FEATURE, alpha=0.12, lw=0)
        elif row.run.label == kernels[0]:  # the others lie on it
            axes.axhline(value, **look, label=" and ".join(kernels), zorder=3, clip_on=False)
    mark_widths(axes, sorted({row.run.width for row in rows if row.run.width is not None}))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8.5, labelcolor=INK)
