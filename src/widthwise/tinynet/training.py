"""Training of one network on photos, and its answers on others."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import RunError
from .augment import CROP_MARGIN, Augmentation, augmented, normalize, resized
from .images import Photos

if TYPE_CHECKING:
    import torch
    from torch import Generator, Tensor, nn

    from .family import Family
    from .multipliers import Multipliers

_UNDECAYED_DIMENSIONS = (
    1  # dimensions of biases and of the scales of normalisation, which are not decayed
)
_EVALUATION_BATCH = 128
_MOMENTUM = 0.9


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """Recipe of training, the same for all networks that are compared.

    SGD with Nesterov's momentum 0.9, whose learning rate rises in a straight line and falls by a
    cosine to 0; cross-entropy with smoothed labels; the classifier starts at 0, so that all classes
    begin alike; the network of the last epoch counts, without early stopping.

    Attributes:
        epochs: Times that every photo is shown.
        batch: Photos a step; an incomplete last batch is left out.
        lr: Highest learning rate.
        warm_up: Share of the steps in which the learning rate rises.
        weight_decay: Weight decay, which biases and normalisation do not have.
        label_smoothing: Share of the target that all classes get alike.
        augmentation: Random changes of photos.
    """

    epochs: int = 8
    batch: int = 32
    lr: float = 0.05
    warm_up: float = 0.15
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 2:
            raise RunError(
                f"training needs an epoch and batches of 2; got {self.epochs} and {self.batch}"
            )
        if not (math.isfinite(self.lr) and self.lr > 0 and 0 <= self.weight_decay < math.inf):
            raise RunError(
                "the learning rate must be a number above 0 and the weight decay not below; "
                f"got {self.lr} and {self.weight_decay}"
            )
        if not (0 <= self.warm_up < 1 and 0 <= self.label_smoothing < 1):
            raise RunError("warm_up and label_smoothing must be shares in [0, 1)")

    def lr_at(self, share: float) -> float:
        """The learning rate when a share of the steps is done.

        >>> recipe = TrainingRecipe(lr=1.0, warm_up=0.5)
        >>> [round(recipe.lr_at(share), 3) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
        """
        if share < self.warm_up:
            return self.lr * share / self.warm_up
        return self.lr * 0.5 * (1 + math.cos(math.pi * (share - self.warm_up) / (1 - self.warm_up)))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch, and restore the state of its generators afterwards."""
    import torch

    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


def trained_network(
    family: Family,
    scale: Multipliers,
    photos: Photos,
    *,
    recipe: TrainingRecipe | None = None,
    seed: int = 0,
    device: str = "cpu",
    on_share: Callable[[float], None] = lambda share: None,
) -> tuple[nn.Module, float]:
    """Build a network and train it.

    On one machine, with as many threads, the same seed gives the same network to the last bit; on
    a GPU nearly.

    Args:
        photos: Photos to learn from, best at least `CROP_MARGIN` times as large as its images.
        recipe: Recipe of training; None is the default one.
        seed: Seed of weights, order, augmentation and dropout.
        on_share: Called with the share of the steps that is done.

    Returns:
        The network in evaluation mode, and its mean loss in the last epoch (nats).

    Raises:
        RunError: The loss is no longer finite, or there are fewer than 2 photos.
        TargetError: There is no such network.
    """
    import torch

    if len(photos) < 2:
        raise RunError(f"training needs 2 photos or more; got {len(photos)}")
    recipe = recipe or TrainingRecipe()
    with seeded(seed):
        net = family.build(scale, classes=len(photos.classes))
        # A start for 1000 classes is far too large for 10.
        linear = [module for module in net.modules() if isinstance(module, torch.nn.Linear)]
        for parameter in linear[-1].parameters() if linear else ():
            torch.nn.init.zeros_(parameter)
        move: Any = net.to
        move(device=device, memory_format=torch.channels_last).train()  # faster on a CPU
        loss = _train(net, photos, family.resolution(scale), recipe, seed, on_share)
    return net.eval(), loss


def _train(
    net: nn.Module,
    photos: Photos,
    side: int,
    recipe: TrainingRecipe,
    seed: int,
    on_share: Callable[[float], None],
) -> float:
    """Train a network where it is; returns its mean loss in the last epoch."""
    import torch

    device = next(net.parameters()).device
    pixels = resized(photos.pixels, min(photos.pixels.shape[-1], math.ceil(CROP_MARGIN * side)))
    pixels, labels = pixels.to(device), photos.labels.to(device)
    optimizer = _optimizer(net, recipe)
    generator = torch.Generator().manual_seed(seed)
    batch = min(recipe.batch, len(photos))
    steps_an_epoch = len(photos) // batch
    steps, losses = recipe.epochs * steps_an_epoch, []
    for step, chosen in enumerate(_batches(len(photos), batch, recipe.epochs, generator)):
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr_at(step / steps)
        images = augmented(pixels[chosen], side, recipe.augmentation, generator)
        losses.append(_step(net, optimizer, images, labels[chosen], recipe.label_smoothing))
        if not math.isfinite(losses[-1]):
            raise RunError(
                f"training diverged: the loss at step {step + 1} of {steps} is not finite; take a "
                f"learning rate below {recipe.lr:g}"
            )
        on_share((step + 1) / steps)
    return sum(losses[-steps_an_epoch:]) / steps_an_epoch


def _step(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    label_smoothing: float,
) -> float:
    """One step of training; returns the loss before it."""
    import torch

    logits = net(images.contiguous(memory_format=torch.channels_last))
    loss = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()
    return float(loss.detach())


def _batches(n: int, batch: int, epochs: int, generator: Generator) -> Iterator[Tensor]:
    """Indices of photos, in a new order each epoch; an incomplete last batch is left out."""
    import torch

    for _ in range(epochs):
        order = torch.randperm(n, generator=generator)
        yield from torch.split(order[: n - n % batch], batch)


def _optimizer(net: nn.Module, recipe: TrainingRecipe) -> torch.optim.Optimizer:
    import torch

    weights = [p for p in net.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {
            "params": [p for p in weights if p.ndim > _UNDECAYED_DIMENSIONS],
            "weight_decay": recipe.weight_decay,
        },
        {"params": [p for p in weights if p.ndim <= _UNDECAYED_DIMENSIONS]},
    ]
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=_MOMENTUM, nesterov=True)


def correct_mask(
    net: nn.Module, photos: Photos, side: int, *, device: str = "cpu"
) -> tuple[int, ...]:
    """1 for each photo, shown whole at a side in pixels, whose class the network names, else 0.

    Raises:
        RunError: The network gives numbers that are not finite.
    """
    import torch

    net.eval()
    correct = []
    pixels = resized(photos.pixels, side)
    with torch.inference_mode():
        for part, labels in zip(
            torch.split(pixels, _EVALUATION_BATCH),
            torch.split(photos.labels, _EVALUATION_BATCH),
            strict=True,
        ):
            images = normalize(part.to(device))
            logits = net(images.contiguous(memory_format=torch.channels_last))
            if not logits.isfinite().all():
                raise RunError("training diverged: the network's answers are not finite")
            correct.append(logits.argmax(1).cpu() == labels)
    return tuple(torch.cat(correct).int().tolist())
