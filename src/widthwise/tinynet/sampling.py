"""Networks to try: resolution and depth drawn, the width solved for the budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import RunError, TargetError
from .budget import Budget
from .multipliers import Multipliers
from .solve import solve_width

if TYPE_CHECKING:
    from .family import Family

DIGITS = 4  # of multipliers: a network is known by them
BUDGET_TOLERANCE = 0.05  # share by which a network may miss its budget
_TRIES = 2000
_STARTS = 3  # networks of a budget that Optuna draws at random, before it learns


@dataclass(frozen=True, kw_only=True)
class Space:
    """Ranges that networks are drawn from.

    Attributes:
        pixels: Least and largest side of the images.
        depth: Least and largest multiplier of the blocks.
        width: Least and largest multiplier of the channels; others are drawn again.
    """

    pixels: tuple[int, int] = (32, 96)
    depth: tuple[float, float] = (0.35, 1.4)
    width: tuple[float, float] = (0.1, 2.0)

    def __post_init__(self) -> None:
        for name, (low, high) in vars(self).items():
            if not (math.isfinite(high) and 0 < low <= high):
                raise TargetError(f"{name} must have 0 < least <= largest; got {low:g} to {high:g}")


def check_space(family: Family, space: Space) -> None:
    """Raise TargetError when images of the space are smaller than the family's total stride."""
    if space.pixels[0] < family.stride:
        raise TargetError(
            f"images of {space.pixels[0]} px are below the total stride of {family.name}, "
            f"{family.stride}; take {family.stride} px or more"
        )


def network_at_budget(
    family: Family,
    space: Space,
    budget: Budget,
    *,
    resolution: float,
    depth: float,
    classes: int,
) -> Multipliers | None:
    """The network of this resolution and depth that meets the budget; None if none of the space
    comes within `BUDGET_TOLERANCE` of it.

    Args:
        family, space, budget, classes: Networks to choose from, and the budget.
        resolution, depth: Multipliers, which are rounded to `DIGITS` digits.
    """
    try:
        scale = solve_width(
            family,
            resolution=round(resolution, DIGITS),
            depth=round(depth, DIGITS),
            budget=budget,
            classes=classes,
        )
    except TargetError:
        return None
    macs = family.counts(scale, classes=classes).macs
    inside = space.width[0] <= scale.width <= space.width[1]
    return scale if inside and abs(macs / budget.amount - 1) <= BUDGET_TOLERANCE else None


def ranges(family: Family, space: Space) -> tuple[tuple[float, float], tuple[float, float]]:
    """Least and largest multiplier of resolution, and of depth."""
    low, high = (round((p + 0.5) / family.base_resolution, DIGITS) for p in space.pixels)
    return (low, high), space.depth


def draw_multipliers(
    family: Family, space: Space, budget: Budget, *, classes: int, generator: np.random.Generator
) -> Multipliers:
    """A network that meets the budget: resolution and depth uniform on their ranges.

    Pairs that no width of the space brings to the budget are drawn anew, so that what is drawn is
    uniform over those that can be.

    Raises:
        TargetError: None of `_TRIES` pairs can be.
    """
    check_space(family, space)
    resolutions, depths = ranges(family, space)
    for _ in range(_TRIES):
        scale = network_at_budget(
            family,
            space,
            budget,
            resolution=generator.uniform(*resolutions),
            depth=generator.uniform(*depths),
            classes=classes,
        )
        if scale is not None:
            return scale
    raise unreachable_reason(family, space, budget)


def unreachable_reason(family: Family, space: Space, budget: Budget) -> TargetError:
    """The error that the space has no network of the budget."""
    return TargetError(
        f"no {family.name} of {space.pixels[0]} to {space.pixels[1]} px, depth {space.depth[0]:g} "
        f"to {space.depth[1]:g} and width {space.width[0]:g} to {space.width[1]:g} has {budget}; "
        "take another budget or wider ranges"
    )


def sample_networks(
    family: Family,
    space: Space,
    budgets: Sequence[Budget],
    n: int,
    *,
    classes: int,
    seed: int,
) -> list[tuple[Budget, Multipliers]]:
    """`n` different networks drawn for the budgets in turn; longer lists begin with the same.

    Raises:
        TargetError: No pair can be brought to a budget, or the space has too few networks.
    """
    generator = np.random.default_rng(seed)
    networks: list[tuple[Budget, Multipliers]] = []
    for number in range(n):
        budget = budgets[number % len(budgets)]
        for _ in range(_TRIES):
            scale = draw_multipliers(family, space, budget, classes=classes, generator=generator)
            if (budget, scale) not in networks:
                break
        else:
            raise unreachable_reason(family, space, budget)
        networks.append((budget, scale))
    return networks


class Sampler:
    """Optuna's TPE with a study for each budget: draws where networks were good before.

    The same seed gives the same networks, if `ask` and `tell` are called in the same order.

    Args:
        space: Ranges that they are drawn from.

    Raises:
        RunError: Optuna is not installed.
    """

    def __init__(self, family: Family, space: Space, *, classes: int, seed: int) -> None:
        try:
            import optuna
        except ImportError as error:
            raise RunError(
                "the sampler `optuna` needs Optuna: pip install 'widthwise[tinynet]'"
            ) from error
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        check_space(family, space)
        self._optuna: Any = optuna
        self._family, self._space, self._classes, self._seed = family, space, classes, seed
        self._studies: dict[Budget, Any] = {}
        self._asked: dict[tuple[Budget, Multipliers], Any] = {}

    def ask(self, budget: Budget) -> Multipliers:
        """A network of the budget.

        Raises:
            TargetError: None of many pairs that were drawn can be brought to the budget.
        """
        study = self._study_of(budget)
        resolutions, depths = ranges(self._family, self._space)
        for _ in range(_TRIES // 10):
            trial = study.ask()
            scale = network_at_budget(
                self._family,
                self._space,
                budget,
                resolution=trial.suggest_float("resolution", *resolutions),
                depth=trial.suggest_float("depth", *depths),
                classes=self._classes,
            )
            if scale is not None and (budget, scale) not in self._asked:
                self._asked[budget, scale] = trial
                return scale
            study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        raise unreachable_reason(self._family, self._space, budget)

    def tell(self, budget: Budget, scale: Multipliers, accuracy: float | None) -> None:
        """Report the accuracy of a network from `ask`; None if it could not be trained."""
        trial, study = self._asked[budget, scale], self._study_of(budget)
        if accuracy is None:
            study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, accuracy)

    def _study_of(self, budget: Budget) -> Any:
        if budget not in self._studies:
            seed = self._seed + len(self._studies)
            sampler = self._optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTS)
            self._studies[budget] = self._optuna.create_study(direction="maximize", sampler=sampler)
        return self._studies[budget]
