"""A drawing of runs: validation as they were trained, and tests by width. matplotlib when drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...figures import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    OCHRE,
    PINK,
    line_styles,
    mark_widths,
    style_axes,
    write_head,
)
from ...stats import counted
from .summary import MamlRow, summary
from .train import MamlResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RELU = {"color": BLUE, "lw": 1.5, "ls": (0, (4, 1, 1, 1))}
_KERNEL_LOOKS = {
    "linear": {"color": OCHRE, "lw": 1.5, "ls": ":"},
    "gp": {"color": GREEN, "lw": 1.5, "ls": "--"},
    "ntk": {"color": PINK, "lw": 1.5, "ls": "-."},
}


def draw_runs(
    results: Sequence[MamlResult],
    *,
    ways: int = 5,
    shots: int = 1,
    paper: Mapping[str, float] | None = None,
) -> Figure:
    """Accuracy in validation against meta-steps, and in the test against the width.

    Left one line a network, the mean over seeds. Right every run is a faint mark and each width's
    mean a full one, a square of ReLU networks; the limit and the kernels are level lines.

    Args:
        results: Runs; failed ones are left out.
        ways: Classes of a task.
        shots: Images of each to learn from.
        paper: Published accuracies by the labels of rows, drawn as crosses.
    """
    from matplotlib.figure import Figure

    rows = [row for row in summary(results) if row.estimate is not None]
    figure = Figure(figsize=(10, 5.4), facecolor="white")
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.075, right=0.985, top=0.84, bottom=0.235, wspace=0.14)
    looks = _looks(rows)
    for row in rows:
        steps, accuracy = _validation(row)
        left.plot(steps, 100 * accuracy, label=row.label, marker=".", ms=3, **looks[row.label])
    _by_width(right, rows, looks, paper or {})
    drawn = [*left.get_lines(), *(line for line in right.get_lines() if line.get_marker() == "x")]
    named = {line.get_label(): line for line in drawn if not str(line.get_label()).startswith("_")}
    if named:
        figure.legend(
            handles=list(named.values()), loc="lower center", ncols=6, frameon=False, fontsize=9,
            labelcolor=INK,
        )  # fmt: skip
    style_axes(left, "validation, 1 step within a task", "meta-steps")
    style_axes(right, "test of the best checkpoint", "width n (log scale)")
    left.set_ylabel("accuracy [%]", color=MUTED)
    title = f"MAML on Omniglot, {ways}-way {shots}-shot: networks, their limit, and kernels"
    seeds = max((len(row.runs) for row in rows), default=0)
    note = (
        f"Means over {counted(seeds, 'seed')}. No class of validation or test was seen in training."
    )
    write_head(figure, title, note, (0.95, 0.911))
    return figure


def _looks(rows: Sequence[MamlRow]) -> dict[str, Mapping[str, Any]]:
    """By label; ReLU networks are shaded from the narrowest to the widest."""
    lines = line_styles(row.width for row in rows if row.network in ("finite", "limit"))
    relu = [row.label for row in rows if row.network == "relu"]
    looks: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        if row.network == "relu":
            alpha = 0.4 + 0.6 * (relu.index(row.label) + 1) / len(relu)
            looks[row.label] = {**_RELU, "alpha": alpha}
        else:
            looks[row.label] = _KERNEL_LOOKS.get(row.network) or lines[row.width]
    return looks


def _validation(row: MamlRow) -> tuple[Any, Any]:
    """Steps that all runs of a network were validated at, and the mean accuracy there."""
    curves = [dict(run.validation) for run in row.runs if run.test is not None]
    steps = sorted(set.intersection(*(set(curve) for curve in curves)))
    return steps, np.array([np.mean([curve[step] for curve in curves]) for step in steps])


def _by_width(
    axes: Axes,
    rows: Sequence[MamlRow],
    looks: Mapping[str, Mapping[str, Any]],
    paper: Mapping[str, float],
) -> None:
    for row in rows:
        assert row.estimate is not None
        value = 100 * row.estimate.value
        look = looks[row.label]
        if row.width is None:
            axes.axhline(value, **look)
            continue
        runs = [100 * run.test.accuracy for run in row.runs if run.test is not None]
        mark = "s" if row.network == "relu" else "o"
        faint = {"color": look["color"], "ms": 3.5, "alpha": 0.4, "mew": 0}
        axes.plot([row.width] * len(runs), runs, mark, **faint)
        axes.plot(row.width, value, mark, color=look["color"], ms=7, mew=0, zorder=4)
        if row.label in paper:
            axes.plot(
                row.width, 100 * paper[row.label], "x", color=INK, ms=7, zorder=5, ls="",
                label="published",
            )  # fmt: skip
    mark_widths(axes, sorted({row.width for row in rows if row.width is not None}))
