"""Floors of the real benchmarks: known trivial scores, of all documents."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from widthwise.evaluate import Floor, Task, compute_floor, floors, load_tasks
from widthwise.evaluate.tasks import with_all_documents

BENCHMARKS = Path(__file__).parents[3] / "shared" / "data" / "benchmarks"

real_data = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the real benchmarks are not beside the repository"
)


def real(name: str, limit: int | None = None, metric: str | None = None) -> Task:
    (task,) = load_tasks([name], data=BENCHMARKS, limit=limit)
    return task if metric is None else dataclasses.replace(task, metric=metric)


@cache
def floor_of(name: str) -> Floor:
    """The floor of a task of which a few items were drawn."""
    return compute_floor(real(name, limit=20))


def docs(task: Task) -> list[dict[str, Any]]:
    return [doc for lm_task in task.lm_tasks for doc in lm_task.task_docs]


@real_data
@pytest.mark.parametrize(
    ("name", "known"), [("truthfulqa_mc1", 0.2261), ("truthfulqa_mc2", 0.4484)]
)
def test_where_the_first_option_is_right_a_constant_reads_the_key(name: str, known: float) -> None:
    """Uniform likelihood on the 817 questions of release v0, as published to four places."""
    task = real(name)
    floor = compute_floor(task)
    assert floor.value == floor.chance == pytest.approx(known, abs=5e-5)
    assert (floor.kind, set(floor.answerers)) == ("uniform likelihood", {"uniform likelihood"})
    labels = [doc[f"{name[-3:]}_targets"]["labels"] for doc in docs(task)]
    by_hand = math.fsum(sum(row) / len(row) for row in labels) / len(labels)
    assert floor.value == pytest.approx(by_hand, abs=1e-12)  # rounding of a mean of 817


@real_data
def test_equal_likelihoods_of_mc2_are_its_chance() -> None:
    """The harness's own metric on equal likelihoods is the mean over strictly preferred options."""
    task = real("truthfulqa_mc2", limit=50)
    whole = with_all_documents(task)
    values = [
        part.lm_task.process_results(d.doc, [(0.0, False)] * len(d.instances))["acc"]
        for part in whole.parts
        for d in part.documents()
    ]
    assert len(values) == 817
    assert compute_floor(task).value == pytest.approx(sum(values) / 817, abs=1e-12)


@real_data
def test_boolq_always_yes() -> None:
    floor = floor_of("boolq")
    assert floor.kind == "always 'yes'"
    assert floor.value == pytest.approx(2033 / 3270, abs=1e-12)
    assert floor.chance == 0.5
    assert floor.answerers["always 'no'"] == pytest.approx(1237 / 3270, abs=1e-12)


@real_data
def test_mmlu_floor_is_the_most_frequent_letter_of_all_subjects() -> None:
    """Also where the sample has items of fewer subjects than there are."""
    task = real("mmlu", limit=20)
    assert len(task.parts) == 20
    floor = compute_floor(task)
    answers = [doc["answer"] for lm_task in task.lm_tasks for doc in lm_task.task_docs]
    letter, count = Counter("ABCD"[answer] for answer in answers).most_common(1)[0]
    assert (len(answers), floor.documents) == (14042, 14042)
    assert (floor.kind, floor.chance) == (f"always {letter!r}", 0.25)
    assert floor.value == pytest.approx(count / 14042, abs=1e-12)


@real_data
def test_winogrande_where_the_options_are_contexts() -> None:
    task = real("winogrande")
    first = sum(doc["answer"] == "1" for doc in docs(task)) / 1267
    floor = compute_floor(task)
    assert floor.answerers["always option 1"] == pytest.approx(first, abs=1e-12)
    assert floor.value == pytest.approx(max(first, 1 - first), abs=1e-12)


@real_data
def test_a_group_is_one_set_of_items() -> None:
    """MuSR: chance is 1/options averaged over the 756 items, as the group weighs its parts."""
    task = real("leaderboard_musr")
    sizes = [len(document.instances) for document in task.documents()]
    assert compute_floor(task).chance == pytest.approx(sum(1 / n for n in sizes) / 756, abs=1e-12)


# IFEval's answerers in the reference's table: prompt strict, instruction strict. Only those whose
# text is known are exact to its three places.
IFEVAL = {
    "always '.'": (0.150, 0.266),
    "always 'the'": (0.144, 0.275),
    "'the' 1280 times": (0.161, 0.294),
    "the prompt echoed": (0.250, 0.361),
    "the prompt echoed 10 times": (0.287, 0.421),
}


@pytest.mark.long
@real_data
def test_ifeval_answerers_are_those_of_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    task = real("ifeval")
    floor = compute_floor(task)
    for name, (prompts, _) in IFEVAL.items():
        assert floor.answerers[name] == pytest.approx(prompts, abs=5e-4), name
    assert (floor.kind, floor.chance) == ("the prompt echoed 10 times", None)
    # Others' random words and sentence differ from ours, and by so much at most: 0.02 is 11 of 541.
    assert floor.answerers["100 random words"] == pytest.approx(0.133, abs=0.02)
    assert floor.answerers["800 random words"] == pytest.approx(0.139, abs=0.02)
    assert floor.answerers["one sentence 80 times"] == pytest.approx(0.104, abs=0.02)
    short = {name: text for name, text in floors._writers([]).items() if name in IFEVAL}
    monkeypatch.setattr(floors, "_writers", lambda asked: short)
    floor = compute_floor(dataclasses.replace(task, metric="inst_level_strict_acc"))
    assert set(floor.answerers) == set(IFEVAL)
    for name, (_, instructions) in IFEVAL.items():
        # One of 834 instructions more: the table was made with a stand-in for NLTK's sentences.
        assert floor.answerers[name] == pytest.approx(instructions, abs=5e-4 + 1 / 834), name


@real_data
def test_gsm8k_floor_is_the_most_frequent_number() -> None:
    task = real("gsm8k", limit=20)
    answers = Counter(doc["answer"].split("#### ")[1] for doc in task.lm_tasks[0].task_docs)
    number, count = answers.most_common(1)[0]
    floor = compute_floor(dataclasses.replace(task, filter="strict-match"))
    assert floor.kind == f"always '#### {number}'"
    assert floor.value == pytest.approx(count / 1319, abs=1e-12)
    assert floor.answerers["the prompt echoed"] == 0  # no "####" in a question


@real_data
def test_lambada_floors_count_words_of_all_documents() -> None:
    task = real("lambada_openai", limit=20)
    texts = [doc["text"] for doc in task.lm_tasks[0].task_docs]
    targets = Counter(text.split(" ")[-1] for text in texts)
    floor = compute_floor(dataclasses.replace(task, metric="acc"))
    assert floor.value == pytest.approx(max(targets.values()) / 5153, abs=1e-12)
    floor = floor_of("lambada_openai")
    assert floor.kind == "word frequencies of the other texts and before"
    # As counted once by a program of its own; by frequencies fitted to their own texts 30,484.
    assert floor.value == pytest.approx(54441.8, abs=0.1)
    assert set(floor.answerers) == {floor.kind}  # always one word: infinite, and so not listed


@real_data
@pytest.mark.parametrize("name", ["boolq", "lambada_openai", "leaderboard_musr"])
def test_a_floor_is_the_same_whatever_the_sample(name: str) -> None:
    """Of 160 items, LAMBADA's word frequencies once gave 4,517 where all gave 30,484."""
    assert compute_floor(real(name, limit=300)) == floor_of(name)


# Small tasks, and lm-eval's own verdict
