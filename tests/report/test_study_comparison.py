"""Studies side by side: differences only where the same items were asked, and said otherwise."""

import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from report_records import (
    COST_TOLD,
    COST_UNITS,
    DENSE,
    SETTINGS,
    described,
    make_records,
    record,
    score,
)
from two_studies import CHANCE, CUT, HEALED, PARENT, before, right, stored

from widthwise.errors import RunError
from widthwise.report import write_report
from widthwise.report.model_results import results_of
from widthwise.report.study_comparison import ScoreComparison, compare, comparison_sentences
from widthwise.study import StoredStudy


def compared(*studies: StoredStudy) -> tuple[tuple[ScoreComparison, ...], tuple[str, ...]]:
    return compare(results_of(studies))


def test_the_later_study_is_judged_beside_the_earlier_one() -> None:
    after = stored("after", [score(PARENT, "piqa", right(150)), score(CUT, "piqa", right(120))])
    found, notes = compared(before(), after)
    assert [(one.place, one.judged.word) for one in found] == [
        ("dense", "no change shown"),
        ("ppm 1.58x", "improves"),
    ]
    assert found[1].judged.difference is not None
    assert found[1].judged.difference.value == pytest.approx(0.2)
    assert notes == ()
    assert comparison_sentences(found) == [
        "On the same items of 1 task, after beside before (dense and ppm 1.58x) is shown to be "
        "better on piqa (1 of 2 networks)."
    ]


def test_a_loss_is_said_as_well() -> None:
    ones = [score(CUT, "piqa", right(n), floor=0.1) for n in (80, 40)]
    found, _ = compared(stored("before", ones[:1]), stored("after", ones[1:]))
    assert comparison_sentences(found) == [
        "On the same items of 1 task, after beside before (ppm 1.58x) is shown to be worse on piqa."
    ]


def test_no_difference_is_claimed_that_no_interval_carries() -> None:
    (said,) = comparison_sentences(
        compared(before(), stored("a", [score(CUT, "piqa", right(81))]))[0]
    )
    assert said.endswith("a beside before (ppm 1.58x) is not shown to differ.")


def test_a_healed_checkpoint_stands_beside_the_cut_that_it_was() -> None:
    healed = stored("healed", [score(HEALED, "piqa", right(130))])
    (one,), _ = compared(before(), healed)
    assert one.place == "dense beside ppm 1.58x"
    assert one.judged.word == "improves"


def test_two_criteria_are_compared_at_the_same_width() -> None:
    other = ("max_abs", "1.6x", 912)
    found, notes = compared(before(), stored("other", [score(other, "piqa", right(130))]))
    assert [(one.place, one.judged.word) for one in found] == [
        ("max_abs 1.58x beside ppm 1.58x", "improves")
    ]
    assert notes == ()
    two = stored("two", [score(place, "piqa", right(130)) for place in (other, ("l2", "1x", 912))])
    assert compared(before(), two)[0] == ()  # which of them stands for the other is not known


def test_studies_of_the_same_cells_are_said_to_be() -> None:
    first = before()
    again = replace(first, path=Path("again"), records=first.records[:2])
    assert compared(first, again) == (
        (),
        ("again and before are not paired on piqa: what they share are the same cells.",),
    )


def test_the_control_is_never_taken_for_what_was_healed() -> None:
    only_chance = stored("before", [score(CHANCE, "piqa", right(70))])
    found, notes = compared(only_chance, stored("healed", [score(HEALED, "piqa", right(130))]))
    assert found == ()
    assert notes == ("healed and before are not paired on piqa: no network at a common place.",)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"settings": {**SETTINGS, "shots": 0, "source": "other items"}}, "other samples"),
        ({"settings": described("acc,none", shots=5)}, "other metric"),
        ({"floor": 0.26}, "other floors, so other items"),
        ({"items": tuple(right(120, 150))}, "150 and 200 items"),
        ({"items": ()}, "no items are stored"),
        ({"unit": "bits_per_byte"}, "bits_per_byte and accuracy"),
    ],
)
def test_other_items_are_said_not_to_be_paired(changes: dict[str, object], said: str) -> None:
    after = stored("after", [replace(score(CUT, "piqa", right(120)), **changes)])
    found, notes = compared(before(), after)
    assert found == ()
    assert notes == (f"after and before are not paired on piqa: {said}.",)


