"""Many centres a step by matrix products, on any device.

The centres of a step lie side by side in the text, so that their contexts are few rows of E, and
they share the drawn words, so that these are few rows of O. All of a step is taken from the weights
before it: the gradient of the summed loss, decay included, each visit of a row counting once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from .networks import SkipGram
from .sampling import AliasTable, WordBlock, draw
from .settings import Word2vecSettings


def train_block(
    network: SkipGram, block: WordBlock, odds: AliasTable, settings: Word2vecSettings, rate: float
) -> tuple[float, int]:
    """Train on every centre of a block; the sum of losses, nats, and how many there were.

    Cost: 6 n numbers multiplied for each centre and shared word, 4 n for each centre and context.
    """
    device, size = network.embeddings.device, settings.batch
    steps = -(-len(block.ids) // size)
    drawn = torch.from_numpy(draw(odds, block.key, 0, steps * settings.shared))
    negatives = drawn.to(device, torch.int64).view(steps, settings.shared)
    ids, low, high = (
        torch.from_numpy(part).to(device, torch.int64)
        for part in (block.ids, block.low, block.high)
    )
    places = torch.arange(len(ids), device=device)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    for step in range(steps):
        centres = slice(step * size, (step + 1) * size)
        near = slice(max(0, centres.start - settings.window), centres.stop + settings.window)
        own, beside = places[centres, None], places[near]
        is_context = (beside >= low[centres, None]) & (beside < high[centres, None])
        is_context &= beside != own
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
    """What a step is taken on.

    Attributes:
        centres: Words, shape (centres,).
        contexts: Words that are anyone's context, shape (contexts,).
        is_context: 1 where they are that centre's, shape (centres, contexts).
        negatives: Words, shape (shared,).
    """

    centres: Tensor
    contexts: Tensor
    is_context: Tensor
    negatives: Tensor


def train_step(network: SkipGram, batch: _Batch, settings: Word2vecSettings, rate: float) -> Tensor:
    """One step; the sum of losses, nats. A centre without contexts takes no part."""
    number = batch.is_context.sum(dim=1, keepdim=True)
    takes_part = number.clamp(max=1)
    mean = batch.is_context / number.clamp(min=1)
    weight = (batch.negatives != batch.centres[:, None]) * takes_part
    weight *= settings.negative / len(batch.negatives)
    near = network.embeddings[batch.contexts]
    own, others = network.outputs[batch.centres], network.outputs[batch.negatives]
    hidden = mean @ near
    logits, wrong = (hidden * own).sum(dim=1, keepdim=True), hidden @ others.T
    loss = (takes_part * softplus(-logits)).sum() + (weight * softplus(wrong)).sum()
    pull, push = rate * takes_part * torch.sigmoid(-logits), -rate * weight * torch.sigmoid(wrong)
    error = torch.addmm(pull * own, push, others)
    fade = -rate * settings.decay
    own.mul_(fade * takes_part).addcmul_(pull, hidden)
    others.mul_(fade * weight.sum(dim=0)[:, None]).addmm_(push.T, hidden)
    near.mul_(fade * batch.is_context.sum(dim=0)[:, None]).addmm_(mean.T, error)
    network.outputs.index_add_(0, batch.centres, own)
    network.outputs.index_add_(0, batch.negatives, others)
    network.embeddings.index_add_(0, batch.contexts, near)
    return loss
