"""Training from a start or a checkpoint to the last epoch, with analogies after each."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import LimitError, RunError
from ...theory import check_least
from .analogies import Questions, right_answers, section_scores
from .corpus import Corpus
from .networks import (
    SkipGram,
    Word2vecNetwork,
    check_network,
    load_checkpoint,
    save_checkpoint,
    start,
)
from .sampling import AliasTable, alias_table, blocks_per_epoch, draw_block, keep_probabilities
from .settings import Word2vecSettings

_SAVE_EVERY = 60.0  # seconds of training: more than writing a few GB takes


@dataclass(frozen=True, kw_only=True)
class AnalogyScore:
    """Analogies answered correctly.

    Attributes:
        right: Correct answers.
        asked: Questions whose words are all in the vocabulary.
        of: Questions of the whole file.
        sections: Name, correct answers and questions of each section.
        outcomes: A bit for each question, 1 for a correct answer, as hexadecimal digits.
    """

    right: int
    asked: int
    of: int
    sections: tuple[tuple[str, int, int], ...]
    outcomes: str

    @property
    def accuracy(self) -> float:
        """From 0 to 1."""
        return self.right / self.asked

    def bits(self) -> NDArray[np.float64]:
        """1 for each question answered rightly, else 0, shape (asked,)."""
        packed = np.frombuffer(bytes.fromhex(self.outcomes), dtype=np.uint8)
        return np.unpackbits(packed, count=self.asked).astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class Word2vecResult(Word2vecNetwork):
    """Result of one run.

    Attributes:
        score: Score after the last epoch; None with a `reason`.
        reason: Reason why there is no score; None when there is one.
        curve: Accuracy and mean loss in nats of each epoch; empty for kernels.
        words_per_sec: Words of the text in a second, including those thinned out; None where
            nothing is trained.
        training_sec: Seconds of training, including those before an interruption, without
            analogies.
    """

    score: AnalogyScore | None
    reason: str | None
    curve: tuple[tuple[float, float], ...]
    words_per_sec: float | None
    training_sec: float


@dataclass(frozen=True, kw_only=True)
class TrainingJob(Word2vecNetwork):
    """Request for a run.

    Attributes:
        device: `cpu` or `cuda`, which needs batches.
    """

    settings: Word2vecSettings = field(default_factory=Word2vecSettings)
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_network(self.network, self.width)
        check_least("a seed", self.seed, 0)
        if self.device == "cuda" and self.settings.batch == 1:
            raise LimitError("batches of 1 are trained on the CPU; give a larger --batch for cuda")

    @property
    def is_trained(self) -> bool:
        """Kernels keep the embeddings that the limit starts with: features do not move."""
        return self.network in ("finite", "limit")


def train(
    corpus: Corpus,
    questions: Questions,
    job: TrainingJob,
    *,
    checkpoint: Path | None = None,
    on_block: Callable[[int, float], None] = lambda words, speed: None,
) -> Word2vecResult:
    """Train one network, and answer the questions after each epoch.

    All networks of a seed see the same samples. A run whose loss is no longer finite ends without
    a score, with a reason. Kernels are not trained: their initial embeddings are scored.

    Args:
        checkpoint: File of the network, written after each epoch and every minute; a run goes on
            from there and ends as if it had not been interrupted. None writes nothing.
        on_block: Called with the words done in all epochs, and the words in a second.

    Raises:
        LimitError: The network does not fit in memory, or there is no such device.
        OutputError: The checkpoint cannot be written.
        RunError: The checkpoint is of another run, or cannot be read.
    """
    width = job.width if job.network == "finite" else None
    network = start(len(corpus.words), width, seed=job.seed, device=job.device)
    run = _Run(corpus=corpus, questions=questions, job=job, network=network, path=checkpoint)
    reason = run.run(on_block) if job.is_trained else None
    trained = run.words()
    speed = trained / run.state["training_sec"] if run.state["training_sec"] else None
    return Word2vecResult(
        network=job.network,
        width=job.width,
        seed=job.seed,
        score=_score(network, questions) if reason is None else None,
        reason=reason,
        curve=tuple((float(a), float(b)) for a, b in run.state["curve"]),
        words_per_sec=speed,
        training_sec=run.state["training_sec"],
    )


def metadata(job: TrainingJob, corpus: Corpus, questions: Questions) -> dict[str, Any]:
    """Everything that determines a run's numbers beside the code."""
    return {
        "network": job.network,
        "width": job.width,
        "seed": job.seed,
        **asdict(job.settings),
        "device": job.device,
        "vocabulary": len(corpus.words),
        "text": corpus.digest,
        "analogies": questions.digest,
    }


