"""Trials of a search: what names a network, and what its trial measures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny_photos

from widthwise.errors import RunError
from widthwise.experiments.tinynet_search.train import (
    DRAWN,
    SIEVE,
    PhotoTrainer,
    image_size,
    photo_job,
    recipe_of,
    scale_of,
)
from widthwise.experiments.tinynet_search.trials import TrialJob
from widthwise.tinynet import (
    Augmentation,
    Multipliers,
    PhotoSets,
    TrainingRecipe,
    family_named,
    load_photo_sets,
)

RECIPE = TrainingRecipe(epochs=1, batch=16, augmentation=Augmentation(area=(0.5, 1.0)))
SCALE = Multipliers(resolution=0.5, depth=1.0, width=1.0)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    tiny_photos.register(monkeypatch)
    return str(tiny_photos.save_sets(tmp_path / "photos"))


@pytest.fixture
def photos(data: str) -> PhotoSets:
    return load_photo_sets(data, side=image_size(32), seed=0)


def job(photos: PhotoSets, experiment: str = DRAWN) -> TrialJob:
    family = family_named("toy")
    return photo_job(experiment, family, SCALE, macs=2e5, seed=3, recipe=RECIPE, photos=photos)


def test_scale_and_recipe_survive_the_file(photos: PhotoSets) -> None:
    made = job(photos)
    network, settings = json.loads(json.dumps([dict(made.network), dict(made.settings)]))
    assert scale_of(network) == SCALE
    assert recipe_of(settings) == RECIPE
    assert made.label.startswith("drawn 0.2M: ")
    assert made.label.endswith("depth 1.00, width 1.00, seed 3")
    counts = family_named("toy").counts(SCALE, classes=len(photos.classes))
    assert (network["macs"], network["parameters"]) == (counts.macs, counts.parameters)
    assert (network["asked_macs"], settings["data"]) == (2e5, photos.digest)


def test_a_trial_has_accuracies_and_one_of_the_sieve_only_proxies(
    data: str, photos: PhotoSets
) -> None:
    trainer = PhotoTrainer(data, image_size(32), photos.digest, 0, "cpu")
    shares: list[float] = []
    proxies = trainer.train(job(photos, SIEVE), lambda share, label: shares.append(share))
    assert set(proxies) == {"synflow", "naswot", "parameters"}
    assert shares == []
    found = trainer.train(job(photos), lambda share, label: shares.append(share))
    assert set(found) == {*proxies, "loss", "validation", "test"}
    assert {name: found[name].value for name in proxies} == {
        name: metric.value for name, metric in proxies.items()
    }
    assert found["test"].n == len(found["test"].items) == len(photos.test)
    assert found["loss"].n == len(photos.train)
    assert shares
    assert max(shares) <= 0.9  # the rest is for its answers


def test_other_photos_are_refused(data: str) -> None:
    with pytest.raises(RunError, match="are not those that the search was begun with"):
        PhotoTrainer(data, image_size(32), "0123", 0, "cpu")
