"""A parametrization as a table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

from ..stats import grouped
from .scaling import ParameterScaling

Of = TypeVar("Of")
_INITIAL = "initial std"
_TRAINED = ("parameter", "base", "shape", "role", "Adam lr", "SGD lr")
HEADER = (*_TRAINED[:4], _INITIAL, *_TRAINED[4:], "Adam eps", "AdamW decay")


def rows(weights: Sequence[ParameterScaling]) -> list[tuple[str, ...]]:
    """A row for each kind of parameter, in the columns of `HEADER`.

    Layers that are alike in everything share one.

    >>> from .from_shapes import parametrize
    >>> base = {f"layers.{i}.weight": (8, 8) for i in range(3)}
    >>> rows(parametrize({name: (16, 16) for name in base}, base).weights)
    [('layers.*.weight', '8 x 8', '16 x 16', 'hidden', 'x 0.7071', 'x 0.5', 'x 1', 'x 0.5', 'x 2')]
    """
    kinds = grouped(((name_pattern(w.name), w.shape, w.base, w.role), w) for w in weights)
    patterns = Counter(pattern for pattern, *_ in kinds)
    table = []
    for (pattern, *_), alike in kinds.items():
        joined = patterns[pattern] == 1 and len(alike) > 1
        table += [(pattern, *_cells(alike[0]))] if joined else [(w.name, *_cells(w)) for w in alike]
    return table


def listing(weights: Sequence[ParameterScaling], notes: Sequence[str]) -> str:
    """The table as text, and notes under it."""
    table = (HEADER, *rows(weights))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    return "\n".join([*lines, *notes])


def trained_table(
    weights: Sequence[ParameterScaling],
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows of the table of trained weights, whose initial ones do not matter."""
    shown = [i for i, name in enumerate(HEADER) if name in _TRAINED]
    header, *cells = (tuple(row[i] for i in shown) for row in (HEADER, *rows(weights)))
    return header, cells


def weights_table(
    weights: Sequence[ParameterScaling],
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows of the whole table."""
    return HEADER, rows(weights)


def by_pattern(numbers: Mapping[str, Of]) -> dict[tuple[str, Of], None]:
    """Each name without the number of its layer, and what is said of it, once."""
    return dict.fromkeys((name_pattern(name), said) for name, said in numbers.items())


def name_pattern(name: str) -> str:
    """A name with its numbers of layers as `*`."""
    return re.sub(r"(?<=\.)\d+(?=\.)", "*", name)


def _cells(weight: ParameterScaling) -> tuple[str, ...]:
    sizes = [" x ".join(map(str, shape)) or "1" for shape in (weight.base, weight.shape)]
    factors = (weight.std, weight.adam, weight.sgd, weight.eps, 1 / weight.adam)
    cells = [f"x {factor:.4g}" for factor in factors]
    if weight.is_vector:
        cells[-1] = "0"  # gains and biases do not decay
    return (*sizes, weight.role, *cells)
