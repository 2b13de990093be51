"""What is said of costs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cost_records import ROUNDS, costs

from widthwise.findings import measured_sentences, other_network_sentences


def test_without_the_first_there_is_nothing_to_stand_beside() -> None:
    lost = [replace(r, value=None, items=(), n=0, reason="no") for r in costs("a", ROUNDS)]
    assert other_network_sentences([*lost, *costs("b", ROUNDS), *costs("c", ROUNDS)]) == []


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (ROUNDS, "is not shown to differ from that of dense (95 % interval "),
        ((0.5, 0.55, 0.45, 0.5, 0.52), "is 0.50 times that of dense (95 % interval "),
    ],
)
def test_an_interval_that_reaches_over_one_is_no_difference(
    times: tuple[float, ...], said: str
) -> None:
    shaken = tuple(time * by for time, by in zip(times, (1.1, 0.9, 1.0, 1.05, 0.95), strict=True))
    cut = [replace(r, criterion="ppm", asked="1.6x", width=912) for r in costs("m", shaken)]
    sentence = measured_sentences([*costs("m", ROUNDS), *cut])[0]
    assert f"the time to the first token {said}" in sentence
