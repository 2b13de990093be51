"""A task at several networks, a few items at a time, until the differences are certain enough."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Sequence
from typing import Any, SupportsFloat, TypeVar

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


def sequential_answers(
    task: Task,
    networks: Sequence[Network],
    half_width: float,
    ask: Callable[[Network, Task], Sequence[TaskAnswer] | None],
    *,
    seed: int,
) -> dict[Network, list[TaskAnswer]]:
    """Answers of each network, of as many items as it takes to know its difference from the first.

    Items come in an order drawn by `seed`, the same for all networks. The first network is the one
    that all others are compared with, and goes on until all of them are certain, so to the last
    item where there is none or one was given up. A network stops when the anytime-valid confidence
    interval of its paired difference (`stats.confidence_sequence`) reaches `half_width` to either
    side; so it may be looked at after every step. A metric that is not a share of right answers
    has no bounds, and is measured on all items, in one step.

    Args:
        task: All items.
        networks: Names of the networks, the reference first.
        half_width: Half the width of an interval that is narrow enough.
        ask: Gives a network's answers to a part of the task, in any order; None gives it up.
        seed: Seed of the order.

    Returns: The answers in the order of the draw; without the networks that were given up.
    """
    order = drawn_order(task, seed)
    rank = {task.item_ids[number]: rank for rank, number in enumerate(order)}
    answers: dict[Network, list[TaskAnswer]] = {network: [] for network in networks}
    reference, others, certain = networks[0], set(networks[1:]), set[Network]()
    has_bounds = task.unit == "accuracy"
    step = _STEP if has_bounds else len(order)
    for start in range(0, len(order), step):
        part = chosen_items(task, order[start : start + step])
        for network in networks:
            if network not in answers or network in certain:
                continue
            given = ask(network, part)
            if given is None:
                del answers[network]
                continue
            answers[network] += sorted(given, key=lambda answer: rank[answer.id])
            if has_bounds and network in others and reference in answers:
                own, other = (item_values(task, answers[each]) for each in (network, reference))
                if _is_enough(own, other, half_width):
                    certain.add(network)
        if others and certain >= others:
            break
    return answers


def _is_enough(values: Sequence[Any], other: Sequence[Any], half_width: float) -> bool:
    """Whether the difference is certain; never where several are right or wrong in one item."""
    if not all(isinstance(value, SupportsFloat) for value in (*values, *other)):
        return False
    differences = [float(a) - float(b) for a, b in zip(values, other, strict=True)]
    return stopping_index(differences, half_width) is not None
