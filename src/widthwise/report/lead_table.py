"""The first table of a page: what each width of the best criterion saves and loses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ..findings import (
    Grid,
    GridRow,
    Table,
    closest_criterion,
    compared_text,
    divergence_text,
    next_words,
    size_ratio,
    speed_ratio,
)
from ..stats import difference_text, estimate_text, number, percent, unit_text
from .model_results import ModelResults
from .page import Block

_ABOUT = "What each width saves and loses beside dense, with 95 % intervals"
_MOST = 3  # tasks in the table


def first_table(results: Sequence[ModelResults]) -> Block:
    """The table of the one study that has scores; an empty block of several."""
    rated = [result for result in results if result.grid.quality]
    table = lead_table(rated[0]) if len(rated) == 1 else None
    return Block(tables=[table] if table is not None else [])


def lead_table(result: ModelResults) -> Table | None:
    """A row a width of the criterion that is closest to dense; None where nothing was cut."""
    grid, criterion = result.grid, closest_criterion(result.grid)
    if criterion is None or grid.dense is None:
        return None
    columns: dict[str, Callable[[GridRow], str]] = {
        "cut": _cut,
        "bytes": lambda network: _bytes(grid, network),
        "tokens a second": lambda network: _speed(grid, network),
    }
    if (text := compared_text(grid)) is not None:
        columns["KL"] = partial(_divergence, grid, text)
    for quantity in grid.quality[:_MOST]:
        name = f"{quantity}, {unit_text(grid.sample(quantity).unit)}"
        columns[name] = partial(_lost, result, quantity)
    networks = grid.cut_by(criterion)
    about = f"{_ABOUT}; scores minus dense's."
    return Table.of(networks, columns, title=f"Cut by {criterion}", about=about).nonempty()


def _cut(network: GridRow) -> str:
    return f"{network.ratio} (-{network.asked})" if network.asked.endswith("%") else network.ratio


def _bytes(grid: Grid, network: GridRow) -> str:
    share, cut = size_ratio(grid, network), grid.cells.get((network, "bytes"))
    if share is None or cut is None or cut.value is None:
        return ""
    return f"{number(cut.value, 'bytes')} (-{percent(1 - share)})"


def _speed(grid: Grid, network: GridRow) -> str:
    record = grid.cost(network, "decode")
    ratio = None if record is None else speed_ratio(grid, record)
    return "" if ratio is None else f"x {estimate_text(ratio)}"


def _divergence(grid: Grid, quantity: str, network: GridRow) -> str:
    record = grid.cells.get((network, quantity))
    words = None if record is None else next_words(record)
    return "" if words is None else divergence_text(words.divergence)


def _lost(result: ModelResults, quantity: str, network: GridRow) -> str:
    """The difference from dense, and below it what it is called."""
    judged = result.judged.get((network, quantity))
    record = result.grid.cells.get((network, quantity))
    if judged is None or judged.difference is None or record is None:
        return ""
    return f"{difference_text(judged.difference, record.unit)}\n{judged.word}"
