"""One centre after the other, as in the published code, by one or more threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np

from ...errors import LimitError
from .networks import SkipGram
from .sampling import AliasTable, WordBlock
from .settings import Word2vecSettings


def train_block(
    network: SkipGram, block: WordBlock, odds: AliasTable, settings: Word2vecSettings, rate: float
) -> tuple[float, int]:
    """Train on every centre of a block; the sum of losses, nats, and how many there were.

    The threads share the centres in even parts, and race.

    Raises:
        LimitError: numba is not installed, or the network is not on the CPU.

    Cost: 6 n numbers multiplied for each centre and target.
    """
    if network.embeddings.device.type != "cpu":
        raise LimitError("batches of 1 are trained on the CPU; give a larger --batch for cuda")
    loop = _loop()
    weights = (network.embeddings.numpy(), network.outputs.numpy())
    dtype = weights[0].dtype.type
    numbers = (settings.negative, dtype(rate), dtype(1 - rate * settings.decay))
    drawn = (block.ids, block.low, block.high, block.key)
    cuts = np.linspace(0, len(block.ids), settings.threads + 1).astype(np.int64)

    def part(number: int) -> tuple[float, int]:
        stretch = (cuts[number], cuts[number + 1])
        sums = loop(weights, drawn, (odds.threshold, odds.other), numbers, stretch)
        return cast(tuple[float, int], sums)

    if settings.threads == 1:
        return part(0)
    with ThreadPoolExecutor(settings.threads) as pool:
        sums = list(pool.map(part, range(settings.threads)))
    return sum(loss for loss, _ in sums), sum(number for _, number in sums)


def _loop() -> Callable[..., Any]:
    try:
        from .cbow_numba import train_centres
    except ModuleNotFoundError as error:
        raise LimitError(
            "batches of 1 need numba: pip install 'widthwise[word2vec]', or give a larger --batch"
        ) from error
    return train_centres
