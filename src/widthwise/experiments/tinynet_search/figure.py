"""A search for small networks as a figure: accuracy against cost, and r, d and w against cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...figures import BLUE, INK, MUTED, ORANGE, style_axes, write_head
from ...stats import counted
from ...tinynet import BASE, family_named
from .findings.build import TinyFindings
from .networks import TrainedNetwork
from .train import TEST

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DRAWN, _FORMULA, _INVERSE = "#9aa1a9", BLUE, ORANGE
_CURVE_POINTS = 60
_MULTIPLIERS = {"resolution": "resolution r", "depth": "depth d", "width": "width w"}


def draw_search(findings: TinyFindings) -> Figure:
    """Accuracy on the test set against multiply-adds, and the multipliers of the same networks.

    Every network is a mark at its mean over seeds, with a faint one for each seed. The front, which
    the validation set chose, is ringed; the floor is dashed. Beside it r and d as the formula has
    them with its 95 % interval for a new network; the width has no curve: it makes up the rest.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 6.4), facecolor="white")
    grid = figure.add_gridspec(3, 2, width_ratios=(1.7, 1))
    figure.subplots_adjust(left=0.07, right=0.985, top=0.86, bottom=0.135, wspace=0.2, hspace=0.42)
    left = figure.add_subplot(grid[:, 0])
    _accuracies(left, findings)
    for row, name in enumerate(_MULTIPLIERS):
        axes = figure.add_subplot(grid[row, 1])
        _multiplier(axes, findings, name)
        style_axes(axes, _MULTIPLIERS[name], "")
        axes.tick_params(labelsize=8.5)
    axes.set_xlabel("multiply-adds [million]", color=MUTED)
    style_axes(left, "accuracy on the test set", "multiply-adds [million, log scale]")
    left.set_ylabel("accuracy [%]", color=MUTED)
    title = f"{len(findings.drawn)} networks drawn, "
    title += (
        "no formula" if findings.formula is None else f"a formula fitted to {len(findings.behind)}"
    )
    note = (
        f"Means over {counted(findings.seeds, 'seed')}; faint marks are single trainings. Networks "
        "were chosen on the validation set, another set of photos."
    )
    write_head(figure, title, note, (0.955, 0.915))
    return figure


def _accuracies(axes: Axes, findings: TinyFindings) -> None:
    kinds: tuple[tuple[str, Sequence[TrainedNetwork], dict[str, Any]], ...] = (
        ("drawn", findings.drawn, {"color": _DRAWN, "marker": "o"}),
        ("inverse compound scaling", findings.inverse_nets, {"color": _INVERSE, "marker": "s"}),
        ("formula", findings.formula_nets, {"color": _FORMULA, "marker": "D"}),
    )
    for label, nets, look in kinds:
        trained = [net for net in nets if net.is_trained]
        for net in trained:
            single = [100 * (trial.value(TEST) or 0.0) for trial in net.trials]
            faint: dict[str, Any] = {"ls": "", "ms": 3, "alpha": 0.35, "mew": 0, **look}
            axes.plot([_million(net)] * len(single), single, **faint)
        if trained:
            means = [100 * net.mean(TEST) for net in trained]
            full: dict[str, Any] = {"ls": "", "ms": 7, "mew": 0, "label": label, **look}
            axes.plot(list(map(_million, trained)), means, **full)
    if findings.front:
        means = [100 * net.mean(TEST) for net in findings.front]
        ring: dict[str, Any] = {"ls": "", "ms": 12, "mfc": "none", "mec": INK, "mew": 1.2}
        across = list(map(_million, findings.front))
        axes.plot(across, means, "o", label="front, by validation", **ring)
    if findings.floor is not None:
        axes.axhline(100 * findings.floor, color=INK, ls="--", lw=1, label="most frequent class")
    axes.set_xscale("log")
    ticks = sorted({net.network["asked_macs"] / 1e6 for net in findings.drawn})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.legend(
        loc="upper left", bbox_to_anchor=(-0.02, -0.1), ncols=5, columnspacing=1.0,
        handletextpad=0.3, handlelength=1.5, frameon=False, fontsize=8.5, labelcolor=INK,
    )  # fmt: skip


def _multiplier(axes: Axes, findings: TinyFindings, name: str) -> None:
    """A multiplier against cost: all networks, those behind the formula, and the formula."""
    for nets, color, size in ((findings.drawn, _DRAWN, 3.5), (findings.behind, INK, 5)):
        values = [net.network[name] for net in nets]
        axes.plot(list(map(_million, nets)), values, "o", color=color, ms=size, mew=0)
    proposed = [net.network[name] for net in findings.formula_nets]
    axes.plot(
        list(map(_million, findings.formula_nets)), proposed, "D", color=_FORMULA, ms=5, mew=0
    )
    if findings.formula is None or name == "width":
        return
    family = family_named(findings.drawn[0].network["family"])
    base = family.counts(BASE, classes=findings.classes).macs
    shares = np.geomspace(*findings.formula.range, _CURVE_POINTS)
    curve = getattr(findings.formula, name)
    predicted = [curve(float(share)) for share in shares]
    low, high = zip(*(estimate.interval() for estimate in predicted), strict=True)
    across = shares * base / 1e6
    axes.fill_between(across, low, high, color=_FORMULA, alpha=0.13, lw=0)
    axes.plot(across, [estimate.value for estimate in predicted], color=_FORMULA, lw=1.6)
    values = [net.network[name] for net in findings.drawn]
    axes.set_ylim(0, 1.35 * max(values))


def _million(net: TrainedNetwork) -> float:
    return float(net.network["macs"]) / 1e6
