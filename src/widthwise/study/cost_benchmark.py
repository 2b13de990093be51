"""Times workloads on all widths of some models in turn, and makes records of what they cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from .. import __version__, measure
from ..cut import check_finite
from ..cut.checkpoint import check_causal_class
from ..errors import CheckpointError, RunError
from ..io import free_bytes
from ..notices import notice
from ..stats import median_with_error
from .cost_settings import CostSettings, neighbour_widths
from .dense_model import DenseModel
from .quantities import (
    Instruments,
    Measured,
    environment_fields,
    limit_reason,
    missing_fields,
    quantities_of,
    roofline_fields,
    values_of,
)
from .records import Record, cell_address
from .variant import DENSE, Variant

OnShare = Callable[[float, str], None]
_NO_HOST_TIME = measure.HostTime(prefill_sec=None, step_sec=None, reason="nothing was measured")
_STAND_IN = "ppm"  # chooses the neurons that are timed where calibration would: costs are the same


class CostBenchmark:
    """The workloads of a comparison, and the models that they are timed on.

    All models and widths are held in memory at once, as a round visits each of them.

    Args:
        parents: The models, in the order of the settings; their dtype and device must be set
            before anything is measured.
        settings: Settings of the comparison.
    """

    def __init__(self, parents: Sequence[DenseModel], settings: CostSettings) -> None:
        self.parents = tuple(parents)
        self.settings = settings
        self.quantities = quantities_of(settings)

    @cached_property
    def entries(self) -> tuple[tuple[DenseModel, Variant], ...]:
        """Each model dense, then from wide to narrow; a width of two names comes once."""
        entries: list[tuple[DenseModel, Variant]] = []
        for parent in self.parents:
            cut: dict[tuple[int, ...], Variant] = {}
            for network in self._cut_networks(parent):
                cut.setdefault(parent.widths(network), network)
            dense = parent.checkpoint.architecture.dense_widths
            entries.append((parent, DENSE))
            entries += [(parent, cut[w]) for w in sorted(cut, reverse=True) if w != dense]
        return tuple(entries)

    def _cut_networks(self, parent: DenseModel) -> list[Variant]:
        """All widths of a model, those that were asked for by name first."""
        parent.refuse_early(self.settings.widths)
        dense = parent.checkpoint.architecture.intermediate_size
        middle = self.settings.around
        near = neighbour_widths(middle) if middle is not None and middle < dense else ()
        widths = [*self.settings.widths, *(str(width) for width in near if width < dense)]
        return [Variant(self.settings.criterion, width) for width in widths]

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on widths that stand in a row of another name, on weights that are held in
        another dtype than they are stored in, and on models whose limit is not known."""
        notes = []
        for parent in self.parents:
            if (reason := limit_reason(parent)) is not None:
                notes.append(
                    f"{self._name(parent)}: how far its times are from the limit of the device is "
                    f"not known: {reason}"
                )
            stored = {tensor.spec.dtype for tensor in parent.checkpoint.tensors.values()}
            if parent.dtype is not None and stored != {parent.stored_dtype}:
                notes.append(
                    f"{self._name(parent)}: weights are held in {parent.dtype} here (--dtype), and "
                    f"stored as {', '.join(sorted(stored))}"
                )
            rows = {parent.widths(n): n.label for p, n in self.entries if p is parent}
            for network in (
                Variant(self.settings.criterion, text) for text in self.settings.widths
            ):
                widths, name = parent.widths(network), self._name(parent)
                if rows[widths] != network.label:
                    notes.append(
                        f"{name}: {network.label} is {widths[0]} neurons wide, as is {rows[widths]}"
                    )
        return tuple(notes)

    def check(self) -> None:
        """Look at everything that can be said before any work.

        Raises:
            RunError: No model is wider than the width to look around; a workload or a country
                cannot be had.
            UnsupportedModelError: A model does not continue texts; or blocks are to be timed alone,
                of a model that has not one block of one width in every layer.
        """
        self.entries, self.workloads, self.intensity  # noqa: B018
        for parent in self.parents:
            check_causal_class(parent.checkpoint)
        middle = self.settings.around
        widest = max(p.checkpoint.architecture.intermediate_size for p in self.parents)
        if middle is not None and middle >= widest:
            raise RunError(f"--around must be below the model's {widest} neurons; got {middle}")
        for parent in self.parents if middle is not None else ():
            parent.checkpoint.architecture.refuse_unless_uniform("timing blocks alone (--around)")

    @cached_property
    def workloads(self) -> tuple[measure.Workload, ...]:
        """Those of the settings; the first model's tokenizer gives real prompts their lengths."""
        first = self._workloads(self.settings.workloads, self.settings.seed)
        named = tuple(w for w in self.settings.workloads if w in ("paper", *measure.NAMED))
        more = [
            replace(work, name=f"{work.name}~{seed}")
            for seed in self.settings.prompt_seeds
            if named
            for work in self._workloads(named, seed)
        ]
        return (*first, *more)

    def _workloads(self, names: Sequence[str], seed: int) -> tuple[measure.Workload, ...]:
        real = any(name in ("paper", *measure.NAMED) for name in names)
        data = self.settings.data
        return measure.workloads_of(
            names,
            self.parents[0].tokenizer if real else None,
            data=Path(data) if data else None,
            seed=seed,
        )

    @cached_property
    def intensity(self) -> measure.Intensity | None:
        country = self.settings.country
        return None if country is None else measure.carbon_intensity(country)

    def _name(self, parent: DenseModel) -> str:
        """Name of a model in records: as asked for where two have one name."""
        names = [other.name for other in self.parents]
        return parent.name if names.count(parent.name) == 1 else parent.model

    def keys(self, work: measure.Workload) -> list[str]:
        """Keys of all cells of a workload, in the order of the table."""
        return [
            self.key(parent, network, work, quantity)
            for parent, network in self.entries
            for quantity in self.quantities
        ]

    @cached_property
    def _models(self) -> Mapping[str, Any]:
        """By name, all in memory."""
        self._check_memory()
        for parent in self.parents:
            self._say_if_not_finite(parent)
        return {
            f"{self._name(parent)}, {network.label}": parent.cut(_timed(network))
            for parent, network in self.entries
        }

    def _say_if_not_finite(self, parent: DenseModel) -> None:
        """Give a notice of a model that can be timed, and that gives no answers."""
        try:
            for name, weight in parent.dense.named_parameters():
                check_finite(weight.detach(), name)
        except CheckpointError as error:
            notice(
                f"Note: {self._name(parent)} is damaged: {error}; its times are as those of any "
                "weights, and it gives no answers"
            )

    @cached_property
    def _instruments(self) -> Instruments:
        device, dtype = self.parents[0].device, str(self.parents[0].dtype)
        ceilings = measure.measure_peak_rates(device, dtype)
        meter = measure.open_meter(device) if self.settings.energy else None
        if isinstance(meter, measure.Meter):
            meter.idle()
        return Instruments(ceilings=ceilings, meter=meter, intensity=self.intensity)

    def records_of(
        self, work: measure.Workload, on_share: OnShare = lambda *_: None
    ) -> list[Record]:
        """All quantities of a workload, of all models and widths.

        Raises:
            RunError: All models and widths do not fit into memory together.
        """
        on_share(0.0, "loading all widths")
        models = self._models
        on_share(0.0, "limits of the device")
        instruments = self._instruments
        start = time.perf_counter()
        rounds, seed = self.settings.rounds, self.settings.seed
        on_share(0.0, f"{work.name}: attention and threads")
        steps = len(models) * (rounds + 1)
        costs = measure.measure_costs(
            models,
            [work],
            rounds=rounds,
            seed=seed,
            meter=instruments.meter,
            on_step=lambda done: on_share(done / steps, f"{work.name}: all in turn"),
        )
        blocks: Sequence[measure.BlockCost | None] = [None] * len(costs)
        with measure.applied(costs[0].setting, models.values()):
            done = {p for (p, _), cost in zip(self.entries, costs, strict=True) if cost.rounds}
            hosts = {
                p: measure.host_time(p.dense, work) if p in done else _NO_HOST_TIME
                for p in self.parents
            }
            if self.settings.around is not None:
                on_share(1.0, f"{work.name}: GLU blocks alone")
                blocks = measure.measure_blocks(models, work, rounds=rounds, seed=seed)
        seconds = (time.perf_counter() - start) / (len(costs) * len(self.quantities))
        results = [
            Measured(cost=cost, block=block, host=hosts[parent], seconds=seconds)
            for (parent, _), cost, block in zip(self.entries, costs, blocks, strict=True)
        ]
        return [
            self._record(*entry, quantity, measured)
            for entry, measured in zip(self.entries, results, strict=True)
            for quantity in self.quantities
        ]

    def missed(self, work: measure.Workload, reason: str) -> list[Record]:
        """Records of a workload that could not be measured at all."""
        return [
            parent.record(
                network,
                cell=self.key(parent, network, work, quantity),
                model=self._name(parent),
                quantity=f"{work.name} {quantity}",
                unit=unit,
                value=None,
                n=0,
                reason=reason,
                settings=missing_fields(work, parent.weight_bytes(network)),
            )
            for parent, network in self.entries
            for quantity, unit in self.quantities.items()
        ]

    def _record(
        self,
        parent: DenseModel,
        network: Variant,
        quantity: str,
        measured: Measured,
    ) -> Record:
        """One quantity of a cell."""
        work, instruments = measured.cost.workload, self._instruments
        values, reason = values_of(quantity, measured, instruments)
        median = median_with_error(values, seed=self.settings.seed) if values else None
        roofline = roofline_fields(
            parent, network, measured, quantity, values, instruments.ceilings
        )
        return parent.record(
            network,
            cell=self.key(parent, network, work, quantity),
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
            settings={
                **environment_fields(measured.cost, instruments),
                **roofline,
                **_chosen(network),
            },
        )

    def key(
        self, parent: DenseModel, network: Variant, work: measure.Workload, quantity: str
    ) -> str:
        """Content address of a cell: everything that fixes what is measured.

        Ratios are formed within a round, so the company that a network was measured in is a part
        of it; other workloads are not.
        """
        settings = {**asdict(self.settings), "workloads": None, "data": None}
        settings |= {"dtype": parent.dtype, "device": parent.device.partition(":")[0]}
        company = [(other.digest, self._name(other)) for other in self.parents]
        variant = (parent.digest, self._name(parent), network.criterion, network.asked)
        parts = [*variant, company, settings, _fields(work), quantity, __version__]
        return cell_address(parts)

    def _check_memory(self) -> None:
        """Raise RunError when all models and widths cannot be held at once."""
        device = self.parents[0].device
        needed = sum(parent.weight_bytes(network) for parent, network in self.entries)
        if needed >= (free := free_bytes(device)):
            raise RunError(
                f"to measure all models together takes {needed:,} bytes of memory, but only "
                f"{free:,} are free on {device}: measure fewer models at once"
            )


@lru_cache(maxsize=64)
def _fields(work: measure.Workload) -> dict[str, Any]:
    """A workload as plain values; of a large batch made once, and not for each of its cells."""
    return asdict(work)


def _timed(network: Variant) -> Variant:
    """A network of the same width; where calibration text decides, one that weights alone do."""
    return Variant(_STAND_IN, network.asked) if network.is_calibrated else network


def _chosen(network: Variant) -> dict[str, str]:
    """The setting of a record whose neurons are not those of the criterion."""
    return {"timed_neurons": _STAND_IN} if network.is_calibrated else {}
