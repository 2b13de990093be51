"""A run of word2vec at several widths and in the limit: what is missing is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ... import __version__
from ...notices import notice
from ...runs import RESULTS, ProgressCallback, ResultUnit, run_results
from .analogies import Questions
from .corpus import Corpus
from .networks import is_whole
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
            checkpoint=_checkpoint(folder, job),
            on_block=lambda done, speed: report(
                done / words, f"{unit.label}, {speed:,.0f} words/s"
            ),
        )

    results = run_results(
        folder, FORMAT, units, train_unit, on_result=on_result, on_progress=on_progress
    )
    _say_what_is_lost(folder, jobs, results)
    return results


def _say_what_is_lost(
    folder: Path, jobs: Sequence[TrainingJob], results: Sequence[Word2vecResult]
) -> None:
    """Give a notice of each network that was trained and is there no more."""
    for job, result in zip(jobs, results, strict=True):
        path = _checkpoint(folder, job)
        if job.is_trained and result.score is not None and not is_whole(path):
            notice(
                f"Note: the network of {job.title} is lost ({path} is not there or not whole); its "
                f"result stays. Without that file and its line in {RESULTS} the same command "
                "trains it again."
            )


def _checkpoint(folder: Path, job: TrainingJob) -> Path:
    return folder / f"{job.title.replace(', ', '-').replace(' ', '-')}.safetensors"


def _cost(job: TrainingJob, vocabulary: int) -> int:
    """Cost of a run: columns, and a hundred for what does not depend on them."""
    return 100 + (job.width or vocabulary) if job.is_trained else 1
