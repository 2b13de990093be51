"""The demo's tasks: seeded samples of the embedded benchmarks, in the prompts of lm-eval.

The text that a model sees is, byte for byte, what lm-eval 0.4.9 to 0.4.13 builds for the tasks
`mmlu` (five shots), `arc_easy`, `hellaswag`, `piqa` and `boolq`. The items are fewer, and come from
the split that the embedded data has; each task says in `source` what differs.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

from ..assets import benchmark_rows, mmlu_subjects
from .tasks import Item, Task

_LETTERS = ("A", "B", "C", "D")
_SUBJECT_ITEMS = 10  # MMLU questions a subject: enough to pay for reading its five shots


def embedded_suite(items: int, seed: int) -> tuple[Task, ...]:
    """MMLU, ARC-Easy, HellaSwag, PIQA and BoolQ, at most `items` of each, drawn by `seed`.

    The same arguments give the same items in the same order on any machine. `items` is at least 2.

    Raises:
        AssetError: The benchmark data cannot be had.
    """
    return (
        _mmlu(items, seed),
        _sampled("arc_easy", "acc_norm", _arc_item, items, seed, "lm-eval uses the test split"),
        _sampled("hellaswag", "acc_norm", _hellaswag_item, items, seed, "the split of lm-eval"),
        _sampled("piqa", "acc_norm", _piqa_item, items, seed, "the split of lm-eval"),
        _sampled(
            "boolq",
            "acc",
            _boolq_item,
            items,
            seed,
            "lm-eval takes the same questions from SuperGLUE, whose passages begin 'title -- '",
        ),
    )


def held_out_passages(suite: Sequence[Task], passages: int, seed: int) -> tuple[str, ...]:
    """Distinct Wikipedia passages of BoolQ that no item of the suite shows, drawn by `seed`.

    A passage is 560 bytes in the mean, about 125 tokens.
    """
    shown = "\n".join(item.context for task in suite for item in task.items)
    rows = benchmark_rows("boolq", "validation")
    distinct = dict.fromkeys(str(row["passage"]) for row in rows)
    free = [passage for passage in distinct if passage not in shown]
    return tuple(_draw(free, passages, "prose", seed))


def _draw(population: Sequence[Any], size: int, name: str, seed: int) -> list[Any]:
    """A sample without replacement that depends on nothing but its arguments."""
    return random.Random(f"{name}/{seed}").sample(population, min(size, len(population)))


def _sampled(
    name: str,
    metric: Literal["acc", "acc_norm"],
    build: Callable[[str, dict[str, Any]], Item],
    items: int,
    seed: int,
    remark: str,
) -> Task:
    rows = benchmark_rows(name, "validation")
    chosen = sorted(_draw(range(len(rows)), items, name, seed))
    return Task(
        name=name,
        metric=metric,
        shots=0,
        items=tuple(build(f"{name}/{index}", rows[index]) for index in chosen),
        source=f"{len(chosen)} of {len(rows)} items of the validation split, seed {seed}; {remark}",
    )


def _mmlu(items: int, seed: int) -> Task:
    subjects = mmlu_subjects()
    count = min(len(subjects), max(1, round(items / _SUBJECT_ITEMS)))
    chosen = sorted(_draw(subjects, count, "mmlu", seed))
    built: list[Item] = []
    for number, subject in enumerate(chosen):
        share = items // count + (number < items % count)
        rows = benchmark_rows(f"mmlu/{subject}", "test")
        preamble = _mmlu_preamble(subject)
        for index in sorted(_draw(range(len(rows)), share, f"mmlu/{subject}", seed)):
            built.append(_mmlu_item(f"mmlu/{subject}/{index}", rows[index], preamble))
    return Task(
        name="mmlu",
        metric="acc",
        shots=5,
        items=tuple(built),
        source=f"{len(built)} items of the test split of {count} of {len(subjects)} subjects "
        f"({', '.join(chosen)}), seed {seed}; lm-eval uses all subjects",
    )


def _mmlu_preamble(subject: str) -> str:
    topic = subject.replace("_", " ")
    head = f"The following are multiple choice questions (with answers) about {topic}.\n\n"
    shots = benchmark_rows(f"mmlu/{subject}", "dev")[:5]
    return head + "".join(f"{_mmlu_text(row)} {_LETTERS[row['answer']]}\n\n" for row in shots)


def _mmlu_text(row: dict[str, Any]) -> str:
    choices = [f"{letter}. {text}" for letter, text in zip(_LETTERS, row["choices"], strict=True)]
    return "\n".join([row["question"].strip(), *choices, "Answer:"])


def _mmlu_item(name: str, row: dict[str, Any], preamble: str) -> Item:
    options = tuple(f" {letter}" for letter in _LETTERS)
    return Item(
        id=name, context=_mmlu_text(row), options=options, answer=row["answer"], preamble=preamble
    )


def _arc_item(name: str, row: dict[str, Any]) -> Item:
    return Item(
        id=name,
        context=f"Question: {row['question']}\nAnswer:",
        options=tuple(f" {text}" for text in row["choices"]["text"]),
        answer=row["choices"]["label"].index(row["answerKey"]),
    )


def _hellaswag_item(name: str, row: dict[str, Any]) -> Item:
    context = f"{row['activity_label']}: {row['ctx_a']} {row['ctx_b'].capitalize()}"
    return Item(
        id=name,
        context=_hellaswag_clean(context),
        options=tuple(f" {_hellaswag_clean(ending)}" for ending in row["endings"]),
        answer=int(row["label"]),
    )


def _hellaswag_clean(text: str) -> str:
    """Without the brackets that WikiHow leaves; the order of the steps matters."""
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def _piqa_item(name: str, row: dict[str, Any]) -> Item:
    return Item(
        id=name,
        context=f"Question: {row['goal']}\nAnswer:",
        options=(f" {row['sol1']}", f" {row['sol2']}"),
        answer=row["label"],
    )


def _boolq_item(name: str, row: dict[str, Any]) -> Item:
    return Item(
        id=name,
        context=f"{row['passage']}\nQuestion: {row['question']}?\nAnswer:",
        options=(" no", " yes"),
        answer=int(row["answer"]),
    )
