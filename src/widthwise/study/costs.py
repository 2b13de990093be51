"""What models and widths cost, side by side: each workload in turn, a record a quantity."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import __version__, measure
from ..errors import RunError
from ..prune import apply
from ..stats import median_with_error
from .cost_settings import CostSettings, around
from .folder import RECORDS, agreed_settings, locked, write_settings
from .parent import Network, Parent, checked_device, default_device, default_dtype
from .quantities import Instruments, Measured, described, placed, quantities_of, values_of
from .records import Record, append, load

Progress = Callable[[float, str], None]


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
        self.quantities = quantities_of(settings)
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
        found: list[tuple[Parent, Network]] = []
        for parent in self.parents:
            cut: dict[int, Network] = {}
            for network in self._asked(parent):
                cut.setdefault(parent.width(network), network)
            own = parent.checkpoint.architecture.intermediate_size
            found.append((parent, Network(None, "dense")))
            found += [(parent, cut[width]) for width in sorted(cut, reverse=True) if width != own]
        return tuple(found)

    def _asked(self, parent: Parent) -> list[Network]:
        """All widths of a model, those that were asked for by name first."""
        own = parent.checkpoint.architecture.intermediate_size
        middle = self.settings.around
        near = around(middle) if middle is not None and middle < own else ()
        asked = [*self.settings.widths, *(str(width) for width in near if width < own)]
        return [Network("ppm", text) for text in asked]

    @property
    def notes(self) -> tuple[str, ...]:
        """Which widths that were asked for stand in a row of another name."""
        notes = []
        for parent in self.parents:
            rows = {parent.width(n): n.label for p, n in self.entries if p is parent}
            for network in (Network("ppm", text) for text in self.settings.widths):
                width, name = parent.width(network), self._name(parent)
                if rows[width] != network.label:
                    notes.append(
                        f"{name}: {network.label} is {width} neurons wide, as is {rows[width]}"
                    )
        return tuple(notes)

    def _check_around(self) -> None:
        """Raise RunError when no model is wider than the width to look around."""
        middle = self.settings.around
        widest = max(p.checkpoint.architecture.intermediate_size for p in self.parents)
        if middle is not None and middle >= widest:
            raise RunError(f"--around must be below the model's {widest} neurons; got {middle}")

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

    @cached_property
    def _intensity(self) -> measure.Intensity | None:
        country = self.settings.country
        return None if country is None else measure.carbon_intensity(country)

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
            missing = [w for w in self.workloads if not self.records.keys() >= set(self._keys(w))]
            if missing:
                self._measure(missing)
            self._on_progress(1.0, "done")
        return list(self.records.values())

    def _begin(self) -> None:
        """Agree with the folder on the settings, and take its records up."""
        import torch

        # what cannot be is said before any work
        self._check_around()
        self.entries, self.workloads, self._intensity  # noqa: B018
        prints = [parent.digest for parent in self.parents]
        asked = {"widthwise": __version__, **asdict(self.settings), "weights": prints}
        asked["threads"] = torch.get_num_threads()
        begun = agreed_settings(self.folder, json.loads(json.dumps(asked)))
        device = begun["device"] or self.parents[0].device
        begun |= {"device": device, "dtype": begun["dtype"] or default_dtype(device)}
        for parent in self.parents:
            parent.device, parent.dtype = checked_device(device), begun["dtype"]
        write_settings(self.folder, begun)
        known = {record.cell: record for record in load(self.folder / RECORDS)}
        for work in self.workloads:
            keys = self._keys(work)
            if known.keys() >= set(keys):  # a part of a workload is measured again, as a whole
                self.records |= {key: known[key] for key in keys}
        for record in self.records.values():
            self._on_record(record)

    def _keys(self, work: measure.Workload) -> list[str]:
        """Of all cells of a workload, in the order of the table."""
        return [
            self._key(parent, network, work, quantity)
            for parent, network in self.entries
            for quantity in self.quantities
        ]

    def _measure(self, missing: Sequence[measure.Workload]) -> None:
        """Load everything, and measure these workloads."""
        self._check_memory()
        self._on_progress(0.0, "ceilings of the device")
        device, dtype = self.parents[0].device, str(self.parents[0].dtype)
        ceilings = measure.measure_ceilings(device, dtype)
        models = {}
        for parent, network in self.entries:
            name = f"{self._name(parent)}, {network.label}"
            self._on_progress(0.0, f"loading {name}")
            plan = parent.plan(network)
            models[name] = apply(parent.dense, plan) if plan else parent.dense
        meter = measure.find_meter(device) if self.settings.energy else None
        if isinstance(meter, measure.Meter):
            self._on_progress(0.0, "power at rest")
            meter.idle()
        instruments = Instruments(ceilings=ceilings, meter=meter, intensity=self._intensity)
        for number, work in enumerate(missing):
            self._on_progress(number / len(missing), f"{work.name}: attention and threads")
            self._measure_one(models, work, instruments, number / len(missing), 1 / len(missing))

    def _measure_one(
        self,
        models: Mapping[str, Any],
        work: measure.Workload,
        instruments: Instruments,
        begun: float,
        share: float,
    ) -> None:
        """Measure a workload, a `share` of all the work of which `begun` is done, and store it."""
        start = time.perf_counter()
        rounds, seed = self.settings.rounds, self.settings.seed
        steps = len(models) * (rounds + 1)

        def on_step(done: int) -> None:
            self._on_progress(begun + share * done / steps, f"{work.name}: all in turn")

        meter = instruments.meter
        costs = measure.measure_costs(
            models, [work], rounds=rounds, seed=seed, meter=meter, on_step=on_step
        )
        blocks: Sequence[measure.BlockCost | None] = [None] * len(costs)
        with measure.using(costs[0].setting, models.values()):
            hosts = {p: measure.host_time(p.dense, work) for p in self.parents}
            if self.settings.around is not None:
                self._on_progress(begun + share, f"{work.name}: GLU blocks alone")
                blocks = measure.measure_blocks(models, work, rounds=rounds, seed=seed)
        seconds = (time.perf_counter() - start) / (len(costs) * len(self.quantities))
        found = [
            Measured(cost=cost, block=block, host=hosts[parent], seconds=seconds)
            for (parent, _), cost, block in zip(self.entries, costs, blocks, strict=True)
        ]
        records = [
            self._record(*entry, quantity, measured, instruments)
            for entry, measured in zip(self.entries, found, strict=True)
            for quantity in self.quantities
        ]
        append(self.folder / RECORDS, records)  # a workload is written whole
        for record in records:
            self.records[record.cell] = record
            self._on_record(record)

    def _record(
        self,
        parent: Parent,
        network: Network,
        quantity: str,
        measured: Measured,
        instruments: Instruments,
    ) -> Record:
        """One quantity of a cell."""
        work = measured.cost.workload
        values, reason = values_of(quantity, measured, instruments)
        median = median_with_error(values, seed=self.settings.seed) if values else None
        place = placed(parent, network, measured, quantity, values, instruments.ceilings)
        return parent.record(
            network,
            cell=self._key(parent, network, work, quantity),
            model=self._name(parent),
            quantity=f"{work.name} {quantity}",
            unit=self.quantities[quantity],
            value=median.value if median else None,
            standard_error=median.standard_error if median else None,
            n=len(values),
            higher_is_better=quantity == "throughput",
            items=values,
            reason=reason,
            duration_sec=measured.seconds,
            settings={**described(measured.cost, instruments), **place},
        )

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
