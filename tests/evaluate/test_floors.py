"""Floors of small tasks: lm-eval's own verdict on trivial answerers."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml
from harness_data import write_rows
from langdetect import DetectorFactory
from lm_eval import evaluator
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from widthwise.evaluate import Floor, Task, compute_floor, floors, load_tasks
from widthwise.evaluate.frequency_codes import byte_log_likelihoods, word_log_likelihoods

Make = Callable[..., Task]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A task of our own: rows, and what its file says."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def load(rows: list[dict[str, Any]], **config: Any) -> Task:
        path = tmp_path / "own.yaml"
        write_rows(path.with_suffix(".jsonl"), rows)
        written = {
            "task": "own",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(path.with_suffix(".jsonl"))}},
            "test_split": "test",
            "doc_to_text": "{{question}}",
            "doc_to_target": "{{answer}}",
            **config,
        }
        path.write_text(yaml.safe_dump(written))
        (task,) = load_tasks([str(path)])
        return task

    return load


def metric(name: str, aggregation: str = "mean", better: bool = True) -> dict[str, Any]:
    return {"metric": name, "aggregation": aggregation, "higher_is_better": better}


def choice(*names: str, **config: Any) -> dict[str, Any]:
    """The file of a multiple-choice task with these metrics, the first one its headline."""
    kinds = {"f1": "f1", "brier_score": "brier_score"}
    listed = [metric(name, kinds.get(name, "mean"), name != "brier_score") for name in names]
    return {
        "output_type": "multiple_choice",
        "doc_to_choice": "options",
        "doc_to_target": "answer",
        "metric_list": listed,
        **config,
    }


class Constant(LM):
    """A model with one favourite place among the options, one text, one likelihood a character."""

    def __init__(self, favourite: int = 0, text: str = "") -> None:
        super().__init__()
        self.favourite, self.text = favourite, text

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        return [(float(r.idx == self.favourite) - 1e6, r.idx == self.favourite) for r in requests]

    def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
        return [-float(len(r.args[0])) for r in requests]

    def generate_until(self, requests: list[Any]) -> list[str]:
        return [self.text] * len(requests)


def harness_score(task: Task, model: LM) -> float:
    """What lm-eval itself gives the model on the task's one part."""
    (part,) = task.parts
    manager = TaskManager(include_defaults=False)
    tasks = [part.lm_task]
    result = evaluator.simple_evaluate(model, tasks=tasks, task_manager=manager, bootstrap_iters=0)
    return float(result["results"][part.name][f"{task.metric},{task.filter}"])


# Known trivial scores


UNEQUAL = [
    {"question": "a?", "options": ["long answer", "x"], "answer": 0},
    {"question": "b?", "options": ["y", "much longer answer", "z"], "answer": 1},
    {"question": "c?", "options": ["u", "v"], "answer": 1},
    {"question": "d?", "options": ["u", "w"], "answer": 1},
]


@pytest.mark.parametrize("name", ["acc", "acc_norm", "acc_bytes"])
def test_constant_choices_are_what_lm_eval_says(make: Make, name: str) -> None:
    """Also where options differ in number and length; -1e6 nats a length would sway acc_norm."""
    task = make([{**row, "options": row["options"][:2]} for row in UNEQUAL], **choice(name))
    floor = compute_floor(task)
    assert floor.answerers["chance"] == floor.chance == 0.5
    equal = dataclasses.replace(task, metric="acc")
    assert name != "acc" or floor.answerers["always option 1"] == harness_score(equal, Constant(0))
    assert (floor.value, floor.kind) == (0.75, "always option 2")


def test_where_an_option_is_missing_its_answerer_guesses(make: Make) -> None:
    floor = compute_floor(make(UNEQUAL, **choice("acc")))
    assert floor.chance == pytest.approx((3 / 2 + 1 / 3) / 4)
    assert floor.answerers["always 'z'"] == pytest.approx((3 * 0.5 + 0) / 4)
    assert floor.answerers["always option 1"] == 0.25


