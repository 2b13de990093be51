"""What models and widths cost, side by side: each workload in turn, a record a quantity."""

from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import __version__, measure
from ..arch import decode_traffic, prefill_traffic
from ..errors import RunError
from ..prune import apply
from ..stats import median_with_error
from .folder import RECORDS, agreed_settings, locked, write_settings
from .parent import Network, Parent, checked_device, default_device, default_dtype
from .records import Record, append, load

_STEPS = (4, 8, 16, 64, 128)  # multiples that kernels and their tiles care for
QUANTITIES = {  # of every workload, and their units
    "ttft": "sec",
    "tpot": "sec",
    "throughput": "tokens_per_sec",
    "joules": "joules_per_token",
    "net_joules": "joules_per_token",
    "allocated": "bytes",
    "resident": "bytes",
}

Progress = Callable[[float, str], None]


@dataclass(frozen=True, kw_only=True)
class CostSettings:
    """What fixes the numbers of a comparison.

    Attributes:
        models: As `locate` takes them; ratios are to the first.
        widths: Expansion ratios (`"2.4x"`), shares to remove (`"40%"`) or neurons (`"7373"`) that
            each model is cut to as well, by `ppm`.
        around: This width and its neighbours, as far as each model is wider; None for none.
        workloads: As `measure.workloads_of` takes them.
        rounds: Of each workload, at least 5.
        seed: Of prompts and of the order of models.
        data: Folder of the documents of the paper's workloads; None for the hub.
        energy: Whether joules are measured where there is a meter, 6 s for each round.
        dtype: None for the faster of bfloat16 and float32 on this machine.
        device: `"cpu"`, `"cuda"` ...; None for CUDA where there is one.

    Raises:
        RunError: No model, a model twice, no workload, or too few rounds.
        TargetError: A width cannot be read.
    """

    models: tuple[str, ...]
    widths: tuple[str, ...] = ()
    around: int | None = None
    workloads: tuple[str, ...] = ("512x32",)
    rounds: int = measure.LEAST_ROUNDS
    seed: int = 0
    data: str | None = None
    energy: bool = True
    dtype: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        if not self.models or len(set(self.models)) < len(self.models):
            given = ", ".join(self.models) or "none"
            raise RunError(f"costs are compared of one model or more, each once; got {given}")
        if self.rounds < measure.LEAST_ROUNDS or not self.workloads:
            raise RunError(
                f"costs take at least {measure.LEAST_ROUNDS} rounds and one workload; "
                f"got {self.rounds} and {len(self.workloads)}"
            )
        for asked in self.widths:
            Network("ppm", asked).target  # noqa: B018  read, so that it is looked at


