"""Word2vec: words per second beside gensim's, and the whole table of accuracy by width.

    python benchmarks/word2vec.py speed TEXT                # threads 2, width 256, 5 rounds
    python benchmarks/word2vec.py speed TEXT --words 300000 --rounds 3
    python benchmarks/word2vec.py table TEXT --analogies questions-words.txt

`speed` trains CBOW (25 negatives, window 8, subsampling 1e-4) for one epoch with both, on the same
words and sentences held in memory, in turn, in random order within each round. The ratio is formed
within rounds; goal: at least 1. gensim has no weight decay and does not look at a loss; ours does
both. `table` runs `widthwise word2vec` with its defaults: widths 64, 256, 1024 and the limit of
5 000 words, 15 epochs. It goes on where it was, and takes hours on a CPU.
"""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from widthwise.cli import main as cli
from widthwise.experiments.word2vec import Corpus, Word2vecSettings, load_corpus, start
from widthwise.experiments.word2vec import sampling as stream
from widthwise.experiments.word2vec.steps import train_block
from widthwise.stats import paired_ratio


@click.group()
def main() -> None:
    """Word2vec beside gensim, and by width."""


@main.command()
@click.argument("text", type=click.Path(path_type=Path))
@click.option("--words", default=3_000_000, show_default=True, help="Of the text, from its start.")
@click.option("--width", default=256, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--rounds", default=5, show_default=True)
def speed(text: Path, words: int, width: int, threads: int, rounds: int) -> None:
    """Words per second, ours over gensim's, in the same rounds."""
    corpus = _head(load_corpus(text, vocabulary=None, min_count=5), words)
    lines = [
        [corpus.words[i] for i in ids] for ids in np.split(corpus.ids, corpus.starts[1:].tolist())
    ]
    sides = {"widthwise": _ours(corpus, width, threads), "gensim": _theirs(lines, width, threads)}
    sides["widthwise"]()  # compiled, and both files in memory
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in random.Random(number).sample(list(sides), len(sides)):
            began = time.perf_counter()
            sides[name]()
            rates[name].append(len(corpus.ids) / (time.perf_counter() - began))
            click.echo(f"round {number + 1} {name:10} {rates[name][-1]:12,.0f} words/s")
    ratio = paired_ratio(rates["widthwise"], rates["gensim"])
    low, high = ratio.interval()
    result = {
        "words": len(corpus.ids),
        "vocabulary": len(corpus.words),
        "width": width,
        "threads": threads,
        "words_per_sec": {name: float(np.median(found)) for name, found in rates.items()},
        "ratio": ratio.value,
        "interval": [low, high] if np.isfinite(high) else None,
    }
    click.echo(f"ours over gensim's: {ratio.value:.2f} ({low:.2f} to {high:.2f}), {rounds} rounds")
    click.echo(json.dumps(result))


def _head(corpus: Corpus, words: int) -> Corpus:
    """The first words of a text, with counts of their own."""
    from dataclasses import replace

    ids = corpus.ids[:words]
    counts = np.maximum(np.bincount(ids, minlength=len(corpus.words)), 1)
    return replace(corpus, ids=ids, counts=counts, starts=corpus.starts[corpus.starts < len(ids)])


def _ours(corpus: Corpus, width: int, threads: int) -> Any:
    """One epoch: drawing the start and every block, and training on it."""
    settings = Word2vecSettings(epochs=1, threads=threads)

    def epoch() -> None:
        network, odds = start(len(corpus.words), width), stream.alias_table(corpus.counts)
        shares = stream.keep_probabilities(corpus.counts, settings.sample)
        for place in range(stream.blocks_per_epoch(corpus, settings)):
            block = stream.draw_block(corpus, settings, shares, (0, place), 0)
            rate = settings.rate(place * settings.refresh, len(corpus.ids))
            train_block(network, block, odds, settings, rate)

    return epoch


def _theirs(lines: list[list[str]], width: int, threads: int) -> Any:
    """One epoch of gensim; its vocabulary and weights are made beforehand, which is not timed."""
    from gensim.models import Word2Vec

    model = Word2Vec(
        vector_size=width,
        window=8,
        min_count=1,
        sg=0,
        hs=0,
        negative=25,
        sample=1e-4,
        alpha=0.05,
        workers=threads,
        cbow_mean=1,
    )
    model.build_vocab(lines)

    def epoch() -> None:
        model.train(lines, total_examples=len(lines), epochs=1)

    return epoch


@main.command()
@click.argument("text", type=click.Path(path_type=Path))
@click.option("--analogies", required=True, type=click.Path(path_type=Path), metavar="FILE")
@click.option("-o", "--out", default=Path("widthwise-word2vec"), type=click.Path(path_type=Path))
def table(text: Path, analogies: Path, out: Path) -> None:
    """All widths, the limit and the kernels, with the published settings."""
    words = [text, "--analogies", analogies, "-o", out]
    cli(["word2vec", *map(str, words)], standalone_mode=False)


if __name__ == "__main__":
    main()
