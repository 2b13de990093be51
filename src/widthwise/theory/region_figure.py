"""A drawing of the stable parametrizations; matplotlib is imported when it is drawn."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from ..figures import FEATURE, INK, KERNEL, MUTED, RULE, UNSTABLE
from .abc import Abc
from .classify import Classification, classify, size_exponents

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LANDMARKS = {"muP": (1.0, 0.0), "NTP": (0.5, 0.5)}


def draw_region(parametrization: Abc, name: str) -> Figure:
    """The stable parametrizations, divided by regime, with one marked.

    Two planes, of output layers that are updated maximally and of those that are updated less.
    Across: a + b of the output layer, how small it starts. Up: r, how little features move.
    All stable parametrizations of any depth are in them, but for the symmetry and for which layers
    r is reached in. One that does not start as a stable one does, or whose output layer is updated
    too much, is in neither plane; a line below says so.

    Args:
        parametrization: Parametrization to mark.
        name: Its name in the figure.

    Source: arXiv 2011.14522, Figure 2, here with coordinates.
    """
    from matplotlib.figure import Figure

    result, sizes = classify(parametrization), size_exponents(parametrization)
    point = (float(sizes.readout_start), float(sizes.r))
    right = max(1.75, point[0] + 0.25)
    low, high = min(-0.4, point[1] - 0.25), max(1.25, point[1] + 0.25)
    figure = Figure(figsize=(9.2, 4.6), facecolor="white")
    panels = figure.subplots(1, 2, sharey=True)
    figure.subplots_adjust(left=0.085, right=0.985, top=0.83, bottom=0.24, wspace=0.08)
    for axes, maximal in zip(panels, (True, False), strict=True):
        axes.set_xlim(min(0.2, point[0] - 0.25), right)
        axes.set_ylim(low, high)
        _plane(axes, maximal, right, high)
    starts_well = not any("before training the activations" in fault for fault in result.faults)
    in_a_plane = starts_well and sizes.readout_update >= 1
    if in_a_plane:
        _mark(panels[0 if sizes.readout_update == 1 else 1], point, name, result)
    panels[0].set_ylabel("r: features move by n$^{-r}$", color=MUTED)
    figure.text(0.012, 0.955, f"{name}: {result.regime}", size=13, weight="bold", color=INK)
    figure.text(0.012, 0.03, _caption(result, in_a_plane), size=9.5, color=MUTED)
    return figure


def _plane(axes: Axes, maximal: bool, right: float, high: float) -> None:
    """The regimes of one plane: unstable outside, inside by the panel."""
    corners = [(0.5, high), (0.5, 0.5), (1.0, 0.0), (right, 0.0), (right, high)]
    axes.set_facecolor(UNSTABLE)
    inside = ("#cfe3f1", "kernel") if maximal else ("#ffffff", "trivial")
    axes.fill(*zip(*corners, strict=True), color=inside[0], lw=0, zorder=1)
    axes.plot([0.5, 1.0], [0.5, 0.0], color=KERNEL, lw=2.5, zorder=3, solid_capstyle="butt")
    if maximal:
        axes.plot([1.0, right], [0.0, 0.0], color=FEATURE, lw=4, zorder=3, clip_on=False)
        where = (1 + right) / 2
        axes.text(0.6, 0.42, "UP$_s$", color=KERNEL, size=10)
    else:
        axes.plot(1.0, 0.0, "o", color=FEATURE, ms=8, zorder=4)
        where = 1.3
        axes.text(0.76, 0.29, "kernel", color=KERNEL, size=10.5)
    axes.annotate(
        "feature learning",
        (where, 0.0),
        (0, 6),
        textcoords="offset points",
        color=FEATURE,
        ha="center",
        size=10.5,
    )
    word = (KERNEL, "kernel") if maximal else (MUTED, "trivial")
    axes.text(min(1.25, (0.5 + right) / 2), 0.72, word[1], color=word[0], size=12, ha="center")
    axes.text(0.42, 0.08, "unstable", color=MUTED, size=12, ha="center")
    if maximal:
        for landmark, (x, y) in _LANDMARKS.items():
            axes.plot(x, y, "o", color=INK, ms=4.5, zorder=5)
            axes.annotate(
                landmark, (x, y), (-6, -13), textcoords="offset points", color=INK, ha="right"
            )
    title = "maximally: 2a + c = 1" if maximal else "less: 2a + c > 1"
    axes.set_title(f"output layer updated {title}", loc="left", color=INK, size=10.5, pad=8)
    axes.set_xlabel("a + b of the output layer: it starts as n$^{-(a+b)}$", color=MUTED)
    axes.tick_params(colors=MUTED, length=0)
    for spine in axes.spines.values():
        spine.set_color(RULE)


def _mark(axes: Axes, point: tuple[float, float], name: str, result: Classification) -> None:
    axes.plot(
        *point,
        marker="X" if not result.stable else "D",
        ms=10,
        color=INK,
        mec="white",
        mew=1.2,
        zorder=6,
        clip_on=False,
    )
    if point not in _LANDMARKS.values() or name not in _LANDMARKS:
        axes.annotate(
            name, point, (9, 9), textcoords="offset points", color=INK, weight="bold", zorder=7
        )


def _caption(result: Classification, in_a_plane: bool) -> str:
    where = "" if in_a_plane else "In neither plane. "
    lines = textwrap.wrap(where + result.explanation, 128, max_lines=3, placeholder=" ...")
    return "\n".join(lines)
