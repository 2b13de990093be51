"""The paper's claims on made-up studies: each outcome, what it rests on, and what decides none."""

from dataclasses import replace

import numpy as np
import pytest
from findings_records import WIDTHS, findings_of, place, study
from report_records import score

from widthwise.findings import Hypothesis, build_grid
from widthwise.findings.hypotheses import hypotheses, hypothesis_table
from widthwise.findings.paper_2512_22671 import published
from widthwise.stats import holm
from widthwise.study import Record


def claims_of(records: list[Record]) -> tuple[Hypothesis, ...]:
    return hypotheses(build_grid(records), "ppm")


@pytest.mark.parametrize(
    ("counts", "outcome"),
    [
        ((120, 100, 80, 60), "contradicted"),
        ((80, 100, 120, 140), "supported"),
        ((5, 10, 20, 30), "at the floor"),  # rises, to less than a trivial answer gets
        ((100, 101, 99, 100), "not shown"),
    ],
)
def test_ifeval_rises_or_not(counts: tuple[int, ...], outcome: str) -> None:
    (found,) = claims_of(study(counts, task="ifeval"))
    assert found.claim == "IFEval rises as width falls"
    assert found.outcome == outcome
    (effect,) = found.effects
    assert effect.low <= effect.value <= effect.high


def test_a_rise_that_stays_at_the_floor_is_none() -> None:
    """Dense beats the floor and no cut does: whatever the slope, nothing rose above it."""
    records = study((120, 40, 45, 50), task="ifeval")
    (found,) = claims_of(records)
    assert found.outcome == "contradicted"  # 60 % down to a fifth
    (flat,) = claims_of(study((64, 40, 60, 62, 90), task="ifeval", floor=0.5))
    assert flat.outcome == "at the floor"


def test_a_task_with_the_chat_template_is_a_claim_of_its_own() -> None:
    records = [*study((120, 90, 60), task="ifeval"), *study((120, 90, 60), task="ifeval@chat")]
    found = claims_of(records)
    assert [each.claim for each in found] == [
        "IFEval rises as width falls",
        "IFEval@chat rises as width falls",
    ]


def trade(
    hellaswag: tuple[int, ...], mmlu: tuple[int, ...] = (180, 150, 120, 90, 60)
) -> Hypothesis:
    arc = (100, 101, 100, 99, 100)
    tasks = {"mmlu": mmlu, "hellaswag": hellaswag, "arc_challenge": arc}
    records = [r for task, counts in tasks.items() for r in study(counts, task=task)]
    records += study((90, 110, 130, 150, 170), task="truthfulqa_mc2", floor=0.3)
    return next(h for h in claims_of(records) if h.claim.startswith("TruthfulQA"))


def test_mc2_against_mmlu_needs_all_four_parts() -> None:
    alone = trade((100, 99, 101, 100, 99))
    assert len(alone.effects) == 4
    assert alone.outcome == "supported"
    both = trade((180, 150, 120, 90, 60))
    assert both.outcome == "not shown"
    assert "hellaswag" in both.reason
    assert "arc" not in both.reason


def test_mmlu_that_rises_contradicts_and_at_the_floor_decides_nothing() -> None:
    up = trade((100, 99, 101, 100, 99), (100, 120, 140, 160, 180))
    assert up.outcome == "contradicted"
    assert "mmlu, for each 10 % removed" in up.reason
    low = trade((100, 99, 101, 100, 99), (50, 48, 51, 47, 50))
    assert low.outcome == "at the floor"
    assert low.reason == "no network is shown to beat the floor of mmlu"


def test_mc2_without_the_tasks_it_is_held_against_is_not_shown() -> None:
    records = [
        *study((180, 150, 120, 90, 60), task="mmlu"),
        *study((90, 110, 130, 150, 170), task="truthfulqa_mc2", floor=0.3),
    ]
    (found,) = claims_of(records)
    assert found.outcome == "not shown"
    assert "of which one was not asked" in found.reason


