"""A drawing of runs: accuracy epoch by epoch, and by width beside the limit."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import TYPE_CHECKING, Any

from ...figures import FEATURE, INK, KERNEL, MUTED, line_styles, mark_widths, style_axes, write_head
from ...stats import counted
from .networks import Word2vecNetwork
from .summary import NetworkRow, by_network
from .training import Word2vecResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_KERNEL_LOOK: dict[str, Any] = {"color": KERNEL, "lw": 1.5, "ls": "--"}


def draw_runs(results: Sequence[Word2vecResult]) -> Figure:
    """Accuracy against epochs, and after the last one against the width.

    Left one line a network, its mean over seeds. Right a mark a width with its 95 % interval, and
    a faint one a run where there are several seeds; the limit is a level line with its interval as
    a band, the kernels are one at theirs.

    Args:
        results: Runs; failed ones are left out.
    """
    from matplotlib.figure import Figure

    rows = [row for row in by_network(results) if row.accuracy is not None]
    figure = Figure(figsize=(10, 4.9), facecolor="white")
    left, right = figure.subplots(1, 2, sharey=True)
    figure.subplots_adjust(left=0.075, right=0.985, top=0.83, bottom=0.135, wspace=0.08)
    lines = line_styles(row.runs[0].width for row in rows)
    looks = [_KERNEL_LOOK if _is_kernel(row) else lines[row.runs[0].width] for row in rows]
    for row, look in zip(rows, looks, strict=True):
        curves = [run.curve for run in row.runs if run.score is not None and run.curve]
        if curves:
            accuracy = [
                mean(100 * value for value, _ in each) for each in zip(*curves, strict=False)
            ]
            epochs = range(1, len(accuracy) + 1)
            left.plot(epochs, accuracy, label=row.label, marker=".", ms=4, **look)
    if left.lines:
        left.legend(frameon=False, fontsize=8.5, labelcolor=INK)
        left.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    _by_width(right, rows, looks)
    style_axes(left, "after each epoch", "epochs")
    style_axes(right, "after the last epoch", "width n (log scale)")
    left.set_ylabel("analogies answered rightly [%]", color=MUTED)
    left.set_ylim(bottom=0)
    title = "word2vec: networks in muP, their limit, and kernels"
    scores = [run.score for row in rows for run in row.runs if run.score is not None]
    asked = max((score.asked for score in scores), default=0)
    seeds = len({run.seed for run in results})
    over = f" over {counted(seeds, 'seed')}" * (seeds > 1)
    note = (
        f"{counted(asked, 'question')} whose words are in the vocabulary. "
        f"Bars and band: 95 % intervals{over}."
    )
    write_head(figure, title, note, (0.945, 0.902))
    return figure


def _is_kernel(row: NetworkRow) -> bool:
    return row.runs[0].network in Word2vecNetwork.kernel_names


def _by_width(axes: Axes, rows: Sequence[NetworkRow], looks: Sequence[dict[str, Any]]) -> None:
    kernels = [row.label for row in rows if _is_kernel(row)]
    for row, look in zip(rows, looks, strict=True):
        assert row.accuracy is not None
        width, value = row.runs[0].width, 100 * row.accuracy
        low, high = (100 * end for end in row.interval or (row.accuracy, row.accuracy))
        if width is not None:
            ends = [[value - low], [high - value]]
            color = look["color"]
            axes.errorbar(width, value, yerr=ends, fmt="o", ms=6, color=color, capsize=0)
            if len(row.runs) > 1:
                each = [100 * run.score.accuracy for run in row.runs if run.score is not None]
                axes.plot([width] * len(each), each, "_", color=color, ms=9, alpha=0.5)
        elif row.runs[0].network == "limit":
            axes.axhline(value, **look, label=row.label)
            axes.axhspan(low, high, color=FEATURE, alpha=0.12, lw=0)
        elif row.label == kernels[0]:  # the others lie on it
            axes.axhline(value, **look, label=" and ".join(kernels), zorder=3, clip_on=False)
    mark_widths(axes, sorted({row.runs[0].width for row in rows if row.runs[0].width is not None}))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8.5, labelcolor=INK)
