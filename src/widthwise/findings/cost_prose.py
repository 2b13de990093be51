"""What networks cost, in sentences that their intervals carry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..stats import Estimate, grouped, joined, paired_ratio
from ..study import Quantity, Record
from .costs import cost_ratios, speed_ratio, took_turns
from .grid import Grid, GridRow, network_of

_COST_NAMES = {
    "ttft": "the time to the first token",
    "tpot": "that of a next token",
    "joules": "the energy of a token",
    "prefill": "the speed of reading the prompt",
    "decode": "that of writing tokens",
}

_MOST = 6  # networks that are named; the table has them all


def cost_sentence(grid: Grid) -> str:
    """The speed of the narrowest network that was timed, beside dense; "" if none was."""
    ratios = {
        (network, quantity): ratio
        for network in grid.networks
        for quantity in grid.speeds
        if (ratio := speed_ratio(grid, grid.cells.get((network, quantity)))) is not None
    }
    if not ratios:
        return ""
    narrowest = _narrowest(network for network, _ in ratios)
    parts = [
        _ratio_text(f"the speed of {quantity}", ratio)
        for (network, quantity), ratio in ratios.items()
        if network == narrowest and ratio.standard_error is not None
    ]
    return f"At {narrowest.ratio}, {joined(parts)}." if parts else ""


def _narrowest(networks: Iterable[GridRow]) -> GridRow:
    return min(networks, key=lambda network: network.width)


def measured_sentences(records: Sequence[Record]) -> list[str]:
    """What the narrowest network costs beside dense on the first workload that was measured."""
    clauses = grouped(
        (f"{_narrowest(column).ratio} on {workload}", _ratio_text(name, column[_narrowest(column)]))
        for what, name in _COST_NAMES.items()
        for workload, column in list(cost_ratios(records, what).items())[:1]
    )
    sentences = [f"At {place}, {joined(parts)}." for place, parts in clauses.items()]
    return sentences + load_warnings(records) if sentences else []


def other_network_sentences(records: Sequence[Record]) -> list[str]:
    """What each other network of one run costs beside the first, on the first workload.

    Args:
        records: Costs of several models that took turns, the first network's first.
    """
    columns: dict[str, dict[tuple[str, GridRow], Record]] = {}
    workload = str(records[0].settings["workload"])
    for record in records:
        quantity = Quantity.parse(record.quantity)
        if quantity.workload == workload and quantity.metric in _COST_NAMES and record.items:
            place = record.model, network_of(record)
            columns.setdefault(quantity.metric, {})[place] = record
    begin = records[0].model, network_of(records[0])
    clauses = grouped(
        (
            place,
            _ratio_text(_COST_NAMES[what], paired_ratio(record.items, first.items), "the first"),
        )
        for what, column in columns.items()
        if (first := column.get(begin))
        for place, record in column.items()
        if place != begin and took_turns(record, first)
    )
    sentences = [
        f"{_named(model, network)} on {workload}: {joined(parts)}."
        for (model, network), parts in list(clauses.items())[:_MOST]
    ]
    if not sentences:
        return []
    return [f"The first is {_named(*begin)}.", *sentences, *load_warnings(records)]


def _named(model: str, network: GridRow) -> str:
    """A network of several models; one that was measured as it is goes by the model's name."""
    return model if network.criterion is None else f"{model}, {network.label}"


def _ratio_text(name: str, ratio: Estimate, other: str = "dense") -> str:
    """A ratio as its interval allows: what reaches over 1 is no difference that is shown."""
    if ratio.standard_error is None:
        return f"{name} is {ratio.value:.2f} times that of {other}"
    low, high = ratio.interval()
    ends = f"95 % interval {low:.2f} to {high:.2f}"
    if low <= 1 <= high:
        return f"{name} is not shown to differ from that of {other} ({ends} times)"
    return f"{name} is {ratio.value:.2f} times that of {other} ({ends})"


def load_warnings(records: Sequence[Record]) -> list[str]:
    """A warning where more processes wanted a core than there are while time was taken."""
    load = busiest(records)
    if not load:
        return []
    return [
        f"The machine was busy, up to {load:.1f} processes wanted a core: measure on an idle one "
        "before you trust these times."
    ]


def busiest(records: Sequence[Record]) -> float:
    """The most processes that wanted a core of a machine that was busy; 0 where none was."""
    loads = (float(r.settings["load"]) for r in records if r.settings.get("is_busy"))
    return max(loads, default=0.0)
