"""The demo's tasks: the prompts of lm-eval, the same items every time, a model that can answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from questions import oracle

from widthwise.assets import benchmark_rows, embedded_model
from widthwise.errors import AssetError
from widthwise.evaluate import (
    Task,
    embedded_suite,
    held_out_passages,
    score_prose,
    score_task,
)
from widthwise.evaluate import embedded as rooms

ROWS = {
    "arc_easy": {
        "question": "Which is wide?",
        "choices": {"text": ["net", "wire"], "label": ["1", "2"]},
        "answerKey": "2",
    },
    "hellaswag": {
        "activity_label": "Roof [step] work",
        "ctx_a": "A man  sits.",
        "ctx_b": "he Stands",
        "endings": [" cuts [substeps] it.", "goes [title] up"],
        "label": "1",
    },
    "piqa": {"goal": "cut", "sol1": "saw ", "sol2": "look", "label": 0},
    "boolq": {"passage": "It is.", "question": "is it", "answer": True},
    "mmlu": {"question": " Is it? ", "choices": ["a", "b", "c", "d"], "answer": 2},
}
# What lm-eval 0.4.13 builds for the rows above: context, options, answer.
PROMPTS = {
    "arc_easy": ("Question: Which is wide?\nAnswer:", (" net", " wire"), 1),
    "hellaswag": ("Roof work: A man sits. He stands", (" cuts it.", " goes. up"), 1),
    "piqa": ("Question: cut\nAnswer:", (" saw ", " look"), 0),
    "boolq": ("It is.\nQuestion: is it?\nAnswer:", (" no", " yes"), 1),
    "mmlu": ("Is it?\nA. a\nB. b\nC. c\nD. d\nAnswer:", (" A", " B", " C", " D"), 2),
}


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Benchmarks of three equal rows each, and of two MMLU subjects."""

    def read(name: str, split: str) -> list[dict[str, Any]]:
        return [ROWS[name.split("/")[0]]] * (5 if split == "dev" else 3)

    monkeypatch.setattr(rooms, "benchmark_rows", read)
    monkeypatch.setattr(rooms, "mmlu_subjects", lambda: ["high_school_physics", "virology"])


@pytest.mark.usefixtures("rows")
def test_prompts_are_those_of_lm_eval() -> None:
    for task in embedded_suite(items=3, seed=0):
        item = task.items[0]
        assert (item.context, item.options, item.answer) == PROMPTS[task.name]
        if task.name == "mmlu":
            topic = item.id.split("/")[1].replace("_", " ")
            shot = "Is it?\nA. a\nB. b\nC. c\nD. d\nAnswer: C\n\n"
            head = f"The following are multiple choice questions (with answers) about {topic}.\n\n"
            assert item.preamble == head + shot * 5
        else:
            assert item.preamble == ""


@pytest.mark.usefixtures("rows")
def test_no_more_items_than_there_are() -> None:
    assert {len(task.items) for task in embedded_suite(items=10, seed=0)} == {3}


def or_skip(load: Callable[[], Any]) -> Any:
    try:
        return load()
    except AssetError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def suite() -> tuple[Task, ...]:
    return or_skip(lambda: embedded_suite(items=20, seed=0))


@pytest.mark.demo
def test_suite_is_a_seeded_sample(suite: tuple[Task, ...]) -> None:
    assert suite == embedded_suite(items=20, seed=0)
    other = embedded_suite(items=20, seed=1)
    for task, another in zip(suite, other, strict=True):
        assert len(task.items) == 20
        assert task.items != another.items
        assert "seed 0" in task.source
    names = [task.name for task in suite]
    assert names == ["mmlu", "arc_easy", "hellaswag", "piqa", "boolq"]
    assert len({item.preamble for item in suite[0].items}) == 2  # subjects of ten questions


@pytest.mark.demo
def test_prose_is_not_in_the_items(suite: tuple[Task, ...]) -> None:
    passages = held_out_passages(suite, 30, seed=0)
    assert len(set(passages)) == 30
    assert passages == held_out_passages(suite, 30, seed=0)
    contexts = [item.context for task in suite for item in task.items]
    assert not [p for p in passages if any(p in context for context in contexts)]
    rows = {row["passage"] for row in benchmark_rows("boolq", "validation")}
    assert rows.issuperset(passages)


@pytest.mark.demo
def test_the_embedded_model_reads_and_answers(suite: tuple[Task, ...]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = or_skip(embedded_model)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    prose = score_prose(model, tokenizer, held_out_passages(suite, 8, seed=0))
    # 8 passages; the mean over 80 is 1.06 with a standard error of 0.02, so 0.08 here: 4 of them
    assert prose.value == pytest.approx(1.06, abs=0.32)
    assert prose.value < prose.floor
    for task in suite[1:]:  # reading five shots for every option of MMLU takes the oracle too long
        few = Task(**{**vars(task), "items": task.items[:2]})
        score = score_task(model, tokenizer, few)
        for item, value in zip(few.items, score.items, strict=True):
            values = oracle(model, tokenizer, item)
            if task.metric == "acc_norm":
                options = zip(values, item.options, strict=True)
                values = [v / (len(option) - 1) for v, option in options]
            assert value == float(values.index(max(values)) == item.answer)
