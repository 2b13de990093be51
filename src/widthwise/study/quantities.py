"""The quantities of a measured cost: a value each round, and how it was measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .. import measure
from ..arch import decode_traffic, prefill_traffic
from ..errors import UnsupportedModelError
from .cost_settings import CostSettings
from .dense_model import DenseModel
from .variant import Variant

_WHOLE = {  # of every workload, and their units
    "ttft": "sec",
    "tpot": "sec",
    "throughput": "tokens_per_sec",
    "joules": "joules_per_token",
    "net_joules": "joules_per_token",
    "allocated": "bytes",
    "resident": "bytes",
}
FILE_RATES = {"prefill": "tokens_per_sec", "decode": "tokens_per_sec"}  # by llama.cpp's clock
_BLOCKS = {"block_prefill": "sec", "block_decode": "sec"}
_CO2 = {"co2": "grams_per_token"}
NOT_ASKED = "energy was not asked for"
QUANTITY_NAMES = {  # as people read them
    "ttft": "first token",
    "tpot": "next token",
    "throughput": "tokens/s",
    "prefill": "prompt tokens/s",
    "decode": "new tokens/s",
    "joules": "J/token",
    "net_joules": "net J/token",
    "co2": "g CO2e/token",
    "block_prefill": "block, prompt",
    "block_decode": "block, token",
}
_OF_ROUND = {"ttft": "first_sec", "tpot": "next_sec", "throughput": "tokens_per_sec"}


def quantities_of(settings: CostSettings) -> dict[str, str]:
    """The quantities that are measured for every workload, with their units."""
    blocks = _BLOCKS if settings.around is not None else {}
    return {**_WHOLE, **(_CO2 if settings.country is not None else {}), **blocks}


@dataclass(frozen=True)
class Quantity:
    """What a record measured: a metric of a workload, or a quantity without one.

    Attributes:
        workload: Its name; "" where the quantity has none.
        metric: As the table of costs knows it: `"ttft"`; of others the whole name.
    """

    workload: str
    metric: str

    @classmethod
    def parse(cls, name: str) -> Quantity:
        """The quantity of a record by its name.

        >>> Quantity.parse("512x32x1 ttft"), Quantity.parse("mmlu").metric
        (Quantity(workload='512x32x1', metric='ttft'), 'mmlu')
        """
        workload, _, metric = name.rpartition(" ")
        return cls(workload, metric)

    @property
    def is_cost(self) -> bool:
        """Whether `widthwise measure` measures it."""
        return bool(self.workload) and (self.metric in _WHOLE or self.metric in QUANTITY_NAMES)


def quantity_text(name: str) -> str:
    """The name of a record's quantity for people.

    >>> quantity_text("512x32x1 ttft"), quantity_text("bytes")
    ('512x32x1 first token', 'bytes')
    """
    quantity = Quantity.parse(name)
    known = quantity.workload and quantity.metric in QUANTITY_NAMES
    return f"{quantity.workload} {QUANTITY_NAMES[quantity.metric]}" if known else name


def names_its_unit(name: str) -> bool:
    """Whether `quantity_text` says the unit already.

    >>> names_its_unit("512x32x1 throughput"), names_its_unit("512x32x1 ttft")
    (True, False)
    """
    return "/" in quantity_text(name)


@dataclass(frozen=True, kw_only=True)
class Instruments:
    """The instruments of a run.

    Attributes:
        ceilings: Peak rates of the device.
        meter: Meter of energy; None where it was not asked for.
        intensity: Carbon intensity of the electricity; None where no country was named.
    """

    ceilings: measure.PeakRates
    meter: measure.Meter | measure.Unavailable | None
    intensity: measure.Intensity | None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All that was measured of a network on a workload.

    Attributes:
        cost: Cost of the whole model.
        block: Cost of its GLU blocks alone; None where they were not asked for.
        host: Time of the host for its passes.
        seconds: Time that a record of it took to measure.
    """

    cost: measure.Cost
    block: measure.BlockCost | None
    host: measure.HostTime
    seconds: float


def values_of(
    quantity: str, measured: Measured, instruments: Instruments
) -> tuple[tuple[float, ...], str | None]:
    """Value of each round, or none and the reason."""
    cost, block = measured.cost, measured.block
    if quantity in _BLOCKS:
        assert block is not None
        return getattr(block, f"{quantity.removeprefix('block_')}_sec"), block.reason
    if cost.reason is not None:
        return (), cost.reason
    if quantity in ("allocated", "resident"):
        size = getattr(cost.working, f"{quantity}_bytes")
        return ((float(size),), None) if size is not None else ((), f"{cost.device} keeps no count")
    if quantity in ("joules", "net_joules", "co2"):
        return _energy_of(quantity, cost, instruments)
    values = [getattr(r, _OF_ROUND[quantity]) for r in cost.rounds]
    if None in values:
        return (), "a single new token has no next one"
    return tuple(values), None


