"""From what a user asks for (a ratio, a share, a budget) to a whole number of neurons."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from ..errors import TargetError
from .architecture import Architecture
from .counts import counts_at

Kind = Literal["to", "remove", "width", "params", "size"]

_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"
_SCALES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "g": 10**9, "t": 10**12}
_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_BYTES |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40, "": 1}
ALIGNMENTS = (128, 64, 32, 16, 8)


@dataclass(frozen=True)
class Target:
    """A requested width: `Target("to", "2.4x")`, `Target("remove", "40%")`,
    `Target("width", "4864")`, `Target("params", "900M")` or `Target("size", "1.7GB")`; the last two
    also as a share of the dense model's: `Target("params", "85%")`.

    `amount` is the exact number behind the text: neurons per hidden unit, the fraction of neurons
    removed, neurons, parameters or bytes; of a share (`is_share`) a fraction of the dense model's.

    Raises:
        TargetError: The text is not such an amount.
    """

    kind: Kind
    text: str

    @property
    def amount(self) -> Fraction:
        return _PARSERS[self.kind](self.text.strip())

    @property
    def named(self) -> dict[str, int]:
        """Widths by the names of kinds: `Target("width", "experts=512,shared=1024")`."""
        return _named_widths(self.text) if self.kind == "width" and "=" in self.text else {}

    @property
    def is_share(self) -> bool:
        """Whether `params` or `size` is asked for as a percentage of the dense model's."""
        return self.kind in ("params", "size") and self.text.strip().endswith("%")

    def __post_init__(self) -> None:
        if self.amount < 0 or (self.amount == 0 and self.kind != "remove"):
            raise TargetError(f"{self} must be above 0")

    def __str__(self) -> str:
        return f"--{self.kind} {self.text}"


@dataclass(frozen=True)
class Width:
    """A resolved width."""

    asked: str  # the request in the user's words (`"--to 2.4x"`)
    unaligned: int  # the largest whole width that satisfies the request
    width: int  # the width to cut to: `unaligned` rounded down to a multiple of `alignment`
    alignment: int  # 1 where none was wanted
    widths: tuple[int, ...]  # `width`, and those of other kinds of groups


def default_alignment(intermediate_size: int) -> int:
    """Largest of 128, 64, 32, 16, 8 that is at most I/64, so that rounding costs under 1.6 % of I.

    Matrix units want sizes that are multiples of these. 1 where I is below 512.

    >>> default_alignment(8192), default_alignment(1536), default_alignment(500)
    (128, 16, 1)
    """
    return next((a for a in ALIGNMENTS if 64 * a <= intermediate_size), 1)


def paper_width(intermediate_size: int, percent: float) -> int:
    """Width left by the rule of arXiv 2512.22671: I - int(percent / 100 * I).

    Floating point on purpose, as there: 29 % of 100 removes 28. At least one neuron stays.

    >>> [paper_width(8192, p) for p in (10, 20, 30, 40, 50, 60)]
    [7373, 6554, 5735, 4916, 4096, 3277]
    """
    removed = int(percent / 100 * intermediate_size)
    return intermediate_size - min(removed, intermediate_size - 1)


def resolve(
    architecture: Architecture,
    target: Target,
    *,
    align: int | None = None,
    paper_widths: bool = False,
    dtype: str | None = None,
) -> Width:
    """Largest width within the target, rounded down to the alignment; integer arithmetic.

    In a mixture of experts it is the width of a routed expert; the other kinds of blocks are cut in
    proportion.

    Args:
        architecture: The model that is to be cut.
        target: The requested width.
        align: Multiple to round down to; None takes `default_alignment`, 1 rounds nothing.
        paper_widths: Use the paper's rule instead (for `remove` only; rounds nothing).
        dtype: Stored dtype that a `size` is meant in (safetensors name); None keeps the parent's. A
            share is of the parent's bytes as it is stored.

    Raises:
        TargetError: The width would not be between 1 and I - 1, or a budget is out of reach.
    """
    size = architecture.intermediate_size
    check_rounding(target, align, paper_widths)
    if target.named:
        return _named(architecture, target, align)
    if paper_widths:
        return _within(architecture, f"{target} --paper-widths", _paper(target, size), 1)
    if target.kind in ("params", "size"):
        unaligned = _within_budget(architecture, target, dtype)
    else:
        unaligned = _unaligned(target, architecture.hidden_size, size)
    return _within(architecture, str(target), unaligned, align)


