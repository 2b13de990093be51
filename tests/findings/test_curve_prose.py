"""Sentences of curves and fronts: short, and true of every kind of study."""

import pytest
from findings_records import findings_of, sizes, study

from widthwise.study import Record


def test_the_answer_comes_in_a_few_sentences() -> None:
    records = [
        *study((170, 165, 150, 120, 100, 80, 60), task="piqa", floor=0.25),
        *study((50, 51, 50, 49, 50, 51, 50), task="mmlu"),
        *sizes(),
    ]
    assert findings_of(records).sentences == (
        "Dense SmolLM2-135M-Instruct beats the floor on piqa; on mmlu it does not, so this cannot "
        "show what a cut costs.",
        "Cut narrower by ppm, piqa falls; no task is shown to rise or to hold.",
        "Of the widths cut by ppm, none is shown to keep within a loss of 2 pp of right answers, "
        "5 % of anything else.",
        "Cut by ppm, these curves bend: piqa at 2.11x (2.11x to 2.39x), with most lost beyond.",
        "By piqa against bytes, 7 of 7 networks are on the front, where no other one is as good "
        "and as cheap: ppm 1.31x, ppm 1.58x, ppm 1.86x, ppm 2.11x and ppm 2.39x beyond doubt; of "
        "the others intervals leave it open.",
    )


def test_few_items_say_how_large_a_loss_could_be_ruled_out() -> None:
    """Of 30 items of which none changed, the interval reaches 1.96^2 / (30 + 1.96^2)."""
    reach = 1.96**2 / (30 + 1.96**2)
    said = findings_of(study((25, 25, 25), 30)).sentences
    assert (
        "With so few items no loss can be shown to be within 2 pp: 30 items of piqa rule out only "
        f"losses above {100 * reach:.1f} pp, even where no answer changes." in said
    )
    assert not any("so few items" in s for s in findings_of(study((170, 170, 170), 200)).sentences)


def test_a_width_within_the_loss_is_said() -> None:
    said = findings_of(study((3000, 2990, 2600), 4000)).sentences
    assert said[2] == (
        "Cut by ppm, a network is shown to keep within a loss of 2 pp of right answers, 5 % of "
        "anything else: down to 2.39x on piqa."
    )
    tight = findings_of(study((3000, 2990, 2600), 4000), loss=0.001).sentences
    assert tight[2].startswith(
        "Of the widths cut by ppm, none is shown to keep within a loss of 0.1 pp"
    )


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (study((170,)), "No narrower network was measured, so there is nothing to compare."),
        (study((170, 160))[1:], "was not measured, so nothing here says what a cut costs."),
        (study((50, 40)), "no task had anything to lose, and none is shown to gain."),
        (sizes(), "No score of dense SmolLM2-135M-Instruct was measured"),
        (
            study((1, 0), 1, floor=None),
            "so no loss can be judged. Cut narrower by ppm, piqa has no known",
        ),
        (study((4, 1), 4, floor=None), "piqa has too few items to say"),
    ],
    ids=["dense only", "no dense", "at the floor", "sizes only", "one item", "four items"],
)
def test_studies_of_little_say_what_they_lack(records: list[Record], said: str) -> None:
    assert said in " ".join(findings_of(records).sentences)


def test_without_dense_nothing_is_said_of_cuts() -> None:
    assert len(findings_of(study((170, 160))[1:]).sentences) == 1
