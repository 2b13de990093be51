"""Meta-training by first-order MAML, choosing a checkpoint, and the test."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite, log, sqrt
from typing import ClassVar

import numpy as np

from ...errors import LimitError
from ...theory import check_least, check_positive
from ..seeded_network import SeededNetwork
from .data import WAYS, Images, Omniglot, draw_tasks
from .inner_loop import Learner
from .kernels import KernelMethod, kernel_function
from .networks import MOST_WIDTH, LayerScales, finite_network, limit_network

_START, _TRAIN, _VALIDATE, _TEST = range(4)  # streams of random numbers of a seed


@dataclass(frozen=True, kw_only=True)
class MetaRecipe:
    """Recipe of meta-training.

    Attributes:
        lr: Learning rate between tasks.
        scales: Initial scales of a network; kernels do not use them.
        kernel: Kernel of a function in the kernel regime; None for networks and the limit.
    """

    lr: float
    scales: LayerScales = field(default_factory=lambda: LayerScales(u=1.0, v=0.03125, bias=1.0))
    kernel: KernelMethod | None = None

    def __post_init__(self) -> None:
        check_positive("a learning rate", self.lr)


LIMIT = MetaRecipe(lr=0.1)
RECIPES = {
    2: MetaRecipe(lr=0.05, scales=LayerScales(u=0.5, v=0.5, bias=2.0)),
    8: MetaRecipe(lr=0.1, scales=LayerScales(u=0.5, v=0.25, bias=1.0)),
    32: MetaRecipe(lr=0.4, scales=LayerScales(u=1.0, v=0.125, bias=0.5)),
    128: MetaRecipe(lr=0.1, scales=LayerScales(u=1.0, v=0.125, bias=1.0)),
    512: LIMIT,
    2048: LIMIT,
    8192: LIMIT,
}
KERNELS = {
    "linear": MetaRecipe(lr=0.1, kernel=KernelMethod(kind="linear", w=8.0)),
    "gp": MetaRecipe(lr=0.001, kernel=KernelMethod(kind="gp", w=1.0)),
    "ntk": MetaRecipe(lr=0.001, kernel=KernelMethod(kind="ntk", w=0.01)),
}


def recipe_of(network: str, width: int | None) -> MetaRecipe:
    """The paper's recipe (Table 4); between its widths that of the nearest, in ratio.

    Args:
        network: `finite`, `limit`, or a key of `KERNELS`.
        width: Width of a finite network, at least 1; None otherwise.

    Raises:
        LimitError: There is no such network, or no such width.

    Example:
        >>> recipe_of("finite", 40) == RECIPES[32]
        True
    """
    if network == "finite":
        if width is None or not 1 <= width <= MOST_WIDTH:
            raise LimitError(
                f"the width of a finite network must be from 1 to {MOST_WIDTH:,}; got {width}; "
                "the limit stands for wider ones"
            )
        return RECIPES[min(RECIPES, key=lambda known: abs(log(known / width)))]
    if network == "limit":
        return LIMIT
    MamlNetwork.check_kind(network)
    return KERNELS[network]


@dataclass(frozen=True, kw_only=True)
class MamlSettings:
    """Numbers of steps and tasks. The defaults are the paper's.

    Attributes:
        steps: Steps of meta-training.
        tasks: Tasks in a batch of meta-training, validation and test.
        inner_lr: Learning rate within a task.
        inner_steps: Steps within a task in meta-training and validation.
        test_steps: Steps within a task of the test.
        clip: Largest norm of the gradient between tasks, summed over these.
        epoch: Steps between two validations.
        validation_batches: Batches of a validation; the tasks are the same each time.
        test_batches: Batches of the test.
    """

    steps: int = 10_000
    tasks: int = 32
    inner_lr: float = 0.4
    inner_steps: int = 1
    test_steps: int = 20
    clip: float = 0.5
    epoch: int = 100
    validation_batches: int = 100
    test_batches: int = 100

    def __post_init__(self) -> None:
        counts = {
            name: value for name, value in vars(self).items() if name not in ("inner_lr", "clip")
        }
        for name, value in counts.items():
            check_least(name, value, least=0 if name == "steps" else 1)
        for name in ("inner_lr", "clip"):
            check_positive(name, getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class QueryScore:
    """Share of queries answered correctly.

    Attributes:
        accuracy: Mean over tasks, from 0 to 1.
        standard_error: Standard error of that mean; None for a single task.
        tasks: Number of tasks.
    """

    accuracy: float
    standard_error: float | None
    tasks: int


class MamlNetwork(SeededNetwork):
    """A network, the limit, or a kernel of `KERNELS`; the seed draws the weights and the tasks."""

    kernel_names: ClassVar = {"linear": "linear kernel", "gp": "ReLU GP", "ntk": "ReLU NTK"}
    slow_kernels: ClassVar = ("gp", "ntk")  # take fewer steps, as more teach them nothing


@dataclass(frozen=True, kw_only=True)
class MamlResult(MamlNetwork):
    """Result of one run.

    Attributes:
        test: Score of the checkpoint that was best in validation; None with a `reason`.
        reason: Reason why there is no score; None when there is one.
        best_step: Meta-steps before that checkpoint; None without a score.
        validation: Meta-steps and accuracy after them, at each validation.
        steps_per_sec: Meta-steps in a second, validation not counted; None where there were none.
    """

    test: QueryScore | None
    reason: str | None
    best_step: int | None
    validation: tuple[tuple[int, float], ...]
    steps_per_sec: float | None
    duration_sec: float


def meta_train(
    data: Omniglot,
    network: str,
    width: int | None = None,
    *,
    seed: int = 0,
    settings: MamlSettings | None = None,
    recipe: MetaRecipe | None = None,
    on_step: Callable[[int], None] = lambda step: None,
) -> MamlResult:
    """Meta-train on the training classes, keep the best checkpoint in validation, and test it.

    A run whose gradient or whose answers are no longer finite ends without a score, with a reason.
    All networks of a seed see the same tasks.

    Args:
        network: `finite`, `limit`, or a kernel: `linear`, `gp`, `ntk`.
        width: Width of a finite network.
        seed: Seed of the weights and the tasks.
        settings: Numbers of steps and tasks.
        recipe: Recipe; None is `recipe_of` the network.
        on_step: Called with the number of steps done, after each one.

    Raises:
        LimitError: There is no such network or width.
    """
    started = time.perf_counter()
    settings = settings or MamlSettings()
    published = recipe_of(network, width)
    recipe = recipe or published
    learner = _learner(data, network, width, recipe, np.random.default_rng([seed, _START]))
    run = _Run(data=data, recipe=recipe, settings=settings, seed=seed, on_step=on_step)
    with np.errstate(all="ignore"):  # results are checked for numbers that are not finite
        test, reason = run.run(learner)
    return MamlResult(
        network=network,
        width=width,
        seed=seed,
        test=test,
        reason=reason,
        best_step=None if test is None else run.best_step,
        validation=tuple(run.validation),
        steps_per_sec=run.done / run.stepping_sec if run.done else None,
        duration_sec=time.perf_counter() - started,
    )


def _learner(
    data: Omniglot, network: str, width: int | None, recipe: MetaRecipe, rng: np.random.Generator
) -> Learner:
    pixels = data.train.shape[-1]
    if recipe.kernel is not None:
        return kernel_function(recipe.kernel, data.train)
    if network == "limit" or width is None:
        return limit_network(pixels, recipe.scales)
    return finite_network(width, pixels, recipe.scales, rng)


@dataclass(kw_only=True)
class _Run:
    """A run under way."""

    data: Omniglot
    recipe: MetaRecipe
    settings: MamlSettings
    seed: int
    on_step: Callable[[int], None]
    best_step: int = 0
    done: int = 0
    stepping_sec: float = 0.0
    validation: list[tuple[int, float]] = field(default_factory=list)

    def run(self, learner: Learner) -> tuple[QueryScore | None, str | None]:
        """The score at the end, or why there is none."""
        settings, best = self.settings, -1.0
        rng = np.random.default_rng([self.seed, _TRAIN])
        best_learner = learner.copy()
        for step in range(settings.steps + 1):
            if (step and step % settings.epoch == 0) or step == settings.steps:
                score = self._score(learner, self.data.val, _VALIDATE)
                if score is None:
                    return None, self._diverged(step)
                self.validation.append((step, score.accuracy))
                if score.accuracy > best:
                    best, self.best_step = score.accuracy, step
                    best_learner = learner.copy()
            if step < settings.steps and not self._step(learner, rng):
                return None, self._diverged(step)
        test = self._score(best_learner, self.data.test, _TEST)
        return test, None if test else "the test gave numbers that are not finite"

    def _step(self, learner: Learner, rng: np.random.Generator) -> bool:
        """Take one meta-step; returns whether its gradient was finite."""
        started = time.perf_counter()
        settings, bias = self.settings, self.recipe.scales.bias
        batch = draw_tasks(self.data.train, settings.tasks, rng, bias=bias)
        norm = learner.meta_step(
            batch,
            inner_lr=settings.inner_lr,
            inner_steps=settings.inner_steps,
            lr=self.recipe.lr,
            clip=settings.clip,
        )
        self.stepping_sec += time.perf_counter() - started
        self.done += 1
        self.on_step(self.done)
        return isfinite(norm)

    def _diverged(self, step: int) -> str:
        return (
            f"training diverged: numbers at meta-step {step} are not finite; take a learning rate "
            f"below {self.recipe.lr:g}"
        )

    def _score(self, learner: Learner, images: Images, stream: int) -> QueryScore | None:
        """Score on the stream's tasks, which never change; None if answers are not finite."""
        settings, rng = self.settings, np.random.default_rng([self.seed, stream])
        testing = stream == _TEST
        batches = settings.test_batches if testing else settings.validation_batches
        shares_correct = []
        for _ in range(batches):
            batch = draw_tasks(images, settings.tasks, rng, bias=self.recipe.scales.bias)
            steps = settings.test_steps if testing else settings.inner_steps
            logits = learner.logits(batch, settings.inner_lr, steps)
            if not np.isfinite(logits).all():
                return None
            shares_correct.append((logits.argmax(axis=-1) == np.arange(WAYS)).mean(axis=1))
        shares = np.concatenate(shares_correct)
        number = len(shares)
        error = float(shares.std(ddof=1)) / sqrt(number) if number > 1 else None
        return QueryScore(accuracy=float(shares.mean()), standard_error=error, tasks=number)
