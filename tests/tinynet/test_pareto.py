"""Laws of non-dominated sorting."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.errors import RunError
from widthwise.tinynet import best_ranked, front_ranks

points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25)


def beats(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] <= other[0] and one[1] >= other[1] and one != other


def ranks_of(found: list[tuple[int, int]]) -> tuple[int, ...]:
    return front_ranks([cost for cost, _ in found], [value for _, value in found])


@given(points)
def test_no_one_on_a_front_beats_another_of_it_and_each_behind_is_beaten_by_the_one_before(
    found: list[tuple[int, int]],
) -> None:
    ranks = ranks_of(found)
    for i, point in enumerate(found):
        before = [found[j] for j, rank in enumerate(ranks) if rank == ranks[i] - 1]
        assert not any(beats(found[j], point) for j, r in enumerate(ranks) if r == ranks[i])
        assert any(beats(other, point) for other in before) == (ranks[i] > 0)
    assert set(ranks) == set(range(max(ranks) + 1))


@given(points, st.randoms())
def test_order_and_scale_do_not_matter(found: list[tuple[int, int]], chance: object) -> None:
    order = list(range(len(found)))
    chance.shuffle(order)  # type: ignore[attr-defined]
    ranks = ranks_of(found)
    assert ranks_of([found[i] for i in order]) == tuple(ranks[i] for i in order)
    scaled = front_ranks([math.exp(c) for c, _ in found], [v**3 - 5.0 for _, v in found])
    assert scaled == ranks


@given(points)
def test_the_best_are_whole_fronts_from_the_first_on(found: list[tuple[int, int]]) -> None:
    ranks, costs = ranks_of(found), [cost for cost, _ in found]
    kept = best_ranked(costs, [value for _, value in found], at_least=5)
    worst = max(ranks[i] for i in kept)
    assert kept == tuple(i for i, rank in enumerate(ranks) if rank <= worst)
    assert len(kept) >= min(5, len(found))
    assert sum(rank < worst for rank in ranks) < max(5, math.ceil(0.2 * len(found)))


def test_the_same_point_twice_is_on_one_front() -> None:
    assert front_ranks([1, 1, 2], [0.5, 0.5, 0.5]) == (0, 0, 1)
    assert front_ranks([], []) == ()
    assert best_ranked([], []) == ()


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(RunError, match="must be finite"):
        front_ranks([1.0], [math.nan])
    with pytest.raises(RunError, match="each cost needs a value"):
        front_ranks([1.0], [])
