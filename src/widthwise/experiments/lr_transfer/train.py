"""Small GLU transformers trained on real text, one for each width, learning rate and seed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from ...errors import LimitError
from ...io import free_bytes
from ...mup import BASE, Kind, glu_config, glu_network
from .text import TokenRows

if TYPE_CHECKING:
    from torch import Tensor, nn

KINDS: tuple[Kind, ...] = ("sp", "mup")
_EVALUATION_BATCH = 64  # rows at once
_WARM_UP = 0.1  # of all steps
# with 0.02, every step changed embeddings by their own size: 3.04 nats instead of 2.70 after 100
# steps at width 64, each with the best of four learning rates and the same betas
_EMBEDDING_STD, _BETAS = 0.3, (0.9, 0.95)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How every network of a study is trained.

    By Adam; the learning rate rises over a tenth of the steps and falls in a straight line to 0.

    Attributes:
        steps: Of training.
        rows: Of text in a step.
        tokens: Of a row.
        base: Width at which muP is the standard parametrization.

    Raises:
        LimitError: A number is too small.
    """

    steps: int = 400
    rows: int = 4
    tokens: int = 64
    base: int = BASE

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("rows", 1), ("tokens", 2)):
            if getattr(self, name) < least:
                raise LimitError(
                    f"{name} of a training must be at least {least}; got {getattr(self, name)}"
                )


def check_fits(width: int, vocabulary: int) -> None:
    """See, before anything is trained, that a network and what Adam keeps of it fit in memory.

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
    """What one network came to.

    Attributes:
        kind: `mup` or `sp`.
        width: Its hidden size.
        lr: The highest learning rate, at the base width.
        seed: Of its weights and of the order of the text.
        loss: On the rows held out after the last step, in nats a token; None with a `reason`.
        reason: Why there is no loss; None when there is one.
        duration_sec: Of the run.
    """

    kind: Kind
    width: int
    lr: float
    seed: int
    loss: float | None
    reason: str | None
    duration_sec: float


def train_glu(
    text: TokenRows,
    kind: Kind,
    width: int,
    lr: float,
    seed: int,
    training: TrainingSettings,
    *,
    on_step: Callable[[int], None] = lambda step: None,
) -> TrainingRun:
    """Train one network; all networks of a seed meet the same batches in the same order.

    A run whose loss is no longer finite ends with a reason.

    Args:
        text: To train and to measure on.
        kind: `mup` or `sp`.
        width: A multiple of 16.
        lr: The highest learning rate, at the base width, above 0.
        seed: Of the weights and of the order of the text.
        training: How.
        on_step: Told of the steps done, after each one.

    Raises:
        LimitError: No network has this width, or lr is not above 0.
    """
    began = time.perf_counter()
    config = glu_config(width, vocabulary=text.vocabulary, tokens=training.tokens)
    model, optimizer = glu_network(
        config, seed, lr=lr, base=training.base, kind=kind,
        embedding_std=_EMBEDDING_STD, betas=_BETAS,
    )  # fmt: skip
    tops = [group["lr"] for group in optimizer.param_groups]
    reason: str | None = None
    for step, batch in enumerate(_batches(text.train, training, seed), start=1):
        loss = model(input_ids=batch, labels=batch).loss
        if not isfinite(float(loss.detach())):
            reason = f"training diverged: the loss before step {step} is not finite"
            break
        optimizer.zero_grad()
        loss.backward()
        for group, top in zip(optimizer.param_groups, tops, strict=True):
            group["lr"] = top * lr_factor(step, training.steps)
        optimizer.step()
        on_step(step)
    found = None if reason else _loss(model, text.held_out)
    if found is not None and not isfinite(found):
        found, reason = None, "training diverged: the loss at its end is not finite"
    return TrainingRun(
        kind=kind,
        width=width,
        lr=lr,
        seed=seed,
        loss=found,
        reason=reason,
        duration_sec=time.perf_counter() - began,
    )


def lr_factor(step: int, steps: int) -> float:
    """Of the highest learning rate, at a step counted from 1.

    >>> [round(lr_factor(step, 100), 3) for step in (1, 10, 55, 100)]
    [0.1, 1.0, 0.505, 0.011]
    """
    rise = max(1, round(_WARM_UP * steps))
    return step / rise if step <= rise else (steps + 1 - step) / (steps + 1 - rise)


def _batches(rows: Tensor, training: TrainingSettings, seed: int) -> Iterator[Tensor]:
    """Batches by seed alone; the text is gone through whole before it begins again."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    waiting = torch.empty(0, dtype=torch.int64)
    for _ in range(training.steps):
        while len(waiting) < training.rows:
            waiting = torch.cat([waiting, torch.randperm(len(rows), generator=generator)])
        yield rows[waiting[: training.rows]]
        waiting = waiting[training.rows :]


def _loss(model: nn.Module, rows: Tensor) -> float:
    """Mean loss in nats a token."""
    import torch

    total = 0.0
    with torch.no_grad():
        for part in torch.split(rows, _EVALUATION_BATCH):
            total += float(model(input_ids=part, labels=part).loss) * len(part)
    return total / len(rows)
