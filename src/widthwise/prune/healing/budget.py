"""What a healing can afford: how much text it is judged on, and how often, in the time it has.

Of the time that loading leaves about a tenth goes into judging, at most 15 % into the test of
rates, the rest into training. Costs are counted in tokens; where minutes matter, the pace is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

TRAINED = 2.5  # cost of a token trained on beside one that both models only read, about
LEAST_HELD_TOKENS, LEAST_TEST_TOKENS = 32, 64  # of a row, however short the time
HELD_PART = 50  # one token held out for so many trained on: about 20 judgements are a tenth
JUDGEMENTS = 20  # at most, while training
TEST_PART = 150  # one token in a step of the test of rates for so many trained on
TIMED_SHARE = 0.005  # of the time: a timing that took less is too short to go by


def token_seconds(
    run: Callable[[Tensor], object], rows: Tensor, seconds: float, clock: Callable[[], float]
) -> float:
    """How long both models take to read a token, timed on ever longer parts of a few rows.

    Args:
        run: Function that runs both models over token rows.
        rows: Token rows, shape (rows, tokens).
        seconds: Time that there is for everything.
        clock: Function that gives the seconds on the clock.
    """
    length = min(rows.shape[1], LEAST_HELD_TOKENS)
    run(rows[:1, :length])  # the first pass also brings the weights into memory
    while True:
        part = rows[:1, :length]
        start = clock()
        run(part)
        took = clock() - start
        if took > TIMED_SHARE * seconds or length == rows.shape[1]:
            return took / part.numel()
        length = min(2 * length, rows.shape[1])


def held_rows(rows: Tensor, tokens: float, least: int) -> Tensor:
    """As much of the rows held out as a training of so many tokens can afford to be judged on.

    Fewer rows first, spread evenly; when there are only `least` of them, shorter ones.

    Args:
        rows: All rows that are held out, shape (rows, tokens).
        tokens: Tokens that will be trained on.
        least: Rows that stay however short the time.
    """
    count, length = rows.shape
    most = tokens / HELD_PART
    kept = max(min(least, count), min(count, int(most / length)))
    chosen = spread(rows, kept)
    if kept * length <= most:
        return chosen
    short = max(min(length, LEAST_HELD_TOKENS), min(length, int(most / kept)))
    return chosen[:, :short]


def every_tokens(tokens: float, held: int, batch: int, text: int) -> int:
    """Tokens to train on between two judgements.

    Args:
        tokens: Tokens that will be trained on in all.
        held: Tokens held out.
        batch: Tokens of a step.
        text: Tokens of the text; of a short one a judgement comes twice on each way through it.
    """
    affordable = held * HELD_PART / JUDGEMENTS
    return int(max(batch, affordable, min(tokens / JUDGEMENTS, text / 2)))


def trial_parts(rows: Tensor, tokens: float, batch: int, steps: int) -> list[Tensor]:
    """Token rows for the steps of one trial of the test of rates.

    Args:
        rows: Rows to train on, shape (rows, tokens), in the order of the training.
        tokens: Tokens that will be trained on in all.
        batch: Rows of a step of the training.
        steps: Steps of a trial.
    """
    length = rows.shape[1]
    affordable = tokens / TEST_PART
    count = max(1, min(batch, len(rows) // steps, int(min(affordable, 1e9) / length)))
    short = max(min(length, LEAST_TEST_TOKENS), min(length, int(min(affordable, 1e9))))
    return [rows[i * count : (i + 1) * count, :short] for i in range(steps)]


def spread(rows: Tensor, count: int) -> Tensor:
    """So many of the rows, evenly spread over them."""
    import torch

    return rows[torch.arange(count) * len(rows) // count]