def resolve_dense(
    hidden_size: int, intermediate_size: int, target: Target, *, align: int | None = None
) -> int:
    """The width of blocks that are all alike, of a target that these two sizes decide.

    >>> resolve_dense(576, 1536, Target("to", "2.4x"))
    1376

    Args:
        hidden_size, intermediate_size: Of the dense model.
        target: A ratio, a share of neurons or a number of them.
        align: As for `resolve`.

    Raises:
        TargetError: The width would not be between 1 and I - 1.
    """
    alignment = default_alignment(intermediate_size) if align is None else align
    unaligned = _unaligned(target, hidden_size, intermediate_size)
    return _aligned(str(target), unaligned, alignment, intermediate_size)


def _unaligned(target: Target, hidden_size: int, intermediate_size: int) -> int:
    """The largest whole width within a ratio, a share or a number."""
    if target.kind == "to":
        return int(target.amount * hidden_size)
    if target.kind == "remove":
        return int((1 - target.amount) * intermediate_size)
    return int(target.amount)


def _paper(target: Target, size: int) -> int:
    return paper_width(size, float(target.amount * 100))


def _named(architecture: Architecture, target: Target, align: int | None) -> Width:
    """The widths that are asked for by the names of kinds; other kinds stay as they are."""
    _refuse_unknown(architecture, str(target), target.named)
    widths = [
        _aligned(str(target), target.named[kind.name], align or 1, kind.width)
        if kind.name in target.named
        else kind.width
        for kind in architecture.kinds
    ]
    first = target.named.get(architecture.kinds[0].name, architecture.intermediate_size)
    return Width(str(target), first, widths[0], align or 1, tuple(widths))


def _refuse_unknown(architecture: Architecture, asked: str, named: Iterable[str]) -> None:
    """Raise TargetError where the model has no kind of such a name."""
    if unknown := set(named) - {kind.name for kind in architecture.kinds}:
        raise TargetError(
            f"{asked}: the model has no {', '.join(sorted(unknown))}; it has "
            + ", ".join(f"{kind.name} of width {kind.width}" for kind in architecture.kinds)
        )


def parse_width(text: str) -> int | dict[str, int]:
    """The number of neurons that a text states, or that of each kind of group which it names.

    >>> parse_width("4864"), parse_width("experts=512,shared=1024")
    (4864, {'experts': 512, 'shared': 1024})

    Raises:
        TargetError: It states none.
    """
    return _named_widths(text) if "=" in text else _whole(text)


def widths_of(architecture: Architecture, asked: int | Mapping[str, int]) -> tuple[int, ...]:
    """The width of every kind for what `parse_width` gives, without rounding to a multiple.

    A number is the width of the first kind, and others follow in proportion; kinds that are not
    named stay as they are.

    Raises:
        TargetError: The model has no kind of such a name.
    """
    if isinstance(asked, int):
        return architecture.widths_at(asked)
    _refuse_unknown(architecture, "--width", asked)
    return tuple(asked.get(kind.name, kind.width) for kind in architecture.kinds)


def check_rounding(target: Target, align: int | None, paper_widths: bool) -> None:
    """Raise TargetError for a rounding that no model allows; arguments as for `resolve`."""
    if align is not None and align < 1:
        raise TargetError(f"--align must be at least 1; got {align}")
    if paper_widths and target.kind != "remove":
        raise TargetError(f"--paper-widths can only be used with --remove; got {target}")


def _within(architecture: Architecture, asked: str, unaligned: int, align: int | None) -> Width:
    """A width of the first kind, and those of the others in proportion, each rounded down."""
    widths = []
    for kind, width in zip(architecture.kinds, architecture.widths_at(unaligned), strict=True):
        alignment = default_alignment(kind.width) if align is None else align
        widths.append(_aligned(asked, width, alignment, kind.width))
    alignment = default_alignment(architecture.intermediate_size) if align is None else align
    return Width(asked, unaligned, widths[0], alignment, tuple(widths))


