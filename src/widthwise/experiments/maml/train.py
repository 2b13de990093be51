"""Meta-training by first-order MAML, choosing a checkpoint, and the test."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite, log, sqrt

import numpy as np

from ...errors import LimitError
from ...theory import check_least, check_positive
from .data import WAYS, Images, Omniglot
from .kernels import KINDS, KernelMethod, kernel_function
from .learner import Learner
from .networks import MOST_WIDTH, LayerScales, finite_network, limit_network
from .tasks import draw_tasks

_START, _TRAIN, _VALIDATE, _TEST = range(4)  # streams of random numbers of a seed


@dataclass(frozen=True, kw_only=True)
class MetaRecipe:
    """How something is meta-trained.

    Attributes:
        lr: Learning rate between tasks.
        scales: How a network starts; of a kernel only the kernel matters.
        kernel: Of a function in the kernel regime; None of networks and the limit.
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
        width: Of a finite network, at least 1; None otherwise.

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
    if network not in KINDS:
        names = ", ".join(("finite", "limit", *KINDS))
        raise LimitError(f"a network must be one of {names}; got {network[:40]!r}")
    return KERNELS[network]


@dataclass(frozen=True, kw_only=True)
class MamlSettings:
    """How long, and on how many tasks. The defaults are the paper's.

    Attributes:
        steps: Of meta-training.
        tasks: In each of its batches, and in those of validation and test.
        inner_lr: Learning rate within a task.
        inner_steps: Steps within a task in meta-training and validation.
        test_steps: Steps within a task of the test.
        clip: Largest norm of the gradient between tasks, summed over these.
        epoch: Steps between two validations.
        validation_batches: Of one validation; the same tasks each time.
        test_batches: Of the test.
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
    """Share of queries answered rightly.

    Attributes:
        accuracy: Mean over tasks, from 0 to 1.
        standard_error: Of that mean, over tasks; None of a single one.
        tasks: How many.
    """

    accuracy: float
    standard_error: float | None
    tasks: int


@dataclass(frozen=True, kw_only=True)
class MamlResult:
    """What one run gave.

    Attributes:
        network: `finite`, `limit`, `linear`, `gp` or `ntk`.
        width: Of a finite network; None otherwise.
        seed: What drew the weights and the tasks.
        test: Of the checkpoint that was best in validation; None with a `reason`.
        reason: Why there is no score; None when there is one.
        best_step: Meta-steps behind that checkpoint; None without a score.
        validation: Meta-steps and accuracy after them, at each validation.
        steps_per_sec: Meta-steps in a second, validation not counted; None where there were none.
        duration_sec: Of the whole run.
    """

    network: str
    width: int | None
    seed: int
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
    All networks of a seed meet the same tasks.

    Args:
        data: The images.
        network: `finite`, `limit`, or a kernel: `linear`, `gp`, `ntk`.
        width: Of a finite network.
        seed: Of the weights and the tasks.
        settings: How long.
        recipe: How; None is `recipe_of` the network.
        on_step: Told of the steps done, after each one.

    Raises:
        LimitError: There is no such network or width.
    """
    began = time.perf_counter()
    settings = settings or MamlSettings()
    known = recipe_of(network, width)
    recipe = recipe or known
    learner = _learner(data, network, width, recipe, np.random.default_rng([seed, _START]))
    run = _Run(data=data, recipe=recipe, settings=settings, seed=seed, on_step=on_step)
    with np.errstate(all="ignore"):  # what is not finite is found by looking
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
        duration_sec=time.perf_counter() - began,
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
    """A run on its way."""

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
        kept = learner.copy()
        for step in range(settings.steps + 1):
            if (step and step % settings.epoch == 0) or step == settings.steps:
                score = self._score(learner, self.data.val, _VALIDATE)
                if score is None:
                    return None, self._diverged(step)
                self.validation.append((step, score.accuracy))
                if score.accuracy > best:
                    best, self.best_step, kept = score.accuracy, step, learner.copy()
            if step < settings.steps and not self._step(learner, rng):
                return None, self._diverged(step)
        test = self._score(kept, self.data.test, _TEST)
        return test, None if test else "the test gave numbers that are not finite"

    def _step(self, learner: Learner, rng: np.random.Generator) -> bool:
        """One meta-step; whether its gradient was finite."""
        began = time.perf_counter()
        settings, bias = self.settings, self.recipe.scales.bias
        batch = draw_tasks(self.data.train, settings.tasks, rng, bias=bias)
        norm = learner.meta_step(
            batch,
            inner_lr=settings.inner_lr,
            inner_steps=settings.inner_steps,
            lr=self.recipe.lr,
            clip=settings.clip,
        )
        self.stepping_sec += time.perf_counter() - began
        self.done += 1
        self.on_step(self.done)
        return isfinite(norm)

    def _diverged(self, step: int) -> str:
        return (
            f"training diverged: numbers at meta-step {step} are not finite; take a learning rate "
            f"below {self.recipe.lr:g}"
        )

    def _score(self, learner: Learner, images: Images, stream: int) -> QueryScore | None:
        """On the stream's tasks, the same ones each time; None if answers are not finite."""
        settings, rng = self.settings, np.random.default_rng([self.seed, stream])
        testing = stream == _TEST
        batches = settings.test_batches if testing else settings.validation_batches
        right = []
        for _ in range(batches):
            batch = draw_tasks(images, settings.tasks, rng, bias=self.recipe.scales.bias)
            steps = settings.test_steps if testing else settings.inner_steps
            logits = learner.logits(batch, settings.inner_lr, steps)
            if not np.isfinite(logits).all():
                return None
            right.append((logits.argmax(axis=-1) == np.arange(WAYS)).mean(axis=1))
        shares = np.concatenate(right)
        number = len(shares)
        error = float(shares.std(ddof=1)) / sqrt(number) if number > 1 else None
        return QueryScore(accuracy=float(shares.mean()), standard_error=error, tasks=number)
