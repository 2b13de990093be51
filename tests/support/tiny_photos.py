"""Photos made up for tests: classes that differ in fine detail alone, and a family of tiny nets."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from widthwise.tinynet import FAMILIES, Multipliers, NetworkCounts

CLASSES = ("across", "down")
SIDE = 32


def grating(label: int, chance: np.random.Generator, side: int = SIDE) -> np.ndarray:
    """Stripes of 2 px, across or down: uint8 of shape (side, side, 3). At a quarter of the side
    nothing of them is left, and all photos are the same grey."""
    wave = 60 * (((np.arange(side) + chance.integers(4)) // 2) % 2 * 2.0 - 1)
    plane = wave[:, None] if label == 0 else wave[None, :]
    noise = chance.normal(0, 12, (side, side, 3))
    return np.clip(128 + plane[..., None] + noise, 0, 255).astype(np.uint8)


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    """The bytes of a picture file; lossless by default, so that fine detail stays."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def photo_bytes(n: int, seed: int = 0) -> tuple[list[bytes], list[int]]:
    """`n` files and their classes in turn."""
    chance = np.random.default_rng(seed)
    labels = [number % 2 for number in range(n)]
    return [encoded(grating(label, chance)) for label in labels], labels


def save_archive(path: Path, n: int, seed: int = 0, **changed: Any) -> Path:
    """An archive of `n` photos, with some arrays replaced."""
    files, labels = photo_bytes(n, seed)
    arrays = {
        "jpeg": np.frombuffer(b"".join(files), np.uint8),
        "offsets": np.cumsum([0, *map(len, files)]),
        "label": np.array(labels),
        "classes": np.array(CLASSES),
    }
    np.savez(path, **{**arrays, **changed})
    return path


def save_sets(folder: Path, n: tuple[int, int, int] = (64, 24, 24)) -> Path:
    """A folder with train.npz, validation.npz and test.npz."""
    folder.mkdir()
    for seed, (name, count) in enumerate(zip(("train", "validation", "test"), n, strict=True)):
        save_archive(folder / f"{name}.npz", count, seed)
    return folder


def save_folder(folder: Path, n: int) -> Path:
    """A folder of a folder a class."""
    files, labels = photo_bytes(n)
    for number, (data, label) in enumerate(zip(files, labels, strict=True)):
        place = folder / CLASSES[label]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:03}.png").write_bytes(data)
    return folder


@dataclass(frozen=True)
class Toy:
    """Blocks of a convolution, normalisation and SiLU; some milliseconds to train on 64 photos."""

    name: str = "toy"
    base_resolution: int = SIDE
    stride: int = 4

    def resolution(self, scale: Multipliers) -> int:
        return int(self.base_resolution * scale.resolution)

    def _shape(self, scale: Multipliers) -> tuple[int, int]:
        return max(2, round(12 * scale.width)), max(1, round(4 * scale.depth))

    def counts(self, scale: Multipliers, *, classes: int) -> NetworkCounts:
        channels, blocks = self._shape(scale)
        weights = 27 * channels + (blocks - 1) * 9 * channels**2
        pixels = (self.resolution(scale) // 2) ** 2
        return NetworkCounts(
            parameters=weights + 2 * blocks * channels + (channels + 1) * classes,
            macs=weights * pixels + channels * classes,
        )

    def build(self, scale: Multipliers, *, classes: int) -> Any:
        from torch import nn

        channels, blocks = self._shape(scale)
        layers: list[Any] = []
        for number in range(blocks):
            inputs, stride = (3, 2) if number == 0 else (channels, 1)
            layers += [nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)]
            layers += [nn.BatchNorm2d(channels), nn.SiLU()]
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
        return nn.Sequential(*layers, *head)


def register(monkeypatch: pytest.MonkeyPatch) -> Toy:
    """The family, found by its name as long as the test runs."""
    family = Toy()
    monkeypatch.setitem(FAMILIES, family.name, family)
    return family
