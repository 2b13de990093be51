"""What is asked: items of a multiple-choice task, and the score of a model on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import RunError


@dataclass(frozen=True, kw_only=True)
class Item:
    """One multiple-choice question; the model sees `preamble + context + option`.

    Attributes:
        id: Name of the item, unique in its task.
        context: The question, up to where the answer begins.
        options: Answers to choose from, each with its leading space.
        answer: Index of the right option.
        preamble: Text before the context that items share (instructions and solved examples);
            computed once for all of them.
    """

    id: str
    context: str
    options: tuple[str, ...]
    answer: int
    preamble: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.answer < len(self.options) or len(self.options) < 2:
            raise RunError(
                f"item {self.id}: answer {self.answer} is not one of {len(self.options)} options"
            )
        if not self.preamble + self.context or not all(self.options):
            raise RunError(f"item {self.id}: the question and its options must not be empty")


@dataclass(frozen=True, kw_only=True)
class Task:
    """Items that are scored alike.

    Attributes:
        name: `"mmlu"`, `"hellaswag"` ...
        metric: `"acc"`: the option of the highest log-likelihood is taken; `"acc_norm"`: of the
            highest log-likelihood a character of the option, its leading space not counted.
        shots: Solved examples in each preamble.
        items: The questions, in a fixed order.
        source: Where the items come from and how they were drawn.
    """

    name: str
    metric: Literal["acc", "acc_norm"]
    shots: int
    items: tuple[Item, ...]
    source: str

    def __post_init__(self) -> None:
        if len({item.id for item in self.items}) != len(self.items) or len(self.items) < 2:
            raise RunError(
                f"task {self.name}: at least two items are needed, with distinct names; "
                f"got {len(self.items)}"
            )


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a model got on a task, beside what a trivial answerer gets on the same items.

    Attributes:
        task: Name of the task.
        value: Mean of `items`.
        standard_error: Of `value`, over items: sample standard deviation / sqrt(n).
        unit: `"accuracy"` or `"bits_per_byte"`.
        n: Number of items.
        floor: The value of the best trivial answerer.
        floor_kind: Which answerer that is, in words.
        higher_is_better: Direction in which `value` improves.
        items: Value of each item, in the order of the task whatever the model, so that two models
            can be compared item by item.
    """

    task: str
    value: float
    standard_error: float
    unit: str
    n: int
    floor: float
    floor_kind: str
    higher_is_better: bool
    items: tuple[float, ...]


def accuracy_floor(task: Task) -> tuple[float, str]:
    """Accuracy, and a name, of the better of two answerers that read nothing.

    One guesses evenly; the other always gives the same option, the one most often right on these
    very items. The second is chosen after the fact and so is a little better than any fixed rule
    could hope to be: a model must beat it all the same.
    """
    chance = sum(1 / len(item.options) for item in task.items) / len(task.items)
    width = max(len(item.options) for item in task.items)
    counts = [sum(item.answer == index for item in task.items) for index in range(width)]
    constant = max(counts) / len(task.items)
    if constant <= chance:
        return chance, "chance"
    index = counts.index(max(counts))
    names = {item.options[index].strip() for item in task.items if index < len(item.options)}
    name = repr(names.pop()) if len(names) == 1 else f"option {index + 1}"
    return constant, f"always {name}"
