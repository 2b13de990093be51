"""Samples of a task's documents: fair to its parts, and the same for all."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from widthwise.evaluate.sampling import sample_documents, stratum_sizes

SIZES = st.lists(st.integers(1, 60), min_size=1, max_size=12)


@given(SIZES, st.data())
@settings(deadline=None)
def test_shares_are_proportional_with_at_least_one_each(sizes: list[int], data: Any) -> None:
    limit = data.draw(st.integers(len(sizes), sum(sizes)))
    counts = stratum_sizes(sizes, limit)
    assert sum(counts) == limit
    assert all(1 <= count <= size for count, size in zip(counts, sizes, strict=True))
    # Parts with more than the one that everybody gets differ from proportionality among
    # themselves by less than one document: rounding, and nothing else.
    many = [(count, size) for count, size in zip(counts, sizes, strict=True) if count > 1]
    for count, size in many:
        for other, other_size in many:
            assert abs(count - other * size / other_size) < 1 + size / other_size


def test_shares_of_mmlu_like_sizes() -> None:
    assert stratum_sizes([100, 300, 600], 10) == [1, 3, 6]
    assert stratum_sizes([1, 1, 998], 10) == [1, 1, 8]
    assert stratum_sizes([250, 256, 250], 100) == [33, 34, 33]


@given(SIZES, st.integers(1, 200), st.integers(0, 9))
@settings(deadline=None)
def test_a_sample_depends_only_on_its_arguments(sizes: list[int], limit: int, seed: int) -> None:
    parts = {f"part{number}": size for number, size in enumerate(sizes)}
    chosen = sample_documents("task", parts, limit, seed)
    assert chosen == sample_documents("task", parts, limit, seed)
    assert sum(map(len, chosen.values())) == min(limit, sum(sizes))
    for part, ids in chosen.items():
        assert ids == sorted(set(ids))
        assert not ids or (ids[0] >= 0 and ids[-1] < parts[part])
    counts = [len(ids) for ids in chosen.values()]
    if limit >= len(sizes):
        assert min(counts) >= 1
    else:
        assert set(counts) == {0, 1}


def test_other_seeds_and_names_are_other_samples() -> None:
    sizes = {"part": 1000}
    samples = [
        sample_documents(name, sizes, 20, seed)["part"] for name in "ab" for seed in range(3)
    ]
    assert len({tuple(sample) for sample in samples}) == 6


def test_below_one_document_a_part_large_parts_come_first() -> None:
    """With one document of two parts, a part of 9 in 10 is drawn in 9 of 10 seeds."""
    sizes = {"large": 90, "small": 10}
    hits = sum(len(sample_documents("task", sizes, 1, seed)["large"]) for seed in range(400))
    # Binomial of 400 at 0.9: mean 360, standard deviation 6; five of them are 30.
    assert abs(hits - 360) < 30