def _score(network: SkipGram, questions: Questions) -> AnalogyScore:
    right = right_answers(network.embeddings, questions)
    return AnalogyScore(
        right=int(right.sum()),
        asked=len(right),
        of=questions.of,
        sections=section_scores(right, questions),
        outcomes=np.packbits(right).tobytes().hex(),
    )


@dataclass(kw_only=True)
class _Run:
    """A run under way."""

    corpus: Corpus
    questions: Questions
    job: TrainingJob
    network: SkipGram
    path: Path | None
    state: dict[str, Any] = field(init=False)
    shares: NDArray[np.float64] = field(init=False)
    alias_table: AliasTable = field(init=False)

    def __post_init__(self) -> None:
        self.shares = keep_probabilities(self.corpus.counts, self.job.settings.sample)
        self.alias_table = alias_table(self.corpus.counts)
        fixed = metadata(self.job, self.corpus, self.questions)
        self.state = {**fixed, "epochs_done": 0, "blocks_done": 0, "loss": [0.0, 0]}
        self.state |= {"training_sec": 0.0, "curve": [], "words": list(self.corpus.words)}

    def words(self) -> int:
        """Words done in all epochs."""
        inside = self.state["blocks_done"] * self.job.settings.refresh
        return int(self.state["epochs_done"] * len(self.corpus.ids) + inside)

    def run(self, on_block: Callable[[int, float], None]) -> str | None:
        """Train to the end; returns the reason why there is no score, or None."""
        self._resume()
        settings, state, saved = self.job.settings, self.state, self.state["training_sec"]
        blocks = blocks_per_epoch(self.corpus, settings)
        while state["epochs_done"] < settings.epochs:
            if not self._block():
                return (
                    f"training diverged: the loss in epoch {state['epochs_done'] + 1} is not "
                    f"finite; take a learning rate below {settings.lr:g}"
                )
            is_epoch = state["blocks_done"] == blocks
            if is_epoch and not state["loss"][1]:
                return f"the sample of {settings.sample:g} leaves no word of the text"
            if is_epoch:
                self._end_epoch()
            if is_epoch or state["training_sec"] - saved > _SAVE_EVERY:
                saved = state["training_sec"]
                if self.path is not None:
                    save_checkpoint(self.path, self.network, state)
            on_block(self.words(), self.words() / state["training_sec"])
        return None

    def _resume(self) -> None:
        stored = None if self.path is None else load_checkpoint(self.path, self.network)
        if stored is None:
            return
        fixed = metadata(self.job, self.corpus, self.questions)
        different = [name for name, value in fixed.items() if stored.get(name) != value]
        if different:
            raise RunError(
                f"{self.path} was begun with other {', '.join(different)}; give another --out, or "
                "the same options"
            )
        self.state = stored

    def _block(self) -> bool:
        """Train on the next block; returns whether its loss is finite."""
        from .steps import train_block

        started, state, settings = time.perf_counter(), self.state, self.job.settings
        epoch_and_block = (state["epochs_done"], state["blocks_done"])
        rate = settings.rate(self.words(), settings.epochs * len(self.corpus.ids))
        block = draw_block(self.corpus, settings, self.shares, epoch_and_block, self.job.seed)
        loss, centres = train_block(self.network, block, self.alias_table, settings, rate)
        state["loss"] = [state["loss"][0] + loss, state["loss"][1] + centres]
        state["blocks_done"] += 1
        state["training_sec"] += time.perf_counter() - started
        return isfinite(loss)

    def _end_epoch(self) -> None:
        state = self.state
        loss, centres = state["loss"]
        right = right_answers(self.network.embeddings, self.questions)
        state["curve"].append([float(right.mean()), loss / max(1, centres)])
        state |= {"epochs_done": state["epochs_done"] + 1, "blocks_done": 0, "loss": [0.0, 0]}
