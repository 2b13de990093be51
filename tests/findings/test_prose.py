"""Table of the networks, and sentences: the words are those that the intervals carry."""

from dataclasses import replace

import pytest
from report_records import score, sweep_records

from widthwise.findings import answer
from widthwise.stats import paired_difference

DENSE, WIDE, NARROW = (None, "dense", 1536), ("ppm", "2.4x", 1376), ("ppm", "1.6x", 912)
RANDOM = ("random", "1.6x", 912)


def right(n: int, of: int = 200) -> list[float]:
    return [1.0] * n + [0.0] * (of - n)


def test_answer_follows_the_records() -> None:
    records = [
        *(score(DENSE, q, right(n)) for q, n in (("piqa", 120), ("mmlu", 52))),
        *(score(WIDE, q, right(n)) for q, n in (("piqa", 90), ("mmlu", 50))),
        *(score(NARROW, q, right(n)) for q, n in (("piqa", 55), ("mmlu", 56))),
    ]
    assert answer(records) == [
        "Dense SmolLM2-135M-Instruct beats the floor on piqa; on mmlu it does not, "
        "so this cannot show what a cut costs.",
        "Cut by ppm, piqa is first shown to degrade at 2.39x; "
        "piqa is no longer shown to beat the floor from 1.58x.",
    ]


@pytest.mark.parametrize(
    ("ppm", "control", "said"),
    [
        (
            100,
            60,
            "ppm scores better than the one draw of the random control on piqa at 1 of 1 widths.",
        ),
        (
            60,
            100,
            "ppm scores worse than the one draw of the random control on piqa at 1 of 1 widths.",
        ),
        (
            40,
            100,
            "ppm scores worse than the one draw of the random control on piqa at 1 of 1 widths.",
        ),
        (
            58,
            52,
            "ppm is not shown to score better or worse than the one draw of the random control on",
        ),
        (
            52,
            20,
            "ppm is not shown to score better or worse than the one draw of the random control on",
        ),
    ],
)
def test_answer_compares_with_the_control(ppm: int, control: int, said: str) -> None:
    records = [
        score(DENSE, "piqa", right(120)),
        score(NARROW, "piqa", right(ppm)),
        score(RANDOM, "piqa", right(control)),
    ]
    assert said in answer(records)[-1]


def test_answer_without_dense_judges_nothing() -> None:
    said = answer([score(NARROW, "piqa", right(100))])
    assert said == [
        "Dense SmolLM2-135M-Instruct was not measured, so nothing here says what a cut costs."
    ]


def test_sentences_of_13_tasks_stay_short() -> None:
    said = answer(sweep_records())
    assert said[0] == (
        "Dense SmolLM2-135M-Instruct beats the floor on arc, hellaswag, piqa, boolq and 7 more. "
        "There is no floor on lambada_openai, so what such a score is worth is not known."
    )
    assert (
        "ppm scores better than the one draw of the random control on mmlu, arc, hellaswag, boolq "
        "and 7 more at 6 of 6 widths, piqa at 5 of 5" in said[-1]
    )
    assert max(map(len, said)) < 300  # three lines of a page


def test_no_loss_is_said_with_how_large_one_may_be() -> None:
    records = [score(DENSE, "piqa", right(120)), score(NARROW, "piqa", right(118))]
    low = paired_difference(right(118), right(120)).low
    said = f"no loss is shown at the one width measured on piqa (intervals reach {low:.3f})"
    assert any(said in sentence for sentence in answer(records))


def test_too_few_items_are_no_proof_that_nothing_is_lost() -> None:
    """Six items, all worse: of one test p is at least 2 / 2^6, of two twice that."""
    dense = score(DENSE, "prose", [1.0, 1.1, 0.9, 1.0, 1.2, 1.0])
    worse = [score(NARROW, "prose", [3.3, 3.1, 2.9, 3.4, 3.2, 3.0])]
    worse.append(score(RANDOM, "prose", [3.5, 3.1, 2.9, 3.4, 3.2, 3.0]))
    records = [
        replace(r, unit="bits_per_byte", floor=5.0, higher_is_better=False) for r in (dense, *worse)
    ]
    said = " ".join(answer(records))
    assert "Cut by ppm, prose has too few items to show a loss" in said
    assert "no loss is shown" not in said
