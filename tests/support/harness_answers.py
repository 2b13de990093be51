"""A model of lm-eval's kind that computes nothing, and tasks with made-up documents for it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness_data import write_musr, write_rows
from lm_eval.api.model import LM

from widthwise.evaluate import Task, load_tasks

BENCHMARKS = Path(__file__).parents[3] / "shared" / "data" / "benchmarks"


def draw(*key: Any) -> random.Random:
    return random.Random(hashlib.sha256(repr(key).encode()).hexdigest())


class Oracle(LM):
    """Answers that depend on nothing but the words of a request and the model's name."""

    def __init__(self, name: str = "oracle") -> None:
        super().__init__()
        self.name = name
        self.asked: list[tuple[Any, ...]] = []

    def each(self, requests: Sequence[Any]) -> list[random.Random]:
        self.asked += [request.args for request in requests]
        return [draw(self.name, request.args) for request in requests]

    def loglikelihood(self, requests: Any, **_: Any) -> list[Any]:
        return [(-d.uniform(1, 3), d.random() < 0.5) for d in self.each(requests)]

    def loglikelihood_rolling(self, requests: Any, **_: Any) -> list[Any]:
        nats = (-d.uniform(1, 1.2) for d in self.each(requests))
        return [n * len(r.args[0]) for n, r in zip(nats, requests, strict=True)]

    def generate_until(self, requests: Any, **_: Any) -> list[Any]:
        texts = ["so #### 1", "it is 2", "neither, nor", "one two three four, five", "none"]
        return [d.choice(texts) for d in self.each(requests)]


def words(n: int, *key: Any) -> str:
    return " ".join(draw(*key).choices("saw red cat house of the and far".split(), k=n))


def documents(folder: Path, n: int) -> Path:
    """`n` made-up documents of each of some tasks of lm-eval."""
    rows: dict[str, list[dict[str, Any]]] = {
        "piqa/validation": [
            {"goal": f"g {i}", "sol1": words(2, i), "sol2": words(3, -i), "label": i % 2}
            for i in range(n)
        ],
        "truthfulqa_mc/validation": [
            {
                "question": f"q {i}",
                "mc1_targets": {"choices": ["a", "b"], "labels": [1, 0]},
                "mc2_targets": {"choices": ["a", "b", "c"], "labels": [1, i % 2, 0]},
            }
            for i in range(n)
        ],
        "lambada_openai/test": [{"text": words(7, i)} for i in range(n)],
        "wikitext/test": [{"page": words(3 + i % 9, i)} for i in range(n)],
        "gsm8k/train": [{"question": f"t {i}", "answer": f"#### {i}"} for i in range(9)],
        "gsm8k/test": [{"question": f"q {i}", "answer": f"#### {i % 3}"} for i in range(n)],
        "ifeval/test": [
            {
                "key": i,
                "prompt": f"p {i}",
                "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
                "kwargs": [{}, {"relation": "at least", "num_words": 3}],
            }
            for i in range(n)
        ],
    }
    for name, own in rows.items():
        write_rows(folder / f"{name}.jsonl", own)
    write_musr(folder, (n, n // 2, n // 3))
    if (BENCHMARKS / "nltk_data").is_dir():
        (folder / "nltk_data").symlink_to(BENCHMARKS / "nltk_data")
    return folder


def one_task(name: str, folder: Path, **options: Any) -> Task:
    (task,) = load_tasks([name], data=folder, **options)
    return task
