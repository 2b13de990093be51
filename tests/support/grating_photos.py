"""Photos of gratings with labels, and seeded chance."""

from __future__ import annotations

import tiny_photos
import torch

from widthwise.tinynet.images import Photos


def photos(n: int, seed: int = 0) -> Photos:
    import numpy as np

    chance = np.random.default_rng(seed)
    labels = [number % 2 for number in range(n)]
    pixels = np.stack([tiny_photos.grating(label, chance) for label in labels])
    return Photos(
        pixels=torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(),
        labels=torch.tensor(labels),
        classes=tiny_photos.CLASSES,
    )


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
