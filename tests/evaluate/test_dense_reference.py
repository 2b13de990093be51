"""Items that are compared with the dense model are evenly spread, and each a whole."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from widthwise.evaluate import (
    DenseReference,
    Task,
    Watch,
    answer_task,
    chosen_items,
    dense_reference,
    language_model_of,
    not_answered,
    reference_of,
)


@pytest.fixture(scope="module")
def models(tiny_checkpoint: Path) -> tuple[Any, Any, Any]:
    """A model, one with other blocks, and their tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_checkpoint)
    other = copy.deepcopy(model)
    for layer in other.model.layers:
        layer.mlp.down_proj.weight.data.mul_(0.5)
    return model, other, AutoTokenizer.from_pretrained(tiny_checkpoint)


def watched(models: tuple[Any, Any, Any], task: Task, reference: DenseReference) -> Any:
    """Answers of the second model beside the first."""
    model, other, tokenizer = models
    lm = language_model_of("widthwise", model, tokenizer)
    lm.watch = Watch(reference, is_dense=True)
    assert all(answer.distance is None for answer in answer_task(lm, task))
    assert not_answered(task, reference) is None
    lm = language_model_of("widthwise", other, tokenizer)
    lm.watch = Watch(reference, is_dense=False)
    return answer_task(lm, task)


def test_an_item_is_as_far_as_whole_passes_say(models: tuple[Any, Any, Any], task_of: Any) -> None:
    task = task_of("piqa")
    reference = reference_of(task)
    answers = watched(models, task, reference)
    model, other, tokenizer = models
    for document, answer in list(zip(task.documents(), answers, strict=True))[:5]:
        kl, accepted, same, tokens = 0.0, 0.0, 0, 0
        for instance in document.instances:
            context, option = instance.args
            begin = tokenizer(context)["input_ids"]
            whole = tokenizer(context + option)["input_ids"]
            scored = len(whole) - len(begin)
            logs = []
            for each in (model, other):
                with torch.no_grad():
                    logits = each(torch.tensor([whole[:-1]])).logits[0, -scored:]
                logs.append(logits[reference.places(scored)].double().log_softmax(-1))
            p, q = logs
            kl += float((p.exp() * (p - q)).sum())
            accepted += float(torch.minimum(p, q).exp().sum())
            same += int((p.argmax(-1) == q.argmax(-1)).sum())
            tokens += len(p)
        assert answer.distance.tokens == tokens
        assert answer.distance.agreement == same
        # Up to 50 sums over 4,096 words in float32, of terms that come to 1 in all.
        assert answer.distance.divergence == pytest.approx(kl, rel=1e-3)
        assert answer.distance.acceptance == pytest.approx(accepted, rel=1e-3)
    assert sum(answer.distance.divergence for answer in answers) > 1


def test_a_text_is_compared_window_by_window(models: tuple[Any, Any, Any], task_of: Any) -> None:
    task = chosen_items(task_of("wikitext"), range(6))
    answers = watched(models, task, reference_of(task))
    assert all(answer.distance.tokens > 0 for answer in answers)
    assert all(answer.distance.divergence > 0 for answer in answers)


def test_few_items_are_compared_evenly_and_as_a_whole(
    models: tuple[Any, Any, Any], task_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dense_reference, "MOST_ITEMS", 10)
    task = task_of("piqa")
    answers = watched(models, task, reference_of(task))
    places = [number for number, answer in enumerate(answers) if answer.distance is not None]
    assert places == [number * len(answers) // 10 for number in range(10)]


def test_parts_of_a_task_add_up(models: tuple[Any, Any, Any], task_of: Any) -> None:
    task = task_of("piqa")
    reference = reference_of(task)
    first = chosen_items(task, range(20))
    watched(models, first, reference)
    rest = not_answered(task, reference)
    assert rest is not None
    assert rest.item_ids == task.item_ids[20:]


def test_what_a_model_writes_is_not_compared(task_of: Any) -> None:
    task = task_of("gsm8k")
    assert not_answered(task, reference_of(task)) is None
