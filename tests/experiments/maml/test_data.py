"""Omniglot's files, their faults, and tasks drawn from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_omniglot

from widthwise.errors import AssetError
from widthwise.experiments.maml import (
    Omniglot,
    load_omniglot,
)
from widthwise.experiments.maml.data import draw_tasks

PIXELS = tiny_omniglot.SIDE**2


def test_tasks_are_of_five_classes_and_two_images(data: Omniglot) -> None:
    batch = draw_tasks(data.train, 500, np.random.default_rng(0), bias=2.0, dtype=np.float64)
    flat = data.train.reshape(-1, PIXELS) / 255
    np.testing.assert_allclose(batch.query[..., :-1], flat[batch.query_ids])
    assert (batch.support[..., -1] == 2).all()
    copies = data.train.shape[1]
    classes = batch.query_ids // copies
    assert all(len(set(row)) == 5 for row in classes.tolist())
    assert set(batch.query_ids.ravel()) == set(range(len(flat)))  # all are drawn
    for task in range(20):
        for way in range(5):
            others = flat.reshape(-1, copies, PIXELS)[classes[task, way]]
            same = [np.allclose(batch.support[task, way, :-1], image) for image in others]
            assert any(same)
            assert not same[batch.query_ids[task, way] % copies]


def test_turned_characters_are_classes_of_their_own(data: Omniglot) -> None:
    raw = tiny_omniglot.arrays()
    assert len(data.train) == 4 * len(raw["train"])
    assert len(data.val) == 4 * len(raw["val"])
    assert len(data.test) == len(raw["test"])
    turned = np.rot90(raw["X"][raw["train"][2], 1]).ravel()
    np.testing.assert_array_equal(data.train[len(raw["train"]) + 2, 1], turned)


def test_a_missing_file_is_told_with_what_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"Omniglot is not at .*none.npz; give --data FILE, a Num"):
        load_omniglot(tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"X": np.zeros((24, 4, 5, 5))}, "X is float64 of shape"),
        ({"X": np.zeros((24, 4, 5, 6), dtype=np.uint8)}, r"X is uint8 of shape \(24, 4, 5, 6\)"),
        ({"X": np.zeros((24, 4, 5, 5), dtype=np.uint8)}, "96 images have no ink"),
        ({"val": np.array([0.5])}, "val is float64"),
        ({"val": np.arange(3)}, "val has 3 classes and a task takes 5"),
        ({"val": np.arange(1)}, "val has 1 class and a task takes 5"),
        ({"test": np.arange(90, 99)}, "test names a class that X does not have"),
        ({"test": np.arange(8)}, "a class stands twice"),
        ({"train": np.array([{}] * 5, dtype=object)}, "it is something else"),
    ],
)
def test_a_file_that_is_something_else_is_refused(
    tmp_path: Path, changed: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(AssetError, match=message):
        load_omniglot(tiny_omniglot.save(tmp_path / "odd.npz", **changed))


def test_a_single_blank_image_is_one(tmp_path: Path) -> None:
    images = tiny_omniglot.arrays()["X"]
    images[3, 2] = 0
    with pytest.raises(AssetError, match="1 image has no ink"):
        load_omniglot(tiny_omniglot.save(tmp_path / "odd.npz", X=images))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    whole = tiny_omniglot.save(tmp_path / "whole.npz").read_bytes()
    middle = len(whole) // 3
    flipped = whole[:middle] + bytes(255 - b for b in whole[middle : middle + 50])
    contents = {
        "cut": whole[: len(whole) // 2],
        "flipped": flipped + whole[middle + 50 :],
        "empty": b"",
        "text": b"not an archive",
    }
    np.save(tmp_path / "single.npy", np.zeros(3))
    contents["single"] = (tmp_path / "single.npy").read_bytes()
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(AssetError, match="must be a NumPy archive"):
            load_omniglot(tmp_path / name)
