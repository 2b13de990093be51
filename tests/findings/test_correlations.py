"""Tasks that move together: by logarithms and with shared documents."""

import math
from base64 import b64encode
from dataclasses import replace

import numpy as np
import pytest
from findings_records import WIDTHS, findings_of, place, right, sizes, study
from report_records import score

from widthwise.findings import Grid, build_grid
from widthwise.findings.score_vector import shared_covariance
from widthwise.stats import correlation, share_interval
from widthwise.study import Record

CONFIDENT = (180, 171, 150, 140, 118, 101, 90)


def perplexities(values: tuple[float, ...], task: str = "wikitext") -> list[Record]:
    found = []
    for width, value in zip(WIDTHS, values, strict=True):
        items = value * (1 + np.linspace(-0.1, 0.1, 20))
        made = score(place("ppm", width), task, items, unit="word_perplexity", floor=1e9)
        found.append(replace(made, higher_is_better=False))
    return found


def test_perplexities_are_correlated_by_their_logarithms() -> None:
    """One width of 2.5e7 is not all of r, and the chance column has the same scale."""
    values = (30.0, 60.0, 200.0, 900.0, 4e3, 91_530.0, 2.5e7)
    found = findings_of([*perplexities(values), *study(CONFIDENT, task="hellaswag")])
    (pair,) = found.correlations
    logs = correlation([-math.log(x) for x in values], [x / 200 for x in CONFIDENT])
    assert pair.correlation.pearson == pytest.approx(logs.pearson, abs=1e-12)
    assert pair.correlation.pearson > 0.92
    assert correlation(values, CONFIDENT).pearson > -0.6  # as it was, of the values themselves


def test_r_is_positive_where_both_get_better_together() -> None:
    """Accuracy and bits per byte that get worse together had an r near -1."""
    bits = [
        replace(r, unit="bits_per_byte")
        for r in perplexities((1.0, 1.1, 1.3, 1.4, 1.6, 1.9, 2.0), task="prose")
    ]
    found = findings_of([*bits, *study(CONFIDENT, task="hellaswag")])
    (pair,) = found.correlations
    assert pair.correlation.pearson > 0.9
    assert pair.without_dense is not None
    assert pair.without_dense.pearson > 0.9
    (table,) = [t for t in found.tables if t.title == "Tasks that move together"]
    assert "positive where both get better together" in table.about


def with_documents(records: list[Record], ids: list[int]) -> list[Record]:
    text = b64encode(b"".join(i.to_bytes(4, "big") for i in ids)).decode()
    return [replace(r, settings={**r.settings, "documents": text}) for r in records]


def shuffled(counts: tuple[int, ...], task: str, seed: int = 0) -> list[Record]:
    """Records of 400 items whose right ones are anywhere."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(400)
    return [
        score(place("ppm", w), task, np.array(right(c, 400))[order])
        for w, c in zip(WIDTHS, counts, strict=False)
    ]


def mean_of(records: list[Record]) -> tuple[float, float, float]:
    front = next(
        f for f in findings_of([*records, *sizes()]).fronts if f.quality == "mean above floors"
    )
    point = next(p for p in front.points if p.label == "dense")
    assert point.low is not None
    assert point.high is not None
    return point.value, point.low, point.high


@pytest.mark.parametrize("known", [True, False], ids=["by document", "by name"])
def test_a_mean_of_the_same_answers_twice_is_no_surer_than_once(known: bool) -> None:
    first = shuffled((242, 200), "truthfulqa_mc1")
    second = shuffled((242, 200), "truthfulqa_mc2")
    if known:
        first, second = (with_documents(r, list(range(400))) for r in (first, second))
    value, low, high = mean_of([*first, *second])
    ends = share_interval(242 / 400, 400)
    expected = [(share - 0.25) / 0.75 for share in (242 / 400, *ends)]
    assert [value, low, high] == pytest.approx(expected, abs=2e-4)  # n - 1 beside n


def test_a_mean_of_tasks_that_were_all_right_is_not_without_error() -> None:
    """200 of 200 have Wilson's interval, [0.981, 1], whose lengths add in squares."""
    value, low, high = mean_of([*study((200, 150)), *study((200, 150), task="arc")])
    z = 1.959964
    length = z**2 / (200 + z**2) / 0.75 / math.sqrt(2)
    assert (value, low, high) == pytest.approx((1, 1 - length, 1), abs=1e-6)


def test_a_group_and_its_part_share_the_documents_of_the_part() -> None:
    """Of the covariance of the part's score only a quarter is that of the group's 400 items."""
    group = with_documents(shuffled((242, 200), "mmlu"), list(range(400)))
    part = [score((r.criterion, r.asked, r.width), "mmlu_law", r.items[100:200]) for r in group]
    part = with_documents(part, list(range(100, 200)))
    grid: Grid = build_grid([*group, *part])
    both = shared_covariance(grid, "mmlu", "mmlu_law", grid.networks)
    items = np.array(group[0].items)
    centred = items[100:200] - items[100:200].mean()
    expected = (items[100:200] - items.mean()) @ centred / 400 / 100
    assert both[0, 0] == pytest.approx(expected, rel=1e-9)
    assert both[0, 0] > 0


def test_of_unknown_documents_a_part_is_not_counted_beside_its_group() -> None:
    group = shuffled((242, 200), "mmlu")
    part = [score((r.criterion, r.asked, r.width), "mmlu_law", r.items[:100]) for r in group]
    alone = [
        f for f in findings_of([*group, *part, *sizes()]).fronts if f.quality == "mean above floors"
    ]
    assert alone == []
    others = shuffled((300, 200), "piqa", seed=5)
    value, _, _ = mean_of([*group, *part, *others])
    assert value == pytest.approx(((0.605 - 0.25) + (0.75 - 0.25)) / 0.75 / 2)


def test_tasks_with_other_documents_share_nothing() -> None:
    first = with_documents(shuffled((242, 200), "arc_easy"), list(range(400)))
    second = with_documents(shuffled((242, 200), "arc_challenge"), list(range(400, 800)))
    grid = build_grid([*first, *second])
    assert not shared_covariance(grid, "arc_easy", "arc_challenge", grid.networks).any()
