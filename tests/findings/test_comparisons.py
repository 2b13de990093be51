"""Differences: from dense, from the control and its draws, and of scores without items."""

import math
import statistics
from dataclasses import replace

import numpy as np
import pytest
from findings_records import draws, place, right, study
from report_records import score

from widthwise.errors import RunError
from widthwise.findings import (
    build_findings,
    build_grid,
    compare_to_control,
    compare_to_dense,
    describe_draws,
    estimate_of,
    mean_of_draws,
)
from widthwise.findings.comparisons import paired, paired_or_independent
from widthwise.report.model_results import model_results
from widthwise.stats import add_draw_variance, paired_difference
from widthwise.study import Record


def test_one_draw_is_compared_as_it_is() -> None:
    own, other = study((180, 150))[1], draws(120)[0]
    (judged,) = compare_to_control(build_grid([own, other]), "ppm", "random").values()
    assert judged.difference == paired_difference(own.items, other.items)
    assert mean_of_draws([other]) is other


def test_several_draws_stand_for_their_mean_item_by_item() -> None:
    records = [*study((180, 150)), *draws(110, 100, 105)]
    grid = build_grid(records)
    mean = np.mean([r.items for r in records[2:]], axis=0)
    scores = [r.value for r in records[2:]]
    (judged,) = compare_to_control(grid, "ppm", "random").values()
    plain = paired_difference(records[1].items, mean.tolist())
    assert judged.difference == add_draw_variance(plain, scores, beside_one_more=True)
    (reverse,) = compare_to_control(grid, "random", "ppm").values()
    plain = paired_difference(mean.tolist(), records[1].items)
    assert reverse.difference == add_draw_variance(plain, scores, beside_one_more=True)
    assert (judged.word, reverse.word) == ("improves", "degrades")
    assert [n.criterion for n in grid.networks][2:] == ["random", "random~7", "random~8"]


def test_the_mean_of_draws_beside_dense_has_their_luck() -> None:
    records = [*study((180, 150)), *draws(150, 100, 110)]
    series = model_results(records, "s", {})
    (found,) = [j for (n, _), j in series.judged.items() if n.criterion == "random"]
    mean = np.mean([r.items for r in records[2:]], axis=0)
    plain = paired_difference(mean.tolist(), records[0].items)
    assert found.difference == add_draw_variance(plain, [r.value for r in records[2:]])


def test_draws_of_different_lengths_meet_on_what_all_saw() -> None:
    first, second = draws(150, 100)
    shorter = score(place("random~7", 1376), "piqa", second.items[:120])
    assert mean_of_draws([first, shorter]).n == 120


def test_draws_that_failed_or_are_of_other_widths_are_not_counted() -> None:
    one, *rest = draws(150, 100, 90)
    gone = [replace(r, value=None, standard_error=None, items=(), n=0, reason="x") for r in rest]
    assert describe_draws(build_grid([one, *gone])) == "one draw, whose luck is in no interval"
    narrow = score(place("random~8", 1216), "piqa", right(90, 200))
    assert describe_draws(build_grid([one, rest[0], narrow])) == "mean of up to 2 draws"
    assert describe_draws(build_grid([one, *rest])) == "mean of 3 draws"


def test_the_mean_of_perplexities_is_that_of_their_logarithms() -> None:
    values = ((1e3, 1.1e3), (1e4, 1.2e4), (1e6, 1.3e6))
    found = []
    for name, ends in zip(("random", "random~7", "random~8"), values, strict=True):
        made = score(place(name, 1376), "x", ends, unit="word_perplexity", higher_is_better=False)
        found.append(made)
    mean = mean_of_draws(found)
    wanted = math.exp(statistics.mean(math.log(r.value) for r in found))
    assert mean.value == pytest.approx(wanted)
    assert statistics.mean(mean.items) == pytest.approx(wanted)  # as of every record
    with pytest.raises(RunError, match="x: a perplexity must be above 0; got -3"):
        mean_of_draws([replace(found[0], value=-3.0), found[1]])


def test_draws_without_items_keep_their_errors() -> None:
    first, second = (replace(r, items=()) for r in draws(100, 120))
    mean = mean_of_draws([first, second])
    assert (mean.value, mean.n) == (pytest.approx(0.55), 200)
    error = math.hypot(first.standard_error, second.standard_error) / 2
    assert mean.standard_error == pytest.approx(error)


def test_scores_of_different_items_are_named() -> None:
    first, second = draws(150, 100)
    shorter = score(place("ppm", 1376), "piqa", second.items[:120])
    with pytest.raises(RunError, match=r"^piqa of ppm 2.39x: paired values must have equal"):
        compare_to_control(build_grid([first, shorter]), "ppm", "random")


def test_a_failed_draw_leaves_the_others() -> None:
    first, second = draws(150, 100)
    gone = replace(second, value=None, standard_error=None, items=(), n=0, reason="killed")
    assert mean_of_draws([gone, first]) is first
    assert mean_of_draws([gone]) is gone


def test_scores_without_items_are_compared_unpaired() -> None:
    """Newcombe's interval of .75 - .80: Wilson's ends of both are .686 to .805 and .739 to .850."""
    dense, cut = (replace(r, items=()) for r in study((160, 150)))
    assert paired(cut, dense) is None
    found = paired_or_independent(cut, dense)
    assert found is not None
    assert found.value == pytest.approx(-0.05)
    below = math.hypot(0.75 - 0.6857, 0.8495 - 0.80)
    above = math.hypot(0.8050 - 0.75, 0.80 - 0.7391)
    assert (found.low, found.high) == pytest.approx((-0.05 - below, -0.05 + above), abs=2e-4)
    assert found.p_value == pytest.approx(0.232, abs=2e-3)
    (whole,) = build_findings([dense, cut])
    assert any("unpaired" in note for note in whole.tables[0].notes)


def test_half_the_items_missing_is_no_pairing() -> None:
    dense, cut = study((160, 150))
    assert paired_or_independent(replace(cut, items=()), dense) is None


def test_records_of_different_lengths_are_refused() -> None:
    dense = study((160,))[0]
    shorter = score(place("ppm", 1376), "piqa", right(80, 100))
    with pytest.raises(RunError, match="equal lengths; got 100 and 200"):
        build_findings([dense, shorter])


def test_perplexities_are_compared_by_their_logarithms() -> None:
    """1e6 beside 40: a plain difference has an error of the larger one, and shows nothing."""
    dense, cut = study((160, 150))
    logs = [math.log(40) + (i % 7 - 3) / 2 for i in range(dense.n)]

    def perplexity(record: Record, shift: float) -> Record:
        value = math.exp(shift + sum(logs) / len(logs))
        spread = statistics.stdev(logs) / len(logs) ** 0.5
        items = tuple(value * (1 + x + shift - math.log(value)) for x in logs)
        told = {"unit": "perplexity", "value": value, "standard_error": value * spread}
        return replace(record, items=items, higher_is_better=False, floor=None, **told)

    low, high = perplexity(dense, 0.0), perplexity(cut, 10.0)
    found = paired(high, low)
    assert found is not None
    assert found.value == pytest.approx(10.0)
    assert found.low > 9.9
    judged = compare_to_dense(build_grid([low, high]))
    assert [one.word for one in judged.values()] == ["degrades"]
    interval = estimate_of(high).interval()
    assert interval[0] > 0
    assert interval[1] / high.value == pytest.approx(high.value / interval[0])
