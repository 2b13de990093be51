"""Tasks of 5 ways and 1 shot: one image of each class to learn from, another to be asked about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .data import WAYS, Images


@dataclass(frozen=True, kw_only=True, eq=False)
class Episodes:
    """Tasks. The classes of a task come in random order, so that a class's place is its label.

    Attributes:
        support: Images to learn from, shape (tasks, 5, pixels + 1), ink 1; the last entry is the
            constant input of the bias.
        query: Images to be asked about, the same shape.
        query_ids: Places of the query images among all images of the set, shape (tasks, 5).
    """

    support: NDArray[np.floating]
    query: NDArray[np.floating]
    query_ids: NDArray[np.int64]


def draw_tasks(
    images: Images,
    tasks: int,
    rng: np.random.Generator,
    *,
    bias: float,
    dtype: type[np.floating] = np.float32,
) -> Episodes:
    """Draw tasks: 5 classes without repetition, two different images of each.

    Args:
        images: A set, shape (classes, images of a class, pixels), at least 5 classes and 2 images.
        tasks: How many.
        rng: What draws them; the draws do not depend on `bias` and `dtype`.
        bias: The constant input of the bias; 0 for none.
        dtype: Of the images of the batch.
    """
    number, copies, pixels = images.shape
    classes = rng.integers(number, size=(tasks, WAYS))
    while len(again := np.flatnonzero((np.diff(np.sort(classes)) == 0).any(axis=1))):
        classes[again] = rng.integers(number, size=(len(again), WAYS))
    first = rng.integers(copies, size=classes.shape)
    second = (first + rng.integers(1, copies, size=classes.shape)) % copies
    ids = np.stack([classes * copies + first, classes * copies + second])
    both = np.full((2, tasks, WAYS, pixels + 1), bias, dtype=dtype)
    np.multiply(images.reshape(-1, pixels)[ids], dtype(1 / 255), out=both[..., :-1])
    return Episodes(support=both[0], query=both[1], query_ids=ids[1])
