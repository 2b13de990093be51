"""Time of each model's GLU blocks alone: the part of a step that a width changes.

All blocks of a model are called in turn, so that weights come from memory as they do in a step of
the whole model, not from caches that still hold those of the call before. As in `measure_costs`,
models are visited in a new random order in every round, and one that does not fit has a reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from statistics import median
from typing import TYPE_CHECKING, Any

from ..cut import ModelWeights, apply
from ..errors import RunError
from ..io import limited_memory, out_of_memory
from ..prune import make_plan
from .costs import LEAST_ROUNDS, in_rounds
from .decoders import cuda_graph
from .machine import calls_sec
from .roofline import LEAST_ROUND_SEC
from .workloads import Workload

if TYPE_CHECKING:
    import torch

Shape = tuple[int, int]  # rows, and tokens a row

TIMED_WIDTHS = 5  # of those that layers may have
_SWEEPS = tuple(1 << n for n in range(14))  # 8,192 calls of one block last 0.05 s from 6 us each on


@dataclass(frozen=True, kw_only=True)
class BlockCost:
    """One model's GLU blocks alone on one workload.

    Attributes:
        model: Its name in the call.
        workload: Its batches are what a block is called on.
        prefill_sec: Time of one block on all tokens of a batch, mean over layers and batches;
            one number a round, () where there is a reason.
        decode_sec: Time of one block on one new token of each row of a batch, likewise.
        reason: Why there is no number; None otherwise.
    """

    model: str
    workload: Workload
    prefill_sec: tuple[float, ...]
    decode_sec: tuple[float, ...]
    reason: str | None


@dataclass
class _Cell:
    """A model's blocks while they are measured."""

    name: str
    work: Workload
    blocks: list[Any]
    hidden_size: int
    seed: int
    sweeps: dict[Shape, int] = field(default_factory=dict)  # sweeps of a round
    rounds: list[dict[Shape, float]] = field(default_factory=list)  # seconds of one block
    reason: str | None = None

    def hidden(self, shape: Shape) -> torch.Tensor:
        """Input of a block, shape (rows, tokens, hidden size)."""
        import torch

        weight = next(self.blocks[0].parameters())
        generator = torch.Generator(weight.device).manual_seed(self.seed)
        size = (*shape, self.hidden_size)
        return torch.randn(size, generator=generator, device=weight.device, dtype=weight.dtype)

    def sweep(self, hidden: torch.Tensor) -> Callable[[], object]:
        """An input through the blocks of all layers; on CUDA replayed, as Python is too slow."""

        def sweep() -> None:
            for block in self.blocks:
                block(hidden)

        return cuda_graph(sweep, hidden.device).replay if hidden.is_cuda else sweep

    def cost(self) -> BlockCost:
        rounds, batches = [] if self.reason else self.rounds, self.work.batches
        count = len(batches)
        return BlockCost(
            model=self.name,
            workload=self.work,
            prefill_sec=tuple(sum(r[batch] for batch in batches) / count for r in rounds),
            decode_sec=tuple(sum(r[rows, 1] for rows, _ in batches) / count for r in rounds),
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

    The other arguments are those of `measure_costs`; the round that warms up also finds how many
    sweeps a time takes, and `on_step` counts up to `len(models) * (rounds + 1)`.

    Args:
        models: Language models of `transformers` by name, each on one device; all are held at once.
        work: The workload whose batches are taken.

    Raises:
        RunError: Too few rounds, or no model.
        UnsupportedModelError: A model has no plain GLU blocks.
    """
    if rounds < LEAST_ROUNDS or not models:
        raise RunError(
            f"to measure blocks takes at least {LEAST_ROUNDS} rounds and a model; "
            f"got {rounds} and {len(models)} models"
        )
    cells = []
    for name, model in models.items():
        architecture = ModelWeights(model).architecture
        architecture.refuse_unless_uniform("timing blocks alone")
        blocks = [
            model.get_submodule(architecture.groups[n].name) for n in range(architecture.layers)
        ]
        cells.append(_Cell(name, work, blocks, architecture.hidden_size, seed))
    visits = in_rounds(cells, rounds, Random(seed))
    for done, (cell, is_warm_up) in enumerate(visits, 1):
        _visit(cell, is_warm_up, clock)
        on_step(done)
    return [cell.cost() for cell in cells]


def _visit(cell: _Cell, is_warm_up: bool, clock: Callable[[], float]) -> None:
    """One round of a cell, unless it has failed."""
    if cell.reason is not None:
        return
    batches = cell.work.batches
    shapes = dict.fromkeys([*batches, *((rows, 1) for rows, _ in batches)])
    try:
        with limited_memory(next(cell.blocks[0].parameters()).device.type):
            if is_warm_up:
                cell.sweeps = {shape: _enough_sweeps(cell, shape, clock) for shape in shapes}
            else:
                cell.rounds.append({shape: _block_sec(cell, shape, clock) for shape in shapes})
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        cell.reason = (
            f"{cell.name} does not fit into memory on {cell.work.name}, its GLU blocks alone"
        )


def _enough_sweeps(cell: _Cell, shape: Shape, clock: Callable[[], float]) -> int:
    """Number of sweeps that fill a round; the most of `_SWEEPS` where none does."""
    import torch

    hidden = cell.hidden(shape)
    with torch.inference_mode():
        cell.blocks[0](hidden)  # loads libraries
    sweep = cell.sweep(hidden)
    enough = (n for n in _SWEEPS if _sweeps_sec(sweep, hidden, n, clock) >= LEAST_ROUND_SEC)
    return next(enough, _SWEEPS[-1])


def _block_sec(cell: _Cell, shape: Shape, clock: Callable[[], float]) -> float:
    """Seconds of one block on one input."""
    sweeps, hidden = cell.sweeps[shape], cell.hidden(shape)
    seconds = _sweeps_sec(cell.sweep(hidden), hidden, sweeps, clock)
    return seconds / (sweeps * len(cell.blocks))


def _sweeps_sec(
    sweep: Callable[[], object], hidden: torch.Tensor, sweeps: int, clock: Callable[[], float]
) -> float:
    """Seconds of so many sweeps over all layers."""
    import torch

    with torch.inference_mode():
        return calls_sec(sweep, sweeps, hidden.device, clock=clock)


def block_nanoseconds(dense: Any, widths: Sequence[int], work: Workload) -> dict[int, int]:
    """Time of one GLU block of a model at a few widths, for the prompt and the new tokens of a row.

    Args:
        dense: A `transformers` model; it is unchanged.
        widths: Widths to choose from, ascending; the first, the last and some between are timed.
        work: The workload.

    Raises:
        RunError: A width cannot be timed, and why.
    """
    last = len(widths) - 1
    some = [widths[last * i // (TIMED_WIDTHS - 1)] for i in range(TIMED_WIDTHS)]
    models = {str(width): _at(dense, width) for width in dict.fromkeys(some)}
    times = {}
    for cost in measure_blocks(models, work):
        if cost.reason:
            raise RunError(cost.reason)
        seconds = median(cost.prefill_sec) + work.new_tokens * median(cost.decode_sec)
        times[int(cost.model)] = round(1e9 * seconds)
    return times


def _at(dense: Any, width: int) -> Any:
    """A model of this width, whichever its neurons."""
    if width == dense.config.get_text_config().intermediate_size:
        return dense
    return apply(dense, make_plan(dense, width=width, align=1, criterion="random"))
