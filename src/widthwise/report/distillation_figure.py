"""A healing as a figure: its loss step by step, and its learning rate."""

from __future__ import annotations

from textwrap import shorten
from typing import TYPE_CHECKING

import numpy as np

from ..figures import BLUE, INK, MUTED, style_axes, write_head

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..prune.healing import Healing

_BLOCKS = 40  # stretches of steps whose means make the full line


def draw_healing(healing: Healing) -> Figure:
    """KL from the parent against the tokens trained on, and the learning rate below it.

    Every step is a faint mark, measured before the step on its own tokens; the line is the mean of
    the steps of a fortieth of the way. What was held out is a line of its own through all times
    that it was judged; before, and after with the weights that are written, it has 95 % intervals.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.2, 5.4), facecolor="white")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    figure.subplots_adjust(left=0.085, right=0.985, top=0.82, bottom=0.095, hspace=0.14)
    _loss(upper, healing)
    tokens = [step.tokens for step in healing.curve]
    lower.plot(tokens, [step.learning_rate for step in healing.curve], color=MUTED, lw=1.4)
    lower.set_ylabel("learning rate", color=MUTED)
    lower.xaxis.set_major_formatter("{x:,.0f}")
    lower.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    style_axes(upper, "KL from the parent [nats a token]", "")
    style_axes(lower, "", "tokens")
    title = "Healing: the child beside its parent"
    note = (
        f"Held out: {healing.after.divergence.n} blocks of {healing.block_tokens} tokens. "
        f"Trained on: {healing.tokens:,} tokens of {healing.source}"
    )
    write_head(figure, title, shorten(note, 140, placeholder=" ..."), (0.945, 0.9))
    return figure


def _loss(axes: Axes, healing: Healing) -> None:
    tokens = np.array([step.tokens for step in healing.curve], dtype=float)
    values = np.array([step.divergence for step in healing.curve])
    axes.plot(tokens, values, "o", color=BLUE, ms=3, alpha=0.25, mew=0, label="a step")
    parts = np.array_split(np.arange(len(tokens)), min(_BLOCKS, len(tokens)))
    means = [(tokens[part].mean(), values[part].mean()) for part in parts]
    axes.plot(*zip(*means, strict=True), color=BLUE, lw=1.8, label="mean of steps")
    judged = [(0.0, healing.before.divergence.value)]
    judged += [(step.tokens, step.held_out) for step in healing.curve if step.held_out is not None]
    axes.plot(*zip(*judged, strict=True), "--", color=INK, lw=1.2, label="held out")
    written = healing.curve[healing.best_step - 1].tokens
    ends = ((0.0, healing.before, "before"), (written, healing.after, "written"))
    for (place, held, label), marker in zip(ends, "sD", strict=True):
        low, high = held.divergence.interval()
        value = held.divergence.value
        axes.errorbar(
            place, value, yerr=[[value - low], [high - value]], fmt=marker, ms=7, color=INK,
            label=label, clip_on=False, zorder=5,
        )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, ncols=5)
