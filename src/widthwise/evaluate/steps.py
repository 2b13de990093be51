"""A task at several networks, a few items at a time, until the differences are certain enough."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator, Sequence
from typing import Generic, TypeVar

from ..stats import first_narrow
from .harness import Task, chosen_items
from .score import Answer, item_values

_STEP = 64  # items between two looks

Network = TypeVar("Network", bound=Hashable)


class Steps(Generic[Network]):
    """Iterates over (network, part of the task) until every network is measured well enough.

    Items come in an order drawn by `seed`, the same for all networks. The first network is the one
    that all others are compared with, and goes on as long as any of them. A network stops when the
    anytime-valid confidence interval of its paired difference (`stats.confidence_sequence`) reaches
    `half_width` to either side; so it may be looked at after every step. A metric that is not a
    share of right answers has no bounds, and is measured on all items.

    Attributes:
        answers: Of each network so far, in the order of the draw.
    """

    def __init__(
        self, task: Task, networks: Sequence[Network], half_width: float, *, seed: int
    ) -> None:
        self.answers: dict[Network, list[Answer]] = {network: [] for network in networks}
        self._task = task
        self._half_width = half_width
        self._reference = networks[0]
        self._going = list(networks[1:])
        self._order = list(range(len(task.item_ids)))
        random.Random(f"{task.name}/{seed}/order").shuffle(self._order)

    def __iter__(self) -> Iterator[tuple[Network, Task]]:
        for start in range(0, len(self._order), _STEP):
            part = chosen_items(self._task, self._order[start : start + _STEP])
            yield self._reference, part
            for network in list(self._going):
                yield network, part
                if network in self._going and self._is_enough(network):
                    self._going.remove(network)
            if not self._going:
                return

    def add(self, network: Network, answers: Sequence[Answer]) -> None:
        """Take the answers to the part that was just handed out, in any order."""
        place = {id_: number for number, id_ in enumerate(self._task.item_ids)}
        rank = {number: rank for rank, number in enumerate(self._order)}
        self.answers[network] += sorted(answers, key=lambda answer: rank[place[answer.id]])

    def drop(self, network: Network) -> None:
        """Give up a network that cannot be measured."""
        self.answers.pop(network, None)
        if network in self._going:
            self._going.remove(network)

    def _is_enough(self, network: Network) -> bool:
        reference = self.answers.get(self._reference)
        if reference is None:
            return False
        pairs = zip(
            item_values(self._task, self.answers[network]),
            item_values(self._task, reference),
            strict=True,
        )
        differences = [own - other for own, other in pairs]
        if not all(-1 <= difference <= 1 for difference in differences):
            return False
        return first_narrow(differences, self._half_width) is not None
