"""A chart of estimates with their intervals, in characters, for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_GAP = 2
_STEPS = (1, 2, 5)  # of ticks, times powers of ten
_LEAST_PLOT = 20  # columns


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A row of a chart.

    Attributes:
        label: Its name.
        value: Where the dot is.
        low, high: Ends of the interval.
        text: The same in figures; the rows without a label and figures are empty lines.
    """

    label: str
    value: float
    low: float
    high: float
    text: str


def dot_chart(
    rows: Sequence[Dot | None],
    *,
    width: int,
    is_log: bool = False,
    line: float | None = None,
    is_ascii: bool = False,
) -> list[str]:
    """Lines of a chart: name, dot with its interval, figures; the axis below.

    Args:
        rows: From top to bottom; None is an empty line.
        width: Columns.
        is_log: Whether the axis is logarithmic; all values are above 0 then.
        line: A value at which a vertical line stands, as a floor.
        is_ascii: Whether nothing but ASCII may be printed.

    Example:
        >>> dots = [Dot(label="a", value=1, low=0.5, high=2, text="1"),
        ...         Dot(label="b", value=4, low=4, high=4, text="4")]
        >>> for row in dot_chart(dots, width=32, is_log=True, is_ascii=True):
        ...     print(row)
        a  |-------o--------|          1
        b                           o  4
           0.5     1        2
    """
    dots = [row for row in rows if row is not None]
    names = max(len(each.label) for each in dots) + _GAP
    plot = max(_LEAST_PLOT, width - names - _GAP - max(len(each.text) for each in dots))
    marks = [] if line is None else [line]
    ends = [value for each in dots for value in (each.low, each.high, each.value)] + marks
    axis = _Axis(min(ends), max(ends), plot, is_log)
    dash, left, dot, right, bar = tuple("-|o|:" if is_ascii else "─├●┤┊")
    lines = []
    for row in rows:
        cells = [" "] * plot
        for mark in marks:
            cells[axis.column(mark)] = bar
        if row is not None:
            low, high = axis.column(row.low), axis.column(row.high)
            cells[low : high + 1] = dash * (high + 1 - low)
            cells[low], cells[high], cells[axis.column(row.value)] = left, right, dot
        name, text = ("", "") if row is None else (row.label, row.text)
        lines.append(f"{name:{names}}{''.join(cells)}{' ' * _GAP}{text}".rstrip())
    return [*lines, " " * names + axis.ticks()]


@dataclass(frozen=True)
class _Axis:
    """Places of values in columns."""

    low: float
    high: float
    columns: int
    is_log: bool

    def column(self, value: float) -> int:
        """Column of a value, from 0 on."""
        ends = (self.low, self.high, value)
        low, high, place = map(math.log, ends) if self.is_log else ends
        share = 0.5 if low == high else (place - low) / (high - low)
        return round(share * (self.columns - 1))

    def ticks(self) -> str:
        """Round values under their columns, as many as have room."""
        text = ""
        for value in self._round_values():
            shown, column = f"{value:g}", self.column(value)
            if column >= len(text) + (_GAP if text else 0) and column + len(shown) <= self.columns:
                text = text.ljust(column) + shown
        return text

    def _round_values(self) -> list[float]:
        """Those of the axis; of a linear one with one distance between them."""
        if self.is_log:
            lowest, highest = (math.floor(math.log10(each)) for each in (self.low, self.high))
            powers = range(lowest, highest + 1)
            found = [float(f"{step}e{power}") for power in powers for step in _STEPS]
        else:
            rough = max(self.high - self.low, 1e-9) / 5
            power = math.floor(math.log10(rough))
            step = next(s for s in (*_STEPS, 10) if float(f"{s}e{power}") >= rough * 0.999)
            size = float(f"{step}e{power}")
            first = math.ceil(self.low / size - 1e-9)
            found = [float(f"{n * size:.9g}") for n in range(first, first + 8)]
        return [value for value in found if self.low <= value <= self.high * (1 + 1e-9)]
