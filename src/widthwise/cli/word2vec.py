"""`widthwise word2vec`: CBOW at every width, the limit of infinite width, and kernels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from ..runs import RESULTS
from ..stats import counted
from .figure_options import save_figure
from .interrupts import CHECKPOINT_KEPT, interruption
from .json_output import json_option, print_json, wants_json, without
from .options import is_typed, networks_options, out_option, parse_device, parse_networks
from .progress_bar import progress_bar
from .save_pages import save_page
from .tables import print_rows, print_wrapped, table_console

if TYPE_CHECKING:
    from ..experiments.word2vec import (
        Corpus,
        TrainingJob,
        Word2vecResult,
        Word2vecSettings,
    )

_CUDA_BATCH = 512  # centres of a step where nothing is asked for


@click.command()
@click.argument("text", type=click.Path(path_type=Path))
@click.option(
    "--analogies",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Questions of four words a line, such as word2vec's questions-words.txt.",
)
@networks_options("--width", "64,256,1024", "NTK and GP")
@click.option(
    "--preset",
    type=click.Choice(["text8"]),
    help="The published settings on text8: every word that occurs 5 times, 15 epochs. The limit of "
    "its 71,290 words takes 41 GB. Other options change parts of it.",
)
@click.option("--vocabulary", default=5000, help="Number of words, the most frequent.")
@click.option("--min-count", default=5, help="Rarer words are left out.")
@click.option("--window", default=8, help="Largest distance of a context.")
@click.option("--negative", default=25, help="Negatives for each centre.")
@click.option("--sample", default=1e-4, help="Threshold of subsampling.")
@click.option("--epochs", default=15, help="Passes over the text.")
@click.option("--lr", default=0.05, help="Learning rate at the start.")
@click.option("--decay", default=0.001, help="Weight decay.")
@click.option(
    "--batch",
    type=int,
    help=f"Centres of a step; more than 1 share negatives. Default: 1, on cuda {_CUDA_BATCH}.",
)
@click.option("--threads", default=1, help="Threads; results of more than 1 vary.")
@click.option("--device", callback=parse_device, default="cpu", help="cpu or cuda.")
@click.option(
    "--seeds",
    type=click.IntRange(1, 1000),
    default=1,
    help="Runs of each network, each with initial weights and samples of its own.",
)
@out_option(
    "widthwise-word2vec",
    "Folder for results.jsonl, word2vec.png, report.html and a .safetensors file a network; what "
    "is there is not run again.",
)
@json_option
@interruption(CHECKPOINT_KEPT)
def word2vec(
    text: Path,
    analogies: Path,
    widths: tuple[int, ...],
    out: Path,
    *,
    limit: bool,
    kernels: bool,
    device: str,
    seeds: int,
    **options: Any,
) -> None:
    """Train word2vec (CBOW, negative sampling) in muP on TEXT, at several widths and in the limit.

    TEXT is plain or packed (.gz, .bz2, .xz, or .zip of one file); words are sequences of the
    letters a to z. The limit takes two matrices of vocabulary x vocabulary. After each epoch
    analogies are asked. If it is interrupted, the same command continues it.

    Example: widthwise word2vec text.gz --analogies questions-words.txt --width 64,256 --epochs 3
    """
    from ..experiments.word2vec import (
        FORMAT,
        TrainingJob,
        check_memory,
        draw_runs,
        load_corpus,
        load_questions,
        run_word2vec,
    )

    options = _with_preset(options)
    words = {name: options.pop(name) for name in ("vocabulary", "min_count")}
    settings = _settings(device, **options)
    networks = parse_networks("--width", widths, limit, tuple(TrainingJob.kernel_names) * kernels)
    jobs = _jobs(networks, seeds, settings, device)
    click.get_current_context().with_resource(FORMAT.folder(out).held())
    corpus = load_corpus(text, **words)
    questions = load_questions(analogies, corpus.words)
    for job in jobs:
        check_memory(len(corpus.words), job.width, job.device)
    with progress_bar(CHECKPOINT_KEPT) as bar:
        results = run_word2vec(corpus, questions, jobs, out, **bar.results(_describe))
    save_figure(draw_runs(results), out / "word2vec.png")
    _print(results, corpus, settings)
    _write_page(out, results)


def _write_page(out: Path, results: Sequence[Word2vecResult]) -> None:
    """Write the page, and print what it shows where `--json` was given."""
    save_page(out / RESULTS)
    if wants_json():
        print_json({"folder": out, "report": out / "report.html", **_values(results)})


def _values(results: Sequence[Word2vecResult]) -> dict[str, Any]:
    """Runs without settings and curves, which results.jsonl has, and networks over seeds."""
    from ..experiments.word2vec import by_network, summary

    runs = [
        {
            "label": row.run.label,
            **without(row.run, "settings", "curve"),
            **without(row, "run", "reason"),
            "apart": row.reason,  # why there is no difference from the limit
        }
        for row in summary(results)
    ]
    return {"networks": runs, "over_seeds": [without(row, "runs") for row in by_network(results)]}


def _jobs(
    networks: Sequence[tuple[str, int | None]], seeds: int, settings: Word2vecSettings, device: str
) -> list[TrainingJob]:
    from ..experiments.word2vec import TrainingJob

    return [
        TrainingJob(network=network, width=width, seed=seed, settings=settings, device=device)
        for seed in range(seeds)
        for network, width in networks
    ]


def _with_preset(options: dict[str, Any]) -> dict[str, Any]:
    """The options with what the preset says where nothing else was typed, if one is asked for."""
    from ..experiments.word2vec import TEXT8

    preset = options.pop("preset")
    known = {name: value for name, value in TEXT8.items() if not is_typed(name)}
    return {**options, **known} if preset else options


def _settings(device: str, *, batch: int | None, **options: Any) -> Word2vecSettings:
    from ..experiments.word2vec import Word2vecSettings

    if batch is None:
        batch = _CUDA_BATCH if device == "cuda" else 1
    return Word2vecSettings(batch=batch, **options)


def _describe(result: Word2vecResult) -> str:
    """A run in a few words."""
    if result.score is None:
        return f"missing: {result.reason}"
    asked = counted(result.score.asked, "question")
    score = f"{100 * result.score.accuracy:.2f} % of {asked}"
    if result.words_per_sec is None:
        return f"{score}, not trained"
    return f"{score}, {result.words_per_sec:,.0f} words/s, {result.training_sec:.0f} s"


def _print(results: Sequence[Word2vecResult], corpus: Corpus, settings: Word2vecSettings) -> None:
    """A row a network: its accuracy with an interval, and how it stands beside the limit."""
    from ..experiments.word2vec import by_network

    console = table_console()
    header = ["network", "accuracy [%]", "95 % interval", "less the limit [points]", "words/s"]
    rows, notes = [], []
    for row in by_network(results):
        cells = ["-", "-", "-"]
        if row.accuracy is not None:
            cells[0] = f"{100 * row.accuracy:.2f}"
        if row.interval is not None:
            low, high = (100 * end for end in row.interval)
            cells[1] = f"{low:.2f} to {high:.2f}"
        if row.to_limit is not None:
            value, low, high = (
                100 * part for part in (row.to_limit.value, row.to_limit.low, row.to_limit.high)
            )
            cells[2] = f"{value:+.2f} ({low:+.2f} to {high:+.2f})"
        speeds = [run.words_per_sec for run in row.runs if run.words_per_sec is not None]
        rows.append([row.label, *cells, f"{median(speeds):,.0f}" if speeds else "-"])
        notes += [f"{row.label}: {reason}" for reason in row.reasons]
    print_rows(console, header, rows)
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
        "Intervals are Student's over seeds."
        if len({run.seed for run in results}) > 1
        else "Intervals take questions as independent; those of a section share words, so that "
        "they are too narrow.",
    ):
        print_wrapped(console, note)
