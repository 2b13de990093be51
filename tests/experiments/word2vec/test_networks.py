"""Memory and devices of networks, and their start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from word2vec_networks import FEW, trained

from widthwise.errors import LimitError
from widthwise.experiments.word2vec import (
    Corpus,
    Questions,
    SkipGram,
    check_memory,
    networks,
    start,
)
from widthwise.theory import fit_rate


@pytest.mark.parametrize(("width", "most"), [(None, 11_180), (100, 1_250_000)])
def test_a_vocabulary_that_does_not_fit_is_refused_with_the_largest_that_does(
    monkeypatch: Any, width: int | None, most: int
) -> None:
    monkeypatch.setattr(networks, "_free_bytes", lambda device: 1_000_000_000)
    check_memory(most, width)
    needed = 8 * (most + 1) * (most + 1 if width is None else width)
    message = f"takes {needed:,} bytes.* the largest vocabulary that fits is {most:,}"
    with pytest.raises(LimitError, match=message):
        check_memory(most + 1, width)


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(LimitError, match="must be cpu, or cuda where there is one; got 't"):
        check_memory(10, 10, "tpu")


@pytest.mark.parametrize("batch", [1, 16])
def test_any_orthonormal_start_is_the_same_limit(
    language: tuple[Corpus, Questions], batch: int
) -> None:
    corpus, _ = language
    words = len(corpus.words)
    settings = replace(FEW, batch=batch, decay=0.001, refresh=2000)
    drawn = np.linalg.qr(np.random.default_rng(2).normal(size=(words, words)))[0]
    found = []
    for embeddings in (torch.eye(words, dtype=torch.float64), torch.from_numpy(drawn)):
        network = SkipGram(embeddings=embeddings, outputs=torch.zeros_like(embeddings))
        found.append(trained(corpus, network, settings))
    assert float(found[0].abs().max()) > 1  # it was trained
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-10)  # 2000 steps' rounding


@pytest.mark.parametrize("batch", [1, 16])
def test_networks_come_near_the_limit_as_the_root_of_their_width(
    language: tuple[Corpus, Questions], batch: int
) -> None:
    corpus, _ = language
    settings = replace(FEW, batch=batch, decay=0.001, refresh=1500)
    words, widths = len(corpus.words), [64, 256, 1024, 4096]
    limit = trained(corpus, start(words, None), settings)
    off = [
        [
            float((trained(corpus, start(words, width, seed=seed), settings) - limit).norm())
            for seed in range(2)
        ]
        for width in widths
    ]
    # Each is the norm over 3,600 logits, and noise of the slope is some hundredths; corrections of
    # order 1/n bend it by less than 0.1 from 64 up.
    rate = fit_rate(widths, np.array(off))
    assert rate.slope.value == pytest.approx(-0.5, abs=0.1)


def test_a_finite_start_has_rows_of_length_one_on_average_and_no_outputs() -> None:
    network = start(2000, 50, seed=3)
    lengths = network.embeddings.square().sum(dim=1)
    # Of a row: variance n (E x^4 - 1/n^2) = 0.8 / n; of the mean over 2000: 5 deviations.
    assert float(lengths.mean()) == pytest.approx(1, abs=5 * (0.8 / 50 / 2000) ** 0.5)
    assert float(network.embeddings.abs().max()) <= (3 / 50) ** 0.5
    assert not network.outputs.any()
