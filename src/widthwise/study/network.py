"""A network of a study: the dense model, or what a criterion leaves of it at one width."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..arch import Target
from ..errors import PlanError
from ..prune import CALIBRATED, Selection

CONTROL = "random"
_PAPER = "paper "


def is_control(criterion: str | None) -> bool:
    """Whether neurons were chosen by chance; a further draw is named by its seed: `random~7`."""
    return criterion is not None and criterion.partition("~")[0] == CONTROL


@dataclass(frozen=True)
class Network:
    """A model at one width; the dense one has no criterion.

    Attributes:
        criterion: How its neurons are chosen; None for the dense model. `random~7` is `random`
            with the seed 7, whatever the seed of the study is.
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
        """The criterion without its seed; not of the dense network."""
        return str(self.criterion).partition("~")[0]

    def seed(self, default: int) -> int:
        """Of the random criterion: its own, or else the study's."""
        own = str(self.criterion).partition("~")[2]
        return int(own) if own else default

    @property
    def is_control(self) -> bool:
        return is_control(self.criterion)


def check_criterion(criterion: str, seed: int) -> None:
    """Raise PlanError when a study cannot choose neurons by this criterion."""
    name, tilde, own = criterion.partition("~")
    if tilde and (name != CONTROL or not re.fullmatch("[0-9]{1,10}", own)):
        raise PlanError(f"only {CONTROL} takes a seed, as in {CONTROL}~7; got {criterion!r}")
    network = Network(criterion, "1")
    Selection(target=network.target, criterion=name, seed=network.seed(seed))
    if name in CALIBRATED:
        raise PlanError(
            f"criterion {name} needs calibration text, and a sweep has none: "
            "write the checkpoint with widthwise prune, and evaluate that"
        )
