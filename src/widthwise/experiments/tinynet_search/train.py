"""Trials on photos: a network of a family trained, judged on two sets, and foretold by proxies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from math import ceil
from typing import Any

from ...errors import RunError, WidthwiseError
from ...io import from_plain
from ...runs import ProgressCallback
from ...tinynet import (
    BATCH,
    CROP_MARGIN,
    PROXIES,
    Family,
    Multipliers,
    PhotoSets,
    TrainingRecipe,
    correct_mask,
    family_named,
    load_photo_sets,
    normalize,
    resized,
    seeded,
    trained_network,
)
from .trials import Metric, TrialJob, TrialWorker, as_read

SIEVE = "tinynet sieve"  # experiment: proxies alone
DRAWN, FORMULA, INVERSE = "tinynet drawn", "tinynet formula", "tinynet inverse"
VALIDATION, TEST = "validation", "test"  # accuracies: what is chosen by, and what is reported
LOSS = "loss"  # of the last epoch, on the photos trained on
_TRAINING = 0.9  # share of a trial that training is taken for


def image_size(pixels: int) -> int:
    """Side to load photos at for networks of up to so many pixels."""
    return ceil(CROP_MARGIN * pixels)


def photo_job(
    experiment: str,
    family: Family,
    scale: Multipliers,
    *,
    macs: float,
    seed: int,
    recipe: TrainingRecipe,
    photos: PhotoSets,
) -> TrialJob:
    """The trial of a network.

    Args:
        experiment: How the network was chosen: `DRAWN`, `FORMULA`, `INVERSE`; or `SIEVE`.
        family: Of the network.
        scale: Its multipliers.
        macs: The budget that it was asked for, multiply-adds.
        seed: Of the training.
        recipe: Of the training.
        photos: What it learns from and is judged on.
    """
    n_classes = len(photos.classes)
    counts, pixels = family.counts(scale, classes=n_classes), family.resolution(scale)
    network = {
        "family": family.name,
        **asdict(scale),
        "pixels": pixels,
        "macs": counts.macs,
        "parameters": counts.parameters,
        "asked_macs": macs,
    }
    label = f"{experiment.removeprefix('tinynet ')} {macs / 1e6:g}M: {pixels} px"
    label += f", depth {scale.depth:.2f}, width {scale.width:.2f}, seed {seed}"
    settings = {"data": photos.digest, "recipe": asdict(recipe)}
    return TrialJob(
        experiment=experiment, network=network, settings=settings, seed=seed, label=label
    )


def scale_of(network: Mapping[str, Any]) -> Multipliers:
    """The multipliers of a trial's network."""
    return Multipliers(**{name: network[name] for name in ("resolution", "depth", "width")})


def recipe_of(settings: Mapping[str, Any]) -> TrainingRecipe:
    """The recipe of a trial's settings."""
    recipe: TrainingRecipe = from_plain(TrainingRecipe, as_read(settings["recipe"]), "a recipe")
    return recipe


class PhotoTrainer(TrialWorker):
    """Does trials on photos, which it reads once.

    Args:
        data: Where the photos are; seen from where the worker lives.
        side: That they are loaded at.
        digest: Of the photos that trials are of.
        split_seed: Of the split of photos that are not split.
        device: To train on.

    Raises:
        AssetError: The photos cannot be read.
        RunError: They are others.
    """

    def __init__(self, data: str, side: int, digest: str, split_seed: int, device: str) -> None:
        self._photos = load_photo_sets(data, side=side, seed=split_seed)
        self._device = device
        if self._photos.digest != digest:
            raise RunError(f"the photos at {data} are not those that the search was begun with")

    def train(self, job: TrialJob, on_share: ProgressCallback) -> dict[str, Metric]:
        """Train the network, and judge it; of `SIEVE` see its proxies alone.

        Raises:
            RunError: Training diverged.
        """
        family, scale = family_named(job.network["family"]), scale_of(job.network)
        metrics = self._proxies(family, scale, job.seed)
        if job.experiment == SIEVE:
            return metrics
        photos, side = self._photos, family.resolution(scale)
        net, loss = trained_network(
            family,
            scale,
            photos.train,
            recipe=recipe_of(job.settings),
            seed=job.seed,
            device=self._device,
            on_share=lambda share: on_share(_TRAINING * share, job.label),
        )
        metrics[LOSS] = Metric(value=loss, unit="nats", n=len(photos.train))
        for name, part in ((VALIDATION, photos.validation), (TEST, photos.test)):
            right = correct_mask(net, part, side, device=self._device)
            metrics[name] = Metric.share(right, part.floor)
        return metrics

    def _proxies(self, family: Family, scale: Multipliers, seed: int) -> dict[str, Metric]:
        """All proxies of the network as it starts, on the first photos that are trained on."""
        side, train = family.resolution(scale), self._photos.train
        with seeded(seed):
            net = family.build(scale, classes=len(train.classes)).to(self._device)
        every = max(1, len(train) // BATCH)  # photos are in the order of their classes
        batch = normalize(resized(train.pixels[::every][:BATCH], side)).to(self._device)
        metrics = {}
        for name, proxy in PROXIES.items():
            try:
                metrics[name] = Metric(value=proxy(net, batch), unit="log", n=len(batch))
            except WidthwiseError as error:
                metrics[name] = Metric(value=None, unit="log", reason=str(error))
        return metrics
