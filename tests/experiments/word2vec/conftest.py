"""A small language, and one thread, so that sums have one order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import tiny_corpus
import torch

from widthwise.experiments.word2vec import (
    Corpus,
    Questions,
    load_corpus,
    load_questions,
)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def language(tmp_path_factory: Any) -> tuple[Corpus, Questions]:
    paths = tiny_corpus.save(tmp_path_factory.mktemp("language"))
    corpus = load_corpus(paths[0], min_count=1)
    return corpus, load_questions(paths[1], corpus.words)
