"""Meta-training by first-order MAML, choosing a checkpoint, and the test."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite, sqrt

import numpy as np

from ...errors import LimitError
from ...theory import check_least, check_positive
from .data import MOST_SUPPORT, Episodes, Images, Omniglot, draw_tasks
from .inner_loop import Learner
from .kernels import kernel_function
from .networks import finite_network, limit_network
from .recipes import MamlNetwork, MetaRecipe, recipe_of
from .relu_network import relu_network

_START, _TRAIN, _VALIDATE, _TEST = range(4)  # streams of random numbers of a seed


@dataclass(frozen=True, kw_only=True)
class MamlSettings:
    """Numbers of steps and tasks. The defaults are the paper's.

    Attributes:
        ways: Classes of a task.
        shots: Images of each class to learn from; one more is classified.
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

    ways: int = 5
    shots: int = 1
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
            check_least(name, value, least={"steps": 0, "ways": 2}.get(name, 1))
        if self.ways * self.shots > MOST_SUPPORT:
            raise LimitError(
                f"ways times shots must be at most {MOST_SUPPORT}; got {self.ways} x {self.shots}"
            )
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
        network: `finite`, `relu`, `limit`, or a kernel: `linear`, `gp`, `ntk`.
        width: Width of a finite network.
        seed: Seed of the weights and the tasks.
        settings: Numbers of steps and tasks.
        recipe: Recipe; None is `recipe_of` the network.
        on_step: Called with the number of steps done, after each one.

    Raises:
        LimitError: There is no such network or width.
        AssetError: There are too few classes or images for such tasks.
    """
    started = time.perf_counter()
    settings = settings or MamlSettings()
    data.check_tasks(settings.ways, settings.shots)
    published = recipe_of(network, width)
    recipe = recipe or published
    learner = _learner(
        data, MamlNetwork(network=network, width=width, seed=seed), recipe, settings.ways
    )
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


def _learner(data: Omniglot, network: MamlNetwork, recipe: MetaRecipe, ways: int) -> Learner:
    pixels = data.train.shape[-1]
    if recipe.kernel is not None:
        return kernel_function(recipe.kernel, data.train, ways)
    if network.width is None:
        return limit_network(pixels, recipe.scales, ways)
    draw = relu_network if network.network == "relu" else finite_network
    rng = np.random.default_rng([network.seed, _START])
    return draw(network.width, pixels, recipe.scales, rng, ways)


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
        settings, batch = self.settings, self._draw(self.data.train, rng)
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

    def _draw(self, images: Images, rng: np.random.Generator) -> Episodes:
        settings = self.settings
        return draw_tasks(
            images,
            settings.tasks,
            rng,
            bias=self.recipe.scales.bias,
            ways=settings.ways,
            shots=settings.shots,
        )

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
            batch = self._draw(images, rng)
            steps = settings.test_steps if testing else settings.inner_steps
            logits = learner.logits(batch, settings.inner_lr, steps)
            if not np.isfinite(logits).all():
                return None
            shares_correct.append((logits.argmax(axis=-1) == np.arange(settings.ways)).mean(axis=1))
        shares = np.concatenate(shares_correct)
        number = len(shares)
        error = float(shares.std(ddof=1)) / sqrt(number) if number > 1 else None
        return QueryScore(accuracy=float(shares.mean()), standard_error=error, tasks=number)
