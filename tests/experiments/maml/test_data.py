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
        ({"val": np.arange(0)}, "val names no class"),
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


@pytest.mark.parametrize(
    ("ways", "shots", "message"),
    [
        (9, 1, "test has 8 classes and a task takes 9"),
        (40, 1, "train has 32 classes and a task takes 40"),
        (5, 4, "a class of train has 4 images and a task takes 5: 4 shots and one to classify"),
    ],
)
def test_tasks_that_the_images_do_not_give_are_refused(
    data: Omniglot, ways: int, shots: int, message: str
) -> None:
    data.check_tasks(8, 3)
    with pytest.raises(AssetError, match=message):
        data.check_tasks(ways, shots)


@pytest.mark.parametrize(("ways", "shots"), [(2, 3), (8, 2), (7, 1), (32, 1)])
def test_tasks_have_their_ways_and_shots(data: Omniglot, ways: int, shots: int) -> None:
    """Images of a class stand together, all of a task differ, and every one is drawn."""
    rng = np.random.default_rng(0)
    batch = draw_tasks(data.train, 300, rng, bias=1.0, ways=ways, shots=shots, dtype=np.float64)
    assert batch.support.shape == (300, ways * shots, PIXELS + 1)
    classes, copies, _ = data.train.shape
    flat = data.train.reshape(-1, PIXELS) / 255
    assert len(np.unique(flat, axis=0)) == len(flat)  # so that an image tells which one it is
    number = {image.tobytes(): i for i, image in enumerate(flat)}
    seen: set[int] = set()
    for task in range(300):
        support = [number[image[:-1].tobytes()] for image in batch.support[task]]
        asked = batch.query_ids[task]
        np.testing.assert_array_equal(batch.query[task][:, :-1], flat[asked])
        of_class = np.array(support).reshape(ways, shots) // copies
        assert (of_class == (asked // copies)[:, None]).all()
        assert len(set(asked // copies)) == ways
        assert len({*support, *asked.tolist()}) == ways * (shots + 1)
        seen |= set(support)
    assert seen == set(range(classes * copies))


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.uint64])
def test_indices_are_whole_numbers_of_any_kind(tmp_path: Path, kind: type) -> None:
    """Of different kinds NumPy would make real numbers."""
    first = tiny_omniglot.arrays()["train"]
    found = load_omniglot(tiny_omniglot.save(tmp_path / "kind.npz", train=first.astype(kind)))
    known = load_omniglot(tiny_omniglot.save(tmp_path / "usual.npz"))
    np.testing.assert_array_equal(found.train, known.train)


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
