"""Next words and answers beside the dense model's: means with intervals, and both ways counted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from findings_records import place, right, study
from report_records import score

from widthwise.findings import build_grid, flips, next_words
from widthwise.findings.distances import distance_sentence
from widthwise.study import ItemDistances

FOUND = ItemDistances(
    tokens=(2, 4, 2),
    divergence=(0.1, 0.2, 0.3),
    agreement=(1.0, 0.5, 0.75),
    acceptance=(0.9, 0.8, 0.7),
)


def test_means_are_over_items() -> None:
    dense, cut, *_ = study([150, 140])
    assert next_words(dense) is None
    words = next_words(replace(cut, distances=FOUND))
    assert words is not None
    assert words.divergence.value == pytest.approx(0.2)
    assert words.divergence.standard_error == pytest.approx(0.1 / 3**0.5)
    assert words.agreement.value == pytest.approx(0.75)
    assert words.acceptance.value == pytest.approx(0.8)
    assert words.tokens == 8
    assert words.agreement.interval()[1] <= 1.0


def test_answers_that_changed_are_counted_both_ways() -> None:
    dense = score(place("ppm", 1536), "piqa", [1.0, 1.0, 1.0, 0.0, 0.0])
    cut = score(place("ppm", 1376), "piqa", [1.0, 0.0, 0.0, 1.0, 0.0])
    found = flips(cut, dense)
    assert found is not None
    assert (found.lost, found.won, found.n) == (0.4, 0.2, 5)


def test_flips_need_right_and_wrong_answers_to_the_same_items() -> None:
    dense, cut, *_ = study([150, 140])
    assert flips(cut, dense) is not None
    assert flips(cut, None) is None
    assert flips(replace(cut, items=(0.5, *cut.items[1:])), dense) is None  # the mean of draws
    assert flips(replace(cut, items=cut.items[:-1]), dense) is None
    assert flips(replace(cut, unit="bits_per_byte"), replace(dense, unit="bits_per_byte")) is None


def test_of_a_task_that_ended_early_the_items_that_both_answered_count() -> None:
    dense, cut, *_ = study([150, 140])
    early = {**cut.settings, "until": 0.05}
    cut = replace(cut, items=tuple(right(2, 4)), settings=early)
    found = flips(cut, replace(dense, settings={**dense.settings, "until": 0.05}))
    assert found is not None
    assert found.n == 4
    assert found.lost == 0.5  # dense has the first 150 right


def test_the_sentence_names_the_ends_of_every_criterion() -> None:
    def far(kl: float) -> ItemDistances:
        return replace(FOUND, divergence=(kl, kl, kl))

    dense, *cuts = study([150, 140, 130, 120])
    records = [dense, *(replace(r, distances=far(i + 1.0)) for i, r in enumerate(cuts))]
    ends = [f"{r.expansion_ratio:.2f}x" for r in (cuts[0], cuts[-1])]
    said = distance_sentence(build_grid(records))
    assert said == (
        "Next words on piqa differ from the dense model's by (KL, nats a token): "
        f"1.00 [1.00, 1.00] at {ends[0]} and 3.00 [3.00, 3.00] at {ends[1]} by ppm."
    )
    assert distance_sentence(build_grid(records[:2])).endswith(
        f"1.00 [1.00, 1.00] at {ends[0]} by ppm."
    )
    assert distance_sentence(build_grid([dense, *cuts])) == ""
    beside_another = replace(dense, distances=far(1.0))  # as evaluate --against has it
    assert distance_sentence(build_grid([beside_another])) == ""
