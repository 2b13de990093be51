"""Slopes, mean changes and leads: beside numpy, and turned so that more is better."""

from dataclasses import replace

import numpy as np
import pytest
from findings_records import WIDTHS, perplexity, place, study
from report_records import score

from widthwise.findings import build_grid
from widthwise.findings.claim_effects import (
    Column,
    column_of,
    lead_of_correlation,
    lead_over_chance,
    mean_change,
    slope,
)
from widthwise.stats import add_draw_variance, paired_difference
from widthwise.study import Record

COUNTS = (180, 150, 155, 120, 90)


def random_study(task: str, seed: int, criterion: str = "ppm", items: int = 60) -> list[Record]:
    rng = np.random.default_rng(seed)
    chances = np.linspace(0.9, 0.4, 5)
    return [
        score(place(criterion, width), task, rng.random(items) < chance)
        for width, chance in zip(WIDTHS, chances, strict=False)
    ]


def whole(records: list[Record], task: str) -> Column:
    grid = build_grid(records)
    column = column_of(grid, task, grid.networks)
    assert column is not None
    return column


def test_a_slope_is_that_of_least_squares_through_the_scores() -> None:
    column = whole(study(COUNTS), "piqa")
    removed = [1 - width / WIDTHS[0] for width in WIDTHS[:5]]
    expected = np.polyfit(removed, [count / 200 for count in COUNTS], 1)[0] / 10
    found = slope(column)
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.low < found.value < found.high < 0
    assert found.p_value < 0.001


def test_the_items_of_a_slope_are_paired() -> None:
    """The same counts on other items each leave a wider interval than on the same ones."""
    nested = slope(whole(study(COUNTS), "piqa"))
    rng = np.random.default_rng(0)
    apart = [replace(r, items=tuple(rng.permutation(r.items))) for r in study(COUNTS)]
    mixed = slope(whole(apart, "piqa"))
    assert mixed.value == pytest.approx(nested.value, abs=1e-12)
    assert mixed.high - mixed.low > 1.05 * (nested.high - nested.low)


def test_a_perplexity_is_turned_and_by_logarithms() -> None:
    logs = [np.full(20, 3.0) + np.linspace(-1, 1, 20) + step for step in (0.0, 0.5, 1.0)]
    records = [perplexity(width, row) for width, row in zip(WIDTHS, logs, strict=False)]
    column = whole(records, "lambada")
    assert column.means == pytest.approx([-3.0, -3.5, -4.0])
    assert slope(column).value < 0


def test_a_mean_change_is_over_all_cuts_and_its_p_from_the_mark() -> None:
    column = whole(study(COUNTS), "piqa")
    found = mean_change(column, -0.05)
    assert found.value == pytest.approx(np.mean(COUNTS[1:]) / 200 - COUNTS[0] / 200)
    assert found.p_value < 0.001
    assert mean_change(column, found.value).p_value > 0.5


def test_a_lead_of_correlation_is_the_difference_of_two_r() -> None:
    records = [r for i, t in enumerate(("mmlu", "piqa", "mc2")) for r in random_study(t, i)]
    rows = [whole(records, task) for task in ("mmlu", "piqa", "mc2")]
    found = lead_of_correlation(*rows)
    first, second, target = (row.means for row in rows)
    expected = np.corrcoef(first, target)[0, 1] - np.corrcoef(second, target)[0, 1]
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.low <= found.value <= found.high
    assert found == lead_of_correlation(*rows)  # the same draws each time
    back = lead_of_correlation(rows[1], rows[0], rows[2])
    assert back.value == pytest.approx(-expected, abs=1e-12)


def test_a_task_that_goes_the_other_way_leads() -> None:
    rising = [
        score(place("ppm", w), "mc2", np.arange(200) < 80 + 20 * i)
        for i, w in enumerate(WIDTHS[:5])
    ]
    falling = study((180, 150, 120, 90, 60), task="mmlu")
    up = study((60, 90, 120, 150, 180), task="piqa")
    records = [*rising, *falling, *up]
    found = lead_of_correlation(*(whole(records, task) for task in ("mmlu", "piqa", "mc2")))
    assert found.value == pytest.approx(-2.0, abs=0.05)
    assert found.high < -1.5
    assert found.p_value < 0.01


def test_a_lead_over_chance_has_the_luck_of_the_draws() -> None:
    cuts = {
        name: random_study("piqa", seed, name)
        for seed, name in enumerate(("ppm", "random", "random~1", "random~2"))
    }
    dense = cuts["ppm"][0]
    grid = build_grid([dense, *(r for rows in cuts.values() for r in rows[1:])])
    columns = [column_of(grid, "piqa", grid.cut_by(name)) for name in cuts]
    own, *draws = (column for column in columns if column is not None)
    found = lead_over_chance(own, draws)
    items = [column.items.mean(axis=0) for column in (own, *draws)]
    plain = paired_difference(list(items[0]), list(np.mean(items[1:], axis=0)))
    scores = [float(row.mean()) for row in items[1:]]
    expected = add_draw_variance(plain, scores, beside_one_more=True)
    assert (found.value, found.low, found.high) == (expected.value, expected.low, expected.high)
    assert found.high - found.low > plain.high - plain.low


def test_no_column_where_items_differ_or_are_unknown() -> None:
    records = study(COUNTS)
    shorter = replace(records[2], items=records[2].items[:100], n=100)
    for changed in (shorter, replace(records[2], items=())):
        grid = build_grid([*records[:2], changed, *records[3:]])
        column = column_of(grid, "piqa", grid.networks)
        assert column is None or changed.width not in [n.width for n in column.networks]
    grid = build_grid(records[:1])
    assert column_of(grid, "piqa", grid.networks) is None
    grid = build_grid(records[1:])  # without dense nobody knows what was removed
    assert column_of(grid, "piqa", grid.networks) is None
