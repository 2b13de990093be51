"""A made-up Omniglot of few, small characters, and where the real one is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from widthwise.experiments.maml import Omniglot, load_omniglot

SIDE = 5


def arrays(classes: int = 24, copies: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
    """What the file holds: every class a random pattern, every image of it with noise."""
    rng = np.random.default_rng(seed)
    patterns = rng.random((classes, 1, SIDE, SIDE)) < 0.4
    flips = rng.random((classes, copies, SIDE, SIDE)) < 0.12
    images = np.where(patterns ^ flips, 255, 0).astype(np.uint8)
    images[:, :, 0, 0] = 255  # no image without ink
    third = classes // 3
    order = np.arange(classes)
    return {
        "X": images,
        "train": order[:third],
        "val": order[third : 2 * third],
        "test": order[2 * third :],
    }


def save(path: Path, **changed: np.ndarray) -> Path:
    """The file, with some arrays replaced."""
    np.savez_compressed(path, **{**arrays(), **changed})
    return path


def real_file() -> Path:
    """Omniglot itself; skips where it is not at hand."""
    shared = Path(__file__).resolve().parents[3] / "shared" / "data"
    path = Path(os.environ.get("WIDTHWISE_DATA", shared)) / "omniglot" / "omniglot28.npz"
    if not path.is_file():
        pytest.skip(f"Omniglot is not at {path}; WIDTHWISE_DATA names the folder above omniglot/")
    return path


def real() -> Omniglot:
    """Its images."""
    return load_omniglot(real_file())
