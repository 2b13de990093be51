"""What a page says first: of one study, of several, and of one that is not finished."""

from __future__ import annotations

from dataclasses import replace

from report_records import score
from two_studies import CUT, before, right, stored

from widthwise.report.answers import answer_of, answers_of
from widthwise.report.model_results import results_of
from widthwise.report.study_comparison import compare
from widthwise.study import StoredStudy


def answers(*studies: StoredStudy) -> tuple[list[str], list[tuple[str, list[str]]]]:
    results = results_of(studies)
    return answers_of(results, compare(results)[0])


def test_one_study_is_answered_by_itself() -> None:
    (result,) = results_of([before()])
    lead, rest = answers(before())
    assert lead == answer_of(result)
    assert lead[0] == "Dense SmolLM2-135M-Instruct beats the floor on piqa."
    assert rest == []


def test_what_is_not_measured_yet_is_said_first() -> None:
    lead, _ = answers(replace(before(), pending=3))
    assert lead[0] == "Not finished: 3 cells not measured yet. So far:"
    assert lead[1:] == answers(before())[0]


def test_of_two_studies_the_difference_comes_first_and_each_has_its_answer() -> None:
    after = stored("after", [score(CUT, "piqa", right(120))])
    lead, rest = answers(before(), after)
    assert lead == [
        "On the same items of 1 task, after beside before (ppm 1.58x) is shown to be better on "
        "piqa."
    ]
    assert [name for name, _ in rest] == ["before", "after"]
    assert rest[0][1] == answers(before())[0]


def test_studies_that_share_no_items_say_that_no_difference_is_shown() -> None:
    lead, _ = answers(before(), stored("after", [score(CUT, "mmlu", right(120))]))
    assert lead == [
        "No difference between these is shown: nowhere were other networks asked the same items."
    ]
