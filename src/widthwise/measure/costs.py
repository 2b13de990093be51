"""Time, memory and energy of each model on each workload, side by side.

Models are visited in a new random order in every round, so that a machine that warms up, or is
busy for a while, does not favour one of them. A cell that cannot be measured has a reason, and the
others go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from ..errors import RunError
from ..io import limited_memory, out_of_memory
from .autotune import RuntimeConfig, applied, current_config, fastest_config
from .decoders import Decoders, Decoding
from .energy.meter import JoulesPerToken, Meter, Unavailable, per_token
from .machine import Conditions, PeakMemory, bring_in, conditions, peak_of
from .workload_pass import WorkloadPass, run_pass
from .workloads import Workload

T = TypeVar("T")

LEAST_ROUNDS = 5
ENERGY_SEC = 6.0  # of a window: what NVML needs to see enough updates of its counter


@dataclass(frozen=True, kw_only=True)
class Round:
    """One visit of a model: one pass, or as many as fill a window of energy."""

    passes: tuple[WorkloadPass, ...]  # in order
    tokens: int  # new tokens of all of them
    energy: JoulesPerToken | None  # joules per new token; None without a meter
    conditions: Conditions  # state of the machine, just before

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
    """One model on one workload."""

    model: str  # its name in the call
    workload: Workload
    device: str  # its device, as torch names it
    dtype: str  # the dtype of the weights
    weight_bytes: int  # bytes of parameters and buffers in memory
    setting: RuntimeConfig  # attention and threads that it ran with, the same for all models
    decoding: Decoding  # the kind of decoding steps
    decoding_reason: str | None  # why steps are called on a device that could replay them
    rounds: tuple[Round, ...]  # those that count; () where there is a reason
    working: PeakMemory  # peak of memory beyond the weights, in the round that warms up
    reason: str | None  # why there is no number; None otherwise


@dataclass
class CellTiming:
    """A model and a workload, while it is measured."""

    name: str
    model: Any
    work: Workload
    setting: RuntimeConfig
    seed: int
    is_alone: bool  # no other model is held
    rounds: list[Round] = field(default_factory=list)
    working: PeakMemory = field(default_factory=PeakMemory)
    reason: str | None = None

    def __post_init__(self) -> None:
        self.decoders = Decoders(self.model, self.work)

    def run(self, clock: Callable[[], float]) -> WorkloadPass:
        decoders, seed = self.decoders, self.seed
        return run_pass(self.model, self.work, decoders=decoders, seed=seed, clock=clock)

    def cost(self) -> Cost:
        parameter = next(self.model.parameters())
        return Cost(
            model=self.name,
            workload=self.work,
            device=str(parameter.device),
            dtype=str(parameter.dtype).removeprefix("torch."),
            weight_bytes=_weight_bytes(self.model),
            setting=self.setting,
            decoding=self.decoders.decoding,
            decoding_reason=self.decoders.reason,
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
        workloads: Workloads, each in turn.
        rounds: Counted rounds, at least 5; one more goes before to warm up and to measure memory.
        seed: Seed of the prompts and of the order of models.
        setting: Attention and threads; by default those with which the first model that can do
            the workload does it fastest (`fastest_config`).
        meter: Meter of energy; each visit then repeats its pass until a window of 6 s is full.
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
    chance, done = Random(seed), 0
    for work in workloads:
        able = [model for name, model in models.items() if not _too_long(name, model, work)]
        first = next(iter(models.values()))
        fastest = fastest_config(able, work, clock=clock) if able and not setting else None
        chosen = setting or fastest or current_config(first)
        cells = [
            CellTiming(name, model, work, chosen, seed, is_alone=len(models) == 1)
            for name, model in models.items()
        ]
        with applied(chosen, able):
            for cell, is_warm_up in in_rounds(cells, rounds, chance):
                _visit(cell, is_warm_up, meter, clock)
                done += 1
                on_step(done)
        costs |= {(cell.name, work.name): cell.cost() for cell in cells}
    return [costs[name, work.name] for name in models for work in workloads]


def in_rounds(cells: Sequence[T], rounds: int, chance: Random) -> Iterator[tuple[T, bool]]:
    """Every cell in each round and in one that warms up, in a new order each time.

    Yields: A cell, and whether it only warms up.
    """
    order = list(cells)
    for number in range(rounds + 1):
        chance.shuffle(order)
        yield from ((cell, number == 0) for cell in order)


def _visit(
    cell: CellTiming,
    is_warm_up: bool,
    meter: Meter | Unavailable | None,
    clock: Callable[[], float],
) -> None:
    """One round of a cell, unless it has failed. No cache outlives it."""
    cell.reason = cell.reason or _too_long(cell.name, cell.model, cell.work)
    if cell.reason is not None:
        return
    device = next(cell.model.parameters()).device
    try:
        with limited_memory(device.type):
            if is_warm_up:
                bring_in(cell.model)  # or weights would count as working memory
                with peak_of(device) as cell.working:
                    cell.run(clock)
            else:
                cell.rounds.append(_round(cell, meter, clock))
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        cell.reason = f"{cell.name} does not fit into memory on {cell.work.name}"
        cell.reason += "" if cell.is_alone else ", beside the other models that are held"
    finally:
        cell.decoders.release()


def _round(
    cell: CellTiming, meter: Meter | Unavailable | None, clock: Callable[[], float]
) -> Round:
    state, passes, joules = conditions(next(cell.model.parameters()).device), [], None
    if isinstance(meter, Meter):
        cell.decoders.make_all()  # their making is no part of the window
        start = clock()
        with meter.window() as window:
            while clock() - start < ENERGY_SEC:
                passes.append(cell.run(clock))
        joules = per_token(window.energy, cell.work.tokens * len(passes))
    else:
        passes.append(cell.run(clock))
    tokens = cell.work.tokens * len(passes)
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
