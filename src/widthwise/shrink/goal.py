"""What is asked of a result, and the cuts that may keep it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from ..arch import Target, default_alignment
from ..cut.checkpoint import ModelSource
from ..errors import TargetError
from ..prune import PruneSpec
from ..stats import number
from .deployed_file import DeployedFile

GoalKind = Literal["remove", "params", "size", "smaller", "max_loss", "faster"]
_WORDS: dict[GoalKind, str] = {
    "remove": "{} of the neurons removed",
    "params": "at most {} parameters",
    "size": "a file of at most {}",
    "smaller": "a file that is {} smaller",
    "max_loss": "a loss of at most {}",
    "faster": "at least {} times the speed",
}
GOALS: tuple[GoalKind, ...] = tuple(_WORDS)
_TRIED = ("max_loss", "faster")  # which no shape tells, so that widths are tried
_READ_AS = {"smaller": "remove", "max_loss": "remove", "faster": "to"}
_EXAMPLES = {"smaller": "15%", "max_loss": "2%", "faster": "1.2x"}
_SHARES = (5, 10, 15, 20, 25, 30, 35, 40, 50, 60)  # of the neurons, in percent, that are tried


@dataclass(frozen=True)
class Goal:
    """What is asked of a result: `Goal("smaller", "15%")`.

    Attributes:
        kind: What is meant: a share of neurons, parameters, bytes of the deployed file, a share of
            these bytes, the loss that is allowed, or how many times as fast.
        text: The amount, as it was asked for.

    Raises:
        TargetError: The text is no such amount.
    """

    kind: GoalKind
    text: str

    def __post_init__(self) -> None:
        example = _EXAMPLES.get(self.kind)
        if example is None:
            self._target  # noqa: B018  read, so that it is looked at
        elif not self._is_amount:
            raise TargetError(f"{self.flag} must look like {example}; got {self.text[:40]!r}")

    @classmethod
    def of(cls, **asked: str | None) -> Goal:
        """The one that has a value, by the names of the kinds.

        Raises:
            TargetError: None has one, or several have.
        """
        given = [kind for kind in GOALS if asked.get(kind) is not None]
        if len(given) != 1:
            names = ", ".join(map(_flag, GOALS))
            got = " and ".join(map(_flag, given)) or "none"
            raise TargetError(f"ask for exactly one of {names}; got {got}")
        return cls(given[0], str(asked[given[0]]))

    def __str__(self) -> str:
        return f"{self.flag} {self.text}"

    @property
    def flag(self) -> str:
        """Its option."""
        return _flag(self.kind)

    @property
    def words(self) -> str:
        """What is asked, for people."""
        return _WORDS[self.kind].format(self.text.strip().removesuffix("x"))

    @property
    def is_tried(self) -> bool:
        """Whether widths have to be tried, since no shape tells which one does it."""
        return self.kind in _TRIED

    @property
    def amount(self) -> Fraction:
        """The number behind the text: a fraction, parameters, bytes, or how many times as fast."""
        return self._target.amount

    @property
    def _is_amount(self) -> bool:
        try:
            return self.amount > (self.kind == "faster")  # once as fast is no goal
        except TargetError:
            return False

    @property
    def _target(self) -> Target:
        return Target(_READ_AS.get(self.kind, self.kind), self.text)  # type: ignore[arg-type]

    def most_bytes(self, file: DeployedFile) -> int | None:
        """Bytes that the deployed file may have; None where it is not asked for bytes."""
        if self.kind == "smaller":
            return int((1 - self.amount) * file.dense_bytes)
        if self.kind != "size":
            return None
        return int(self.amount * file.dense_bytes if self._target.is_share else self.amount)

    def refuse_early(self, source: ModelSource) -> None:
        """Refuse a share of neurons that the model's config.json rules out, before it is read.

        Raises:
            TargetError: The model has no such width.
        """
        if self.kind == "remove":
            PruneSpec(target=self._target).refuse_early(source)

    def specs(self, file: DeployedFile) -> tuple[PruneSpec, ...]:
        """The cuts that may do it, from the mildest on, in widths that the type of the file holds.

        Of what shapes tell it is one, the widest that keeps the goal.

        Raises:
            TargetError: No width keeps it, which the message says with the least that can be
                reached; or the model keeps it as it is.
        """
        if self.is_tried:
            return _tries(file)
        most = self.most_bytes(file)
        target = self._target if most is None else Target("width", str(self._fitting(file, most)))
        spec = PruneSpec(target=target, align=file.alignment)
        spec.width(file.architecture)  # one out of range is refused
        return (spec,)

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


def _flag(kind: GoalKind) -> str:
    return f"--{kind.replace('_', '-')}"


def _tries(file: DeployedFile) -> tuple[PruneSpec, ...]:
    """Cuts by shares of the neurons, each width once.

    Of shares that are rounded to one width it is the largest, which is nearest to what is got.
    """
    size = file.architecture.intermediate_size
    step = file.alignment or default_alignment(size)
    possible = [s for s in _SHARES if step <= size * (100 - s) // 100 < size]
    specs = [PruneSpec(target=Target("remove", f"{s}%"), align=file.alignment) for s in possible]
    found = {spec.width(file.architecture).widths: spec for spec in specs}
    if not found:
        raise TargetError(f"a block of {size} neurons cannot be cut to a multiple of {step}")
    return tuple(found.values())