def _aligned(asked: str, unaligned: int, alignment: int, size: int) -> int:
    if size == 1:
        raise TargetError("a block of this model has 1 neuron, so that none can be removed")
    if not 1 <= unaligned < size:
        raise TargetError(
            f"width must be in [1, {size - 1}], as the model has {size}; {asked} asks for "
            f"{unaligned}"
        )
    width = unaligned // alignment * alignment
    if width < 1:
        raise TargetError(
            f"{asked} asks for {unaligned} neurons, which is below the alignment {alignment}; "
            "pass --exact or a smaller --align"
        )
    return width


def _within_budget(architecture: Architecture, target: Target, dtype: str | None) -> int:
    """Largest width whose parameters or bytes stay within the budget."""

    def cost(width: int, stored: str | None = dtype) -> int:
        counts = counts_at(architecture, width, dtype=stored)
        return counts.parameters if target.kind == "params" else counts.weight_bytes

    unit = "parameters" if target.kind == "params" else "bytes of weights"
    size = architecture.intermediate_size
    smallest, dense = cost(1), cost(size)
    budget, asked = int(target.amount), str(target)
    if target.is_share:
        budget = int(target.amount * cost(size, None))
        asked = f"{target}, which is {budget:,} {unit},"
    if budget < smallest:
        raise TargetError(
            f"{asked} is too small: even with one neuron in each layer the model has {smallest:,} "
            f"{unit}{_share_meant(target)}"
        )
    if budget >= dense:
        stored = f" in {dtype}" if dtype and target.kind == "size" else ""
        raise TargetError(f"{asked} must be below the model's own {dense:,} {unit}{stored}")
    return bisect_right(range(size), budget, key=cost) - 1  # costs never fall as width grows


def _share_meant(target: Target) -> str:
    """A question for who writes 75, or 0.75, where 75% is likely meant."""
    number = re.fullmatch(_NUMBER, target.text.strip())
    if number is None or target.amount >= 100:
        return ""
    percent = target.amount if target.amount >= 1 else 100 * target.amount
    return f"; did you mean {float(percent):g}%?"


def _match(pattern: str, text: str, kind: str, example: str) -> re.Match[str]:
    match = re.fullmatch(pattern, text, re.IGNORECASE) if len(text) <= 32 else None
    if match is None:
        raise TargetError(f"--{kind} must look like {example}; got {text[:40]!r}")
    return match


def _named_widths(text: str) -> dict[str, int]:
    parts = [part.partition("=") for part in text.split(",")]
    names = [name.strip() for name, _, _ in parts]
    if "" in names or len(set(names)) < len(names):
        raise TargetError(
            "--width must name each kind of block once, as in experts=512,shared=1024; got "
            f"{text!r}"
        )
    return {name.strip(): _whole(width.strip()) for name, _, width in parts}


def _whole(text: str) -> int:
    number = int(_match(r"([+-]?\d+)", text, "width", "4864")[1])
    if number < 0:
        raise TargetError(f"--width {number} must be above 0")
    return number


def _percentage(text: str, kind: str, example: str) -> Fraction:
    fraction = Fraction(_match(_NUMBER + r"\s*%", text, kind, example)[1]) / 100
    if fraction >= 1:
        raise TargetError(f"--{kind} must be below 100%; got {text!r}")
    return fraction


def _budget(text: str, kind: str, example: str, unit: str, scales: Mapping[str, int]) -> Fraction:
    if text.endswith("%"):
        return _percentage(text, kind, example)
    match = _match(rf"{_NUMBER}\s*({unit})", text, kind, example)
    return Fraction(match[1]) * scales[match[2].lower()]


_PARSERS: dict[Kind, Callable[[str], Fraction]] = {
    "to": lambda text: Fraction(_match(_NUMBER + "x?", text, "to", "2.4x")[1]),
    "remove": lambda text: _percentage(text, "remove", "40%"),
    "width": lambda text: Fraction(
        min(asked.values()) if isinstance(asked := parse_width(text), dict) else asked
    ),
    "params": lambda text: _budget(text, "params", "900M or 85%", "[kmbgt]?", _SCALES),
    "size": lambda text: _budget(text, "size", "1.7GB, 1.6GiB or 85%", "(?:[kmgt]i?)?b|", _BYTES),
}
