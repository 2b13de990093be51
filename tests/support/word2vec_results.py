"""Made-up results of word2vec."""

from __future__ import annotations

import numpy as np

from widthwise.experiments.word2vec import AnalogyScore, Word2vecResult


def result(bits: str | None, width: int | None = 8, seed: int = 0) -> Word2vecResult:
    """A run with these outcomes, question by question; None is one that failed."""
    score = None
    if bits is not None:
        right = np.array([bit == "1" for bit in bits])
        score = AnalogyScore(
            right=int(right.sum()), asked=len(bits), of=len(bits), sections=(),
            outcomes=np.packbits(right).tobytes().hex(),
        )  # fmt: skip
    return Word2vecResult(
        network="limit" if width is None else "finite", width=width, seed=seed, score=score,
        reason=None if score else "it diverged", curve=(), words_per_sec=None, training_sec=0.0,
    )  # fmt: skip
