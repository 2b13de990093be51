"""Steps of CBOW on a block, centre by centre or many at a time by matrix products.

The centres of a batch lie side by side in the text, so that their contexts are few rows of E, and
they share the drawn words, so that these are few rows of O. All of a step is taken from the weights
before it: the gradient of the summed loss, decay included, each visit of a row counting once.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from ...errors import LimitError
from .networks import SkipGram
from .sampling import AliasTable, WordBlock, draw
from .settings import Word2vecSettings


def train_block(
    network: SkipGram, block: WordBlock, odds: AliasTable, settings: Word2vecSettings, rate: float
) -> tuple[float, int]:
    """Train on every centre of a block; returns the sum of losses in nats, and their number.

    Raises:
        LimitError: Batches are of 1, and numba is not installed or the network not on the CPU.

    Cost: 6 n multiplications for each centre and target; in batches 6 n for each centre and shared
    word, and 4 n for each centre and context.
    """
    train = _train_sequentially if settings.batch == 1 else _train_in_batches
    return train(network, block, odds, settings, rate)


def _train_sequentially(
    network: SkipGram, block: WordBlock, odds: AliasTable, settings: Word2vecSettings, rate: float
) -> tuple[float, int]:
    """One centre after the other, as in the published code; threads share them evenly, and race."""
    if network.embeddings.device.type != "cpu":
        raise LimitError("batches of 1 are trained on the CPU; give a larger --batch for cuda")
    try:
        from .cbow_numba import train_centres
    except ModuleNotFoundError as error:
        raise LimitError(
            "batches of 1 need numba: pip install 'widthwise[word2vec]', or give a larger --batch"
        ) from error
    weights = (network.embeddings.numpy(), network.outputs.numpy())
    dtype = weights[0].dtype.type
    numbers = (settings.negative, dtype(rate), dtype(1 - rate * settings.decay))
    drawn = (block.ids, block.low, block.high, block.key)
    cuts = np.linspace(0, len(block.ids), settings.threads + 1).astype(np.int64)

    def part(number: int) -> tuple[float, int]:
        stretch = (cuts[number], cuts[number + 1])
        sums = train_centres(weights, drawn, (odds.threshold, odds.other), numbers, stretch)
        return cast(tuple[float, int], sums)

    if settings.threads == 1:
        return part(0)
    with ThreadPoolExecutor(settings.threads) as pool:
        sums = list(pool.map(part, range(settings.threads)))
    return sum(loss for loss, _ in sums), sum(number for _, number in sums)


def _train_in_batches(
    network: SkipGram, block: WordBlock, odds: AliasTable, settings: Word2vecSettings, rate: float
) -> tuple[float, int]:
    """Many centres a step."""
    device, size = network.embeddings.device, settings.batch
    steps = -(-len(block.ids) // size)
    drawn = torch.from_numpy(draw(odds, block.key, 0, steps * settings.shared))
    negatives = drawn.to(device, torch.int64).view(steps, settings.shared)
    ids, low, high = (
        torch.from_numpy(part).to(device, torch.int64)
        for part in (block.ids, block.low, block.high)
    )
    positions = torch.arange(len(ids), device=device)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    for step in range(steps):
        centres = slice(step * size, (step + 1) * size)
        near = slice(max(0, centres.start - settings.window), centres.stop + settings.window)
        centre, neighbour = positions[centres, None], positions[near]
        is_context = (neighbour >= low[centres, None]) & (neighbour < high[centres, None])
        is_context &= neighbour != centre
        batch = _Batch(
            centres=ids[centres],
            contexts=ids[near],
            is_context=is_context.to(network.embeddings.dtype),
            negatives=negatives[step],
        )
        loss += train_step(network, batch, settings, rate)
    return float(loss), int((high - low > 1).sum())


@dataclass(frozen=True, kw_only=True, eq=False)
class _Batch:
    """Words of one step.

    Attributes:
        centres: Centres, shape (centres,).
        contexts: Contexts of any centre, shape (contexts,).
        is_context: 1 for the contexts of a centre, shape (centres, contexts).
        negatives: Negatives, shape (shared,).
    """

    centres: Tensor
    contexts: Tensor
    is_context: Tensor
    negatives: Tensor


def train_step(network: SkipGram, batch: _Batch, settings: Word2vecSettings, rate: float) -> Tensor:
    """Take one step; returns the sum of losses in nats. A centre without contexts takes no part."""
    number = batch.is_context.sum(dim=1, keepdim=True)
    takes_part = number.clamp(max=1)
    mean = batch.is_context / number.clamp(min=1)
    weight = (batch.negatives != batch.centres[:, None]) * takes_part
    weight *= settings.negative / len(batch.negatives)
    near = network.embeddings[batch.contexts]
    targets, others = network.outputs[batch.centres], network.outputs[batch.negatives]
    hidden = mean @ near
    logits, wrong = (hidden * targets).sum(dim=1, keepdim=True), hidden @ others.T
    loss = (takes_part * softplus(-logits)).sum() + (weight * softplus(wrong)).sum()
    pull, push = rate * takes_part * torch.sigmoid(-logits), -rate * weight * torch.sigmoid(wrong)
    error = torch.addmm(pull * targets, push, others)
    fade = -rate * settings.decay
    targets.mul_(fade * takes_part).addcmul_(pull, hidden)
    others.mul_(fade * weight.sum(dim=0)[:, None]).addmm_(push.T, hidden)
    near.mul_(fade * batch.is_context.sum(dim=0)[:, None]).addmm_(mean.T, error)
    network.outputs.index_add_(0, batch.centres, targets)
    network.outputs.index_add_(0, batch.negatives, others)
    network.embeddings.index_add_(0, batch.contexts, near)
    return loss