@pytest.mark.parametrize(
    ("counts", "of", "outcome"),
    [
        ((300, 300, 299, 300), 400, "supported"),
        ((300, 200, 180, 170), 400, "contradicted"),
        ((18, 17, 18, 17), 24, "not shown"),  # so few items rule nothing out
        ((100, 60, 60, 60), 400, "at the floor"),
    ],
)
def test_musr_is_robust_within_a_margin(counts: tuple[int, ...], of: int, outcome: str) -> None:
    (found,) = claims_of(study(counts, of, task="leaderboard_musr"))
    assert found.claim == "MUSR is robust: it loses less than 5 points"
    assert found.outcome == outcome


def beside_chance(own: tuple[int, ...], draws: list[tuple[int, ...]]) -> Hypothesis | None:
    names = ("random", "random~7", "random~8")
    records = [*study((190, 189, 190), task="ifeval"), *study(own, task="piqa")]
    rng = np.random.default_rng(0)
    for name, counts in zip(names, draws, strict=False):
        for width, count in zip(WIDTHS[1:], counts, strict=False):
            items = rng.permutation(np.arange(200) < count)
            records.append(score(place(name, width), "piqa", items))
    found = [h for h in claims_of(records) if h.claim == "ppm chooses better than chance"]
    return found[0] if found else None


def test_chance_needs_two_draws_and_has_their_luck() -> None:
    assert beside_chance((190, 180, 170), [(120, 110)]) is None
    better = beside_chance((190, 180, 170), [(120, 110), (118, 108), (121, 111)])
    assert better is not None
    assert (better.outcome, better.reason) == ("supported", "better on piqa")
    worse = beside_chance((190, 100, 90), [(160, 150), (158, 152), (161, 149)])
    assert worse is not None
    assert (worse.outcome, worse.reason) == ("contradicted", "worse on piqa")
    lucky = beside_chance((190, 140, 130), [(160, 150), (90, 80), (120, 110)])
    assert lucky is not None
    assert lucky.outcome == "not shown"


def test_the_p_values_of_all_claims_are_one_family() -> None:
    one = claims_of(study((120, 112, 108, 104), task="ifeval"))
    two = claims_of(
        [
            *study((120, 112, 108, 104), task="ifeval"),
            *study((300, 300, 299, 300), 400, task="leaderboard_musr"),
        ]
    )
    raw = [found.effects[0].p_value for found in two]
    assert [found.p_value for found in two] == list(holm(raw))
    assert one[0].p_value == one[0].effects[0].p_value


def test_what_p_does_not_carry_is_not_shown() -> None:
    """An interval that just leaves 0 is no word where other claims are tested with it."""
    rng = np.random.default_rng(3)
    records = []
    for width, chance in zip(WIDTHS, np.linspace(0.62, 0.50, 5), strict=False):
        records.append(score(place("ppm", width), "ifeval", rng.random(200) < chance))
    (alone,) = claims_of(records)
    assert alone.outcome == "contradicted"
    assert 0.0005 < alone.p_value < 0.05
    more = [*records]
    for task in ("ifeval@chat", "leaderboard_musr", "leaderboard_musr@chat"):
        more += study((100, 99, 101, 100, 99), task=task)
    first = claims_of(more)[0]
    assert first.p_value > alone.p_value


def test_a_study_without_these_tasks_or_without_items_decides_none() -> None:
    assert claims_of(study((180, 150, 120))) == ()
    assert claims_of(study((180, 150), task="ifeval")) == ()  # two points are no slope
    assert claims_of([replace(r, items=()) for r in study((120, 90, 60), task="ifeval")]) == ()
    assert claims_of(study((120, 90, 60), task="ifeval")[1:]) == ()  # no dense
    assert hypothesis_table(()) is None
    assert not any(found.hypotheses for found in published())


def test_findings_show_them_and_their_reasons() -> None:
    records = [
        *study((120, 90, 60), task="ifeval"),
        *study((50, 48, 51), task="mmlu"),
        *study((100, 110, 120), task="truthfulqa_mc2"),
    ]
    found = findings_of(records)
    assert found.hypotheses == claims_of(records)
    (table,) = [t for t in found.tables if t.title.startswith("The claims of arXiv")]
    assert [row[1] for row in table.rows if row[1]] == ["contradicted", "at the floor"]
    assert len(table.rows) == 1 + 2
    assert any("beat the floor of mmlu." in note for note in table.notes)
    assert "over these 2 claims" in " ".join(table.notes)
