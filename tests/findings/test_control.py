"""A criterion beside the control: which widths win, and what is said of its draws."""

from findings_records import draws, study

from widthwise.findings import (
    build_findings,
    build_grid,
    compare_to_control,
)
from widthwise.findings.control import wins_over_control
from widthwise.report.answers import answer_of
from widthwise.report.model_results import model_results


def test_a_control_at_its_floor_is_not_better() -> None:
    """40 of 200 beside 0, where the floor is 50: shown to be more, and still nothing."""
    low = wins_over_control(build_grid([*study((180, 0)), *draws(40, 41, 39)]), "ppm")["piqa"]
    assert (low.better, low.worse, low.of) == (0, 0, 1)
    high = wins_over_control(build_grid([*study((180, 0)), *draws(90, 91, 89)]), "ppm")["piqa"]
    assert (high.better, high.worse, high.of) == (0, 1, 1)


def test_of_a_single_draw_no_word_is_one_on_chance() -> None:
    """However far from it: what is shown is said of this draw."""
    for own, other, ends in ((180, 90, (1, 0)), (90, 180, (0, 1))):
        grid = build_grid([*study((190, own)), *draws(other)])
        for pair in (("ppm", "random"), ("random", "ppm")):
            (judged,) = compare_to_control(grid, *pair).values()
            assert judged.one_draw
            assert judged.word == "no change shown"
        widths = wins_over_control(grid, "ppm")["piqa"]
        assert (widths.better, widths.worse, widths.higher, widths.lower) == (0, 0, *ends)
        word = "better" if own > other else "worse"
        (found,) = build_findings([*study((190, own)), *draws(other)])
        assert found.sentences[-1] == (
            f"At the same width, ppm scores {word} than the one draw of the random control on piqa "
            "at 1 of 1 widths. How far other draws are from it is not known, so this says nothing "
            "of chance."
        )
        series = model_results([*study((190, own)), *draws(other)], "s", {})
        assert answer_of(series)[-1] == found.sentences[-1]


def test_no_further_draw_is_a_criterion() -> None:
    records = [*study((180, 150)), *draws(150, 150, 100)]
    (found,) = build_findings(records)
    assert [t.title for t in found.tables if t.title.startswith("Cut by")] == ["Cut by ppm"]
    assert any("The control is the mean of 3 draws." in s for s in found.sentences)
    assert {c.criterion for c in found.curves} == {"ppm", "random", "random~7", "random~8"}


def test_a_lucky_draw_is_not_the_control() -> None:
    """Beside a lucky draw nothing is shown; beside the mean of three that are alike ppm is better,
    and where they differ as much as ppm and their mean nothing is shown again."""
    for counts, said in (
        (
            (150,),
            "ppm is not shown to score better or worse than the one draw of the random control",
        ),
        ((70, 60, 65), "ppm is better on piqa at 1 of 1 widths."),
        (
            (150, 60, 60),
            "ppm is not shown to be better or worse on any task. The control is the mean of 3",
        ),
    ):
        (found,) = build_findings([*study((180, 150)), *draws(*counts)])
        assert said in found.sentences[-1]


def test_the_report_says_of_draws_what_findings_say() -> None:
    """Its figures show their mean, and its words and tables know how they differ."""
    for counts, said in (
        ((70, 60, 65), "is better on piqa"),
        ((150, 60, 60), "is not shown to be"),
    ):
        series = model_results([*study((180, 150)), *draws(*counts)], "s", {})
        (sentence,) = [s for s in answer_of(series) if "The control is the mean of 3 draws." in s]
        assert said in sentence
        assert series.grid is not None
        assert series.grid.criteria == ("ppm", "random")


def test_only_the_control_is_shown_as_what_it_is() -> None:
    (found,) = build_findings([study((180, 150))[0], *draws(120)])
    assert found.tables[0].title == "Cut by random"
    assert "Beside" not in " ".join(found.sentences)
