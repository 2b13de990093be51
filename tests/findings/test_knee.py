"""Where a curve bends, and where nothing may be said of it."""

from dataclasses import replace

import numpy as np
from findings_records import WIDTHS, curve, perplexity, study

from widthwise.findings import GridRow
from widthwise.findings.knee import knee_of
from widthwise.findings.score_vector import ScoreVector


def test_knee_is_where_the_curve_bends() -> None:
    """Falls to a third at once and then no more: most is lost before 2.11x."""
    knee = curve(study((1800, 1300, 800, 790, 780, 770, 760), 2000)).knee
    assert knee is not None
    assert (knee.point.label, knee.levels_off) == ("ppm 2.11x", True)
    assert knee.low <= knee.point.expansion_ratio <= knee.high
    late = curve(study((1800, 1790, 1780, 1770, 1760, 1300, 800), 2000)).knee
    assert late is not None
    assert (late.point.label, late.levels_off) == ("ppm 1.58x", False)


def test_no_knee_of_a_line_of_noise_or_of_three_points() -> None:
    line = [round(2000 - 1400 * (1536 - width) / (1536 - 608)) for width in WIDTHS]
    straight = curve(study(line, 2400))
    assert (straight.trend, straight.knee) == ("falls", None)
    assert curve(study((180, 60, 55))).knee is None
    assert curve(study((100, 99, 100, 101, 100, 99, 100))).knee is None
    few = curve(study((36, 30, 27, 24, 20, 14, 10), 40))
    assert (few.trend, few.knee) == ("falls", None)


def test_no_knee_where_it_may_be_anywhere() -> None:
    """Both inner points are 300 of 2,000 below the line between the ends."""
    found = curve(study((1800, 1155, 810, 800), 2000))
    assert (found.trend, found.knee) == ("falls", None)
    assert curve(study((1800, 1155, 1110, 800), 2000)).knee is not None


def test_no_knee_where_its_distance_may_be_nothing() -> None:
    """Its place is sure, for nothing else has an error; 1.5 errors are no distance."""
    points = curve(study((180, 150, 140, 120))).points
    networks = tuple(
        GridRow(criterion=p.criterion, asked="", width=p.width, expansion_ratio=p.expansion_ratio)
        for p in points
    )
    line = np.array([p.expansion_ratio for p in points])
    errors = np.diag([0.0, 1.0, 0.0, 0.0])
    for distance, is_knee in ((1.5, False), (3.0, True)):
        values = line + np.array([0.0, distance, 0.0, 0.0])
        column = ScoreVector(networks=networks, values=values, covariance=errors, n=1000)
        assert (knee_of(points, column) is not None) == is_knee


def test_an_endless_error_is_none() -> None:
    (dense, cut) = (perplexity(w, np.random.default_rng(0).normal(3, 1, 50)) for w in WIDTHS[:2])
    point = curve([dense, replace(cut, standard_error=1e6)]).points[1]
    assert (point.low, point.high) == (None, None)
