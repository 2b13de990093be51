"""Photos from folders and archives: order, damage, refusals, splits."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_photos
from PIL import Image

from widthwise.errors import AssetError
from widthwise.tinynet import load_photo_sets
from widthwise.tinynet.images import load_photos, split


def test_a_folder_and_an_archive_of_the_same_photos_are_the_same(tmp_path: Path) -> None:
    folder = load_photos(tiny_photos.save_folder(tmp_path / "a", 12), side=32)
    archive = load_photos(tiny_photos.save_archive(tmp_path / "a.npz", 12), side=32)
    assert folder.classes == archive.classes == tiny_photos.CLASSES
    assert folder.labels.tolist() == [0] * 6 + [1] * 6  # class by class
    assert archive.labels.tolist() == [0, 1] * 6
    assert (folder.pixels == archive.pixels[[*range(0, 12, 2), *range(1, 12, 2)]]).all()
    assert tuple(folder.pixels.shape) == (12, 3, 32, 32)
    assert folder.digest != archive.digest
    assert folder.floor == 0.5


def test_pixels_are_those_of_the_file(tmp_path: Path) -> None:
    files, _ = tiny_photos.photo_bytes(2)
    found = load_photos(tiny_photos.save_archive(tmp_path / "a.npz", 2), side=32)
    want = np.asarray(Image.open(io.BytesIO(files[0])))
    assert (found.pixels[0].permute(1, 2, 0).numpy() == want).all()


def test_the_middle_is_kept_and_exif_turns_the_photo(tmp_path: Path) -> None:
    folder = tiny_photos.save_folder(tmp_path / "a", 4)
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40, 0] = 200  # the middle third is red
    wide[:10, 20:40, 1] = 200  # and yellow above
    picture, exif = Image.fromarray(wide), Image.Exif()
    exif[0x0112] = 3  # upside down
    picture.save(folder / "across" / "zz.png", exif=exif)
    last = load_photos(folder, side=10).pixels[2]
    inside = last[:, :, 3:-3].int()  # the cubic filter reaches over edges
    assert (inside[0] == 200).all()
    assert (inside[1, :3] <= 2).all()
    assert (inside[1, 7:] >= 198).all()


def test_damaged_photos_are_named_and_left_out(tmp_path: Path) -> None:
    folder = tiny_photos.save_folder(tmp_path / "a", 12)
    whole = (folder / "down" / "001.png").read_bytes()
    (folder / "down" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "down" / "notes.txt").write_text("no photo")
    (folder / "across" / "empty.jpg").write_bytes(b"")
    (folder / "across" / "inner").mkdir()
    os.mkfifo(folder / "across" / "pipe.jpg")
    (folder / "across" / ".hidden").write_text("passed over")
    found = load_photos(folder, side=32)
    assert len(found) == 12
    names = [name.partition(":")[0] for name in found.skipped]
    assert names == [
        "across/empty.jpg",
        "across/inner",
        "across/pipe.jpg",
        "down/cut.png",
        "down/notes.txt",
    ]


def test_damage_in_an_archive_is_named_by_its_number(tmp_path: Path) -> None:
    files, _ = tiny_photos.photo_bytes(6)
    files[3] = files[3][:40]
    path = tiny_photos.save_archive(
        tmp_path / "a.npz",
        6,
        jpeg=np.frombuffer(b"".join(files), np.uint8),
        offsets=np.cumsum([0, *map(len, files)]),
    )
    found = load_photos(path, side=32)
    assert len(found) == 5
    assert [name.partition(":")[0] for name in found.skipped] == ["photo 3"]


def test_nothing_one_class_and_a_class_without_photos_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="there are no photos at"):
        load_photos(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(AssetError, match="holds 0 classes, and two are needed"):
        load_photos(tmp_path / "empty")
    one = tiny_photos.save_folder(tmp_path / "one", 4)
    for file in (one / "down").iterdir():
        file.unlink()
    with pytest.raises(AssetError, match="no photo of class down can be read"):
        load_photos(one)
    (one / "down").rmdir()
    with pytest.raises(AssetError, match="holds 1 class, and two are needed"):
        load_photos(one)
    (tmp_path / "bare" / "a").mkdir(parents=True)
    (tmp_path / "bare" / "b").mkdir()
    with pytest.raises(AssetError, match="holds no photo that can be read"):
        load_photos(tmp_path / "bare")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"label": np.array([0, 1, 0])}, "3 labels go with 7 offsets"),
        ({"label": np.array([0, 1, 0, 1, 0, 2])}, "a class that is not there"),
        ({"label": np.array([0, 1, 0, 1, 0, -1])}, "a class that is not there"),
        ({"offsets": np.zeros(7)}, "must be whole numbers"),
        ({"jpeg": np.zeros((2, 2), np.uint8)}, "another shape"),
        ({"classes": np.array([{}], dtype=object)}, "damaged or another"),
    ],
)
def test_a_foreign_archive_is_refused(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(AssetError, match=message):
        load_photos(tiny_photos.save_archive(tmp_path / "a.npz", 6, **changed))


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(AssetError, match="damaged or another"):
        load_photos(tmp_path / "a.npz")


def test_a_split_is_by_class_disjoint_whole_and_by_its_seed(tmp_path: Path) -> None:
    photos = load_photos(tiny_photos.save_archive(tmp_path / "a.npz", 40), side=32)
    sets = split(photos, seed=1)
    parts = (sets.train, sets.validation, sets.test)
    assert [len(part) for part in parts] == [28, 6, 6]
    assert all(part.labels.bincount().tolist() == [len(part) // 2] * 2 for part in parts)
    every = [photo.numpy().tobytes() for part in parts for photo in part.pixels]
    assert sorted(every) == sorted(photo.numpy().tobytes() for photo in photos.pixels)
    assert len(set(every)) == 40
    assert split(photos, seed=1).digest == sets.digest
    assert split(photos, seed=2).digest != sets.digest


def test_a_class_too_small_to_split_is_named(tmp_path: Path) -> None:
    photos = load_photos(tiny_photos.save_archive(tmp_path / "a.npz", 4), side=32)
    with pytest.raises(AssetError, match="class across has 2 photos and needs 3"):
        split(photos)


def test_sets_that_are_split_already_are_taken_as_they_are(tmp_path: Path) -> None:
    folder = tiny_photos.save_sets(tmp_path / "sets", (10, 6, 8))
    sets = load_photo_sets(folder, side=32)
    assert [len(part) for part in (sets.train, sets.validation, sets.test)] == [10, 6, 8]
    (folder / "test.npz").unlink()
    with pytest.raises(AssetError, match="holds train and no test"):
        load_photo_sets(folder)
    tiny_photos.save_archive(folder / "test.npz", 6, classes=np.array(["across", "round"]))
    with pytest.raises(AssetError, match="test and train differ in their classes: down"):
        load_photo_sets(folder)


def test_sixteen_bit_photos_are_scaled_and_others_refused(tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image

    from widthwise.tinynet.images import _square

    values = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    Image.fromarray(values).save(tmp_path / "8.png")
    Image.fromarray(values.astype(np.uint16) * 257).save(tmp_path / "16.png")
    Image.fromarray(values.astype(np.float32)).save(tmp_path / "float.tif")
    same = (_square(tmp_path / "8.png", 32), _square(tmp_path / "16.png", 32))
    assert np.array_equal(*same)
    assert 0 < same[0].mean() < 255
    with pytest.raises(ValueError, match="neither 8 nor 16 bits"):
        _square(tmp_path / "float.tif", 32)
