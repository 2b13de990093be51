"""What llama.cpp does in a second with GGUF files, side by side: a record a file and a rate."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import __version__, measure
from ..assets import gguf_digest, gguf_facts
from ..cut.checkpoint import resolve_model
from ..errors import RunError
from ..runs import ProgressCallback, Run, WorkUnit
from ..stats import joined, median_with_error
from .cell_study import CellStudy
from .cost_settings import check_turns
from .quantities import FILE_RATES, load_fields, workload_fields
from .records import Record, cell_address
from .variant import DENSE

RUNTIME = "llama.cpp"


@dataclass(frozen=True, kw_only=True)
class FileCostSettings:
    """Everything that fixes the numbers of a comparison of files.

    Attributes:
        models: GGUF files, or names of models that are one; ratios are to the first.
        workloads: Workloads of one prompt (`"512x32"`).
        rounds: Rounds of each workload, at least 5.
        seed: Seed of prompts and of the order of files.

    Raises:
        RunError: No file, a file twice, no workload, one of several prompts, or too few rounds.
    """

    models: tuple[str, ...]
    workloads: tuple[str, ...] = ("512x32",)
    rounds: int = measure.LEAST_ROUNDS
    seed: int = 0

    def __post_init__(self) -> None:
        check_turns("file", self.models, self.workloads, self.rounds)
        self.timed  # noqa: B018  read, so that it is looked at

    @property
    def timed(self) -> tuple[measure.Workload, ...]:
        """The workloads."""
        works = map(measure.single_prompt, self.workloads)
        return tuple({work.name: work for work in works}.values())


class FileCostStudy(CellStudy):
    """Has llama.cpp do the workloads that are missing, one after the other.

    Args:
        folder: Where records go; one that holds a part of this comparison is continued.
        settings: Settings of the comparison.
        on_record: Called with each record, those from an earlier run first.
        on_progress: Called with the share of this run that is done (0 to 1), and what is done now.

    Raises:
        RunError: A model is a folder and no GGUF file.
    """

    def __init__(
        self,
        folder: str | Path,
        settings: FileCostSettings,
        *,
        on_record: Callable[[Record], None] = lambda _: None,
        on_progress: ProgressCallback = lambda *_: None,
    ) -> None:
        super().__init__(folder, (), on_record)
        self.settings = settings
        self._on_progress = on_progress

    @cached_property
    def files(self) -> dict[str, Path]:
        """The files by what records call them: their names, or as asked for where two have one."""
        sources = {model: resolve_model(model) for model in self.settings.models}
        for model, source in sources.items():
            if source.gguf is None:
                raise RunError(
                    f"{RUNTIME} is timed with .gguf files, and {model} is a folder: widthwise "
                    f"export {model} -o {Path(model).name}.gguf writes one"
                )
        names = [source.name for source in sources.values()]
        return {
            source.name if names.count(source.name) == 1 else model: source.found
            for model, source in sources.items()
        }

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {name: gguf_digest(path) for name, path in self.files.items()}

    @cached_property
    def _llama(self) -> measure.LlamaCpp:
        return measure.find_llama_cpp()

    def _begin(self) -> None:
        self._llama  # noqa: B018  where there is none, it is said first
        for path in self.files.values():
            gguf_facts(path)  # raises of what is no such file
        self._on_progress(0.0, "reading the files")
        asked = {
            **asdict(self.settings),
            "runtime": RUNTIME,
            "threads": self._llama.threads,
            "weights": list(self._digests.values()),
            **dict.fromkeys(("dtype", "device")),  # those of the files, and llama.cpp's own
        }
        agreed = self.store.agree_on(json.loads(json.dumps(asked)), choosing=("workloads",))
        self.store.begin(agreed, [self._keys(work) for work in self.settings.timed])
        self.store.tell()

    def _measure(self) -> None:
        units = [
            WorkUnit(keys=tuple(self._keys(work)), label=work.name, work=work)
            for work in self.settings.timed
        ]
        run = Run(units, self.store, retry_failed=self._retry_failed)
        run.do_here(self._time, self._on_progress)
        self._on_progress(1.0, "done")

    def _time(self, unit: WorkUnit, report: ProgressCallback) -> None:
        work: measure.Workload = unit.work
        rounds = self.settings.rounds
        steps, start = len(self.files) * (rounds + 1), time.perf_counter()
        costs = measure.time_files(
            self.files,
            work,
            rounds=rounds,
            seed=self.settings.seed,
            llama=self._llama,
            on_step=lambda done: report(done / steps, f"{work.name}: {RUNTIME}, all in turn"),
        )
        seconds = (time.perf_counter() - start) / (len(costs) * len(FILE_RATES))
        records = [
            self._record(name, cost, rate, seconds)
            for name, cost in costs.items()
            for rate in FILE_RATES
        ]
        self.store.add(records)

    def _keys(self, work: measure.Workload) -> list[str]:
        return [self._key(name, work, rate) for name in self.files for rate in FILE_RATES]

    def _key(self, name: str, work: measure.Workload, rate: str) -> str:
        """Content address of a cell: the file, and the company that it was measured in."""
        settings = {**asdict(self.settings), "workloads": None, "models": list(self.files)}
        company = [*self._digests.values()]
        parts = [name, company, settings, asdict(work), rate, self._llama.threads, __version__]
        return cell_address(parts)

    def _record(self, name: str, cost: measure.FileCost, rate: str, seconds: float) -> Record:
        """How many tokens a second a file does of one kind."""
        facts, values = cost.facts, tuple(getattr(each, rate) for each in cost.rounds)
        median = median_with_error(values, seed=self.settings.seed) if values else None
        return Record(
            cell=self._key(name, cost.workload, rate),
            model=name,
            criterion=DENSE.criterion,
            asked=DENSE.asked,
            width=facts.width,
            expansion_ratio=facts.width / facts.hidden_size if facts.hidden_size else 0.0,
            quantity=f"{cost.workload.name} {rate}",
            unit=FILE_RATES[rate],
            value=median.value if median else None,
            standard_error=median.standard_error if median else None,
            n=len(values),
            higher_is_better=True,
            items=values,
            reason=cost.reason,
            duration_sec=seconds,
            settings={**self._fields(name, cost), **workload_fields(cost.workload)},
        )

    def _fields(self, name: str, cost: measure.FileCost) -> dict[str, Any]:
        """The settings of a record that say how it was measured."""
        return {
            "runtime": RUNTIME,
            "build": joined(sorted({each.build for each in cost.rounds})) or None,
            "device": joined(sorted({each.device for each in cost.rounds})) or None,
            "threads": cost.llama.threads,
            "file_type": cost.facts.file_type,
            "weight_bytes": cost.file.stat().st_size,
            "weights": self._digests[name],
            **load_fields([each.conditions for each in cost.rounds]),
            "seed": self.settings.seed,
            "widthwise": __version__,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        }
