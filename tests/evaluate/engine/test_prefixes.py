"""Stems against every possible choice, on small alphabets where rows share a lot."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widthwise.evaluate.engine import prefixes
from widthwise.evaluate.engine.prefixes import SharedPrefix, find_prefixes, shared_length

Row = tuple[int, ...]
ROWS = st.lists(
    st.lists(st.integers(1, 2), min_size=1, max_size=7).map(tuple), max_size=9, unique=True
)


@pytest.fixture(autouse=True)
def _cheap_stems() -> Iterator[None]:
    """Small rows must be worth a stem."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefixes, "_PREFIX_COST", 3)
        yield


def saved(stems: Sequence[SharedPrefix]) -> int:
    """Tokens that are not read, less what the stems cost."""
    real = [stem for stem in stems if stem.length]
    return sum(stem.length * (len(stem.rows) - 1) - prefixes._PREFIX_COST for stem in real)


def most_saved(beginnings: Sequence[Row], shared: Row = ()) -> int:
    """The best of all choices: this beginning is a stem, or stems are looked for beyond it."""
    if not beginnings:
        return 0
    here = len(shared) * (len(beginnings) - 1) - prefixes._PREFIX_COST
    longer = [row for row in beginnings if len(row) > len(shared)]
    beyond = 0
    for token in {row[len(shared)] for row in longer}:
        group = [row for row in longer if row[len(shared)] == token]
        beyond += most_saved(group, (*shared, token))
    return max(0, here, beyond)


@settings(max_examples=400, deadline=None)
@given(ROWS, st.data())
def test_stems_hold_each_row_once_and_save_the_most(rows: list[Row], data: st.DataObject) -> None:
    free = [data.draw(st.integers(0, len(row) - 1)) for row in rows]
    stems = find_prefixes(rows, free)
    assert sorted(index for stem in stems for index in stem.rows) == list(range(len(rows)))
    for stem in stems:
        assert len({rows[index][: stem.length] for index in stem.rows}) == 1
        assert all(stem.length <= free[index] for index in stem.rows)
        assert [rows[index] for index in stem.rows] == sorted(rows[index] for index in stem.rows)
    assert all(stem.length for stem in stems[:-1])
    assert saved(stems) == most_saved([row[:n] for row, n in zip(rows, free, strict=True)])


def test_a_row_that_may_not_share_does_not_part_those_that_do() -> None:
    rows = [(1, 2, 3, 4, 5, last) for last in (6, 7, 8)]
    assert find_prefixes(rows, [5, 0, 5]) == [SharedPrefix(5, (0, 2)), SharedPrefix(0, (1,))]


def test_a_stem_must_be_worth_its_cost() -> None:
    pair = [(1, 2, 3, 4), (1, 2, 3, 5)]
    assert find_prefixes(pair, [3, 3]) == [SharedPrefix(0, (0, 1))]  # saves 3, costs 3
    longer = [(*row[:3], 9, row[3]) for row in pair]
    assert find_prefixes(longer, [4, 4]) == [SharedPrefix(4, (0, 1))]


def test_no_rows_and_one_row() -> None:
    assert find_prefixes([], []) == []
    assert find_prefixes([(1, 2)], [1]) == [SharedPrefix(0, (0,))]


@given(st.lists(st.integers(0, 1)), st.lists(st.integers(0, 1)))
def test_shared_length_counts_from_the_start(a: list[int], b: list[int]) -> None:
    expected = 0
    while expected < min(len(a), len(b)) and a[expected] == b[expected]:
        expected += 1
    assert shared_length(a, b) == expected


def test_subjects_with_a_preamble_each_become_stems(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a benchmark of 57 subjects: 14,000 rows, of which each is compared with the next."""
    monkeypatch.setattr(prefixes, "_PREFIX_COST", 256)
    draw = random.Random(0)
    preambles = [(1, *draw.choices(range(9, 99), k=300)) for _ in range(57)]
    rows = [(*draw.choice(preambles), *draw.choices(range(9, 99), k=50)) for _ in range(14_000)]
    compared: list[int] = []

    def counted(a: Row, b: Row) -> int:
        compared.append(shared_length(a, b))
        return compared[-1]

    monkeypatch.setattr(prefixes, "shared_length", counted)
    stems = find_prefixes(rows, [len(row) - 1 for row in rows])
    assert len(compared) == len(rows) - 1  # in proportion to the rows, and not to their square
    assert sorted(stem.length >= 301 for stem in stems) == [True] * 57
