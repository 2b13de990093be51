"""The table of costs: a block a workload, a row a network, ratios to the first row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..findings import Table, busiest, estimate_of, network_of, took_turns, turn_ratio
from ..stats import NOTHING, counted, estimate_text, grouped, number, with_error
from ..study import NOT_ASKED, QUANTITY_NAMES, Quantity, Record
from .file_cost_table import file_cost_table, is_file_record

_KEY = (
    "Medians over rounds ± one standard error. Ratios: to the first row, median of those within "
    "rounds, with 95 % intervals; of times below 1 is faster, of tokens/s above 1."
)
_LIMITS = (
    "Limit: least time that the device allows, over the measured one, and what sets it: computing, "
    "moving bytes (memory), or the host that asks for the work. Working memory: the most beyond "
    "the weights."
)
_EITHER = ("allocated", "resident")  # memory is the one of the two that a device tells
_NEEDED = {"ttft", "tpot", "throughput", "joules", "net_joules", *_EITHER}
_NOT_IN_TURN = (
    "no ratios to {}: not timed in turn with it, so that what slows a machine for a while would be "
    "in them: {}; widthwise measure times several models in turn"
)
_LOST = "{}: some of its records are not there; the command that made the others measures it anew"


@dataclass(frozen=True, kw_only=True)
class CostRow:
    """A network on one workload: its name and its records by metric, and those of the first row."""

    name: str
    cells: Mapping[str, Record]
    first: Mapping[str, Record]

    def measured(self, metric: str) -> str:
        """A value with its error; - where it is missing."""
        estimate = estimate_of(self.cells.get(metric))
        return with_error(estimate, self.cells[metric].unit) if estimate else NOTHING

    def value(self, metric: str) -> str:
        """A value alone; - where it is missing."""
        record = self.cells.get(metric)
        if record is None or record.value is None:
            return NOTHING
        return number(record.value, record.unit)

    def limit(self, metric: str) -> str:
        """What share the device's least time is of the measured one, and what sets it."""
        settings = self.cells[metric].settings
        share = settings.get("of_limit")
        return NOTHING if share is None else f"{share:.0%}, {settings.get('bound')}"

    def ratio(self, metric: str, *, by_neuron: bool = False) -> str:
        """To the first row, within rounds, perhaps neuron by neuron; nothing for the first."""
        own, first = self.cells.get(metric), self.first.get(metric)
        found = turn_ratio(own, first)
        if found is None or own is None or first is None:
            return ""
        scale = first.width / own.width if by_neuron else 1.0
        return estimate_text(found, decimals=3, scale=scale)


_COLUMNS: Mapping[str, Callable[[CostRow], str]] = {
    "network": lambda row: row.name,
    "width": lambda row: f"{row.cells['ttft'].width:,}",
    "weights": lambda row: number(float(row.cells["ttft"].settings["weight_bytes"]), "bytes"),
    "first token": lambda row: row.measured("ttft"),
    "first token ratio": lambda row: row.ratio("ttft"),
    "first token limit": lambda row: row.limit("ttft"),
    "next token": lambda row: row.measured("tpot"),
    "next token ratio": lambda row: row.ratio("tpot"),
    "next token limit": lambda row: row.limit("tpot"),
    "tokens/s": lambda row: row.value("throughput"),
    "tokens/s ratio": lambda row: row.ratio("throughput"),
    "block, prompt": lambda row: row.measured("block_prefill"),
    "a neuron, prompt ratio": lambda row: row.ratio("block_prefill", by_neuron=True),
    "block, token": lambda row: row.measured("block_decode"),
    "a neuron, token ratio": lambda row: row.ratio("block_decode", by_neuron=True),
    "J/token": lambda row: row.value("joules"),
    "net J/token": lambda row: row.value("net_joules"),
    "g CO2e/token": lambda row: row.value("co2"),
    "working memory": lambda row: row.value(
        _EITHER[0] if row.cells[_EITHER[0]].value is not None else _EITHER[1]
    ),
}
COST_COLUMNS = tuple(_COLUMNS)


def is_cost_record(record: Record) -> bool:
    """Whether `widthwise measure` stored it: a quantity of a workload, `"512x32x1 ttft"`."""
    quantity = Quantity.parse(record.quantity)
    return quantity.is_cost and record.settings.get("workload") == quantity.workload


def cost_key(records: Sequence[Record]) -> str:
    """What stands in the tables of these records, in sentences."""
    return _KEY if all(map(is_file_record, records)) else f"{_KEY} {_LIMITS}"


def cost_tables(records: Sequence[Record]) -> tuple[Table, ...]:
    """The costs on every workload, in the order in which records first name them.

    Times are medians over rounds. A ratio is the median of the ratios within a round, with its 95 %
    interval: what slows the machine for a round slows both. What could not be measured reads `-`,
    and the notes say why.
    """
    blocks = grouped(
        ((str(record.settings["workload"]), is_file_record(record)), record) for record in records
    )
    tables = (
        (file_cost_table if of_files else _table)(name, block)
        for (name, of_files), block in blocks.items()
    )
    return tuple(table for table in tables if table is not None)


