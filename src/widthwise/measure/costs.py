"""What each model costs on each workload: time, memory and energy, side by side.

Models are visited in a new random order in every round, so that a machine that warms up, or is
busy for a while, does not favour one of them. A cell that cannot be measured has a reason, and the
others go on.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import RunError
from ..io import limited_memory, out_of_memory
from .autotune import RuntimeConfig, applied, current_config, fastest_config
from .decoders import Decoders, Decoding
from .energy.meter import JoulesPerToken, Meter, Unavailable, per_token
from .machine import Conditions, PeakMemory, bring_in, conditions, peak_of
from .workload_pass import WorkloadPass, run_pass
from .workloads import Workload

LEAST_ROUNDS = 5
ENERGY_SEC = 6.0  # of a window: what NVML needs to see enough updates of its counter


@dataclass(frozen=True, kw_only=True)
class Round:
    """One visit of a model: one pass, or as many as fill a window of energy.

    Attributes:
        passes: In order.
        tokens: New tokens of all of them.
        energy: Joules per new token; None without a meter.
        conditions: Of the machine, just before.
    """

    passes: tuple[WorkloadPass, ...]
    tokens: int
    energy: JoulesPerToken | None
    conditions: Conditions

    @property
    def first_sec(self) -> float:
        return sum(p.first_sec for p in self.passes) / len(self.passes)

    @property
    def next_sec(self) -> float | None:
        seconds = [p.next_sec for p in self.passes if p.next_sec is not None]
        return sum(seconds) / len(seconds) if seconds else None

    @property
    def tokens_per_sec(self) -> float:
        return self.tokens / sum(p.all_sec for p in self.passes)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One model on one workload.

    Attributes:
        model: Its name in the call.
        workload: What it did.
        device: As torch names it.
        dtype: Of the weights.
        weight_bytes: Of parameters and buffers, as they are in memory.
        setting: Attention and threads that it ran with, the same for all models.
        decoding: How the steps were done.
        decoding_reason: Why steps were called on a device that could replay them; else None.
        rounds: All that counted; () where there is a reason.
        working: Memory beyond the weights, at its highest in the round that did not count.
        reason: Why there is no number; None otherwise.
    """

    model: str
    workload: Workload
    device: str
    dtype: str
    weight_bytes: int
    setting: RuntimeConfig
    decoding: Decoding
    decoding_reason: str | None
    rounds: tuple[Round, ...]
    working: PeakMemory
    reason: str | None


@dataclass
class CellTiming:
    """A model and a workload, while it is measured."""

    name: str
    model: Any
    work: Workload
    setting: RuntimeConfig
    writers: Decoders
    is_alone: bool  # no other model is held
    rounds: list[Round] = field(default_factory=list)
    working: PeakMemory = field(default_factory=PeakMemory)
    reason: str | None = None

    def cost(self) -> Cost:
        parameter = next(self.model.parameters())
        return Cost(
            model=self.name,
            workload=self.work,
            device=str(parameter.device),
            dtype=str(parameter.dtype).removeprefix("torch."),
            weight_bytes=_weight_bytes(self.model),
            setting=self.setting,
            decoding=self.writers.decoding,
            decoding_reason=self.writers.reason,
            rounds=() if self.reason else tuple(self.rounds),
            working=self.working,
            reason=self.reason,
        )


