"""The table of costs: a block a workload, a row a network, ratios to the first row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..findings import Table, estimate_of, network_of, took_turns
from ..stats import NOTHING, counted, estimate_text, number, paired_ratio, with_error
from ..study import NOT_ASKED, QUANTITY_NAMES, Quantity, Record

COST_COLUMNS = (
    "network",
    "width",
    "weights",
    "first token",
    "first token ratio",
    "first token limit",
    "next token",
    "next token ratio",
    "next token limit",
    "tokens/s",
    "tokens/s ratio",
    "block, prompt",
    "a neuron, prompt ratio",
    "block, token",
    "a neuron, token ratio",
    "J/token",
    "net J/token",
    "g CO2e/token",
    "working memory",
)
COST_KEY = (
    "Medians over rounds ± one standard error. Ratios: to the first row, median of those within "
    "rounds, with 95 % intervals; of times below 1 is faster, of tokens/s above 1. Limit: least "
    "time that the device allows, over the measured one, and what sets it: computing, moving bytes "
    "(memory), or the host that asks for the work. Working memory: the most beyond the weights."
)
_EITHER = ("allocated", "resident")  # memory is the one of the two that a device tells
_TIMES = ("ttft", "tpot")
_BLOCKS = ("block_prefill", "block_decode")
_NEEDED = {*_TIMES, "throughput", "joules", "net_joules", *_EITHER}
_NOT_IN_TURN = (
    "no ratios to {}: not timed in turn with it, so that what slows a machine for a while would be "
    "in them: {}; widthwise measure times several models in turn"
)
_LOST = "{}: some of its records are not there; the command that made the others measures it anew"


def is_cost_record(record: Record) -> bool:
    """Whether `widthwise measure` stored it: a quantity of a workload, `"512x32x1 ttft"`."""
    quantity = Quantity.parse(record.quantity)
    return quantity.is_cost and record.settings.get("workload") == quantity.workload


def cost_tables(records: Sequence[Record]) -> tuple[Table, ...]:
    """The costs on every workload, in the order in which records first name them.

    Times are medians over rounds. A ratio is the median of the ratios within a round, with its 95 %
    interval: what slows the machine for a round slows both. What could not be measured reads `-`,
    and the notes say why.
    """
    blocks: dict[str, list[Record]] = {}
    for record in records:
        blocks.setdefault(str(record.settings["workload"]), []).append(record)
    tables = (_table(name, block) for name, block in blocks.items())
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
    return Table(
        title=name,
        about=about,
        header=COST_COLUMNS,
        rows=tuple((names[place], *_cells(cells, first)) for place, cells in whole.items()),
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


def _cells(cells: dict[str, Record], first: dict[str, Record]) -> list[str]:
    """All columns but the first."""
    ttft = cells["ttft"]
    row = [f"{ttft.width:,}", number(float(ttft.settings["weight_bytes"]), "bytes")]
    for quantity in _TIMES:
        row += [_measured(cells[quantity]), _ratio(cells[quantity], first[quantity])]
        row.append(_limit(cells[quantity]))
    throughput = cells["throughput"]
    row += [_value(throughput), _ratio(throughput, first["throughput"])]
    row += _block_cells(cells, first)
    working = cells["allocated"] if cells["allocated"].value is not None else cells["resident"]
    others = (cells["joules"], cells["net_joules"], cells.get("co2"), working)
    return [*row, *map(_value, others)]


def _block_cells(cells: dict[str, Record], first: dict[str, Record]) -> list[str]:
    """Times of a GLU block alone, and how they compare neuron by neuron."""
    row = []
    for quantity in _BLOCKS:
        if quantity not in cells:
            row += ["-", ""]
            continue
        own, other = cells[quantity], first[quantity]
        row += [_measured(own), _ratio(own, other, scale=other.width / own.width)]
    return row


def _measured(record: Record) -> str:
    """A value with its error; - where it is missing."""
    estimate = estimate_of(record)
    return NOTHING if estimate is None else with_error(estimate, record.unit)


def _value(record: Record | None) -> str:
    """A value alone; - where it is missing."""
    if record is None or record.value is None:
        return NOTHING
    return number(record.value, record.unit)


def _limit(record: Record) -> str:
    share, bound = record.settings.get("of_limit"), record.settings.get("bound")
    return "-" if share is None else f"{share:.0%}, {bound}"


def _ratio(own: Record, first: Record, *, scale: float = 1.0) -> str:
    """Of this network to the first row's, within rounds, times a scale; nothing for the first."""
    if own is first or own.value is None or first.value is None or not took_turns(own, first):
        return ""
    return estimate_text(paired_ratio(own.items, first.items), decimals=3, scale=scale)


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
    """The limits of the device, as they were measured before."""
    ceilings = record.settings["ceilings"]
    return f"at best {_rates(ceilings)}" if ceilings else ""


def _run(record: Record) -> str:
    """Rounds, what they ran with, and when; nothing where there were none."""
    if not record.n:
        return ""
    settings = record.settings
    day = f"{settings['time'][:16].replace('T', ' ')} UTC"
    return f"{record.n} rounds; {_setting(settings)}; {day}"


def _rates(ceilings: Mapping[str, Any]) -> str:
    """The limits of the device: what the columns of limits are shares of."""
    flops, moved = ceilings["flops_per_sec"] / 1e9, ceilings["bytes_per_sec"] / 1e9
    return f"{flops:,.3g} GFLOP/s and {moved:,.3g} GB/s"


def _setting(settings: Mapping[str, Any]) -> str:
    """What it ran with."""
    step = (
        "steps replayed from a CUDA graph" if settings["decoding"] == "captured" else "steps called"
    )
    return f"attention {settings['attention']}, {counted(settings['threads'], 'thread')}, {step}"


def _intensity(settings: Mapping[str, Any]) -> str:
    return (
        f"CO2: {settings['country']}, {settings['grams_per_kwh']:.4g} g/kWh ({settings['source']})"
    )


def _notes(records: Sequence[Record]) -> list[str]:
    """Reasons, each once with the columns it takes away, and a warning of a busy machine."""
    lacking: dict[str, list[str]] = {}
    for record in records:
        metric = Quantity.parse(record.quantity).metric
        if record.reason in (None, NOT_ASKED) or metric in _EITHER:
            continue
        names = lacking.setdefault(str(record.reason), [])
        names += [QUANTITY_NAMES[metric]] if QUANTITY_NAMES[metric] not in names else []
    notes = [f"{', '.join(names)}: {reason}" for reason, names in lacking.items()]
    called = {r.settings["decoding_reason"] for r in records if r.settings["decoding_reason"]}
    notes += [f"steps are called, not replayed: {reason}" for reason in sorted(called)]
    intensities = {_intensity(r.settings["intensity"]) for r in records if r.settings["intensity"]}
    notes += sorted(intensities)
    loads = [float(r.settings["load"]) for r in records if r.settings.get("is_busy")]
    if loads:
        notes.append(
            f"the machine was busy: up to {max(loads):.1f} processes wanted a core; "
            "measure on an idle one, into another folder, before trusting these times"
        )
    return notes
