"""A run: training from a start or a checkpoint to the last epoch, analogies after each."""

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
from . import checkpoints
from .analogies import Questions, right_answers, section_scores
from .corpus import Corpus
from .networks import SkipGram, check_network, start
from .sampling import AliasTable, alias_table, blocks_per_epoch, draw_block, keep_probabilities
from .settings import Word2vecSettings

_SAVE_EVERY = 60.0  # seconds of training: more than writing a few GB takes


@dataclass(frozen=True, kw_only=True)
class AnalogyScore:
    """Analogies answered rightly.

    Attributes:
        right: How many.
        asked: Of how many, those whose words are all in the vocabulary.
        of: Questions of the whole file.
        sections: Name, right answers and questions of each section.
        outcomes: Question by question, a bit each, 1 for right, as hexadecimal digits.
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
class Word2vecResult:
    """What one run gave.

    Attributes:
        network: `finite`, `limit`, `ntk` or `gp`.
        width: Of a finite network; None otherwise.
        seed: What drew the start and the samples.
        score: After the last epoch; None with a `reason`.
        reason: Why there is no score; None when there is one.
        curve: Accuracy and mean loss in nats of each epoch; empty of kernels.
        words_per_sec: Words of the text trained on in a second, those thinned out counted; None
            where nothing is trained.
        training_sec: Seconds of training, those before an interruption too, analogies not.
    """

    network: str
    width: int | None
    seed: int
    score: AnalogyScore | None
    reason: str | None
    curve: tuple[tuple[float, float], ...]
    words_per_sec: float | None
    training_sec: float


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """A run that is asked for.

    Attributes:
        network: `finite`, `limit`, `ntk` or `gp`.
        width: Of a finite network; None otherwise.
        seed: Of the start of finite networks and of the samples, the same for all networks.
        settings: How it is trained.
        device: `cpu` or `cuda`; the latter takes batches.
    """

    network: str
    width: int | None = None
    seed: int = 0
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

    All networks of a seed meet the same samples. A run whose loss is no longer finite ends without
    a score, with a reason. Kernels are not trained: the embeddings that they keep are asked.

    Args:
        corpus: The text.
        questions: Asked after each epoch.
        job: What is trained.
        checkpoint: Where the network is kept, after each epoch and every minute; a run goes
            on from there and ends as if it had not been interrupted. None keeps nothing.
        on_block: Told of the words done, of all epochs, and of words in a second.

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
    """All that decides a run's numbers beside the code."""
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
    shares = section_scores(right, questions)
    return AnalogyScore(
        right=int(right.sum()),
        asked=len(right),
        of=questions.of,
        sections=tuple((name, *share) for name, share in shares.items()),
        outcomes=np.packbits(right).tobytes().hex(),
    )


@dataclass(kw_only=True)
class _Run:
    """A run on its way."""

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
        """Words done, of all epochs."""
        inside = self.state["blocks_done"] * self.job.settings.refresh
        return int(self.state["epochs_done"] * len(self.corpus.ids) + inside)

    def run(self, on_block: Callable[[int, float], None]) -> str | None:
        """Train to the end; why there is no score, if there is none."""
        self._resume()
        settings, facts, saved = self.job.settings, self.state, self.state["training_sec"]
        blocks = blocks_per_epoch(self.corpus, settings)
        while facts["epochs_done"] < settings.epochs:
            if not self._block():
                return (
                    f"training diverged: the loss in epoch {facts['epochs_done'] + 1} is not "
                    f"finite; take a learning rate below {settings.lr:g}"
                )
            is_epoch = facts["blocks_done"] == blocks
            if is_epoch and not facts["loss"][1]:
                return f"the sample of {settings.sample:g} leaves no word of the text"
            if is_epoch:
                self._end_epoch()
            if is_epoch or facts["training_sec"] - saved > _SAVE_EVERY:
                saved = facts["training_sec"]
                if self.path is not None:
                    checkpoints.save(self.path, self.network, facts)
            on_block(self.words(), self.words() / facts["training_sec"])
        return None

    def _resume(self) -> None:
        found = None if self.path is None else checkpoints.load(self.path, self.network)
        if found is None:
            return
        fixed = metadata(self.job, self.corpus, self.questions)
        odd = [name for name, value in fixed.items() if found.get(name) != value]
        if odd:
            raise RunError(
                f"{self.path} was begun with other {', '.join(odd)}; give another --out, or the "
                "same options"
            )
        self.state = found

    def _block(self) -> bool:
        """Train on the next block; whether its loss is finite."""
        began, facts, settings = time.perf_counter(), self.state, self.job.settings
        if settings.batch == 1:
            from .sequential import train_block
        else:
            from .minibatch import train_block
        place = (facts["epochs_done"], facts["blocks_done"])
        rate = settings.rate(self.words(), settings.epochs * len(self.corpus.ids))
        block = draw_block(self.corpus, settings, self.shares, place, self.job.seed)
        loss, centres = train_block(self.network, block, self.alias_table, settings, rate)
        facts["loss"] = [facts["loss"][0] + loss, facts["loss"][1] + centres]
        facts["blocks_done"] += 1
        facts["training_sec"] += time.perf_counter() - began
        return isfinite(loss)

    def _end_epoch(self) -> None:
        facts = self.state
        loss, centres = facts["loss"]
        right = right_answers(self.network.embeddings, self.questions)
        facts["curve"].append([float(right.mean()), loss / max(1, centres)])
        facts |= {"epochs_done": facts["epochs_done"] + 1, "blocks_done": 0, "loss": [0.0, 0]}
