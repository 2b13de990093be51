"""The table of distances from the dense model: a row a task and a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from ..findings import Grid, GridRow, NextWords, Table, divergence_text, flips, next_words
from ..stats import estimate_text, percent
from ..study import Record

_ABOUT = (
    "How far next words and answers are from the dense model's, which tells small cuts from none "
    "long before a score does."
)
DISTANCE_KEY = (
    "KL is the divergence of the next token, dense from the network, in nats: 0 where both always "
    "say the same. Same first choice is the share of tokens of which both hold the same one "
    "likeliest; accepted, the share of tokens drafted by the network that the dense model would "
    "accept. Means over items, with 95 % intervals over items. Lost and won are the shares of "
    "items that only the dense model, and only the network, has right."
)


class _Row(NamedTuple):
    task: str
    study: str
    network: GridRow
    own: Record
    other: Record | None


def distance_table(grids: Sequence[tuple[str, Grid]]) -> Table | None:
    """Every network beside dense on every task; None where nothing was compared.

    Args:
        grids: Of one or several studies, with the name of each.
    """
    rows = [row for name, grid in grids for row in _rows(name, grid)]
    if not rows:
        return None
    order = list(dict.fromkeys(row.task for row in rows))
    rows.sort(key=lambda row: order.index(row.task))
    several = len(grids) > 1
    return Table.of(
        rows,
        {
            "task": lambda row: row.task,
            **({"study": lambda row: row.study} if several else {}),
            "network": lambda row: row.network.named,
            **FROM_DENSE,
        },
        title="Distance from dense",
        about=_ABOUT,
        notes=[DISTANCE_KEY],
    ).nonempty()


def _rows(name: str, grid: Grid) -> list[_Row]:
    """Those of one study of which anything is known."""
    rows = []
    for quantity in grid.quality:
        dense = grid.of_dense(quantity)
        for network in grid.networks:
            record = grid.cells.get((network, quantity))
            if network.criterion is None or record is None or record.value is None:
                continue
            if next_words(record) or flips(record, dense):
                rows.append(_Row(quantity, name, network, record, dense))
    return rows


def _divergence(words: NextWords | None) -> str:
    """A divergence and its interval, with the decimals that a cut of 2 % needs."""
    return "" if words is None else divergence_text(words.divergence, decimals=3)


def _share(words: NextWords | None, name: Literal["agreement", "acceptance"]) -> str:
    """A share of next words and its interval, in per cent."""
    if words is None:
        return ""
    return f"{estimate_text(getattr(words, name), decimals=1, scale=100)} %"


def _flipped(pair: _Pair, way: Literal["lost", "won"]) -> str:
    found = flips(pair.own, pair.other)
    return "" if found is None else percent(getattr(found, way))


class _Pair(Protocol):
    """A score, and that of the dense model."""

    @property
    def own(self) -> Record: ...

    @property
    def other(self) -> Record | None: ...


FROM_DENSE: Mapping[str, Callable[[_Pair], str]] = {  # columns: how far a model is from dense
    "KL [95 %]": lambda pair: _divergence(next_words(pair.own)),
    "same first choice": lambda pair: _share(next_words(pair.own), "agreement"),
    "accepted": lambda pair: _share(next_words(pair.own), "acceptance"),
    "lost": lambda pair: _flipped(pair, "lost"),
    "won": lambda pair: _flipped(pair, "won"),
}
