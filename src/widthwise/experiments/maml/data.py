"""Omniglot: handwritten characters, 20 images of each, in three disjoint sets of classes.

A task of N ways and K shots has K images of each of N classes to learn from, and another image of
each to classify.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...errors import AssetError
from ...io import read_arrays
from ...stats import counted

Images: TypeAlias = NDArray[np.uint8]

MOST_SUPPORT = 500  # images of a task to learn from: tables of their square are made
_SETS = ("train", "val", "test")
_EXPECTED = (
    "a NumPy archive (.npz) with the images X, uint8 of shape (classes, images, side, side), ink "
    "255, and the class indices train, val and test"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Omniglot:
    """Images as bytes, 255 is ink; each set of shape (classes, images of a class, pixels).

    Attributes:
        train: Classes to meta-train on, each also turned by 90, 180 and 270 degrees: a turned
            class is a class of its own.
        val: Classes to choose among checkpoints by, turned likewise.
        test: Classes to test on, as they are.
    """

    train: Images
    val: Images
    test: Images

    def check_tasks(self, ways: int, shots: int) -> None:
        """Raise AssetError where a set has too few classes or images for such tasks.

        Args:
            ways: Classes of a task.
            shots: Images of each to learn from; one more is classified.
        """
        for name, images in vars(self).items():
            classes, copies, _ = images.shape
            if classes < ways:
                raise AssetError(
                    f"{name} has {classes:,} class{'es' * (classes != 1)} and a task takes {ways}"
                )
            if copies <= shots:
                raise AssetError(
                    f"a class of {name} has {counted(copies, 'image')} and a task takes "
                    f"{shots + 1}: {counted(shots, 'shot')} and one to classify"
                )


def load_omniglot(path: Path) -> Omniglot:
    """Read the images and the split from a file.

    Args:
        path: NumPy archive with `X`, uint8 of shape (classes, images, side, side), and `train`,
            `val` and `test`, disjoint indices of classes.

    Raises:
        AssetError: The file is not there, is damaged, or holds something else.

    Source: Vinyals et al., arXiv 1606.04080, for the split and the turned classes.
    """
    if not path.is_file():
        raise AssetError(f"Omniglot is not at {path}; give --data FILE, {_EXPECTED}")
    try:
        arrays = read_arrays(path, ("X", *_SETS))
    except (KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise AssetError(
            f"{path} must be {_EXPECTED}; it is damaged or another: {error}"
        ) from error
    except (ValueError, EOFError) as error:  # the message is about pickles
        raise AssetError(f"{path} must be {_EXPECTED}; it is something else") from error
    except OSError as error:
        raise AssetError(f"{path} cannot be read: {error}") from error
    if fault := _fault(arrays):
        raise AssetError(f"{path} must be {_EXPECTED}; {fault}")
    images = arrays["X"]
    train, val, test = (images[arrays[name].astype(np.int64)] for name in _SETS)
    return Omniglot(train=_flat(_turned(train)), val=_flat(_turned(val)), test=_flat(test))


def _fault(arrays: dict[str, NDArray[np.generic]]) -> str:
    """The fault of the arrays of a file; "" if there is none."""
    images = arrays["X"]
    square = images.ndim == 4 and images.shape[2] == images.shape[3] > 0
    if images.dtype != np.uint8 or not square or images.shape[1] < 2:
        return f"X is {images.dtype} of shape {images.shape}"
    for name in _SETS:
        indices = arrays[name]
        if indices.ndim != 1 or indices.dtype.kind not in "iu":
            return f"{name} is {indices.dtype} of shape {indices.shape}"
        if not len(indices):
            return f"{name} names no class"
        if indices.min() < 0 or indices.max() >= len(images):
            return f"{name} names a class that X does not have"
    every = np.concatenate([arrays[name].astype(np.int64) for name in _SETS])
    if len(np.unique(every)) < len(every):
        return "a class stands twice in train, val and test"
    blank = int((images[every] == 0).all(axis=(2, 3)).sum())
    if not blank:
        return ""
    return f"{counted(blank, 'image')} {'has' if blank == 1 else 'have'} no ink"


def _turned(images: Images) -> Images:
    return np.concatenate([np.rot90(images, turns, axes=(2, 3)) for turns in range(4)])


def _flat(images: Images) -> Images:
    return np.ascontiguousarray(images.reshape(*images.shape[:2], -1))


@dataclass(frozen=True, kw_only=True, eq=False)
class Episodes:
    """Tasks. Classes come in random order: the index of a class is its label.

    Attributes:
        support: Images to learn from, shape (tasks, ways x shots, pixels + 1), those of a class
            together, ink 1; the last entry is the constant input of the bias.
        query: Images to classify, one of each class, shape (tasks, ways, pixels + 1).
        query_ids: Indices of the query images among all images of the set, shape (tasks, ways).
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
    ways: int = 5,
    shots: int = 1,
    dtype: type[np.floating] = np.float32,
) -> Episodes:
    """Draw tasks: classes without repetition, and different images of each.

    Args:
        images: Set of shape (classes, images of a class, pixels); at least as many classes as
            ways, and more images than shots.
        tasks: Number of tasks.
        rng: Generator; the draws do not depend on `bias` and `dtype`.
        bias: Constant input of the bias; 0 for none.
        ways: Classes of a task.
        shots: Images of each class to learn from.
        dtype: Type of the images of the batch.
    """
    number, copies, pixels = images.shape
    classes = _classes(number, (tasks, ways), rng)
    first = rng.integers(copies, size=classes.shape)
    query = (first + rng.integers(1, copies, size=classes.shape)) % copies
    support = first[..., None]
    if shots > 1:
        order = rng.random((*classes.shape, copies))
        for drawn in (first, query):
            np.put_along_axis(order, drawn[..., None], 2.0, axis=-1)  # behind all others
        others = np.argsort(order, axis=-1)[..., : shots - 1]
        support = np.concatenate([support, others], axis=-1)
    query_ids = classes * copies + query
    support_ids = (classes[..., None] * copies + support).reshape(tasks, -1)
    flat = images.reshape(-1, pixels)

    def batch(ids: NDArray[np.int64]) -> NDArray[np.floating]:
        inputs = np.full((*ids.shape, pixels + 1), bias, dtype=dtype)
        np.multiply(flat[ids], dtype(1 / 255), out=inputs[..., :-1])
        return inputs

    return Episodes(support=batch(support_ids), query=batch(query_ids), query_ids=query_ids)


def _classes(number: int, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.int64]:
    """Different classes in each row."""
    tasks, ways = shape
    if ways**2 > 8 * number:  # rows drawn freely would nearly all have a class twice
        return np.argsort(rng.random((tasks, number)), axis=1)[:, :ways]
    classes = rng.integers(number, size=shape)
    while len(again := np.flatnonzero((np.diff(np.sort(classes)) == 0).any(axis=1))):
        classes[again] = rng.integers(number, size=(len(again), ways))
    return classes