def test_no_common_task_is_said() -> None:
    found, notes = compared(before(), stored("after", [score(CUT, "mmlu", right(120))]))
    assert found == ()
    assert notes == ("after and before have no task in common.",)


def test_the_same_cell_is_not_compared_with_itself() -> None:
    found, _ = compare(results_of([before(), replace(before(), path=Path("copy"))]))
    assert found == ()


def test_p_values_are_adjusted_over_all_networks_of_a_task() -> None:
    lost = right(120)
    lost[113:120] = [0.0] * 7  # p = 2 / 2^7 = 0.016 alone, 0.063 of four
    widths = (1300, 1100, 1000, 900)
    ones = [score(("ppm", str(w), w), "piqa", right(120)) for w in widths]
    others = [*ones[:3], score(("ppm", "900", 900), "piqa", lost)]
    found, _ = compared(stored("a", ones), stored("b", others))
    assert found[-1].judged.p_value == pytest.approx(4 * 2 / 2**7)
    assert not any(one.judged.is_loss for one in found)


def test_two_models_of_one_study_are_two_series() -> None:
    other = [replace(r, model="Other", cell=f"o{r.cell}") for r in before().records]
    both = StoredStudy(path=Path("s"), settings={}, records=(*before().records, *other), pending=0)
    assert [one.name for one in results_of([both])] == ["SmolLM2-135M-Instruct", "Other"]
    named = [one.name for one in results_of([both, replace(before(), path=Path("t"))])]
    assert named == ["s: SmolLM2-135M-Instruct", "s: Other", "t"]


def test_a_study_given_twice_is_refused() -> None:
    with pytest.raises(RunError, match="given twice"):
        results_of([before(), before()])


def test_folders_of_one_name_are_told_by_their_paths() -> None:
    twins = [replace(before(), path=Path(parent) / "out") for parent in "ab"]
    assert [one.name for one in results_of(twins)] == ["a/out", "b/out"]


def test_a_page_of_two_studies_has_both_in_each_panel(tmp_path: Path) -> None:
    rng = random.Random(0)
    made = [r for r in make_records(60) if r.quantity == "prose"]
    healed = [
        replace(r, cell=f"h{r.cell}", items=tuple(x * rng.uniform(0.5, 0.6) for x in r.items))
        for r in made
        if r.criterion != "random"
    ]
    healed = [replace(r, value=sum(r.items) / len(r.items)) for r in healed]
    write_report([stored("before", made), stored("after", healed)], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf8")
    panel = text[text.index('id="score-0-title"') :]
    panel = panel[: panel.index("</svg>")]
    for colour in ("#0072b2", "#d55e00"):  # of the first and of the second study
        assert colour in panel
    assert re.search(r"<option>before</option><option>after</option>", text)
    assert (
        "after beside before (dense, ppm 2.39x and 5 more) is shown to be better on prose" in text
    )


def test_costs_of_another_study_price_the_same_widths(tmp_path: Path) -> None:
    costs = [
        record(
            at,
            f"8x4 {what}",
            unit,
            1.0 * at[2] / DENSE,
            n=5,
            items=tuple(at[2] / DENSE * k for k in (1.0, 1.1, 0.9, 1.0, 1.0)),
            settings=COST_TOLD,
        )
        for at in (PARENT, ("ppm", "40%", 912))
        for what, unit in COST_UNITS.items()
    ]
    write_report([before(), stored("timed", costs)], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf8")
    assert "Costs of the same widths are those of timed." in text
    assert "piqa against 8x4 first token" in text
    assert "the time to the first token is 0.59 times that of dense" in text
