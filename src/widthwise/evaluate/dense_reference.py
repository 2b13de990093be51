"""Which items of a task are compared with what the dense model says, and how far answers are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .engine.distances import DenseReference, Distance
from .tasks import Task, TaskDocument, chosen_items

MOST_ITEMS = 256  # of a task whose answers are compared


def reference_of(task: Task) -> DenseReference:
    """An empty reference of a task: of up to 256 items, evenly spread over all of them.

    Texts that a model writes are not compared, as each model goes its own way.
    """
    if task.is_written:
        return DenseReference(())
    documents = list(task.documents())
    count = min(len(documents), MOST_ITEMS)
    chosen = [documents[number * len(documents) // count] for number in range(count)]
    return DenseReference(each.args for document in chosen for each in document.instances)


def not_answered(task: Task, reference: DenseReference) -> Task | None:
    """The items of a task, or of a part of it, that the dense model has yet to answer for a
    comparison; None where there are none."""
    documents = enumerate(task.documents())
    lacking = [
        number
        for number, document in documents
        if reference.lacks(each.args for each in document.instances)
    ]
    return chosen_items(task, lacking) if lacking else None


def distances_of(lm: Any, documents: Sequence[TaskDocument]) -> dict[str, Distance]:
    """Id of each item to how far the last answers of `lm` are from the dense model's; only items of
    which all requests were compared."""
    given = iter(getattr(lm, "distances", ()))
    found = {}
    for document in documents:
        parts = [next(given, None) for _ in document.instances]
        known = [part for part in parts if part is not None]
        if len(known) == len(parts):
            found[document.id] = Distance.total(known)
    return found
