"""The figure of convergence: every run, the fits and the theory."""

from __future__ import annotations

import pytest

from widthwise.experiments.convergence import draw_convergence
from widthwise.theory import converge, standard_cases


def test_the_figure_shows_every_run_the_fits_and_the_theory() -> None:
    found = [converge(case, widths=(16, 64), seeds=3) for case in standard_cases()]
    figure = draw_convergence(found)
    for axes, rates in zip(
        figure.axes, ([x.distance for x in found], [x.movement for x in found]), strict=True
    ):
        drawn = [line for line in axes.lines if len(line.get_xdata()) == 6]
        assert sorted(y for line in drawn for y in line.get_ydata()) == pytest.approx(
            sorted(y for rate in rates for y in rate.runs.ravel())
        )
        low, high = axes.get_ylim()
        assert all(low < y < high for line in axes.lines for y in line.get_ydata())
        labels = [text.get_text() for text in axes.get_legend().get_texts()]
        for label, rate in zip(labels, rates, strict=True):
            shown = f"{round(rate.slope.value, 2) + 0.0:.2f}".replace("-", "\N{MINUS SIGN}")
            assert shown in label
    theory = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    (line,) = theory
    (x0, x1), (y0, y1) = line.get_data()
    assert (y1 / y0) == pytest.approx((x1 / x0) ** -0.5)