def _table(name: str, records: Sequence[Record]) -> Table | None:
    """The table of a workload; None where no network has all its records."""
    networks: dict[tuple[str, str | None, str], dict[str, Record]] = {}
    for record in records:
        place = record.model, record.criterion, record.asked
        networks.setdefault(place, {})[Quantity.parse(record.quantity).metric] = record
    one_model = len({model for model, _, _ in networks}) == 1
    names = {
        place: _label(next(iter(cells.values())), one_model) for place, cells in networks.items()
    }
    whole = {place: cells for place, cells in networks.items() if cells.keys() >= _NEEDED}
    if not whole:
        return None
    first = next(iter(whole.values()))
    lost = [names[place] for place in networks if place not in whole]
    about, apart = _about({names[place]: cells["ttft"] for place, cells in whole.items()})
    return Table.of(
        (CostRow(name=names[at], cells=cells, first=first) for at, cells in whole.items()),
        _COLUMNS,
        title=name,
        about=about,
        notes=(*apart, *_notes(records), *map(_LOST.format, lost)),
    )


def _label(record: Record, one_model: bool) -> str:
    """What a table calls a network."""
    network = network_of(record)
    if record.criterion is not None:
        name = f"{record.criterion} {record.asked}"
    else:
        name = network.whole if one_model else network.asked_for
    return name if one_model else f"{record.model}, {name}"


def _about(times: Mapping[str, Record]) -> tuple[str, list[str]]:
    """What was done with what; and where not all networks were timed in the same rounds, what of
    that differs, and that there are no ratios between them.

    Args:
        times: Of every network by its name, the first of the table first.
    """
    runs: list[dict[str, Record]] = []
    for name, record in times.items():
        if record.value is not None:
            run = next((r for r in runs if took_turns(record, next(iter(r.values())))), None)
            if run is None:
                runs.append(run := {})
            run[name] = record
    records = [next(iter(run.values())) for run in runs]
    sample = next(iter(times.values()))
    if len(runs) < 2:
        example = records[0] if records else sample
        limits = f" ({_limits(example)})" if _limits(example) else ""
        return ", ".join(filter(None, (f"{_asked(example)}{limits}", _run(example)))), []
    of_first = runs[0] if sample in runs[0].values() else {}
    first, others = next(iter(times)), [n for n in times if n not in of_first]
    notes = [
        f"{'; '.join(run)}: {', '.join(filter(None, (_limits(record), _run(record))))}"
        for run, record in zip(runs, records, strict=True)
    ]
    return _asked(records[0]), [*notes, _NOT_IN_TURN.format(first, "; ".join(others))]


def _asked(record: Record) -> str:
    """What is read and written, and on what."""
    settings = record.settings
    low, high = settings["prompt_tokens"]
    length = counted(high, "token") if low == high else f"{low} to {high} tokens"
    return (
        f"{counted(settings['prompts'], 'prompt')} of {length}, "
        f"{counted(settings['new_tokens'], 'new token')} each, batch {settings['batch']}; "
        f"{settings['ceilings']['name'] if settings['ceilings'] else settings['device']}, "
        f"{settings['dtype']}"
    )


def _limits(record: Record) -> str:
    """The limits of the device, as they were measured before: what the columns of limits are
    shares of."""
    ceilings = record.settings["ceilings"]
    if not ceilings:
        return ""
    flops, moved = ceilings["flops_per_sec"] / 1e9, ceilings["bytes_per_sec"] / 1e9
    return f"at best {flops:,.3g} GFLOP/s and {moved:,.3g} GB/s"


def _run(record: Record) -> str:
    """Rounds, what they ran with, and when; nothing where there were none."""
    if not record.n:
        return ""
    settings = record.settings
    day = f"{settings['time'][:16].replace('T', ' ')} UTC"
    is_replayed = settings["decoding"] == "captured"
    step = "steps replayed from a CUDA graph" if is_replayed else "steps called"
    threads = counted(settings["threads"], "thread")
    return f"{record.n} rounds; attention {settings['attention']}, {threads}, {step}; {day}"


def _intensity(settings: Mapping[str, Any]) -> str:
    return (
        f"CO2: {settings['country']}, {settings['grams_per_kwh']:.4g} g/kWh ({settings['source']})"
    )


def _notes(records: Sequence[Record]) -> list[str]:
    """Reasons, each once with the columns it takes away, and a warning of a busy machine."""
    lacking = grouped(
        (record.reason, QUANTITY_NAMES[metric])
        for record in records
        if record.reason not in (None, NOT_ASKED)
        and (metric := Quantity.parse(record.quantity).metric) not in _EITHER
    )
    notes = [f"{', '.join(dict.fromkeys(names))}: {reason}" for reason, names in lacking.items()]
    called = {r.settings["decoding_reason"] for r in records if r.settings["decoding_reason"]}
    notes += [f"steps are called, not replayed: {reason}" for reason in sorted(called)]
    intensities = {_intensity(r.settings["intensity"]) for r in records if r.settings["intensity"]}
    notes += sorted(intensities)
    load = busiest(records)
    if load:
        notes.append(
            f"the machine was busy: up to {load:.1f} processes wanted a core; "
            "measure on an idle one, into another folder, before trusting these times"
        )
    return notes