def _energy_of(
    quantity: str, cost: measure.Cost, instruments: Instruments
) -> tuple[tuple[float, ...], str | None]:
    meter, intensity = instruments.meter, instruments.intensity
    if not isinstance(meter, measure.Meter):
        return (), meter.reason if meter else NOT_ASKED
    name = "net" if quantity == "net_joules" else "gross"
    rounds = [(getattr(r.energy, name), r.energy and r.energy.reason) for r in cost.rounds]
    lacking = next((reason for value, reason in rounds if value is None), None)
    if lacking:
        return (), lacking
    values = tuple(value for value, _ in rounds)
    if quantity == "co2" and intensity is not None:
        values = tuple(measure.grams_per_token(joules, intensity) for joules in values)
    return values, None


def roofline_fields(
    parent: DenseModel,
    network: Variant,
    measured: Measured,
    quantity: str,
    values: Sequence[float],
    ceilings: measure.PeakRates,
) -> dict[str, Any]:
    """Where a time of the whole model stands under the roofline; nothing for what is no time.

    Of a model whose traffic cannot be counted all is None, and the reason is in `limit_reason`.
    """
    if quantity not in ("ttft", "tpot") or not values:
        return {}
    host_sec = getattr(measured.host, "prefill_sec" if quantity == "ttft" else "step_sec")
    try:
        flops, moved = _work_of(parent, network, measured.cost.workload, quantity)
    except UnsupportedModelError as error:
        unknown = dict.fromkeys(("flops", "moved_bytes", "least_sec", "of_limit", "bound"))
        return {**unknown, "host_sec": host_sec, "limit_reason": str(error)}
    point = measure.roofline_point(flops, moved, statistics.median(values), ceilings, host_sec)
    return {"flops": flops, "moved_bytes": moved, **asdict(point)}


def limit_reason(parent: DenseModel) -> str | None:
    """Why no time of a model can stand under the roofline, or None."""
    try:
        prefill_traffic(parent.checkpoint.architecture, batch=1, prompt_tokens=1)
    except UnsupportedModelError as error:
        return str(error)
    return None


def _work_of(
    parent: DenseModel, network: Variant, work: measure.Workload, quantity: str
) -> tuple[float, float]:
    """FLOPs and moved bytes of reading one batch (`ttft`), or of one step."""
    architecture, width = parent.checkpoint.architecture, parent.widths(network)
    dtype = parent.stored_dtype
    new, flops, moved = work.new_tokens, 0, 0
    for rows, length in work.batches:
        if quantity == "ttft":
            part = prefill_traffic(
                architecture, width, batch=rows, prompt_tokens=length, dtype=dtype
            )
        else:
            part = decode_traffic(
                architecture, width, batch=rows, context=length, steps=new - 1, dtype=dtype
            )
        flops += part.flops
        moved += part.num_bytes
    times = len(work.batches) * (1 if quantity == "ttft" else new - 1)
    return flops / times, moved / times


def workload_fields(work: measure.Workload) -> dict[str, Any]:
    """The settings of a record that describe its workload."""
    return {
        "workload": work.name,
        "prompts": len(work.prompt_tokens),
        "prompt_tokens": [min(work.prompt_tokens), max(work.prompt_tokens)],
        "new_tokens": work.new_tokens,
        "batch": work.batch,
    }


def missing_fields(work: measure.Workload, weight_bytes: int) -> dict[str, Any]:
    """The settings of a record whose workload was not done."""
    unknown = ("decoding", "decoding_reason", "ceilings", "meter", "intensity")
    return {**workload_fields(work), "weight_bytes": weight_bytes, **dict.fromkeys(unknown)}


def load_fields(states: Sequence[measure.Conditions]) -> dict[str, Any]:
    """The settings of a record that say whether the machine had other work in any round."""
    loads = [state.load for state in states if state.load is not None]
    return {"load": max(loads, default=None), "is_busy": any(state.is_busy for state in states)}


def environment_fields(cost: measure.Cost, instruments: Instruments) -> dict[str, Any]:
    """The settings of a record that say how it was measured."""
    meter, intensity = instruments.meter, instruments.intensity
    states = [r.conditions for r in cost.rounds]
    clocks = [state.clock_mhz for state in states if state.clock_mhz is not None]
    heats = [state.temperature_c for state in states if state.temperature_c is not None]
    return {
        **workload_fields(cost.workload),
        "weight_bytes": cost.weight_bytes,
        **asdict(cost.setting),
        "decoding": cost.decoding,
        "decoding_reason": cost.decoding_reason,
        "clock_mhz": statistics.median(clocks) if clocks else None,
        "temperature_c": max(heats, default=None),
        **load_fields(states),
        "ceilings": asdict(instruments.ceilings),
        "meter": None if not isinstance(meter, measure.Meter) else [meter.source, meter.scope],
        "intensity": None if intensity is None else asdict(intensity),
    }
