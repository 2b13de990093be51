"""`widthwise word2vec`: CBOW at every width, the limit of infinite width, and kernels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .figure_options import save_figure
from .interrupts import interruption
from .options import networks_options, out_option, parse_networks
from .run_lines import check_same, make_folder
from .save_pages import save_page

if TYPE_CHECKING:
    from ..experiments.word2vec import (
        Corpus,
        Key,
        Questions,
        TrainingJob,
        Word2vecResult,
        Word2vecSettings,
    )

_CUDA_BATCH = 512  # centres of a step where nothing is asked for
_KERNELS = ("ntk", "gp")
_KEPT = (
    "interrupted; the same command goes on where it was: runs that have ended are kept, and the "
    "one under way up to its last checkpoint"
)


@click.command(short_help="Train word2vec at several widths and in the limit.")
@click.argument("text", type=click.Path(path_type=Path))
@click.option(
    "--analogies",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Questions of four words a line, such as word2vec's questions-words.txt.",
)
@networks_options("--width", "64,256,1024", "NTK and GP")
@click.option("--vocabulary", default=5000, show_default=True, help="Most words, by frequency.")
@click.option("--min-count", default=5, show_default=True, help="Rarer words are left out.")
@click.option("--window", default=8, show_default=True, help="Most distance of a context.")
@click.option("--negative", default=25, show_default=True, help="Words drawn beside a centre.")
@click.option("--sample", default=1e-4, show_default=True, help="Threshold of subsampling.")
@click.option("--epochs", default=15, show_default=True, help="Passes over the text.")
@click.option("--lr", default=0.05, show_default=True, help="Learning rate at the start.")
@click.option("--decay", default=0.001, show_default=True, help="Weight decay.")
@click.option(
    "--batch",
    type=int,
    help=f"Centres of a step; more than 1 share negatives. Default: 1, on cuda {_CUDA_BATCH}.",
)
@click.option(
    "--threads", default=1, show_default=True, help="That race; more than 1 do not repeat exactly."
)
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option("--seed", default=0, show_default=True, help="Of starts and samples.")
@out_option(
    "widthwise-word2vec",
    "Folder for results.jsonl, word2vec.png, report.html and a .safetensors file a network; what "
    "is there is not run again.",
)
@interruption(_KEPT)
def word2vec(
    text: Path,
    analogies: Path,
    widths: tuple[int, ...],
    limit: bool,
    kernels: bool,
    vocabulary: int,
    min_count: int,
    device: str,
    seed: int,
    out: Path,
    **options: Any,
) -> None:
    """Train word2vec (CBOW, negative sampling) in muP on TEXT, at several widths and in the limit.

    TEXT is plain or .gz; words are runs of the letters a to z. The limit takes two matrices of
    vocabulary x vocabulary. After each epoch analogies are asked. The same command goes on where it
    was interrupted.

    Example: widthwise word2vec text.gz --analogies questions-words.txt --width 64,256 --epochs 3
    """
    from ..experiments.word2vec import (
        TrainingJob,
        Word2vecSettings,
        draw_runs,
        load_corpus,
        load_questions,
    )

    if options["batch"] is None:
        options["batch"] = _CUDA_BATCH if device == "cuda" else 1
    settings = Word2vecSettings(**options)
    asked = parse_networks("--width", widths, limit, _KERNELS if kernels else ())
    jobs = [
        TrainingJob(network=network, width=width, seed=seed, settings=settings, device=device)
        for network, width in asked
    ]
    corpus = load_corpus(text, vocabulary=vocabulary, min_count=min_count)
    questions = load_questions(analogies, corpus.words)
    _check_fit(jobs, len(corpus.words))
    make_folder(out)
    found = _run(corpus, questions, jobs, out)
    save_figure(draw_runs(found), out / "word2vec.png")
    _print(found, corpus, settings)
    save_page(out)


def _check_fit(jobs: Sequence[TrainingJob], vocabulary: int) -> None:
    """See that each network fits in memory, before the first one is trained."""
    from ..experiments.word2vec import check_memory

    for job in jobs:
        check_memory(vocabulary, job.width, job.device)


def _run(
    corpus: Corpus, questions: Questions, jobs: Sequence[TrainingJob], out: Path
) -> list[Word2vecResult]:
    """All runs, those that the file holds from there; the others are added to it as they end."""
    from rich.console import Console

    from .. import __version__
    from ..experiments.word2vec import append, load, metadata
    from .tables import Eta, progress

    path = out / "results.jsonl"
    known = load(path)
    kept = {
        _key(job): {**metadata(job, corpus, questions), "widthwise": __version__} for job in jobs
    }
    for job in jobs:
        if _key(job) in known:
            check_same(path, _name(job), known[_key(job)][1], kept[_key(job)])
    missing = [job for job in jobs if _key(job) not in known]
    results = {_key(job): known[_key(job)][0] for job in jobs if _key(job) in known}
    costs = {_key(job): _cost(job, len(corpus.words)) for job in missing}
    console, left, done = Console(stderr=True), Eta(), 0
    with progress(console) as bar:
        task = bar.add_task("preparing", total=1.0, left="")
        for job in missing:
            words = job.settings.epochs * len(corpus.ids)
            before, cost, all_costs = done, costs[_key(job)], sum(costs.values())

            def tell(
                trained: int,
                speed: float,
                job: TrainingJob = job,
                base: int = before,
                per_word: float = cost / words,
                total: int = all_costs,
            ) -> None:
                share = (base + trained * per_word) / total
                about = f"{_name(job)}, {speed:,.0f} words/s"
                bar.update(task, completed=share, description=about, left=left(share))

            result = results[_key(job)] = _train(corpus, questions, job, out, tell)
            append(path, result, kept[_key(job)])
            console.print(f"{_name(job)}: {_said(result)}", highlight=False, markup=False)
            done += cost
    return [results[_key(job)] for job in jobs]


def _cost(job: TrainingJob, vocabulary: int) -> int:
    """Of a run beside others: columns, and a hundred for what does not depend on them."""
    return 100 + (job.width or vocabulary) if job.is_trained else 1


def _key(job: TrainingJob) -> Key:
    return job.network, job.width, job.seed


def _name(job: TrainingJob) -> str:
    from ..experiments.word2vec import label_of

    return f"{label_of(job.network, job.width)}, seed {job.seed}"


def _train(
    corpus: Corpus, questions: Questions, job: TrainingJob, out: Path, tell: Any
) -> Word2vecResult:
    from ..experiments.word2vec import train

    place = out / f"{_name(job).replace(', ', '-').replace(' ', '-')}.safetensors"
    return train(corpus, questions, job, checkpoint=place, on_block=tell)


def _said(result: Word2vecResult) -> str:
    """A run in a few words."""
    from ..stats import counted

    if result.score is None:
        return f"missing: {result.reason}"
    asked = counted(result.score.asked, "question")
    score = f"{100 * result.score.accuracy:.2f} % of {asked}"
    if result.words_per_sec is None:
        return f"{score}, not trained"
    return f"{score}, {result.words_per_sec:,.0f} words/s, {result.training_sec:.0f} s"


def _print(results: Sequence[Word2vecResult], corpus: Corpus, settings: Word2vecSettings) -> None:
    """A row a run: its accuracy with an interval, and how it stands beside the limit."""
    from rich.console import Console

    from ..experiments.word2vec import summary
    from ..stats import counted
    from .tables import WIDE, print_rows, print_wrapped

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    header = ["network", "accuracy [%]", "95 % interval", "less the limit [points]", "words/s"]
    rows, notes = [], []
    for row in summary(results):
        run, cells = row.run, ["-", "-", "-"]
        if run.score is not None and row.interval is not None:
            low, high = (100 * end for end in row.interval)
            cells[:2] = [f"{100 * run.score.accuracy:.2f}", f"{low:.2f} to {high:.2f}"]
        if row.to_limit is not None:
            value, low, high = (
                100 * part for part in (row.to_limit.value, row.to_limit.low, row.to_limit.high)
            )
            cells[2] = f"{value:+.2f} ({low:+.2f} to {high:+.2f})"
        speed = "-" if run.words_per_sec is None else f"{run.words_per_sec:,.0f}"
        rows.append([row.label, *cells, speed])
        reasons = (run.reason, row.reason)
        notes += [f"{row.label}: {reason}" for reason in reasons if reason is not None]
    print_rows(console, header, rows, [0] * len(header))
    scores = [run.score for run in results if run.score is not None]
    asked = ""
    if scores:
        have = "has" if scores[0].asked == 1 else "have"
        of = counted(scores[0].of, "question")
        asked = f"{scores[0].asked:,} of {of} {have} all words in it. "
    share = f"{len(corpus.ids):,} of {corpus.raw:,} words of the text are in the vocabulary of "
    for note in (
        *notes,
        f"{share}{len(corpus.words):,}. {asked}{counted(settings.epochs, 'epoch')}.",
        "Intervals take questions as independent; those of a section share words, so that they "
        "are too narrow.",
    ):
        print_wrapped(console, note)
