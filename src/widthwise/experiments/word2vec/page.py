"""The page of `widthwise word2vec`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...findings import Table
from ...report import Page
from ...stats import counted, with_ends
from ..limit_differences import (
    difference_sentence,
    format_shares,
    outermost,
    points,
    verdicts,
)
from ..run_page import (
    NO_LIMIT,
    NO_SCORE,
    ONE_SEED,
    comparable_runs,
    run_sections,
    seed_row,
    setting_rows,
)
from .figure import draw_runs
from .results import FORMAT
from .summary import NetworkRow, SummaryRow, by_network, summary
from .training import Word2vecResult

_OWN = ("network", "width", "seed")  # of a run alone
_FREE = (*_OWN, "widthwise", "threads", "device")  # may differ between runs that are compared


def word2vec_page(path: Path) -> Page:
    """What the runs of a file say.

    Raises:
        RunError: It holds none, or what is no run.
    """
    kept, excluded = comparable_runs(path, FORMAT, _shared, command="word2vec")
    runs = [run for run, _ in kept]
    rows = summary(runs)
    seeds = sorted({run.seed for run in runs})
    names = [row.run.label if len(seeds) == 1 else row.run.title for row in rows]
    return Page(
        title="How wide should word embeddings be?",
        byline=f"word2vec, analogies · {counted(len(runs), 'run')}",
        answer=_answer(by_network(runs), len(seeds) == 1),
        warnings=excluded,
        sections=run_sections(
            draw_runs(runs) if any(run.score is not None for run in runs) else None,
            "Left after each epoch, right after the last one.",
            (*_networks(runs, len(seeds) == 1), _runs(rows, names), *_sections(rows, names)),
            failed=[(row.run.title, row.run.reason) for row in rows if row.run.reason],
            method=_method(runs),
            unknown=_unknown(rows, seeds),
            settings=(
                seed_row(seeds),
                *setting_rows([(run.label, each) for run, each in kept], skip=_OWN),
            ),
        ),
    )


def _shared(run: Word2vecResult, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What must be the same of runs that are compared."""
    shared = {name: value for name, value in settings.items() if name not in _FREE}
    if run.score is not None:
        shared["questions"] = run.score.asked
    return shared


def _answer(networks: Sequence[NetworkRow], single: bool) -> tuple[str, ...]:
    """What the networks answer, and which are shown to differ from the limit."""
    scores = [run.score for row in networks for run in row.runs if run.score is not None]
    if not scores:
        return (NO_SCORE,)
    values = {
        row.label: (row.accuracy, *(row.interval or ()))
        for row in networks
        if row.accuracy is not None
    }
    words = verdicts({row.label: row.to_limit for row in networks})
    chance = "With one seed, intervals hold chance of the questions and not of the start."
    over = "Means with 95 % intervals over seeds."
    asked = max(score.asked for score in scores)
    return (
        f"Of {asked:,} analogies are answered rightly: {format_shares(outermost(values))}.",
        " ".join(filter(None, (difference_sentence(words), chance if single else over))),
    )


def _networks(runs: Sequence[Word2vecResult], single: bool) -> tuple[Table, ...]:
    """A row a network over its seeds; nothing of one seed, whose runs say it all."""
    if single:
        return ()
    networks = by_network(runs)
    words = verdicts({row.label: row.to_limit for row in networks})
    lines = [
        (
            *row.runs[0].cells,
            _share_text(row.accuracy, row.interval),
            points(row.to_limit),
            words.get(row.label, "-"),
            str(sum(run.score is not None for run in row.runs)),
            str(sum(run.score is None for run in row.runs)),
        )
        for row in networks
    ]
    header = ("network", "width", "accuracy [%], 95 % interval", "less the limit [points]")
    return (
        Table(
            title="Networks",
            about="Means with Student's 95 % intervals over seeds; differences are formed seed by "
            "seed. What is said beside the limit is adjusted by Holm's method over all networks.",
            header=(*header, "beside the limit", "seeds", "failed"),
            rows=tuple(lines),
        ),
    )


def _share_text(share: float | None, interval: tuple[float, float] | None) -> str:
    return "missing" if share is None else with_ends(share, *(interval or ()), scale=100)


def _runs(rows: Sequence[SummaryRow], names: Sequence[str]) -> Table:
    words = verdicts({name: row.to_limit for name, row in zip(names, rows, strict=True)})
    header = ("network", "width", "seed", "accuracy [%], 95 % interval", "less the limit [points]")
    lines = []
    for name, row in zip(names, rows, strict=True):
        run = row.run
        lines.append(
            (
                *run.cells,
                str(run.seed),
                _share_text(None if run.score is None else run.score.accuracy, row.interval),
                points(row.to_limit),
                words.get(name, "-"),
                f"{run.curve[-1][1]:.3f}" if run.curve else "-",
                "-" if run.words_per_sec is None else f"{run.words_per_sec:,.0f}",
                f"{run.training_sec:,.0f}",
            )
        )
    about = (
        "Intervals are Wilson's, of fewer than 8 questions Clopper and Pearson's; differences from "
        "the limit of the same seed are formed question by question, and what is said of them is "
        "adjusted by Holm's method over all of them."
    )
    return Table(
        title="Networks" if len({row.run.seed for row in rows}) == 1 else "Runs",
        about=about,
        header=(*header, "beside the limit", "loss [nats]", "words/s", "seconds"),
        rows=tuple(lines),
    )


def _sections(rows: Sequence[SummaryRow], names: Sequence[str]) -> tuple[Table, ...]:
    """Right answers section by section; nothing where the runs have other sections."""
    scored = [
        (name, row.run.score)
        for name, row in zip(names, rows, strict=True)
        if row.run.score is not None
    ]
    kinds = {tuple((name, asked) for name, _, asked in score.sections) for _, score in scored}
    if len(kinds) != 1:
        return ()
    lines = [
        (name, str(asked), *(str(score.sections[place][1]) for _, score in scored))
        for place, (name, asked) in enumerate(kinds.pop())
    ]
    return (
        Table(
            title="Sections",
            about="Right answers to the questions of each section.",
            header=("section", "questions", *(name for name, _ in scored)),
            rows=tuple(lines),
        ),
    )


def _method(runs: Sequence[Word2vecResult]) -> tuple[str, ...]:
    scores = [run.score for run in runs if run.score is not None]
    asked = f"{scores[0].asked:,} of {scores[0].of:,}" if scores else "None"
    return (
        f"A is to B as C is to which word? {asked} questions have all words in the vocabulary, and "
        "are asked; an answer is right if it is the very word.",
        "All networks of a seed meet the same samples. Kernels are not trained: their embeddings "
        "stay as they start.",
    )


def _unknown(rows: Sequence[SummaryRow], seeds: Sequence[int]) -> tuple[str, ...]:
    sentences = [ONE_SEED] if len(seeds) == 1 else []
    of = "of single runs " * (len(seeds) > 1)
    sentences.append(
        f"Intervals {of}take questions as independent; those of a section share words, so that "
        "they are too narrow, by how much is not known."
    )
    if not any(row.run.network == "limit" for row in rows):
        sentences.append(NO_LIMIT)
    return tuple(sentences)
