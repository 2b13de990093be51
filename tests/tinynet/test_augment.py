"""Random changes of photos, and their sizes."""

from __future__ import annotations

import pytest
import torch
from grating_photos import chance, photos

from widthwise.errors import RunError
from widthwise.tinynet import (
    Augmentation,
    normalize,
    resized,
)
from widthwise.tinynet.augment import augmented

NOTHING = Augmentation(area=(1, 1), ratio=(1, 1), flip=0, jitter=0)


def test_an_augmentation_of_nothing_shows_the_photo() -> None:
    pixels = photos(3).pixels
    found = augmented(pixels, 32, NOTHING, chance())
    # 2e-4: a sampled place is off by rounding of float32, 32 x 6e-8 px, at slopes of 120 levels
    torch.testing.assert_close(found, normalize(pixels), atol=2e-4, rtol=0)


def test_a_sure_flip_exchanges_left_and_right() -> None:
    pixels = photos(3).pixels
    found = augmented(
        pixels, 32, Augmentation(area=(1, 1), ratio=(1, 1), flip=1, jitter=0), chance()
    )
    torch.testing.assert_close(found, normalize(pixels.flip(3)), atol=2e-4, rtol=0)


def test_chance_is_by_the_seed_and_of_each_photo_alone() -> None:
    same = photos(1).pixels.expand(6, -1, -1, -1)
    found = augmented(same, 24, Augmentation(), chance(1))
    assert found.shape == (6, 3, 24, 24)
    assert torch.equal(found, augmented(same, 24, Augmentation(), chance(1)))
    assert not torch.equal(found, augmented(same, 24, Augmentation(), chance(2)))
    assert len({photo.numpy().tobytes() for photo in found}) == 6


def test_what_is_shown_stays_within_the_range_of_bytes() -> None:
    ends = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 8, 8)
    low, high = normalize(ends)[:, :, 0, 0]
    wild = augmented(photos(40).pixels, 16, Augmentation(jitter=0.9), chance())
    assert (wild >= low.view(1, 3, 1, 1) - 1e-5).all()
    assert (wild <= high.view(1, 3, 1, 1) + 1e-5).all()


def test_resizing_smooths_what_no_pixel_could_show() -> None:
    pixels = photos(8).pixels
    assert resized(pixels, 32) is pixels
    small = resized(pixels, 8).float()
    assert small.shape == (8, 3, 8, 8)
    assert pixels.float().std() > 50
    assert small[..., 1:-1, 1:-1].std() < 8  # stripes of 2 px are gone, noise of 12 is averaged
    assert abs(float(small.mean() - pixels.float().mean())) < 2


@pytest.mark.parametrize(
    "options", [{"area": (0, 1)}, {"area": (0.5, 1.2)}, {"ratio": (2, 1)}, {"flip": 2}]
)
def test_impossible_augmentations_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(RunError):
        Augmentation(**options)  # type: ignore[arg-type]
