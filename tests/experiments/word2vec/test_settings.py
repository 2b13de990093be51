"""Settings of word2vec and its learning rate."""

from __future__ import annotations

from typing import Any

import pytest

from widthwise.errors import LimitError
from widthwise.experiments.word2vec import (
    Word2vecSettings,
)


def test_the_rate_falls_to_a_ten_thousandth() -> None:
    settings = Word2vecSettings(lr=0.4)
    assert [settings.rate(seen, 199) for seen in (0, 100, 200)] == [0.4, 0.2, 0.4 * 1e-4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": 0}, "window must be from 1 to 100; got 0"),
        ({"epochs": 0}, "epochs must be from 1"),
        ({"lr": float("nan")}, "lr must be a number above 0; got nan"),
        ({"sample": 0.0}, "sample must be a number above 0; got 0"),
        ({"decay": -1.0}, "decay must be at least 0"),
        ({"decay": 30.0}, "less than 1 / lr; got 30"),
        ({"threads": 2, "batch": 8}, "threads above 1 are for batches of 1"),
    ],
)
def test_bad_settings_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(LimitError, match=message):
        Word2vecSettings(**change)
