"""Workloads of cost measurements: declared, so that all models do the same work.

How many tokens are written is fixed, and an end-of-text token ends nothing: a pruned model that no
longer stops writing is not thereby slower, nor one that stops early faster.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RunError
from ..evaluate import load_tasks

_GRID = tuple(f"{p}x{n}x{b}" for b in (1, 8, 32) for p in (128, 512, 2048) for n in (1, 32, 128))
_PAPER = {"hellaswag": (100, 20), "mmlu": (100, 50), "ifeval": (30, 150)}  # prompts, new tokens
_PAPER_BATCHES = (1, 8)
NAMED = tuple(f"{task}-b{batch}" for task in _PAPER for batch in _PAPER_BATCHES)
_FORM = re.compile(r"([0-9]{1,7})x([0-9]{1,7})(?:x([0-9]{1,5}))?")  # no typo fills memory


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Prompts, and how many tokens are written after each.

    Attributes:
        name: `"512x32x8"`: prompt length, new tokens, batch; or a name of its own.
        prompt_tokens: Length of each prompt, in the order in which they are read.
        new_tokens: Tokens written after each prompt, at least 1. Reading the prompt gives the
            first of them.
        batch: Prompts read together; the last batch may have fewer.

    Raises:
        RunError: A number below 1, or no prompt.
    """

    name: str
    prompt_tokens: tuple[int, ...]
    new_tokens: int
    batch: int

    def __post_init__(self) -> None:
        if min(self.new_tokens, self.batch, *self.prompt_tokens) < 1:
            raise RunError(f"workload {self.name}: all numbers must be at least 1")
        if not self.prompt_tokens:
            raise RunError(f"workload {self.name} must have at least one prompt")

    @property
    def batches(self) -> tuple[tuple[int, int], ...]:
        """Rows and tokens a row of each batch; its shorter prompts are padded to its longest."""
        starts = range(0, len(self.prompt_tokens), self.batch)
        parts = [self.prompt_tokens[start : start + self.batch] for start in starts]
        return tuple((len(part), max(part)) for part in parts)

    @property
    def tokens(self) -> int:
        """New tokens of all prompts, none of them padding."""
        return self.new_tokens * len(self.prompt_tokens)

    @property
    def longest(self) -> int:
        """Tokens of the longest text, prompt and continuation."""
        return max(self.prompt_tokens) + self.new_tokens


def workload(text: str) -> Workload:
    """One batch of prompts of one length, from `"PROMPTxNEW"` or `"PROMPTxNEWxBATCH"`.

    >>> workload("512x32x8").batches
    ((8, 512),)

    Raises:
        RunError: Another form, or a number below 1.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise RunError(
            "a workload must be PROMPTxNEW or PROMPTxNEWxBATCH (512x32x8, at most 7 digits each, "
            f"of BATCH 5), grid, paper, {', '.join(NAMED)}; got {text!r}"
        )
    prompt, new, batch = (int(number or 1) for number in match.groups())
    return Workload(
        name=f"{prompt}x{new}x{batch}",
        prompt_tokens=(prompt,) * batch,
        new_tokens=new,
        batch=batch,
    )


def check_workload(name: str) -> None:
    """Raise RunError for a name that `workloads_of` does not know; reads nothing."""
    if name not in ("grid", "paper", *NAMED):
        workload(name)


def workloads_of(
    names: Sequence[str], tokenizer: Any, *, data: Path | None = None, seed: int = 0
) -> tuple[Workload, ...]:
    """Workloads by name, each once.

    Args:
        names: `"grid"`: prompts of 128, 512 and 2,048 tokens, 1, 32 and 128 new ones, batches of
            1, 8 and 32. `"paper"`: the six of `NAMED`, or some of these. Others as `workload`
            reads them.
        tokenizer: Gives the prompts of `NAMED` their lengths.
        data: Folder of their documents; by default these come from the hub.
        seed: Draws them.

    Raises:
        RunError: No such workload, or no documents.
    """
    workloads: dict[str, Workload] = {}
    for name in names:
        if name == "grid":
            some = [workload(text) for text in _GRID]
        elif name == "paper" or name in NAMED:
            tasks = list(_PAPER) if name == "paper" else [name.rpartition("-")[0]]
            some = [w for task in tasks for w in _real(task, tokenizer, data, seed)]
            some = [w for w in some if name in ("paper", w.name)]
        else:
            some = [workload(name)]
        workloads.update((work.name, work) for work in some)
    return tuple(workloads.values())


def _real(task: str, tokenizer: Any, data: Path | None, seed: int) -> list[Workload]:
    """The workloads of arXiv 2512.22671 with prompts of a task, at the lengths of real prompts.

    A prompt is what the paper's code shows: the beginning and the lettered endings of HellaSwag,
    the bare question of MMLU, the instruction of IFEval.
    """
    count, new_tokens = _PAPER[task]
    documents = [d for loaded in load_tasks([task], data=data) for d in loaded.documents()]
    texts = [_prompt(task, document.doc) for document in documents]
    texts = random.Random(seed).sample(texts, min(count, len(texts)))
    lengths = tuple(map(len, tokenizer(texts, verbose=False)["input_ids"]))
    return [
        Workload(name=f"{task}-b{batch}", prompt_tokens=lengths, new_tokens=new_tokens, batch=batch)
        for batch in _PAPER_BATCHES
    ]


def _prompt(task: str, doc: dict[str, Any]) -> str:
    """The text that the paper's code makes of a document."""
    if task == "ifeval":
        return str(doc["prompt"])
    if task == "mmlu":
        return str(doc["question"])
    text = f"{doc['ctx_a']} {doc['ctx_b']}".strip()
    lines = (f"{chr(ord('A') + number)}. {option}" for number, option in enumerate(doc["endings"]))
    return "\n".join([text, *lines, "Answer:"])