def measure_costs(
    models: Mapping[str, Any],
    workloads: Sequence[Workload],
    *,
    rounds: int = LEAST_ROUNDS,
    seed: int = 0,
    setting: RuntimeConfig | None = None,
    meter: Meter | Unavailable | None = None,
    on_step: Callable[[int], None] = lambda _: None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Cost]:
    """Every model on every workload; all workloads of the first model come first in the result.

    On CUDA, steps are replayed from a graph where they can be (`Decoders`).

    Args:
        models: Causal language models by name, on one device; all are held at once.
        workloads: What they do, each in turn.
        rounds: That count, at least 5; one more goes before them to warm up and to measure memory.
        seed: Of prompts and of the order of models.
        setting: Attention and threads; by default those with which the first model that can do
            the workload does it fastest (`fastest_config`).
        meter: Of energy: then each visit repeats its pass until a window of 6 s is full.
        on_step: Called after each visit with the number of visits done, out of
            `len(models) * len(workloads) * (rounds + 1)`.
        clock: Seconds.

    Raises:
        RunError: Too few rounds, no model, no workload, or two workloads of one name.
    """
    names = [work.name for work in workloads]
    if rounds < LEAST_ROUNDS or not models or not names or len(set(names)) < len(names):
        raise RunError(
            f"to measure costs takes at least {LEAST_ROUNDS} rounds, a model, and workloads of "
            f"different names; got {rounds}, {len(models)} models, {', '.join(names) or 'none'}"
        )
    costs: dict[tuple[str, str], Cost] = {}
    chance, done = random.Random(seed), 0
    for work in workloads:
        able = [model for name, model in models.items() if not _too_long(name, model, work)]
        first = next(iter(models.values()))
        found = fastest_config(able, work, clock=clock) if able and not setting else None
        chosen = setting or found or current_config(first)
        cells = [
            CellTiming(n, model, work, chosen, Decoders(model, work), is_alone=len(models) == 1)
            for n, model in models.items()
        ]
        order = list(cells)
        with applied(chosen, able):
            for number in range(rounds + 1):
                chance.shuffle(order)
                for cell in order:
                    _visit(cell, number == 0, seed, meter, clock)
                    done += 1
                    on_step(done)
        costs |= {(cell.name, work.name): cell.cost() for cell in cells}
    return [costs[name, work.name] for name in models for work in workloads]


def _visit(
    cell: CellTiming,
    is_warm_up: bool,
    seed: int,
    meter: Meter | Unavailable | None,
    clock: Callable[[], float],
) -> None:
    """One round of a cell; one that failed is left alone. No cache outlives it."""
    cell.reason = cell.reason or _too_long(cell.name, cell.model, cell.work)
    if cell.reason is not None:
        return
    device = next(cell.model.parameters()).device
    try:
        with limited_memory(device.type):
            if is_warm_up:
                bring_in(cell.model)  # or weights would count as working memory
                with peak_of(device) as cell.working:
                    run_pass(cell.model, cell.work, writers=cell.writers, seed=seed, clock=clock)
            else:
                cell.rounds.append(_round(cell, seed, meter, clock))
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        cell.reason = f"{cell.name} does not fit into memory on {cell.work.name}"
        cell.reason += "" if cell.is_alone else ", beside the other models that are held"
    finally:
        cell.writers.release()


def _round(
    cell: CellTiming, seed: int, meter: Meter | Unavailable | None, clock: Callable[[], float]
) -> Round:
    state = conditions(next(cell.model.parameters()).device)
    if not isinstance(meter, Meter):
        passes = [run_pass(cell.model, cell.work, writers=cell.writers, seed=seed, clock=clock)]
        return Round(passes=tuple(passes), tokens=cell.work.tokens, energy=None, conditions=state)
    cell.writers.make_all()  # what that takes is not of the window
    passes, start = [], clock()
    with meter.window() as window:
        while clock() - start < ENERGY_SEC:
            passes.append(
                run_pass(cell.model, cell.work, writers=cell.writers, seed=seed, clock=clock)
            )
    tokens = cell.work.tokens * len(passes)
    joules = per_token(window.energy, tokens)
    return Round(passes=tuple(passes), tokens=tokens, energy=joules, conditions=state)


def _too_long(name: str, model: Any, work: Workload) -> str | None:
    """Why a model cannot read so much, or None."""
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    read = work.longest - 1  # the last new token is written, and not read
    if not isinstance(context, int) or read <= context:
        return None
    return f"{work.name} needs a context of {read} tokens; {name} has {context}"


def _weight_bytes(model: Any) -> int:
    """Bytes of parameters and buffers; tied ones count once, and a narrow view as what it shows."""
    tensors = {id(t): t for t in (*model.parameters(), *model.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
