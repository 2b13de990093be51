"""What the GLU blocks of each model cost alone: the part of a step that a width changes.

All blocks of a model are called in turn, so that weights come from memory as they do in a step of
the whole model, not from caches that still hold those of the call before. As in `measure_costs`,
models are visited in a new random order in every round, and one that does not fit has a reason.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..cut import ModelWeights
from ..errors import RunError
from ..io import limited_memory, out_of_memory
from .costs import LEAST_ROUNDS
from .decoders import cuda_graph
from .machine import synchronize
from .roofline import LEAST_ROUND_SEC
from .workloads import Workload

if TYPE_CHECKING:
    import torch

_SWEEPS = tuple(1 << n for n in range(14))  # 8,192 calls of one block last 0.05 s from 6 us each on


@dataclass(frozen=True, kw_only=True)
class BlockCost:
    """One model's GLU blocks alone on one workload.

    Attributes:
        model: Its name in the call.
        workload: Its batches are what a block is called on.
        prefill_sec: Of one block on all tokens of a batch's prompts, mean over layers and batches;
            one number a round, () where there is a reason.
        decode_sec: Of one block on one new token of each row of a batch, likewise.
        reason: Why there is no number; None otherwise.
    """

    model: str
    workload: Workload
    prefill_sec: tuple[float, ...]
    decode_sec: tuple[float, ...]
    reason: str | None


@dataclass
class _Cell:
    """A model's blocks while they are measured; a shape is rows and tokens a row."""

    name: str
    blocks: list[Any]
    hidden_size: int
    sweeps: dict[tuple[int, int], int] = field(default_factory=dict)  # of a round, by shape
    rounds: list[dict[tuple[int, int], float]] = field(default_factory=list)  # seconds by shape
    reason: str | None = None

    def cost(self, work: Workload) -> BlockCost:
        rounds = [] if self.reason else self.rounds
        count = len(work.batches)
        return BlockCost(
            model=self.name,
            workload=work,
            prefill_sec=tuple(sum(r[batch] for batch in work.batches) / count for r in rounds),
            decode_sec=tuple(sum(r[rows, 1] for rows, _ in work.batches) / count for r in rounds),
            reason=self.reason,
        )


def measure_blocks(
    models: Mapping[str, Any],
    work: Workload,
    *,
    rounds: int = LEAST_ROUNDS,
    seed: int = 0,
    on_step: Callable[[int], None] = lambda _: None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[BlockCost]:
    """The GLU blocks of every model on the batches of a workload, in the order of the models.

    Inputs are random numbers in the blocks' dtype. Batches of equal rows and tokens are measured
    once and count as often as they come. A time is that of whole sweeps over the layers: of as many
    as last 0.05 s, or of one where that takes longer.

    Args:
        models: Language models of `transformers` by name, each on one device; all are held at once.
        work: What they would read and write.
        rounds: That count, at least 5; one more goes before them to warm up, and to find how many
            sweeps a time takes.
        seed: Of the inputs and of the order of models.
        on_step: Called after each visit with the number of visits done, out of
            `len(models) * (rounds + 1)`.
        clock: Seconds.

    Raises:
        RunError: Too few rounds, or no model.
        UnsupportedModelError: A model has no plain GLU blocks.
    """
    if rounds < LEAST_ROUNDS or not models:
        raise RunError(
            f"to measure blocks takes at least {LEAST_ROUNDS} rounds and a model; "
            f"got {rounds} and {len(models)} models"
        )
    cells = [_cell(name, model) for name, model in models.items()]
    order, chance, done = list(cells), random.Random(seed), 0
    for number in range(rounds + 1):
        chance.shuffle(order)
        for cell in order:
            _visit(cell, work, number == 0, seed, clock)
            done += 1
            on_step(done)
    return [cell.cost(work) for cell in cells]


def _cell(name: str, model: Any) -> _Cell:
    architecture = ModelWeights(model).architecture
    blocks = [model.get_submodule(architecture.block(n)) for n in range(architecture.layers)]
    return _Cell(name=name, blocks=blocks, hidden_size=architecture.hidden_size)


def _visit(
    cell: _Cell, work: Workload, is_warm_up: bool, seed: int, clock: Callable[[], float]
) -> None:
    """One round of a cell; one that failed is left alone."""
    if cell.reason is not None:
        return
    shapes = dict.fromkeys([*work.batches, *((rows, 1) for rows, _ in work.batches)])
    try:
        with limited_memory(next(cell.blocks[0].parameters()).device.type):
            if is_warm_up:
                cell.sweeps = {shape: _enough_sweeps(cell, shape, seed, clock) for shape in shapes}
            else:
                found = {shape: _block_sec(cell, shape, seed, clock) for shape in shapes}
                cell.rounds.append(found)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        cell.reason = f"{cell.name} does not fit into memory on {work.name}, its GLU blocks alone"


def _enough_sweeps(
    cell: _Cell, shape: tuple[int, int], seed: int, clock: Callable[[], float]
) -> int:
    """How many sweeps fill a round; the most of `_SWEEPS` where none does."""
    import torch

    hidden = _hidden(cell, shape, seed)
    with torch.inference_mode():
        cell.blocks[0](hidden)  # loads libraries
    sweep = _sweep(cell, hidden)
    enough = (n for n in _SWEEPS if _sweeps_sec(sweep, hidden, n, clock) >= LEAST_ROUND_SEC)
    return next(enough, _SWEEPS[-1])


def _block_sec(cell: _Cell, shape: tuple[int, int], seed: int, clock: Callable[[], float]) -> float:
    """Seconds of one block on one input."""
    sweeps, hidden = cell.sweeps[shape], _hidden(cell, shape, seed)
    seconds = _sweeps_sec(_sweep(cell, hidden), hidden, sweeps, clock)
    return seconds / (sweeps * len(cell.blocks))


def _hidden(cell: _Cell, shape: tuple[int, int], seed: int) -> torch.Tensor:
    """What a block is given, shape (rows, tokens, hidden size)."""
    import torch

    weight = next(cell.blocks[0].parameters())
    generator = torch.Generator(weight.device).manual_seed(seed)
    size = (*shape, cell.hidden_size)
    return torch.randn(size, generator=generator, device=weight.device, dtype=weight.dtype)


def _sweep(cell: _Cell, hidden: torch.Tensor) -> Callable[[], object]:
    """An input through the blocks of all layers; on CUDA replayed, as Python asks too slowly."""

    def sweep() -> None:
        for block in cell.blocks:
            block(hidden)

    return cuda_graph(sweep, hidden.device).replay if hidden.is_cuda else sweep


def _sweeps_sec(
    sweep: Callable[[], object], hidden: torch.Tensor, sweeps: int, clock: Callable[[], float]
) -> float:
    """Seconds of so many sweeps over all layers."""
    import torch

    with torch.inference_mode():
        synchronize(hidden.device)
        start = clock()
        for _ in range(sweeps):
            sweep()
        synchronize(hidden.device)
        return clock() - start
