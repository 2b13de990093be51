"""Labelled photos from folders of classes or an archive, and their split in three."""

from __future__ import annotations

import hashlib
import io
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import AssetError
from ..io import read_arrays

if TYPE_CHECKING:
    from jaxtyping import Int64, UInt8
    from PIL import Image
    from torch import Tensor

SETS = ("train", "validation", "test")
SHARES = (0.7, 0.15, 0.15)  # of a folder that is not split yet
_EXPECTED = (
    "a folder with a folder of photos for each class (a photo is named CLASS/NAME.jpg), or a NumPy "
    "archive (.npz) with jpeg (bytes of all files end to end), offsets, label and classes"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Photos:
    """Labelled photos in memory.

    Attributes:
        pixels: All photos, of one side.
        labels: Indices of `classes`.
        classes: Names of the classes, in the order of the alphabet or of the archive.
        skipped: Names of files that could not be read as photos, each with the reason.
    """

    pixels: UInt8[Tensor, "photos 3 side side"]
    labels: Int64[Tensor, " photos"]
    classes: tuple[str, ...]
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def floor(self) -> float:
        """Share of the most frequent class, the accuracy of the best constant answer."""
        return float(self.labels.bincount().max()) / len(self)

    @cached_property
    def digest(self) -> str:
        """sha256 over pixels, labels and classes."""
        digest = hashlib.sha256("\n".join(self.classes).encode())
        digest.update(self.pixels.numpy().tobytes())
        digest.update(self.labels.numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotoSets:
    """Photos to train on, to choose networks by, and to report on; no photo is in two.

    Attributes:
        train: Photos to learn weights from.
        validation: Photos to choose networks by.
        test: Photos to report on.
    """

    train: Photos
    validation: Photos
    test: Photos

    @property
    def classes(self) -> tuple[str, ...]:
        return self.train.classes

    @property
    def skipped(self) -> tuple[str, ...]:
        """Skipped files of all three sets, each once."""
        parts = (self.train, self.validation, self.test)
        return tuple(dict.fromkeys(name for part in parts for name in part.skipped))

    @cached_property
    def digest(self) -> str:
        """sha256 over the digests of the three sets."""
        parts = (self.train, self.validation, self.test)
        return hashlib.sha256("".join(part.digest for part in parts).encode()).hexdigest()


def load_photos(path: str | Path, *, side: int = 112) -> Photos:
    """Read labelled photos, each cut to its middle square and resized to one side.

    A photo is turned as its EXIF says. What cannot be read is left out and named in `skipped`;
    hidden files are passed over.

    Args:
        path: Folder of classes, or archive with `jpeg`, uint8; `offsets` of n + 1; `label` of
            n; and `classes`.
        side: Side in pixels; smaller photos are enlarged to it.

    Raises:
        AssetError: There is nothing there, no photo, fewer than two classes, or a class of which no
            photo could be read.
    """
    path = Path(path)
    if path.is_file():
        classes, files = _of_archive(path)
    elif path.is_dir():
        classes, files = _of_folder(path)
    else:
        raise AssetError(f"there are no photos at {path}; give {_EXPECTED}")
    if len(classes) < 2:
        raise AssetError(
            f"{path} holds {len(classes)} class{'es' * (len(classes) != 1)}, and two are needed to "
            f"learn anything; give {_EXPECTED}"
        )
    return _decoded(path, classes, files, side)


def load_photo_sets(path: str | Path, *, side: int = 112, seed: int = 0) -> PhotoSets:
    """Read photos to train on, to choose by and to report on.

    Args:
        path: Folder with `train`, `validation` and `test`, each readable by `load_photos` (an
            archive as `train.npz`); or something that it reads, which is split at random here,
            class by class, in the shares `SHARES`.
        side: Side in pixels.

    Raises:
        AssetError: As `load_photos`; the three differ in their classes; or a class is too small to
            be split.
    """
    path = Path(path)
    parts = {name: _part(path, name) for name in SETS} if path.is_dir() else {}
    there = [name for name, part in parts.items() if part is not None]
    if not there:
        return split(load_photos(path, side=side), seed=seed, source=str(path))
    if lacking := [name for name in SETS if name not in there]:
        raise AssetError(f"{path} holds {there[0]} and no {lacking[0]}; give all of {SETS}")
    sets = {name: load_photos(part, side=side) for name, part in parts.items() if part is not None}
    for name, photos in sets.items():
        if photos.classes != sets["train"].classes:
            names = sorted(set(photos.classes) ^ set(sets["train"].classes)) or photos.classes
            raise AssetError(f"{path}: {name} and train differ in their classes: {names[0]}")
    return PhotoSets(**sets)


def split(photos: Photos, *, seed: int = 0, source: str = "these photos") -> PhotoSets:
    """Divide photos at random, class by class, in the shares `SHARES`; each gets at least one.

    Raises:
        AssetError: A class has fewer than three photos.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    sets: list[list[int]] = [[], [], []]
    for number, name in enumerate(photos.classes):
        members = (photos.labels == number).nonzero().flatten()
        n = len(members)
        if n < len(SETS):
            raise AssetError(f"{source}: class {name} has {n} photos and needs 3 to be split")
        members = members[torch.randperm(n, generator=generator)]
        sizes = [max(1, round(share * n)) for share in SHARES[1:]]
        held_out = torch.split(members, [*sizes, n - sum(sizes)])
        for part, chosen in zip(sets, (held_out[2], *held_out[:2]), strict=True):
            part += chosen.tolist()
    train, validation, test = (
        Photos(
            pixels=photos.pixels[sorted(part)],
            labels=photos.labels[sorted(part)],
            classes=photos.classes,
            skipped=photos.skipped,
        )
        for part in sets
    )
    return PhotoSets(train=train, validation=validation, test=test)


_File = tuple[str, int, Path | bytes]  # name, class, and where its bytes are


def _part(path: Path, name: str) -> Path | None:
    """The folder or archive of one of the three sets; None if it is not there."""
    candidates = (path / name, path / f"{name}.npz")
    return next((candidate for candidate in candidates if candidate.exists()), None)


def _of_folder(path: Path) -> tuple[tuple[str, ...], Iterator[_File]]:
    classes = sorted(p.name for p in path.iterdir() if p.is_dir() and p.name[0] != ".")

    def files() -> Iterator[_File]:
        for number, name in enumerate(classes):
            for file in sorted((path / name).iterdir()):
                if file.name[0] != ".":
                    yield f"{name}/{file.name}", number, file

    return tuple(classes), files()


def _of_archive(path: Path) -> tuple[tuple[str, ...], Iterator[_File]]:
    try:
        arrays = read_arrays(path, ("jpeg", "offsets", "label", "classes"))
    except (KeyError, ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        raise AssetError(f"{path} must be {_EXPECTED}; it is damaged or another") from error
    if fault := _fault(arrays):
        raise AssetError(f"{path} must be {_EXPECTED}; {fault}")
    data, offsets = arrays["jpeg"].tobytes(), arrays["offsets"].tolist()
    labels = arrays["label"].tolist()

    def files() -> Iterator[_File]:
        for number, label in enumerate(labels):
            yield f"photo {number}", label, data[offsets[number] : offsets[number + 1]]

    return tuple(map(str, arrays["classes"])), files()


def _fault(arrays: dict[str, np.ndarray[Any, Any]]) -> str:
    """The fault of the arrays; "" if there is none."""
    if any(array.ndim != 1 for array in arrays.values()) or arrays["jpeg"].dtype.name != "uint8":
        return "an array has another shape, or jpeg is not uint8"
    if arrays["offsets"].dtype.kind not in "iu" or arrays["label"].dtype.kind not in "iu":
        return "offsets and label must be whole numbers"
    if len(arrays["offsets"]) != len(arrays["label"]) + 1:
        return f"{len(arrays['label'])} labels go with {len(arrays['offsets'])} offsets"
    if not ((arrays["label"] >= 0) & (arrays["label"] < len(arrays["classes"]))).all():
        return "a label names a class that is not there"
    return ""


def _decoded(path: Path, classes: tuple[str, ...], files: Iterator[_File], side: int) -> Photos:
    """Read every file, and name those that cannot be read."""
    import torch

    pixels, labels, skipped = [], [], []
    for name, label, source in files:
        try:
            pixels.append(_square(source, side))
        except Exception as error:  # damage may make Pillow raise nearly anything
            skipped.append(f"{name}: {(str(error).splitlines() or [type(error).__name__])[0]}")
        else:
            labels.append(label)
    if not pixels:
        first = f"; of {skipped[0]}" if skipped else ""
        raise AssetError(f"{path} holds no photo that can be read{first}; give {_EXPECTED}")
    all_labels = torch.tensor(labels)
    for number, name in enumerate(classes):
        if not (all_labels == number).any():
            raise AssetError(
                f"{path}: no photo of class {name} can be read; remove it, or add some"
            )
    return Photos(
        pixels=torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous(),
        labels=all_labels,
        classes=classes,
        skipped=tuple(skipped),
    )


def _as_rgb(image: Image.Image) -> Image.Image:
    """An image in colours of 8 bits; 16-bit greys are scaled, as Pillow alone would clip them.

    Raises:
        ValueError: Its pixels are neither 8 nor 16 bits.
    """
    from PIL import Image as pillow

    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("its pixels are neither 8 nor 16 bits")
        image = pillow.fromarray((values // 257).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("its pixels are neither 8 nor 16 bits")
    return image.convert("RGB")


def _square(source: Path | bytes, side: int) -> np.ndarray[Any, Any]:
    """The middle square of a photo as uint8 of shape (side, side, 3)."""
    from PIL import Image, ImageOps

    if isinstance(source, Path) and not source.is_file():  # a pipe would be waited for
        raise ValueError("it is no file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of damage outside the pixels
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            image.draft("RGB", (side, side))  # decodes no more of a large JPEG than needed
            turned = _as_rgb(ImageOps.exif_transpose(image))
            return np.asarray(ImageOps.fit(turned, (side, side), Image.Resampling.BICUBIC))
