"""Whether two runs gave the same answers."""

from __future__ import annotations

import pandas as pd
import pytest

CLOSE = 2e-5


def assert_same_answers(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    assert list(ours["item"]) == list(theirs["item"])
    assert list(ours["text"].fillna("")) == list(theirs["text"].fillna(""))
    for a, b in zip(ours["greedy"], theirs["greedy"], strict=True):
        assert (a is None and b is None) or list(a) == list(b)
    for a, b in zip(ours["log_likelihoods"], theirs["log_likelihoods"], strict=True):
        assert (a is None and b is None) or list(a) == pytest.approx(list(b), rel=CLOSE)