def around(width: int) -> tuple[int, ...]:
    """A width and its neighbours: the multiples of 4, 8, 16, 64 and 128 just below and above.

    >>> around(7373)
    (7296, 7360, 7368, 7372, 7373, 7376, 7424)
    """
    near = {width // step * step for step in _STEPS} | {-(-width // step) * step for step in _STEPS}
    return tuple(sorted(w for w in near | {width} if w > 0))


class CostStudy:
    """Runs the workloads that are not yet measured, one after the other.

    All models and widths are held in memory at once, as a round visits each of them.

    Args:
        folder: Where records go; one that holds a part of this comparison is gone on with.
        settings: What to measure.
        on_record: Called with each record, those from an earlier run first.
        on_progress: Called with the share of the work done (0 to 1) and what is being done.
    """

    def __init__(
        self,
        folder: Path,
        settings: CostSettings,
        *,
        on_record: Callable[[Record], None] = lambda _: None,
        on_progress: Progress = lambda *_: None,
    ) -> None:
        self.folder = folder
        self.settings = settings
        self.records: dict[str, Record] = {}
        device = checked_device(settings.device or default_device())
        self.parents = tuple(
            Parent(model, dtype=settings.dtype, device=device, seed=settings.seed)
            for model in settings.models
        )
        self._on_record = on_record
        self._on_progress = on_progress

    @cached_property
    def entries(self) -> tuple[tuple[Parent, Network], ...]:
        """Each model dense, then from wide to narrow; a width of two names comes once."""
        found = []
        for parent in self.parents:
            own = parent.checkpoint.architecture.intermediate_size
            near = around(self.settings.around) if self.settings.around else ()
            asked = [*self.settings.widths, *(str(width) for width in near if width < own)]
            cut = {parent.width(Network("ppm", text)): Network("ppm", text) for text in asked}
            found.append((parent, Network(None, "dense")))
            found += [(parent, cut[width]) for width in sorted(cut, reverse=True) if width != own]
        return tuple(found)

    @cached_property
    def workloads(self) -> tuple[measure.Workload, ...]:
        """Those of the settings; the first model's tokenizer gives real prompts their lengths."""
        named = set(self.settings.workloads) & {"paper", *measure.NAMED}
        data = self.settings.data
        return measure.workloads_of(
            self.settings.workloads,
            self.parents[0].tokenizer if named else None,
            data=Path(data) if data else None,
            seed=self.settings.seed,
        )

    def _name(self, parent: Parent) -> str:
        """What a record calls a model: as asked for where two have one name."""
        names = [other.checkpoint.name for other in self.parents]
        own = parent.checkpoint.name
        return own if names.count(own) == 1 else parent.model

    def run(self) -> list[Record]:
        """Measure what is missing and return all records."""
        with locked(self.folder):
            self._on_progress(0.0, "finding the models, fetched at first use")
            self._begin()
            missing = [work for work in self.workloads if not self._is_measured(work)]
            if missing:
                self._measure(missing)
            self._on_progress(1.0, "done")
        return list(self.records.values())

    def _begin(self) -> None:
        """Agree with the folder on the settings, and take its records up."""
        self.entries, self.workloads  # noqa: B018  what is out of range is said before any work
        prints = [parent.digest for parent in self.parents]
        asked = {"widthwise": __version__, **asdict(self.settings), "weights": prints}
        begun = agreed_settings(self.folder, json.loads(json.dumps(asked)))
        device = begun["device"] or self.parents[0].device
        begun |= {"device": device, "dtype": begun["dtype"] or default_dtype(device)}
        for parent in self.parents:
            parent.device, parent.dtype = checked_device(device), begun["dtype"]
        write_settings(self.folder, begun)
        known = {record.cell: record for record in load(self.folder / RECORDS)}
        for parent, network in self.entries:
            for work in self.workloads:
                for quantity in QUANTITIES:
                    key = self._key(parent, network, work, quantity)
                    if key in known:
                        self.records[key] = known[key]
        for record in self.records.values():
            self._on_record(record)

    def _is_measured(self, work: measure.Workload) -> bool:
        """Whether every cell of a workload has its time, or a reason that will not go away."""
        keys = [self._key(parent, network, work, "ttft") for parent, network in self.entries]
        return all(key in self.records for key in keys)

    def _measure(self, missing: Sequence[measure.Workload]) -> None:
        """Load everything, and measure these workloads."""
        self._check_memory()
        self._on_progress(0.0, "ceilings of the device")
        ceilings = measure.measure_ceilings(self.parents[0].device, str(self.parents[0].dtype))
        models = {}
        for number, (parent, network) in enumerate(self.entries):
            self._on_progress(0.0, f"loading {parent.checkpoint.name}, {network.label}")
            plan = parent.plan(network)
            models[str(number)] = apply(parent.dense, plan) if plan else parent.dense
        meter = measure.find_meter(self.parents[0].device) if self.settings.energy else None
        if isinstance(meter, measure.Meter):
            self._on_progress(0.0, "power at rest")
            meter.idle()
        steps = len(models) * (self.settings.rounds + 1)
        for number, work in enumerate(missing):
            start = time.perf_counter()
            costs = measure.measure_costs(
                models,
                [work],
                rounds=self.settings.rounds,
                seed=self.settings.seed,
                meter=meter,
                on_step=lambda done, number=number, work=work: self._on_progress(  # type: ignore[misc]
                    (number + done / steps) / len(missing), f"{work.name}: all in turn"
                ),
            )
            seconds = (time.perf_counter() - start) / (len(costs) * len(QUANTITIES))
            for (parent, network), cost in zip(self.entries, costs, strict=True):
                self._store(parent, network, cost, ceilings, meter, seconds)

    def _store(
        self,
        parent: Parent,
        network: Network,
        cost: measure.Cost,
        ceilings: measure.Ceilings,
        meter: measure.Meter | measure.Unavailable | None,
        seconds: float,
    ) -> None:
        """All quantities of a cell, in one write."""
        records = []
        for quantity, unit in QUANTITIES.items():
            values, reason = _values(cost, quantity, meter)
            median = median_with_error(values, seed=self.settings.seed) if values else None
            record = parent.record(
                network,
                cell=self._key(parent, network, cost.workload, quantity),
                model=self._name(parent),
                quantity=f"{cost.workload.name} {quantity}",
                unit=unit,
                value=median.value if median else None,
                standard_error=median.standard_error if median else None,
                n=len(values),
                higher_is_better=quantity == "throughput",
                items=values,
                reason=reason,
                duration_sec=seconds,
                settings={
                    **_described(cost, ceilings, meter),
                    **_placed(parent, network, cost, quantity, values, ceilings),
                },
            )
            records.append(record)
        append(self.folder / RECORDS, records)
        for record in records:
            self.records[record.cell] = record
            self._on_record(record)

    def _key(self, parent: Parent, network: Network, work: measure.Workload, quantity: str) -> str:
        """Content address of a cell: everything that fixes what is measured."""
        place = (parent.digest, parent.model, network.criterion, network.asked)
        settings = {**asdict(self.settings), "dtype": parent.dtype, "device": parent.device}
        text = json.dumps([*place, settings, asdict(work), quantity, __version__])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _check_memory(self) -> None:
        """Raise RunError when all models and widths cannot be held at once."""
        device = self.parents[0].device
        needed = sum(parent.weight_bytes(network) for parent, network in self.entries)
        if needed >= (free := measure.free_bytes(device)):
            raise RunError(
                f"to visit all models in turn takes {needed:,} bytes of memory; {free:,} are free "
                f"on {device}: compare fewer at once"
            )


def _values(
    cost: measure.Cost, quantity: str, meter: measure.Meter | measure.Unavailable | None
) -> tuple[tuple[float, ...], str | None]:
    """Value of each round, or none and the reason."""
    if cost.reason is not None:
        return (), cost.reason
    if quantity in ("allocated", "resident"):
        size = getattr(cost.working, f"{quantity}_bytes")
        return ((float(size),), None) if size is not None else ((), f"{cost.device} keeps no count")
    if quantity in ("joules", "net_joules"):
        if not isinstance(meter, measure.Meter):
            return (), meter.reason if meter else "energy was not asked for"
        name = "gross" if quantity == "joules" else "net"
        found = [(getattr(r.energy, name), r.energy and r.energy.reason) for r in cost.rounds]
        lacking = next((reason for value, reason in found if value is None), None)
        return ((), lacking) if lacking else (tuple(value for value, _ in found), None)
    name = {"ttft": "first_sec", "tpot": "next_sec", "throughput": "tokens_per_sec"}[quantity]
    values = [getattr(r, name) for r in cost.rounds]
    if None in values:
        return (), "a single new token has no next one"
    return tuple(values), None


def _placed(
    parent: Parent,
    network: Network,
    cost: measure.Cost,
    quantity: str,
    values: Sequence[float],
    ceilings: measure.Ceilings,
) -> dict[str, Any]:
    """Where a time stands under the roofline; nothing for what is no time."""
    if quantity not in ("ttft", "tpot") or not values:
        return {}
    architecture, width = parent.checkpoint.architecture, parent.width(network)
    dtype = parent.stored_dtype
    new, flops, moved = cost.workload.new_tokens, 0, 0
    for rows, length in cost.workload.batches:
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
    times = len(cost.workload.batches) * (1 if quantity == "ttft" else new - 1)
    middle = statistics.median(values)
    place = measure.place(flops / times, moved / times, middle, ceilings)
    return {"flops": flops / times, "moved_bytes": moved / times, **asdict(place)}


def _described(
    cost: measure.Cost,
    ceilings: measure.Ceilings,
    meter: measure.Meter | measure.Unavailable | None,
) -> dict[str, Any]:
    """What else a record says of how it was measured."""
    work, states = cost.workload, [r.conditions for r in cost.rounds]
    clocks = [state.clock_mhz for state in states if state.clock_mhz is not None]
    heats = [state.temperature_c for state in states if state.temperature_c is not None]
    loads = [state.load for state in states if state.load is not None]
    return {
        "workload": work.name,
        "prompts": len(work.prompt_tokens),
        "prompt_tokens": [min(work.prompt_tokens), max(work.prompt_tokens)],
        "new_tokens": work.new_tokens,
        "batch": work.batch,
        "weight_bytes": cost.weight_bytes,
        "clock_mhz": statistics.median(clocks) if clocks else None,
        "temperature_c": max(heats, default=None),
        "load": max(loads, default=None),
        "is_busy": any(state.is_busy for state in states),
        "ceilings": asdict(ceilings),
        "meter": None if not isinstance(meter, measure.Meter) else [meter.source, meter.scope],
    }
