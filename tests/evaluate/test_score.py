"""Scores: lm-eval's own aggregates, shares that add up to them, errors as in a bootstrap."""

from __future__ import annotations

import dataclasses
import math
import statistics
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from harness_answers import Oracle, one_task
from lm_eval import evaluator
from scored_tasks import LIMIT, METRICS, NO_FLOOR, SIZE, needs_nltk_data, scored

from widthwise.errors import RunError
from widthwise.evaluate import (
    Task,
    TaskAnswer,
    answer_task,
    compute_floor,
    score_answers,
    unit_of,
)

EACH = [pytest.param(n, marks=needs_nltk_data if n == "ifeval" else ()) for n in METRICS]


def reference(task: Task) -> dict[str, Any]:
    """What lm-eval's own `evaluate` makes of the same documents and answers."""
    (part,) = task.parts
    found = evaluator.evaluate(
        Oracle(),
        {part.name: part.lm_task},
        samples={part.name: list(part.doc_ids)},
        bootstrap_iters=0,
        log_samples=False,
    )
    assert found is not None
    return dict(found["results"][part.name])


@pytest.mark.parametrize("name", EACH)
def test_every_metric_is_that_of_lm_eval(name: str, task_of: Any) -> None:
    task = task_of(name)
    theirs = {key: v for key, v in reference(task).items() if "," in key and "stderr" not in key}
    score = scored(task)
    assert score.metrics == theirs  # the same functions on the same lists: to the last bit
    assert {key.partition(",")[0] for key in theirs} >= set(METRICS[name])
    assert score.value == theirs[f"{task.metric},{task.filter}"]
    assert task.metric == METRICS[name][0]
    assert len({round(value, 9) for value in theirs.values()} - {0.0, 1.0}) >= 1  # says something
    if name == "gsm8k":
        assert task.filter == "flexible-extract"
        assert len(theirs) == 2
        assert len(set(theirs.values())) == 2


