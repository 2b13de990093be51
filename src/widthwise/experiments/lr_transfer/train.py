"""Small networks trained on real text, one for each width, learning rate and seed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeAlias

from ...errors import LimitError
from ...io import free_bytes
from ...mup import BASE, Kind, NetworkFamily, OptimizerName, Stepper, small_network
from ...theory import check_least
from .text import TokenRows

if TYPE_CHECKING:
    from torch import Tensor

TransferJob: TypeAlias = tuple[Kind, int, float, int]  # parametrization, width, rate, seed
KINDS: tuple[Kind, ...] = ("sp", "sp-embedding", "mup")
KIND_NAMES = {"sp": "standard", "sp-embedding": "standard, faster embedding", "mup": "muP"}
_EVALUATION_BATCH = 64  # rows at once
_WARM_UP = 0.1  # of all steps
# with 0.02, every step changed embeddings by their own size: 3.04 nats instead of 2.70 after 100
# steps at width 64, each with the best of four learning rates and the same betas
_EMBEDDING_STD = 0.3


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings of training, the same for every network.

    The learning rate rises over a tenth of the steps and falls in a straight line to 0.

    Attributes:
        steps: Steps of training.
        rows: Rows of text in a step.
        tokens: Tokens of a row.
        base: Width at which muP is the standard parametrization.
        optimizer: See `small_network`.
        depths: Number of layers of each width, the first one that of the base; where it is empty,
            all have those of the family.

    Raises:
        LimitError: A number is too small.
    """

    steps: int = 400
    rows: int = 4
    tokens: int = 64
    base: int = BASE
    optimizer: OptimizerName = "adamw"
    depths: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("rows", 1), ("tokens", 2)):
            check_least(f"{name} of a training", getattr(self, name), least)


def check_fits(width: int, vocabulary: int) -> None:
    """Check, before anything is trained, that a network and Adam's moments fit in memory.

    Raises:
        LimitError: They do not, with their bytes.
    """
    weights = 10 * width**2 + 2 * vocabulary * width  # fewer than the network has
    needed, free = 16 * weights, free_bytes("cpu")
    if needed > free:
        raise LimitError(
            f"a network of width {width:,} takes {needed:,} bytes to train, and {free:,} are free"
        )


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """Result of one network.

    Attributes:
        kind: The parametrization.
        lr: Highest learning rate, at the base width.
        seed: Seed of the weights and of the order of the text.
        loss: Loss on the held-out rows after the last step, in nats a token; None with a `reason`.
        reason: Reason why there is no loss; None when there is one.
    """

    kind: Kind
    width: int
    lr: float
    seed: int
    loss: float | None
    reason: str | None
    duration_sec: float


def train_small(
    text: TokenRows,
    family: NetworkFamily,
    job: TransferJob,
    training: TrainingSettings,
    *,
    on_step: Callable[[int], None] = lambda step: None,
) -> TrainingRun:
    """Train one network; all networks of a seed see the same batches in the same order.

    A run whose loss is no longer finite ends with a reason.

    Args:
        family: What the network is one of, with the vocabulary of the text.
        job: Parametrization; hidden size, a multiple of 16; highest learning rate, at the base
            width; seed of the weights and of the order of the text.
        on_step: Called with the number of steps done, after each one.

    Raises:
        LimitError: No network has this width, or lr is not above 0.
    """
    started = time.perf_counter()
    kind, width, lr, seed = job
    family = replace(family, base=training.base)
    if training.depths:
        layers = dict(training.depths)
        family = replace(family, layers=layers[training.base]).deep(layers[width])
    network = small_network(
        family,
        width,
        seed,
        lr=lr,
        kind=kind,
        optimizer=training.optimizer,
        embedding_std=_EMBEDDING_STD,
    )
    batches = _batches(text.train, training, seed)
    reason = _train(network.model, network.optimizer, batches, training.steps, on_step)
    loss = None if reason else _loss(network.model, text.held_out)
    if loss is not None and not isfinite(loss):
        loss, reason = None, "training diverged: the loss at its end is not finite"
    return TrainingRun(
        kind=kind,
        width=width,
        lr=lr,
        seed=seed,
        loss=loss,
        reason=reason,
        duration_sec=time.perf_counter() - started,
    )


def _train(
    model: Any,
    optimizer: Stepper,
    batches: Iterable[Tensor],
    steps: int,
    on_step: Callable[[int], None],
) -> str | None:
    """Train a network; returns the reason where it diverges."""
    highest = [group["lr"] for group in optimizer.param_groups]
    for step, batch in enumerate(batches, start=1):
        loss = model(input_ids=batch, labels=batch).loss
        if not isfinite(float(loss.detach())):
            return f"training diverged: the loss before step {step} is not finite"
        optimizer.zero_grad()
        loss.backward()
        for group, lr in zip(optimizer.param_groups, highest, strict=True):
            group["lr"] = lr * lr_factor(step, steps)
        optimizer.step()
        on_step(step)
    return None


def lr_factor(step: int, steps: int) -> float:
    """Factor of the highest learning rate at a step, counted from 1.

    >>> [round(lr_factor(step, 100), 3) for step in (1, 10, 55, 100)]
    [0.1, 1.0, 0.505, 0.011]
    """
    rise = max(1, round(_WARM_UP * steps))
    return step / rise if step <= rise else (steps + 1 - step) / (steps + 1 - rise)


def _batches(rows: Tensor, training: TrainingSettings, seed: int) -> Iterator[Tensor]:
    """Batches that depend on the seed alone, without repetition until the text is used up."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    waiting = torch.empty(0, dtype=torch.int64)
    for _ in range(training.steps):
        while len(waiting) < training.rows:
            waiting = torch.cat([waiting, torch.randperm(len(rows), generator=generator)])
        yield rows[waiting[: training.rows]]
        waiting = waiting[training.rows :]


def _loss(model: Any, rows: Tensor) -> float:
    """Mean loss in nats a token."""
    import torch

    total = 0.0
    with torch.no_grad():
        for part in torch.split(rows, _EVALUATION_BATCH):
            total += float(model(input_ids=part, labels=part).loss) * len(part)
    return total / len(rows)
