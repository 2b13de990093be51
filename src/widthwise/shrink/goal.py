"""What is asked of the size of a result, and the widest cut that keeps it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

from ..arch import Target, default_alignment
from ..cut.checkpoint import ModelSource
from ..errors import TargetError
from ..prune import PruneSpec
from ..stats import number
from .deployed_file import DeployedFile

GoalKind = Literal["remove", "params", "size", "smaller"]
_WORDS: dict[GoalKind, str] = {
    "remove": "{} of the neurons removed",
    "params": "at most {} parameters",
    "size": "a file of at most {}",
    "smaller": "a file that is {} smaller",
}
_KINDS: tuple[GoalKind, ...] = ("remove", "params", "size", "smaller")


@dataclass(frozen=True)
class Goal:
    """What is asked of a result: `Goal("smaller", "15%")`.

    Attributes:
        kind: What is meant: a share of neurons, parameters, bytes of the deployed file, or a share
            of these bytes.
        text: The amount, as it was asked for.

    Raises:
        TargetError: The text is no such amount.
    """

    kind: GoalKind
    text: str

    def __post_init__(self) -> None:
        if self.kind == "smaller" and not self._share:
            raise TargetError(f"--smaller must look like 15%; got {self.text[:40]!r}")
        self._target  # noqa: B018  read, so that it is looked at

    @classmethod
    def of(cls, **asked: str | None) -> Goal:
        """The one that has a value, by the names of the kinds.

        Raises:
            TargetError: None has one, or several have.
        """
        given = [kind for kind in _KINDS if asked.get(kind) is not None]
        if len(given) != 1:
            names, got = ", ".join(f"--{kind}" for kind in _KINDS), " and ".join(given) or "none"
            raise TargetError(f"ask for exactly one of {names}; got {got}")
        return cls(given[0], str(asked[given[0]]))

    def __str__(self) -> str:
        return f"--{self.kind} {self.text}"

    @property
    def words(self) -> str:
        """What is asked, for people."""
        return _WORDS[self.kind].format(self.text)

    @property
    def _share(self) -> bool:
        try:
            return Target("remove", self.text).amount > 0
        except TargetError:
            return False

    @property
    def _target(self) -> Target:
        """The amount, read: of `smaller` the share that goes."""
        return Target("remove" if self.kind == "smaller" else self.kind, self.text)

    def most_bytes(self, file: DeployedFile) -> int | None:
        """Bytes that the deployed file may have; None where it is not asked for bytes."""
        amount = self._target.amount
        if self.kind == "smaller":
            return int((1 - amount) * file.dense_bytes)
        if self.kind != "size":
            return None
        return int(amount * file.dense_bytes if self._target.is_share else amount)

    def refuse_early(self, source: ModelSource) -> None:
        """Refuse a share of neurons that the model's config.json rules out, before it is read.

        Raises:
            TargetError: The model has no such width.
        """
        if self.kind == "remove":
            PruneSpec(target=self._target).refuse_early(source)

    def spec(self, file: DeployedFile) -> PruneSpec:
        """The widest cut that keeps the goal, in a width that the type of the file can hold.

        Raises:
            TargetError: No width keeps it, which the message says with the least that can be
                reached; or the model keeps it as it is.
        """
        most = self.most_bytes(file)
        target = self._target if most is None else Target("width", str(self._fitting(file, most)))
        spec = PruneSpec(target=target, align=file.alignment)
        spec.width(file.architecture)  # one out of range is refused
        return spec

    def _fitting(self, file: DeployedFile, most: int) -> int:
        """The widest width whose file has at most so many bytes."""
        size = file.architecture.intermediate_size
        step = file.alignment or default_alignment(size)
        widths = range(step, size, step)
        if not widths:
            raise TargetError(f"a block of {size} neurons cannot be cut to a multiple of {step}")
        least = file.bytes_at(widths[0])
        if most < least:
            raise TargetError(
                f"{self} is too small: {file} would have {number(least, 'bytes')} ({least:,} "
                f"bytes) even at width {widths[0]} of {size}, and {most:,} are allowed; ask for at "
                "least that, or for a smaller type of --gguf"
            )
        if most >= (whole := min(file.dense_bytes, file.bytes_at(None))):
            raise TargetError(f"{self} needs no cut: {file} has {whole:,} bytes without any")
        return widths[bisect_right(widths, most, key=file.bytes_at) - 1]