def test_mutual_information_has_its_unconditional_requests_answered(make: Make) -> None:
    rows = [{**row, "options": ["yes", "no"]} for row in UNEQUAL]
    floor = compute_floor(make(rows, **choice("acc_mutual_info", "acc")))
    assert (floor.value, floor.kind, floor.chance) == (0.75, "always 'no'", 0.5)


def test_ties_go_to_chance(make: Make) -> None:
    rows = [{"question": "?", "options": ["yes", "no"], "answer": k} for k in (0, 1)]
    assert compute_floor(make(rows, **choice("acc"))).kind == "chance"


def test_pairs_are_left_to_the_aggregation(make: Make) -> None:
    rows = [{"question": "?", "options": ["no", "yes"], "answer": k} for k in (0, 1, 1)]
    floor = compute_floor(make(rows, **choice("f1")))
    # Always yes: precision 2/3, recall 1.
    assert (floor.value, floor.kind, floor.chance) == (pytest.approx(0.8), "always 'yes'", None)
    floor = compute_floor(make(rows, **choice("brier_score")))
    assert (floor.value, floor.kind) == (pytest.approx(0.5), "uniform likelihood")  # lower: better


def test_options_in_a_fixed_order_with_pairs_have_no_floor(make: Make) -> None:
    rows = [{"question": "?", "options": ["right", "wrong"]}] * 2
    floor = compute_floor(make(rows, **choice("brier_score", doc_to_target=0)))
    assert (floor.value, floor.kind, dict(floor.answerers)) == (None, None, {})
    assert floor.reason == "brier_score of options in a fixed order has no rule"


TEXTS = [{"question": "", "answer": "a b a  c\na"}, {"question": "", "answer": "b é"}]


@pytest.mark.parametrize("name", ["word_perplexity", "byte_perplexity", "bits_per_byte"])
def test_codes_of_texts_know_the_others_and_what_was_before(make: Make, name: str) -> None:
    listed = [{"metric": name, "aggregation": name.replace("word_", "weighted_")}]
    listed[0]["aggregation"] = name if name == "bits_per_byte" else "weighted_perplexity"
    listed[0]["higher_is_better"] = False
    config = {"output_type": "loglikelihood_rolling", "doc_to_text": "", "metric_list": listed}
    floor = compute_floor(make(TEXTS, **config))
    answers = [row["answer"] for row in TEXTS]
    if name == "word_perplexity":
        nats = word_log_likelihoods([text.split() for text in answers])
        units = sum(len(text.split()) for text in answers)
    else:
        nats = byte_log_likelihoods([text.encode() for text in answers])
        units = sum(len(text.encode()) for text in answers)
    rate = -sum(nats) / units
    known = rate / math.log(2) if name == "bits_per_byte" else math.exp(rate)
    assert floor.value == pytest.approx(known, rel=1e-12)  # rounding of a sum of some numbers
    # The mean of all shares is the floor, again but for rounding.
    assert math.fsum(floor.items.values()) / 2 == pytest.approx(known, rel=1e-12)
    assert list(floor.items) == ["own/0", "own/1"]


def test_a_text_has_no_part_in_its_own_code(make: Make) -> None:
    """Two texts without a common byte: each is as unlikely as bytes never seen, however often."""
    seen, unseen = byte_log_likelihoods([b"aaaa", b"bbbb"]), math.log(0.5 / (4 + 128))
    assert seen == pytest.approx([4 * unseen] * 2, rel=1e-12)


def generation(*stops: str, **config: Any) -> dict[str, Any]:
    return {
        "output_type": "generate_until",
        "generation_kwargs": {"until": list(stops), "do_sample": False},
        "metric_list": [{**metric("exact_match"), "ignore_case": False}],
        **config,
    }


