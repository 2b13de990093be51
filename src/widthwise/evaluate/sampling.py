"""Which documents are asked when there is no time for all: a seeded sample, stratified over parts.

A sample depends on nothing but its arguments, so all widths of a model meet the same documents.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence


def sample_documents(
    task: str, sizes: Mapping[str, int], limit: int | None, seed: int
) -> dict[str, list[int]]:
    """Indices of the chosen documents of each part, ascending.

    Args:
        task: Name of the task; another name is another sample.
        sizes: Documents of each part.
        limit: Documents of the sample; None, or as many as there are, for all.
        seed: Another seed is another sample.
    """
    if limit is None or limit >= sum(sizes.values()):
        return {part: list(range(size)) for part, size in sizes.items()}
    counts = _some_parts(task, sizes, limit, seed) if limit < len(sizes) else None
    counts = counts or dict(zip(sizes, stratum_sizes(list(sizes.values()), limit), strict=True))
    return {
        part: sorted(random.Random(f"{task}/{part}/{seed}").sample(range(size), counts[part]))
        for part, size in sizes.items()
    }


def stratum_sizes(sizes: Sequence[int], limit: int) -> list[int]:
    """How many of `limit` documents each part gives: at least one, else proportional to its size.

    What is left after rounding down goes to the largest remainders, ties to the earlier part.
    `limit` is from `len(sizes)` to `sum(sizes)`; sizes are at least 1.
    """
    single: set[int] = set()  # parts whose share would be below one
    while True:
        rest = [part for part in range(len(sizes)) if part not in single]
        pool, total = limit - len(single), sum(sizes[part] for part in rest)
        small = {part for part in rest if pool * sizes[part] < total}
        if not small:
            break
        single |= small
    counts = [1] * len(sizes)
    for part in rest:
        counts[part] = pool * sizes[part] // total
    by_remainder = sorted(rest, key=lambda part: -(pool * sizes[part] % total))
    for part in by_remainder[: limit - sum(counts)]:
        counts[part] += 1
    return counts


def _some_parts(task: str, sizes: Mapping[str, int], limit: int, seed: int) -> dict[str, int]:
    """One document from each of `limit` parts: the parts of documents drawn one after another."""
    owners = [part for part, size in sizes.items() for _ in range(size)]
    order = dict.fromkeys(random.Random(f"{task}/{seed}").sample(owners, len(owners)))
    return {part: int(part in list(order)[:limit]) for part in sizes}
