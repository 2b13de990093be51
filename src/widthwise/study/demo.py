"""The main job in minutes: one model at five widths, what it knows and what it costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import measure
from ..cut import Refit
from ..errors import WidthwiseError
from ..io import TORCH_DTYPES, free_bytes
from ..prune import least_tokens_of, plan_of, prune_checkpoint
from ..runs import ProgressCallback
from ..stats import grouped, median_with_error
from .continuations import PROMPTS
from .evaluate_settings import EvaluateSettings
from .evaluation import Evaluation
from .growing_scores import GrowingScores
from .quantities import load_fields
from .variant import DEFAULT_CRITERIA, Variant

REMOVED = ("10%", "20%", "30%", "40%")
CRITERIA = ("ppm", *DEFAULT_CRITERIA)  # the paper's, and the best of ours from one pass
TIMED = "ppm"  # a cost is the same whichever neurons stay
SPEED = ("prefill", "decode")
TEXT, QUESTIONS = "prose", "sciq"  # where the embedded model is farthest above its floor
PASSES: Sequence[Mapping[str, int]] = (  # items of each task after each pass
    {TEXT: 4, QUESTIONS: 2},
    {TEXT: 8, QUESTIONS: 16},
    {TEXT: 16, QUESTIONS: 32},
    {TEXT: 32, QUESTIONS: 64},
    {TEXT: 64, QUESTIONS: 128},
    {TEXT: 128, QUESTIONS: 256},
    {TEXT: 256, QUESTIONS: 256},
)
_MOST_ITEMS = 256
_TOKENS = 2  # of calibration text, times as many as a refit needs
_END_SEC = 6.0  # kept for the last page and table


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """Everything that fixes the numbers of a demo, but for how many items are asked.

    Attributes:
        model: Name or path of the model, as `resolve_model` takes it.
        seed: Seed of the samples of items, of the `random` criterion and of the order of timing.
        dtype: `"bfloat16"` or `"float32"`; None for the faster of the two on this machine.
        workload: The workload to time, as `measure.workload` reads it: one prompt and the tokens
            after it.
        rounds: Rounds of timing.
    """

    model: str = "smollm2"
    seed: int = 0
    dtype: str | None = None
    workload: str = "64x8"
    rounds: int = 5


class Demo(Evaluation):
    """A first pass over everything, and then more and more items until the time is up.

    What ends it is the clock and not what is found, so an interval at the end is one of a sample
    whose size was fixed. Each run goes on where the last one was.

    Args:
        folder: Where records are appended; a folder that holds a part of this demo is continued.
        settings: Settings of the demo.
        deadline: When to end, by `time.monotonic`; the first pass and the speeds are measured
            whole.
        on_progress: Called with the share of the time that is gone (0 to 1), and what is done now.
        on_pass: Called after each pass, with its number; what it writes is there early.

    Attributes:
        more: Items of each task that a longer demo would ask next; none where all are asked.
        more_seconds: How long that would take about.

    Raises:
        RunError, OutputError: The folder holds something else, or is in use.
    """

    def __init__(
        self,
        folder: Path,
        settings: DemoSettings,
        *,
        deadline: float,
        on_progress: ProgressCallback = lambda *_: None,
        on_pass: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._demo = settings
        self._start, self._deadline = time.monotonic(), deadline
        self._report, self._on_pass = on_progress, on_pass
        self.more: Mapping[str, int] = {}
        self.more_seconds = 0.0
        super().__init__(
            folder,
            EvaluateSettings(
                model=settings.model,
                seed=settings.seed,
                dtype=settings.dtype,
                tasks=tuple(f"embedded:{task}" for task in PASSES[-1]),
                widths=REMOVED,
                criteria=CRITERIA,
                limit=_MOST_ITEMS,
                device="cpu",
                prompts=PROMPTS,
            ),
            on_progress=lambda _, label: self._tell(label),
        )

    def _tell(self, label: str) -> None:
        """Say what is done now, and which share of the time is gone."""
        gone, whole = time.monotonic() - self._start, self._deadline - self._start
        self._report(min(1.0, gone / whole) if whole > 0 else 1.0, label)

    @property
    def more_settings(self) -> dict[str, Any]:
        return {"workload": self._demo.workload, "rounds": self._demo.rounds}

    def more_quantities(self, network: Variant) -> Sequence[str]:
        return SPEED if _is_timed(network) else ()

    def _begin(self) -> None:
        needed = least_tokens_of(self.parent.checkpoint.architecture)
        self.settings = replace(self.settings, tokens=_TOKENS * needed)
        super()._begin()

    def _measure(self) -> None:
        self.store.add_missing(self._counted())
        self._renew_floors()
        self._tell("loading the model")
        self.scorer.try_out(self.networks[0])
        for network in self.networks:
            with suppress(WidthwiseError):  # what goes wrong is then a reason for a record
                self.scorer.prepare(network, lambda _, label: self._tell(label))
        scores = self._scores = GrowingScores(self.scorer, self.networks, self.store)
        for number, counts in enumerate(PASSES, 1):
            left = self._deadline - _END_SEC - time.monotonic()
            asked = counts if number == 1 else scores.fitting(counts, left)
            if asked is None:
                break
            if asked:
                self._ask(scores, asked, number)
            if number == 1:
                self._on_pass(number)
                self._measure_speed()
                self.write_texts(self._written)
        self.more = next(filter(None, (scores.missing(counts) for counts in PASSES)), {})
        self.more_seconds = scores.seconds(self.more)
        self._report(1.0, "done")

    @property
    def counts(self) -> dict[str, int]:
        """Items of each task that every network has answered."""
        found = {name: self._scores.count(name) for name in self.scorer.tasks}
        return {name: count for name, count in found.items() if count}

    def _ask(self, scores: GrowingScores, counts: Mapping[str, int], number: int) -> None:
        scores.ask(counts, lambda label: self._tell(f"pass {number}: {label}"))
        if number > 1:
            self._on_pass(number)

    @property
    def _written(self) -> list[Variant]:
        """The networks that write texts: dense, the mildest and the narrowest of each criterion."""
        groups = grouped((network.criterion, network) for network in self.networks).values()
        ends = [(group[0], group[-1]) for group in groups]
        return [network for pair in ends for network in dict.fromkeys(pair)]

    @property
    def _kept(self) -> Variant:
        return next(network for network in self.networks if network.criterion == CRITERIA[-1])

    @property
    def kept_width(self) -> int:
        """Width of the checkpoint that is kept."""
        return self.parent.width(self._kept)

    def keep_checkpoint(self, command: str) -> Path:
        """The mildest cut by the best criterion as a checkpoint in the folder, written once."""
        ratio = self.kept_width / self.parent.checkpoint.architecture.hidden_size
        name = Path(self.parent.checkpoint.name).name
        out = self.store.folder.path / f"{name}-{ratio:.2f}x-refitted"
        if not (out / "config.json").exists():
            refit = self._stored_refit()
            prune_checkpoint(self.settings.model, out, refit.plan, refit=refit, command=command)
        return out

    def _stored_refit(self) -> Refit:
        """What was measured of the checkpoint that is kept, as it is stored: a plan of the files,
        and weights in their dtypes."""
        import torch

        checkpoint, spec = self.parent.checkpoint, self._kept.selection(self.settings.seed)
        width = spec.width(checkpoint.architecture)
        made = self.scorer.calibrated.cuts(self._kept, lambda *_: None)
        (refit,) = (
            cut for cut in made if isinstance(cut, Refit) and cut.plan.kind_widths == width.widths
        )
        plan = plan_of(checkpoint, width, spec, refit.plan.keep, refit.plan.fingerprint)
        stored = [checkpoint.tensors[group.down].spec for group in checkpoint.architecture.groups]
        down = (
            each.to(getattr(torch, TORCH_DTYPES[tensor.dtype]))
            for each, tensor in zip(refit.down, stored, strict=True)
        )
        return replace(refit, plan=plan, down=tuple(down))

    def _measure_speed(self) -> None:
        """Prefill and decode of dense and one criterion's widths, in one interleaved run."""
        timed = [network for network in self.networks if _is_timed(network)]
        cells = [(network, quantity) for network in timed for quantity in SPEED]
        if all(self.is_done(*cell) for cell in cells):
            return
        if (lack := self._lack_of_memory(timed)) is not None:
            for cell in cells:
                self.add(*cell, unit="tokens_per_sec", value=None, reason=lack, n=0)
            return
        models = {network.label: self.parent.cut(network) for network in timed}
        start, rounds = time.perf_counter(), self._demo.rounds
        costs = measure.measure_costs(
            models,
            [measure.workload(self._demo.workload)],
            rounds=rounds,
            seed=self.settings.seed,
            on_step=lambda _: self._tell("speed of every width in turn"),
        )
        self._store(timed, costs, (time.perf_counter() - start) / (len(costs) * len(SPEED)))

    def _store(
        self, timed: Iterable[Variant], costs: Iterable[measure.Cost], seconds: float
    ) -> None:
        """Tokens a second: of the prompt, and of those after the first new one."""
        for network, cost in zip(timed, costs, strict=True):
            prompt = cost.workload.prompt_tokens[0]
            for quantity in SPEED:
                is_prefill = quantity == "prefill"
                seconds_each = (r.first_sec if is_prefill else r.next_sec for r in cost.rounds)
                tokens = prompt if is_prefill else 1
                rates = tuple(tokens / sec for sec in seconds_each if sec is not None)
                speed = median_with_error(rates, seed=self.settings.seed) if rates else None
                self.add(
                    network,
                    quantity,
                    unit="tokens_per_sec",
                    value=speed.value if speed else None,
                    standard_error=speed.standard_error if speed else None,
                    n=len(rates),
                    reason=cost.reason,
                    higher_is_better=True,
                    duration_sec=seconds,
                    items=rates,
                    settings={
                        "workload": cost.workload.name,
                        **load_fields([each.conditions for each in cost.rounds]),
                    },
                )

    def _lack_of_memory(self, timed: Iterable[Variant]) -> str | None:
        """Why all widths cannot be held at once for timing in turn; None when they can."""
        cut = (network for network in timed if network.criterion is not None)
        needed = sum(map(self.parent.weight_bytes, cut))
        free = free_bytes("cpu")
        if needed < free:
            return None
        return f"to time all widths in turn takes {needed:,} bytes of memory; {free:,} are free"


def _is_timed(network: Variant) -> bool:
    """Dense and one criterion: which neurons are kept makes no difference to a width's speed."""
    return network.criterion in (None, TIMED)
