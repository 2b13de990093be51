"""Scores: lm-eval's own aggregates, shares that add up to them, errors as in a bootstrap."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import pytest
import yaml
from harness_answers import BENCHMARKS, Oracle, documents, draw, one_task
from harness_data import write_rows
from lm_eval import evaluator

from widthwise.errors import RunError
from widthwise.evaluate import (
    Floor,
    Task,
    TaskAnswer,
    TaskScore,
    answer_task,
    compute_floor,
    load_tasks,
    score_answers,
    unit_of,
)
from widthwise.evaluate.score import item_values

NO_FLOOR = Floor(value=None, kind=None, chance=None, answerers={}, reason="not asked")
SIZE, LIMIT = 47, 41  # documents, and those that are asked

needs_nltk_data = pytest.mark.skipif(
    not (BENCHMARKS / "nltk_data").is_dir(), reason="ifeval needs punkt_tab of NLTK"
)
# Task -> the metrics that lm-eval must agree on, the headline first.
METRICS = {
    "piqa": ["acc_norm", "acc"],
    "truthfulqa_mc2": ["acc"],
    "lambada_openai": ["perplexity", "acc"],
    "wikitext": ["word_perplexity", "byte_perplexity", "bits_per_byte"],
    "gsm8k": ["exact_match"],
    "ifeval": ["prompt_level_strict_acc", "inst_level_strict_acc", "inst_level_loose_acc"],
    "own": ["f1", "mcc", "brier_score"],
}
EACH = [pytest.param(n, marks=needs_nltk_data if n == "ifeval" else ()) for n in METRICS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    return documents(tmp_path_factory.mktemp("documents"), SIZE)


def own_task(folder: Path) -> Task:
    """A task whose metrics are no means over items."""
    rows = [{"question": f"q {i}", "label": i % 3 % 2} for i in range(SIZE)]
    write_rows(folder / "own.jsonl", rows)
    config = {
        "task": "own",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(folder / "own.jsonl")}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": ["no", "yes"],
        "doc_to_target": "label",
        "metric_list": [{"metric": name} for name in METRICS["own"]],
    }
    (folder / "own.yaml").write_text(yaml.safe_dump(config))
    (task,) = load_tasks([str(folder / "own.yaml")], limit=LIMIT)
    return task


@pytest.fixture(scope="module")
def task_of(folder: Path, tmp_path_factory: Any) -> Any:
    cache = tmp_path_factory.mktemp("cache")

    def load(name: str) -> Task:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
            return own_task(folder) if name == "own" else one_task(name, folder, limit=LIMIT)

    return load


def scored(task: Task, metric: str | None = None, lm: Any = None) -> TaskScore:
    task = dataclasses.replace(task, metric=metric or task.metric)
    return score_answers(task, answer_task(lm or Oracle(), task), NO_FLOOR)


def reference(task: Task) -> dict[str, Any]:
    """What lm-eval's own `evaluate` makes of the same documents and answers."""
    (part,) = task.parts
    found = evaluator.evaluate(
        Oracle(),
        {part.name: part.harness},
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


CASES = [
    pytest.param(name, metric, marks=needs_nltk_data if name == "ifeval" else ())
    for name, metrics in METRICS.items()
    for metric in metrics
]


@pytest.mark.parametrize(("name", "metric"), CASES)
def test_shares_add_up_and_their_spread_is_that_of_a_bootstrap(
    name: str, metric: str, task_of: Any
) -> None:
    task = dataclasses.replace(task_of(name), metric=metric)
    score = scored(task)
    assert len(score.items) == score.n == LIMIT
    assert score.standard_error is not None
    mean = statistics.fmean(score.items)
    if metric in ("f1", "mcc", "inst_level_strict_acc", "inst_level_loose_acc"):
        # Pseudo-values of the jackknife: off by the estimated bias, O(1/n) beside an error O(1/√n).
        assert abs(mean - score.value) < score.standard_error
    else:  # the terms beside the value add up to nothing, up to rounding
        assert mean == pytest.approx(score.value, rel=1e-9, abs=1e-12)

    values = item_values(task, score.answers)
    aggregate = task.parts[0].harness.aggregation()[metric]
    repeats = 400 if metric in ("f1", "mcc") else 1500
    dice = draw(name, metric)
    again = [float(aggregate(dice.choices(values, k=LIMIT))) for _ in range(repeats)]
    # The bootstrap's own error is 1/sqrt(2 repeats) <= 3.5 %; it is sqrt(n/(n-1)) = 1.2 % narrower;
    # and curved metrics (mcc, f1) differ in the next order, 1/sqrt(n) = 16 % of it at most.
    assert score.standard_error == pytest.approx(statistics.stdev(again), rel=0.25)


def test_a_mean_has_the_standard_error_of_a_mean(task_of: Any) -> None:
    score = scored(task_of("piqa"), "acc")
    p = score.value
    # Bessel's correction of a share of right answers: sqrt(p (1 - p) / (n - 1)).
    assert score.standard_error == pytest.approx(math.sqrt(p * (1 - p) / (LIMIT - 1)), rel=1e-12)
    assert set(score.items) == {0.0, 1.0}


def test_one_item_has_no_standard_error_and_few_are_not_shared_out(task_of: Any) -> None:
    task = task_of("own")
    answers = answer_task(Oracle(), task)
    assert score_answers(task, answers[:2], NO_FLOOR).items == ()
    assert score_answers(task, answers[:2], NO_FLOOR).standard_error is None
    piqa = task_of("piqa")
    one = score_answers(piqa, answer_task(Oracle(), piqa)[:1], NO_FLOOR)
    assert (len(one.items), one.standard_error) == (1, None)


def test_numbers_of_numpy_are_shared_out_as_a_mean(task_of: Any) -> None:
    """Also where there are too many for the jackknife."""
    task = task_of("piqa")
    (first, *_) = answer_task(Oracle(), task)
    right = [np.bool_(number % 3 == 0) for number in range(3001)]
    answers = [dataclasses.replace(first, metrics={"acc_norm,none": value}) for value in right]
    score = score_answers(task, answers, NO_FLOOR)
    assert score.items == tuple(float(value) for value in right)
    json.dumps(score.items)


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
