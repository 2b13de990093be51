"""The main job as a study: one model at seven widths, what it knows and what it costs."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import __version__, evaluate, measure
from ..arch import counts_at, text_config
from ..errors import RunError
from ..prune import (
    Checkpoint,
    Plan,
    apply,
    fingerprint,
    loaded,
    locate,
    make_plan,
    prune_checkpoint,
)
from .folder import RECORDS, agreed_settings, locked, write_settings
from .records import Record, append, load

REMOVED = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)  # the paper's design, and its dense parent
CRITERIA = ("ppm", "random")
SPEED = ("prefill", "decode")
Progress = Callable[[float, str], None]


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """What fixes the numbers of a demo; the same settings give the same cells.

    Attributes:
        model: As `locate` takes it.
        items: Questions of each task, at most.
        passages: Prose passages, at most.
        seed: Of the samples of items, the `random` criterion and the order of timing.
        dtype: `"bfloat16"` or `"float32"`; None for the faster of the two on this machine.
        prompt_tokens: Of the prompt whose prefill is timed.
        new_tokens: Decoded one by one while timed.
        repeats: Rounds of timing.
    """

    model: str = "smollm2"
    items: int = 80
    passages: int = 60
    seed: int = 0
    dtype: str | None = None
    prompt_tokens: int = 256
    new_tokens: int = 32
    repeats: int = 7


@dataclass(frozen=True)
class Network:
    """A model at one width: the dense one has no criterion."""

    criterion: str | None
    asked: str

    @property
    def label(self) -> str:
        return f"{self.criterion} {self.asked}" if self.criterion else "dense"


class Demo:
    """Runs the cells of a demo that are not yet measured, one after the other.

    Args:
        folder: Where records are appended; a folder that holds a part of this demo is gone on with.
        settings: What to measure.
        on_record: Called with each record, those from an earlier run first.
        on_progress: Called with the share of the work done (0 to 1) and what is being done.

    Raises:
        RunError, OutputError: The folder holds something else, or is in use.
    """

    def __init__(
        self,
        folder: Path,
        settings: DemoSettings,
        *,
        on_record: Callable[[Record], None] = lambda _: None,
        on_progress: Progress = lambda *_: None,
    ) -> None:
        self.folder = folder
        self.settings = settings
        self._on_record = on_record
        self._on_progress = on_progress
        self._done: dict[str, Record] = {}
        self._spent = 0.0

    def run(self) -> list[Record]:
        """Measure what is missing and return all records."""
        with locked(self.folder):
            self._on_progress(0.0, "finding the model, fetched at first use")
            identity = {"weights": self._fingerprint, "widthwise": __version__}
            begun = agreed_settings(self.folder, {**asdict(self.settings), **identity})
            if begun["dtype"] is None:
                begun["dtype"] = measure.faster_dtype().name
            self.settings = replace(self.settings, dtype=begun["dtype"])
            self._on_progress(0.0, "finding the data, fetched at first use")
            self._check_model()
            write_settings(self.folder, begun)
            self._done = self._measured_before()
            for record in self._done.values():
                self._on_record(record)
            for network in self.networks:
                self._measure_quality(network)
            self._measure_speed()
            self._on_progress(1.0, "done")
        return list(self._done.values())

    def _check_model(self) -> None:
        """Raise RunError before anything is written when the model cannot be run on the data."""
        if not self._passages:
            raise RunError("no prose is left that no item shows; ask for fewer --items")
        words = len(self._tokenizer)
        vocabulary = text_config(self.checkpoint.config).get("vocab_size")
        if isinstance(vocabulary, int) and words > vocabulary:
            raise RunError(
                f"{self.checkpoint.path}: the tokenizer has {words} words, "
                f"the model's vocabulary {vocabulary}"
            )

    def _measured_before(self) -> dict[str, Record]:
        """Records of this demo's cells; those of another version of the code are left out."""
        quantities = ("parameters", "bytes", *self._costs, *SPEED)
        mine = {self._key(network, q) for network in self.networks for q in quantities}
        return {r.cell: r for r in load(self.folder / RECORDS) if r.cell in mine}

    @cached_property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint(*locate(self.settings.model))

    @property
    def networks(self) -> list[Network]:
        """Dense first, then from wide to narrow, each width with every criterion."""
        ratio = self.checkpoint.architecture.expansion_ratio
        asked = [f"{ratio * (1 - removed):.4g}x" for removed in REMOVED]
        return [Network(None, "dense"), *(Network(c, a) for a in asked for c in CRITERIA)]

    def plan(self, network: Network) -> Plan | None:
        """Which neurons a network keeps; None for the dense one."""
        if network.criterion is None:
            return None
        seed = self.settings.seed
        return make_plan(self._dense, to=network.asked, criterion=network.criterion, seed=seed)

    def _measure_quality(self, network: Network) -> None:
        """Counts, prose and every task of one network, as far as they are missing."""
        missing = [q for q in ("parameters", "bytes", *self._costs) if not self._has(network, q)]
        self._spent += sum(cost for q, cost in self._costs.items() if q not in missing)
        if not missing:
            return
        self._on_progress(self._share, f"{network.label}: choosing neurons")
        plan = self.plan(network)
        model = apply(self._dense, plan) if plan else self._dense
        counts = counts_at(self.checkpoint.architecture, plan.width if plan else None)
        exact = {
            "parameters": ("count", counts.parameters),
            "bytes": ("bytes", counts.weight_bytes),
        }
        for quantity in missing:
            if quantity in exact:
                unit, value = exact[quantity]
                fields: dict[str, Any] = {"unit": unit, "value": float(value), "n": 1}
            else:
                fields = self._score(network, model, quantity)
            self._store(network, counts.width, quantity, **fields)

    def keep_checkpoint(self, command: str) -> Path:
        """The mildest cut by the first criterion as a checkpoint in the folder, written once."""
        network = next(n for n in self.networks if n.criterion == CRITERIA[0])
        out = self.folder / f"{Path(self.checkpoint.name).name}-{network.asked}"
        if not (out / "config.json").exists():
            plan = make_plan(self.settings.model, to=network.asked, criterion=CRITERIA[0])
            prune_checkpoint(self.settings.model, out, plan, command=command)
        return out

    def _score(self, network: Network, model: Any, quantity: str) -> dict[str, Any]:
        """Fields of the record of one score."""
        begun, cost = self._spent, self._costs[quantity]
        label = f"{network.label}: {quantity}"

        def report(done: int, total: int) -> None:
            self._spent = begun + cost * done / total
            self._on_progress(self._share, label)

        settings: dict[str, Any]
        start = time.perf_counter()
        report(0, 1)
        if quantity == "prose":
            texts, settings = self._passages, {"source": "BoolQ passages that no item shows"}
            score = evaluate.score_prose(
                model, self._tokenizer, texts, on_text=lambda n: report(n, len(texts))
            )
        else:
            task = next(task for task in self._suite if task.name == quantity)
            settings = {"shots": task.shots, "metric": task.metric, "source": task.source}
            score = evaluate.score_task(
                model, self._tokenizer, task, on_item=lambda n: report(n, len(task.items))
            )
        report(1, 1)
        return {
            "unit": score.unit,
            "value": score.value,
            "standard_error": score.standard_error,
            "n": score.n,
            "floor": score.floor,
            "floor_kind": score.floor_kind,
            "higher_is_better": score.higher_is_better,
            "items": score.items,
            "duration_sec": time.perf_counter() - start,
            "settings": settings,
        }

    def _measure_speed(self) -> None:
        """Prefill and decode of dense and the first criterion's widths, in one interleaved run."""
        timed = [n for n in self.networks if n.criterion in (None, CRITERIA[0])]
        if all(self._has(network, quantity) for network in timed for quantity in SPEED):
            return
        plans = {network.label: self.plan(network) for network in timed}
        if (lack := self._lack_of_memory(plans.values())) is not None:
            for network, plan in zip(timed, plans.values(), strict=True):
                for quantity in SPEED:
                    missing = {"unit": "tokens_per_sec", "value": None, "reason": lack, "n": 0}
                    self._store(network, self._width(plan), quantity, **missing)
            return
        models = {name: apply(self._dense, p) if p else self._dense for name, p in plans.items()}
        start, begun = time.perf_counter(), self._share
        steps = len(models) * (self.settings.repeats + 1)
        speeds = measure.measure_speed(
            models,
            prompt_tokens=self.settings.prompt_tokens,
            new_tokens=self.settings.new_tokens,
            repeats=self.settings.repeats,
            seed=self.settings.seed,
            on_step=lambda done: self._on_progress(
                begun + (1 - begun) * done / steps, "speed of every width in turn"
            ),
        )
        spent = (time.perf_counter() - start) / len(speeds)
        for speed in speeds:
            network = next(n for n in timed if n.label == speed.model)
            self._store(
                network,
                self._width(plans[speed.model]),
                speed.quantity,
                unit=speed.unit,
                value=speed.value,
                standard_error=speed.standard_error,
                n=speed.n,
                higher_is_better=True,
                duration_sec=spent,
                items=tuple(speed.tokens / seconds for seconds in speed.seconds),
                settings={"tokens": speed.tokens, "repeats": speed.n},
            )

    def _width(self, plan: Plan | None) -> int:
        return plan.width if plan else self.checkpoint.architecture.intermediate_size

    def _lack_of_memory(self, plans: Iterable[Plan | None]) -> str | None:
        """Why all widths cannot be held at once for timing in turn; None when they can."""
        import psutil

        free = psutil.virtual_memory().available
        architecture = self.checkpoint.architecture
        dtype = {"bfloat16": "BF16", "float32": "F32"}[str(self.settings.dtype)]
        widths = [plan.width for plan in plans if plan]
        needed = sum(counts_at(architecture, w, dtype=dtype).weight_bytes for w in widths)
        if needed < free:
            return None
        return f"to time all widths in turn takes {needed:,} bytes of memory; {free:,} are free"

    def _store(self, network: Network, width: int, quantity: str, **fields: Any) -> None:
        settings = {**self._provenance, **fields.pop("settings", {})}
        settings["time"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
        record = Record(
            cell=self._key(network, quantity),
            model=self.checkpoint.name,
            criterion=network.criterion,
            asked=network.asked,
            width=width,
            expansion_ratio=width / self.checkpoint.architecture.hidden_size,
            quantity=quantity,
            settings=settings,
            **fields,
        )
        append(self.folder / RECORDS, [record])
        self._done[record.cell] = record
        self._on_record(record)

    def _key(self, network: Network, quantity: str) -> str:
        """Content address of a cell: everything that fixes what is measured."""
        parts = (self._fingerprint, asdict(self.settings), network.criterion, network.asked)
        text = json.dumps([*parts, quantity, __version__])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _has(self, network: Network, quantity: str) -> bool:
        return self._key(network, quantity) in self._done

    @property
    def _share(self) -> float:
        """Share of the demo's work that is done; timing comes last and counts as a fifth."""
        total = sum(self._costs.values()) * len(self.networks)
        return 0.8 * self._spent / total

    @cached_property
    def _costs(self) -> dict[str, float]:
        """Quantity to the characters that the model reads for it; preambles once."""
        costs = {"prose": float(sum(len(text) for text in self._passages))}
        for task in self._suite:
            preambles = sum(len(text) for text in {item.preamble for item in task.items})
            options = sum(
                len(item.options) * (len(item.context) + len(item.options[0]))
                for item in task.items
            )
            costs[task.name] = float(preambles + options)
        return costs

    @cached_property
    def _fingerprint(self) -> str:
        with self.checkpoint as weights:
            return fingerprint(weights)

    @cached_property
    def _suite(self) -> tuple[evaluate.Task, ...]:
        return evaluate.embedded_suite(self.settings.items, self.settings.seed)

    @cached_property
    def _passages(self) -> tuple[str, ...]:
        return evaluate.held_out_passages(self._suite, self.settings.passages, self.settings.seed)

    @cached_property
    def _dense(self) -> Any:
        from transformers import AutoModelForCausalLM

        loader: Any = AutoModelForCausalLM
        dtype = self.settings.dtype
        return loaded(
            self.checkpoint.path, lambda path: loader.from_pretrained(path, dtype=dtype).eval()
        )

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return loaded(self.checkpoint.path, AutoTokenizer.from_pretrained)

    @cached_property
    def _provenance(self) -> dict[str, Any]:
        import torch
        import transformers

        return {
            "seed": self.settings.seed,
            "dtype": self.settings.dtype,
            "device": "cpu",
            "processor": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "openmp_spin": os.environ.get("GOMP_SPINCOUNT"),
            "widthwise": __version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "python": platform.python_version(),
        }