def test_the_most_frequent_right_answer_is_tried(make: Make) -> None:
    rows = [{"question": "?", "answer": a} for a in ("so (B)", "thus\n(A)", "hence\n(A)", "(C)")]
    first = {"filter": [{"function": "regex", "regex_pattern": r"(\([ABC]\))"}], "name": "letter"}
    first["filter"].append({"function": "take_first"})
    target = "{{answer.split('\n')[-1]}}"
    task = make(rows, **generation(filter_list=[first], doc_to_target=target))
    floor = compute_floor(task)
    assert (floor.value, floor.kind) == (0.5, "always '(A)'")
    assert floor.value == harness_score(task, Constant(text="(A)"))
    assert "always '(C)'" not in floor.answerers  # right once: a key, not a habit


def test_an_echo_ends_where_generation_would(make: Make) -> None:
    rows = [{"question": "Q: copy\nEND", "answer": " copy\n"}]
    config = {"doc_to_text": "{{question}}", "doc_to_target": "{{answer}}"}
    task = make(rows, **generation("END", "Q:", **config))
    (document,) = task.documents()
    assert floors._question(document) == " copy\n"
    assert floors._stopped("one END two", document) == "one "
    assert compute_floor(task).answerers["the prompt echoed"] == 1


def test_an_unknown_kind_of_task_says_so(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    task = make([{"question": "?", "answer": "a"}], **generation())
    monkeypatch.setattr(task.parts[0].lm_task, "OUTPUT_TYPE", "drawing")
    reason = "no trivial answerer is known for the task own"
    assert compute_floor(task) == Floor(
        value=None, kind=None, chance=None, answerers={}, reason=reason
    )


def test_a_document_that_does_not_fit_costs_the_floor_alone(make: Make) -> None:
    """It was not asked of the model, so that scores are as they are."""
    rows = [{"question": "?", "options": ["a", "b"], "answer": k} for k in (0, 1)]
    task = make(rows, **choice("acc"))
    task.lm_tasks[0].config.doc_to_choice = lambda doc: doc["option"]  # a column that is not there
    floor = compute_floor(task)
    assert floor.value is None
    assert floor.reason == "a document of own does not fit the task (KeyError: 'option')"


def test_a_floor_leaves_nothing_behind(
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = [{"question": "?", "options": ["a", "b"], "answer": answer} for answer in (0, 1, 1)]
    task = make(rows, **choice("acc"))
    target = task.parts[0].lm_task.doc_to_target
    # Of a target that is no option lm-eval warns, and nobody gets it right.
    monkeypatch.setattr(
        task.parts[0].lm_task, "doc_to_target", lambda doc: 7 * target(doc), raising=False
    )
    instances = [i for document in task.documents() for i in document.instances]
    for instance in instances:
        instance.resps, instance.filtered_resps = ["kept"], {"none": "kept"}
    state = random.getstate()
    floor = compute_floor(task)
    assert (floor.value, floor.kind) == (pytest.approx(1 / 3), "always 'a'")
    assert all(i.resps == ["kept"] and i.filtered_resps == {"none": "kept"} for i in instances)
    assert random.getstate() == state
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
    assert json.loads(json.dumps(dataclasses.asdict(floor))) == dataclasses.asdict(floor)


def test_checkers_that_draw_draw_the_same(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's random numbers and langdetect's seed, which IFEval's language checker uses."""
    task = make([{"question": "?", "answer": "a"}], **generation())
    monkeypatch.setattr(DetectorFactory, "seed", 5)
    seen = []

    def process(*_: Any) -> dict[str, float]:
        seen.append((DetectorFactory.seed, random.random()))
        return {"exact_match": seen[-1][1]}

    monkeypatch.setattr(task.parts[0].lm_task, "process_results", process)
    random.seed(1)
    first = compute_floor(task)
    random.seed(2)
    assert compute_floor(task) == first
    assert {seed for seed, _ in seen} == {0}
    assert DetectorFactory.seed == 5
