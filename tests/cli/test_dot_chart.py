"""A chart in characters: dots, intervals and ticks stand where their values are."""

from __future__ import annotations

import math
import re

import pytest

from widthwise.cli.dot_chart import Dot, dot_chart


def dot(value: float, low: float, high: float, label: str = "a") -> Dot:
    return Dot(label=label, value=value, low=low, high=high, text=f"{value:g}")


@pytest.mark.parametrize("is_log", [False, True])
def test_dots_stand_where_their_values_are(is_log: bool) -> None:
    values = [0.1, 0.25, 0.7, 3.0, 9.5, 10.0]
    lines = dot_chart([dot(v, v, v) for v in values], width=108, is_log=is_log)[:-1]
    found = [line.index("●") for line in lines]
    scale = math.log if is_log else float
    share = [(scale(v) - scale(0.1)) / (scale(10) - scale(0.1)) for v in values]
    first, last = found[0], found[-1]
    assert found == [first + round(s * (last - first)) for s in share]


def test_an_interval_reaches_from_end_to_end() -> None:
    low, middle = dot_chart([dot(1, 0, 4), dot(2, 2, 2)], width=60)[:2]
    assert (low[3], low[low.index("┤")]) == ("├", "┤")
    plot = low.index("┤") - 3
    assert low.index("●") - 3 == pytest.approx(plot / 4, abs=0.5)
    assert middle.index("●") - 3 == pytest.approx(plot / 2, abs=0.5)
    assert set(low[4 : low.index("┤")]) == {"─", "●"}


@pytest.mark.parametrize(
    ("low", "high", "is_log"),
    [(0.01, 3000, True), (0.0, 1.0, False), (-2.5, 7.5, False), (0.18, 10.7, True), (5, 5, False)],
)
def test_ticks_stand_under_their_values_and_do_not_touch(
    low: float, high: float, is_log: bool
) -> None:
    lines = dot_chart([dot(low, low, low), dot(high, high, high)], width=100, is_log=is_log)
    left, right, ticks = lines[0].index("●"), lines[1].index("●"), lines[-1]
    names = ticks.split()
    assert names
    scale = math.log if is_log else float
    for name in names:
        if low < high:
            share = (scale(float(name)) - scale(low)) / (scale(high) - scale(low))
            column = left + round(share * (right - left))
            assert ticks[column : column + len(name)] == name
    assert not re.search(r"[^ ] [^ ]", ticks)


def test_a_narrow_terminal_and_plain_characters() -> None:
    rows = [dot(0.3, 0.1, 0.6, "a long name"), None, dot(0.5, 0.4, 0.9, "b")]
    narrow = dot_chart(rows, width=10, line=0.25, is_ascii=True)
    assert all(line.isascii() for line in narrow)
    assert narrow[1].strip() == ":"  # the line goes on through an empty row
    assert len(narrow) == 4
    wide = dot_chart(rows, width=80)
    assert max(map(len, wide)) <= 80
