"""A run of word2vec at several widths and in the limit: what is missing is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ... import __version__
from ...runs import ProgressCallback, ResultUnit, run_results
from .analogies import Questions
from .corpus import Corpus
from .results import FORMAT
from .training import TrainingJob, Word2vecResult, metadata, train


def run_word2vec(
    corpus: Corpus,
    questions: Questions,
    jobs: Sequence[TrainingJob],
    folder: Path,
    *,
    on_result: Callable[[str, Word2vecResult], None] = lambda *_: None,
    on_progress: ProgressCallback = lambda *_: None,
) -> list[Word2vecResult]:
    """Results of all jobs, those that the folder holds from there; see `run_results`.

    Each network under way is kept in the folder too, up to its last checkpoint.

    Args:
        corpus: The text.
        questions: The analogies.
        jobs: What is asked for.
        folder: Folder of the results and the networks.
        on_result: Called with the label and the result of each job that is done now.
        on_progress: Called with the share of this run that is done, and what is done now.
    """
    vocabulary = len(corpus.words)
    units = [
        ResultUnit(
            keys=(job.key,),
            label=job.title,
            work=job,
            cost=_cost(job, vocabulary),
            settings={**metadata(job, corpus, questions), "widthwise": __version__},
        )
        for job in jobs
    ]

    def train_unit(unit: ResultUnit, report: ProgressCallback) -> Word2vecResult:
        job: TrainingJob = unit.work
        words = job.settings.epochs * len(corpus.ids)
        return train(
            corpus,
            questions,
            job,
            checkpoint=folder / f"{unit.label.replace(', ', '-').replace(' ', '-')}.safetensors",
            on_block=lambda done, speed: report(
                done / words, f"{unit.label}, {speed:,.0f} words/s"
            ),
        )

    return run_results(
        folder, FORMAT, units, train_unit, on_result=on_result, on_progress=on_progress
    )


def _cost(job: TrainingJob, vocabulary: int) -> int:
    """Cost of a run: columns, and a hundred for what does not depend on them."""
    return 100 + (job.width or vocabulary) if job.is_trained else 1
