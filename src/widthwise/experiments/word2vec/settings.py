"""Settings of word2vec. The defaults are those of the published experiment on text8."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import LimitError
from ...theory import check_positive

# Of the published runs on text8 (arXiv 2011.14522, Section 8.1, and its code): all words that occur
# 5 times, which are 71,290.
TEXT8 = {
    "vocabulary": None, "min_count": 5, "window": 8, "negative": 25, "sample": 1e-4, "epochs": 15,
    "lr": 0.05, "decay": 0.001,
}  # fmt: skip
_MOST = {"window": 100, "negative": 1000, "batch": 65_536, "threads": 256}


@dataclass(frozen=True, kw_only=True)
class Word2vecSettings:
    """CBOW with negative sampling; learning rates do not depend on the width, which is muP.

    Attributes:
        window: Largest distance of a context from its centre; each centre draws one from 1 up.
        negative: Negatives of each centre.
        sample: Subsampling threshold; words of a larger share of the text are thinned out.
        epochs: Passes over the text.
        lr: Learning rate at the start; it falls linearly with the words seen, to 1e-4 of this.
        decay: Weight decay of the rows that a step visits.
        batch: Centres of a step. 1 trains them one after the other, each with its negatives, as
            published. More share as many drawn words as there are centres, but at least `negative`,
            weighted as if each had its own, so that matrix products do the work.
        threads: Threads for batches of 1. More than 1 race as in the published code, and a run is
            not repeated exactly.
        refresh: Words between two changes of the learning rate.
    """

    window: int = 8
    negative: int = 25
    sample: float = 1e-4
    epochs: int = 15
    lr: float = 0.05
    decay: float = 0.001
    batch: int = 1
    threads: int = 1
    refresh: int = 500_000

    def __post_init__(self) -> None:
        for name in ("window", "negative", "epochs", "batch", "threads", "refresh"):
            value, top = getattr(self, name), _MOST.get(name, 10**9)
            if not 1 <= value <= top:
                raise LimitError(f"{name} must be from 1 to {top:,}; got {value}")
        for name in ("sample", "lr"):
            check_positive(name, getattr(self, name))
        if not 0 <= self.decay * self.lr < 1:
            raise LimitError(
                f"decay must be at least 0, and less than 1 / lr; got {self.decay} at lr {self.lr}"
            )
        if self.threads > 1 and self.batch > 1:
            raise LimitError(
                f"threads above 1 are for batches of 1; got {self.threads} with a batch of "
                f"{self.batch}"
            )

    @property
    def shared(self) -> int:
        """Words that the centres of a batch share as negatives."""
        return max(self.negative, self.batch)

    def rate(self, seen: int, words: int) -> float:
        """Learning rate after some of the words of all epochs.

        Example:
            >>> Word2vecSettings(lr=0.05).rate(50, 99), Word2vecSettings(lr=0.05).rate(100, 99)
            (0.025, 5e-06)
        """
        return self.lr * max(1 - seen / (words + 1), 1e-4)
