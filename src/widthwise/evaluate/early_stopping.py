"""A task at several networks, a few items at a time, until the differences are certain enough."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator, Sequence
from typing import Generic, SupportsFloat, TypeVar

from ..stats import stopping_index
from .score import TaskAnswer, item_values
from .tasks import Task, chosen_items

_STEP = 64  # items between two looks

Network = TypeVar("Network", bound=Hashable)


def drawn_order(task: Task, seed: int) -> list[int]:
    """Places of all items of a task, in the order in which they are asked a few at a time."""
    order = list(range(len(task.item_ids)))
    random.Random(f"{task.name}/{seed}/order").shuffle(order)
    return order


class SequentialEvaluation(Generic[Network]):
    """Iterates over (network, part of the task) until every network is measured well enough.

    Items come in an order drawn by `seed`, the same for all networks. The first network is the one
    that all others are compared with, and goes on until all of them are certain, so to the last
    item where there is none or one was given up. A network stops when the anytime-valid confidence
    interval of its paired difference (`stats.confidence_sequence`) reaches `half_width` to either
    side; so it may be looked at after every step. A metric that is not a share of right answers
    has no bounds, and is measured on all items, in one step.

    Attributes:
        answers: Answers of each network so far, in the order of the draw.
    """

    def __init__(
        self, task: Task, networks: Sequence[Network], half_width: float, *, seed: int
    ) -> None:
        self.answers: dict[Network, list[TaskAnswer]] = {network: [] for network in networks}
        self._task = task
        self._half_width = half_width
        self._reference = networks[0]
        self._others = tuple(networks[1:])
        self._certain: set[Network] = set()
        self._order = drawn_order(task, seed)

    def __iter__(self) -> Iterator[tuple[Network, Task]]:
        step = _STEP if self._task.unit == "accuracy" else len(self._order)
        for start in range(0, len(self._order), step):
            part = chosen_items(self._task, self._order[start : start + step])
            for network in (self._reference, *self._others):
                if network in self.answers and network not in self._certain:
                    yield network, part
                    if network != self._reference and self._is_enough(network):
                        self._certain.add(network)
            if self._others and self._certain.issuperset(self._others):
                return

    def add(self, network: Network, answers: Sequence[TaskAnswer]) -> None:
        """Take the answers to the part that was just handed out, in any order."""
        position = {id_: number for number, id_ in enumerate(self._task.item_ids)}
        rank = {number: rank for rank, number in enumerate(self._order)}
        self.answers[network] += sorted(answers, key=lambda answer: rank[position[answer.id]])

    def drop(self, network: Network) -> None:
        """Give up a network that cannot be measured."""
        self.answers.pop(network, None)

    def _is_enough(self, network: Network) -> bool:
        if not {network, self._reference} <= set(self.answers):
            return False
        if self._task.unit != "accuracy":
            return False
        values = item_values(self._task, self.answers[network])
        other = item_values(self._task, self.answers[self._reference])
        if not all(isinstance(value, SupportsFloat) for value in (*values, *other)):
            return False  # several right or wrong in one item
        differences = [float(a) - float(b) for a, b in zip(values, other, strict=True)]
        return stopping_index(differences, self._half_width) is not None
