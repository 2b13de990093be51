"""Words and intervals under true nulls: the functions that make them, on simulated studies.

The simulations are those of `benchmarks/words.py`, which takes longer (its table is in LOG.md);
here they have fixed seeds. A bound is what a rate of 5 % (or of the coverage that is asked for)
exceeds in one of a thousand simulations of this length, by the binomial distribution: 3 of 8
families, 6 of 30, 14 of 120.
"""

from functools import partial

import numpy as np
import pytest
from scipy.stats import binom
from scripts import load_script

from widthwise.findings import build_grid, compare_to_control

words = load_script("benchmarks/words.py")

pytestmark = pytest.mark.long


def most(times: int, share: float = 0.05) -> float:
    """The largest rate that a true share still gives in 999 of 1,000 simulations."""
    return float(binom.ppf(0.999, times, share)) / times


# Items, and how many families are simulated with so many. Of 2 no word can be said; 400 are slow.
FAMILIES = {2: 12, 8: 30, 20: 30, 60: 25, 128: 15, 400: 8}  # 120 in all


@pytest.mark.parametrize("draws", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("kind", "until"), [("0/1", False), ("real", False), ("0/1", True)], ids=str
)
def test_nothing_is_called_a_change_where_nothing_differs(
    draws: int, kind: str, until: bool
) -> None:
    """Beside dense (no draw) and beside draws of which the criterion is one more.

    Of each number of items there are few families, in whose bound only a gross fault shows; all
    120 of a row have one of their own. Only shares stop early: other metrics have no bounds.
    """
    found = {}
    for n, families in FAMILIES.items():
        luck = 4.0 if draws else 0.0
        null = words.Null(draws=draws, n=n, kind=kind, luck=luck, until=until)
        share, _, done = words.rate(partial(words.has_word, null), families, 1)
        assert done == families
        found[n] = round(share * done)
    assert all(found[n] / of <= most(of) for n, of in FAMILIES.items()), found
    assert sum(found.values()) / 120 <= most(120), found


@pytest.mark.parametrize(
    ("null", "families"),
    [
        (words.Null(draws=0, n=60, kind="0/1"), 120),
        (words.Null(draws=2, n=20, kind="real", luck=4.0, own_luck=False), 80),
        (words.Null(draws=2, n=60, kind="0/1", luck=2.0), 40),
        (words.Null(draws=3, n=20, kind="real", luck=4.0), 80),
        (words.Null(draws=3, n=20, kind="0/1", luck=4.0, own_luck=False), 40),
        (words.Null(draws=0, n=60, kind="0/1", floor=0.4), 120),
        (words.Null(draws=0, n=60, kind="0/1", floor=0.45), 120),
    ],
    ids=str,
)
def test_families_that_were_wrong_most_often_are_not(null: object, families: int) -> None:
    share, _, done = words.rate(partial(words.has_word, null), families, 2)
    assert done == families
    assert share <= most(families)


def test_what_is_far_better_than_three_draws_is_called_so() -> None:
    """The words are not calibrated by saying nothing: a difference of 60 errors is found."""
    null = words.Null(draws=3, n=60, kind="real", luck=1.0)
    chance = np.random.default_rng(3)
    found = 0
    for _ in range(10):
        records = words.family(null, chance)
        shifted = [
            words.shifted(record, -8.0) if record.criterion == "ppm" else record
            for record in records
        ]
        judged = compare_to_control(build_grid(shifted), "ppm", "random")
        found += any(one.word == "improves" for one in judged.values())
    assert found == 10  # of six widths in each of ten studies


@pytest.mark.parametrize(
    ("n", "documents", "leans", "is_told", "until", "times"),
    [
        (2, 2, 0.0, True, False, 1500),
        (2, 2, 0.5, False, False, 1500),
        (2, 20, 0.0, True, False, 1500),
        (8, 8, 0.0, True, False, 1500),
        (60, 60, 0.0, True, False, 1500),
        (60, 60, 0.0, False, False, 1500),
        (80, 800, 0.0, True, False, 1500),
        (80, 80, 0.5, True, False, 1500),
        (400, 400, 0.0, False, False, 1500),
        (2, 20, 0.0, True, True, 300),
        (128, 1280, 0.5, True, True, 300),
        (640, 640, 0.0, True, True, 300),  # with intervals for one look, 12 % of the scorers
    ],
)
def test_a_scorer_no_better_than_the_best_constant_answer_seldom_beats_it(
    n: int, documents: int, leans: float, is_told: bool, until: bool, times: int
) -> None:
    one = partial(words.beats, n, documents, leans, is_told=is_told, until=until)
    share, _, done = words.rate(one, times, n)
    assert done == times
    assert share <= most(times)


@pytest.mark.parametrize("n", [1, 2, 4, 7])
def test_intervals_of_shares_of_few_items_hold_at_every_chance(n: int) -> None:
    """Exact sums over all counts: Clopper and Pearson's never hold less than they say."""
    assert min(words.coverage_of_shares(n, np.arange(0.01, 1, 0.01).tolist())) >= 0.95 - 1e-12


@pytest.mark.parametrize("n", [8, 12, 20, 60, 160, 400])
def test_intervals_of_shares_hold_on_average(n: int) -> None:
    """Exact sums. At a single chance Wilson's hold 91 % or more within [.1, .9]: n items have only
    n + 1 shares, and no interval holds 95 % at each chance."""
    found = np.array(words.coverage_of_shares(n, np.arange(0.005, 1, 0.005).tolist()))
    assert 0.945 <= found.mean() <= 0.96
    assert found[19:180].min() >= 0.91


@pytest.mark.parametrize("kind", ["mean", "perplexity", "bits"])
@pytest.mark.parametrize("n", [2, 4, 8, 20, 100])
def test_intervals_of_numbers_hold_as_often_as_they_say(kind: str, n: int) -> None:
    holds = getattr(words, f"{kind}_holds")
    share, _, done = words.rate(lambda chance: holds(n, chance), 3000, n)
    assert share >= 1 - most(done, 0.07)
    assert n < 8 or share <= most(done, 0.97)


@pytest.mark.parametrize(
    ("kind", "n", "times"),
    [("0/1", 3, 400), ("0/1", 8, 400), ("0/1", 60, 400), ("real", 2, 400), ("real", 8, 150)],
)
def test_intervals_of_differences_hold_as_often_as_they_say(kind: str, n: int, times: int) -> None:
    def one(chance: np.random.Generator) -> bool:
        return bool(words.difference_holds(n, kind, chance))

    share, _, done = words.rate(one, times, n)
    assert share >= 1 - most(done, 0.07)
    assert n < 8 or share <= most(done, 0.97)


def test_the_mean_of_two_tasks_with_the_same_documents_holds_as_often_as_it_says() -> None:
    """Taken as independent, these errors would hold the truth in 86 % of studies."""
    for n in (20, 60):
        share, _, done = words.rate(
            lambda chance, n=n: words.mean_of_tasks_holds(n, chance), 400, 1
        )
        assert 1 - most(done, 0.07) <= share <= most(done, 0.97)
