"""A network of a study: the dense model, or what a criterion leaves of it at one width."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..arch import Target
from ..errors import PlanError
from ..prune import CALIBRATED, DEFAULT_CRITERION, PruneSpec

CONTROL = "random"
REFIT, SCALES = "+refit", "+scales"  # what follows a criterion, in this order
DEFAULT_CRITERIA = (f"{DEFAULT_CRITERION}{REFIT}",)  # beside the control
_REFIT_ONLY = {"obs": "is worse than activation"}  # criteria that a study only takes with +refit
_PAPER = "paper "


def is_control(criterion: str | None) -> bool:
    """Whether neurons were chosen by chance and only cut; a further draw is named by its seed.

    >>> [is_control(c) for c in ("random", "random~7", "random+refit", "ppm", None)]
    [True, True, False, False, False]
    """
    return (
        criterion is not None
        and criterion.partition("~")[0] == CONTROL
        and not _is_refitted(criterion)
    )


def base_criterion(criterion: str) -> str:
    """The criterion alone, with its seed, without what follows it.

    >>> base_criterion("activation+refit+scales"), base_criterion("random~7")
    ('activation', 'random~7')
    """
    return criterion.removesuffix(SCALES).removesuffix(REFIT)


def _is_refitted(criterion: str) -> bool:
    return criterion.removesuffix(SCALES).endswith(REFIT)


def is_calibrated(criterion: str | None) -> bool:
    """Whether weights alone do not say what is left: activations choose, or down_proj is refitted.

    >>> [is_calibrated(c) for c in ("activation", "ppm+refit", "ppm", None)]
    [True, True, False, False]
    """
    if criterion is None:
        return False
    return _is_refitted(criterion) or criterion in CALIBRATED


def with_control(criteria: Iterable[str], seeds: Iterable[int] = ()) -> tuple[str, ...]:
    """The criteria, each once, with the control, which is drawn with each further seed too.

    Where it is among them with a seed of its own (`random~7`) alone, that is the only one.

    >>> with_control(("ppm",)), with_control(("random~7", "ppm"), (1,))
    (('ppm', 'random'), ('random~7', 'ppm'))
    >>> with_control(("ppm",), (1, 2))
    ('ppm', 'random', 'random~1', 'random~2')
    """
    found = dict.fromkeys(criteria)
    if not any(map(is_control, found)):
        found[CONTROL] = None
    if CONTROL in found:
        found |= {f"{CONTROL}~{seed}": None for seed in seeds}
    return tuple(found)


@dataclass(frozen=True)
class Variant:
    """A model at one width; the dense one has no criterion.

    Attributes:
        criterion: How its neurons are chosen; None for the dense model. `random~7` is `random`
            with the seed 7, whatever the seed of the study is; `activation+refit` is `activation`
            with down_proj refitted for what is gone, in one pass for all widths;
            `activation+refit+scales` is what `prune` does: each width by itself, layer after layer,
            then rows of weights scaled.
        asked: The width as asked for: an expansion ratio (`"2.4x"`), a share of neurons to
            remove (`"40%"`; `"paper 40%"` by the paper's rule, which rounds to no multiple), or
            that very number of neurons (`"7373"`); `"dense"`.
    """

    criterion: str | None
    asked: str

    @property
    def label(self) -> str:
        return f"{self.criterion} {self.asked}" if self.criterion else "dense"

    @property
    def target(self) -> Target:
        if self.asked.isdecimal():
            return Target("width", self.asked)
        text = self.asked.removeprefix(_PAPER)
        return Target("remove" if text.endswith("%") or self.by_paper else "to", text)

    @property
    def by_paper(self) -> bool:
        """Whether the width follows the paper's rule."""
        return self.asked.startswith(_PAPER)

    @property
    def align(self) -> int | None:
        """The multiple that its width is rounded down to; None for what hardware likes."""
        return 1 if self.asked.isdecimal() else None

    @property
    def chosen_by(self) -> str:
        """The criterion without its seed and refit; not of the dense network."""
        return base_criterion(str(self.criterion)).partition("~")[0]

    @property
    def is_refitted(self) -> bool:
        """Whether its down_proj is refitted on calibration text."""
        return _is_refitted(str(self.criterion))

    @property
    def is_scaled(self) -> bool:
        """Whether it is refitted layer after layer by itself, and rows of weights are scaled."""
        return str(self.criterion).endswith(SCALES)

    @property
    def order_name(self) -> str:
        """Networks of one such name keep the first of the neurons, as they are sorted once."""
        return self.label if self.is_scaled else str(self.criterion)

    @property
    def is_calibrated(self) -> bool:
        """Whether it needs calibration text."""
        return is_calibrated(self.criterion)

    def seed(self, default: int) -> int:
        """The seed of the random criterion: that in its name, or else the study's."""
        named = base_criterion(str(self.criterion)).partition("~")[2]
        return int(named) if named else default

    def selection(self, default_seed: int) -> PruneSpec:
        """The spec that chooses its neurons; not for the dense network."""
        return PruneSpec(
            target=self.target,
            criterion=self.chosen_by,
            seed=self.seed(default_seed),
            align=self.align,
            paper_widths=self.by_paper,
        )


DENSE = Variant(None, "dense")


def check_criterion(criterion: str, seed: int) -> None:
    """Raise PlanError when a study cannot choose neurons by this criterion."""
    name, tilde, seed_text = base_criterion(criterion).partition("~")
    if tilde and (name != CONTROL or not re.fullmatch("[0-9]{1,10}", seed_text)):
        raise PlanError(f"only {CONTROL} can have a seed, as in {CONTROL}~7; got {criterion!r}")
    Variant(criterion, "1").selection(seed)
    if criterion.endswith(SCALES) and not _is_refitted(criterion):
        raise PlanError(f"scales come after a refit: ask for {name}{REFIT}{SCALES}")
    if criterion in _REFIT_ONLY:
        why = _REFIT_ONLY[criterion]
        raise PlanError(f"criterion {name} without a refit {why}: ask for {name}{REFIT}")