def test_a_group_is_the_mean_over_all_its_items(folder: Path) -> None:
    task = one_task("leaderboard_musr", folder)
    sizes, means = [], []
    for part in task.parts:
        alone = scored(dataclasses.replace(task, parts=(part,)))
        sizes.append(alone.n)
        means.append(alone.value)
    assert sizes == [SIZE, SIZE // 2, SIZE // 3]
    whole = scored(task)
    # As lm-eval weighs parts by size; the two sums are rounded in another order.
    weighted = sum(n * mean for n, mean in zip(sizes, means, strict=True)) / sum(sizes)
    assert whole.value == pytest.approx(weighted, rel=1e-12)
    assert whole.n == sum(sizes)


def test_answers_lie_in_the_order_of_the_items(task_of: Any) -> None:
    task = task_of("piqa")
    lm = Oracle()
    answers = answer_task(lm, task)
    assert tuple(answer.id for answer in answers) == task.item_ids
    assert lm.asked == [request.args for request in task.requests]
    for answer, document in zip(answers, task.documents(), strict=True):
        asked = Oracle().loglikelihood(document.instances)
        assert list(answer.responses) == asked


def test_chance_corrected_is_zero_for_a_guess_and_one_for_all_right(folder: Path) -> None:
    task = one_task("piqa", folder, limit=LIMIT)
    floor = compute_floor(task)
    assert floor.chance == 0.5
    score = score_answers(task, answer_task(Oracle(), task), floor)
    assert score.chance_corrected == pytest.approx(2 * score.value - 1)
    assert dataclasses.replace(score, value=0.5).chance_corrected == 0
    assert dataclasses.replace(score, value=1.0).chance_corrected == 1
    assert dataclasses.replace(score, floor=NO_FLOOR).chance_corrected is None
    sure = dataclasses.replace(NO_FLOOR, chance=1.0)
    assert dataclasses.replace(score, floor=sure).chance_corrected is None


class Writer(Oracle):
    """An oracle that notes what it wrote, as `SharedPrefixLM` does."""

    damaged: int | None = None

    def generate_until(self, requests: Any, **_: Any) -> list[Any]:
        texts = super().generate_until(requests)
        self.generated = [
            SimpleNamespace(
                tokens=text.split(),
                capped=number % 4 == 0,
                loops=number % 2 == 0,
                is_finite=number != self.damaged,
            )
            for number, text in enumerate(texts)
        ]
        return texts


def test_texts_that_were_cut_off_or_loop_are_counted(task_of: Any) -> None:
    task = task_of("gsm8k")
    score = scored(task, lm=Writer())
    assert score.capped == pytest.approx(11 / 41)  # 0, 4, ... 40
    assert score.loops == pytest.approx(21 / 41)
    assert [answer.tokens for answer in score.answers] == [
        len(answer.responses[0].split()) for answer in score.answers
    ]
    silent = scored(task)  # a model that does not note them, as lm-eval's own
    assert (silent.capped, silent.loops, silent.answers[0].tokens) == (None, None, None)
    choices = scored(task_of("piqa"), lm=Writer())
    assert (choices.capped, choices.loops) == (None, None)


def test_output_that_is_not_finite_names_task_and_item(task_of: Any) -> None:
    piqa, wiki, gsm8k = (task_of(name) for name in ("piqa", "wikitext", "gsm8k"))
    lm = Oracle()
    lm.loglikelihood = lambda requests: [(-1.0, False)] * 7 + [(math.nan, False)] * 99  # type: ignore[method-assign]
    with pytest.raises(RunError, match=rf"task piqa, item {piqa.item_ids[3]}: .* not finite"):
        answer_task(lm, piqa)  # response 7 is the second option of the fourth item
    lm.loglikelihood_rolling = lambda requests: [-1.0, -math.inf, *[-1.0] * 99]  # type: ignore[method-assign]
    with pytest.raises(RunError, match=rf"task wikitext, item {wiki.item_ids[1]}: .* not finite"):
        answer_task(lm, wiki)
    writer = Writer()
    writer.damaged = 5
    with pytest.raises(RunError, match=rf"task gsm8k, item {gsm8k.item_ids[5]}: .* not finite"):
        answer_task(writer, gsm8k)


def test_a_perplexity_too_large_for_a_number_is_an_error_of_the_task_alone(task_of: Any) -> None:
    task = task_of("wikitext")
    lm = Oracle()
    lm.loglikelihood_rolling = lambda requests: [-9999.0] * len(requests)  # type: ignore[method-assign]
    with pytest.raises(RunError, match="task wikitext: word_perplexity is inf"):
        scored(task, lm=lm)
    score = scored(task, "bits_per_byte", lm)  # what is finite stands, what is not is left out
    assert math.isfinite(score.value)
    assert "word_perplexity,none" not in score.metrics
    assert "bits_per_byte,none" in score.metrics
    lm.loglikelihood_rolling = lambda requests: [  # type: ignore[method-assign]
        -500.0 * len(request.args[0].split()) - number for number, request in enumerate(requests)
    ]
    huge = scored(task, lm=lm)  # e^500: its square is no number, its error is
    assert huge.value > 1e200
    assert huge.standard_error is not None
    assert 0 < huge.standard_error < math.inf


def test_metrics_that_some_items_lack_are_those_of_the_others(task_of: Any) -> None:
    task = task_of("piqa")
    answers = list(answer_task(Oracle(), task))
    lacking = {"acc_norm,none": answers[0].metrics["acc_norm,none"]}
    answers[0] = dataclasses.replace(answers[0], metrics=lacking)
    score = score_answers(task, answers, NO_FLOOR)
    others = [answer.metrics["acc,none"] for answer in answers[1:]]
    assert score.metrics["acc,none"] == pytest.approx(statistics.fmean(others))


def test_scoring_leaves_nothing_behind_for_the_next_model(task_of: Any) -> None:
    task = task_of("gsm8k")
    first = scored(task)
    other = scored(task, lm=Oracle("other"))
    assert other.items != first.items
    assert scored(task) == first


def test_units() -> None:
    assert unit_of("inst_level_loose_acc") == "accuracy"
    assert unit_of("exact_match") == "accuracy"
    assert unit_of("f1") == "f1"
    assert TaskAnswer(id="x", responses=(), metrics={}).capped is None


class Short(Oracle):
    """A model for which the second prompt of each item is too long."""

    def loglikelihood(self, requests: Any, **_: Any) -> Any:
        self.shortened = [number % 4 == 1 for number in range(len(requests))]
        return super().loglikelihood(requests)


def test_items_whose_prompt_was_shortened_are_counted(task_of: Any) -> None:
    task = task_of("piqa")  # two options an item: every other item has one that is too long
    score = scored(task, lm=Short())
    assert score.shortened == 21
    assert [answer.shortened for answer in score.answers[:3]] == [True, False, True]
    assert scored(task).shortened is None  # lm-eval's own models do not tell
