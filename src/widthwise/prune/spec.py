"""What a plan or a refit is asked for: how wide, and by which criterion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import signature
from typing import Any, TypedDict, Unpack

from ..arch import Architecture, Target, Width, check_rounding, refuse_beyond_stated, resolve
from ..cut.checkpoint import ModelSource, stored_dtype
from ..errors import PlanError, TargetError
from .criteria import CRITERIA, DEFAULT_CRITERION, MOMENT_CRITERIA


class WidthOptions(TypedDict, total=False):
    """The five ways to ask for a width, exactly one of which is taken.

    Attributes:
        to: Expansion ratio to cut to (`"2.4x"`, I/H).
        remove: Share of neurons to remove (`"40%"`).
        width: Neurons to keep in each block; of a mixture by kinds: `"experts=512,shared=1024"`.
        params: Most parameters the result may have (`"900M"`, or `"85%"` of the dense model's).
        size: Most bytes of weights it may have (`"1.7GB"`, or `"85%"` of the dense model's).
    """

    to: str | float | None
    remove: str | None
    width: int | str | None
    params: str | int | None
    size: str | int | None


class PruneOptions(WidthOptions, total=False):
    """Keyword arguments that stand for a `PruneSpec`: those of `WidthOptions`, and these.

    Attributes:
        criterion: One of `CRITERIA` or `MOMENT_CRITERIA`, `activation` by default; `obs` needs a
            refit (see `refit`).
        seed: Seed of the criterion `random`.
        align: Multiple to round the width down to; None for the default of the model
            (`default_alignment`), 1 for the exact width.
        paper_widths: Whether the width is by the rule of arXiv 2512.22671 (goes with `remove`).
        dtype: The dtype that `size` is meant in, where the result will be stored in another.
    """

    criterion: str
    seed: int
    align: int | None
    paper_widths: bool
    dtype: str | None


def resolve_target(
    *,
    to: str | float | None = None,
    remove: str | None = None,
    width: int | str | None = None,
    params: str | int | None = None,
    size: str | int | None = None,
) -> Target:
    """The one target that is not None.

    >>> resolve_target(to="2.4x", width=None)
    Target(kind='to', text='2.4x')
    """
    asked = {"to": to, "remove": remove, "width": width, "params": params, "size": size}
    given = [(kind, value) for kind, value in asked.items() if value is not None]
    if len(given) != 1:
        names = ", ".join(f"--{kind}" for kind in asked)
        raise TargetError(f"a width must be asked for in exactly one way: {names}")
    kind, value = given[0]
    return Target(kind, str(value))  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class PruneSpec:
    """What is asked of a plan.

    Attributes:
        target: The width asked for.
        criterion: One of `CRITERIA` or `MOMENT_CRITERIA`.
        seed: Seed of the criterion `random`.
        align: Multiple to round the width down to; None for the default of the model, 1 for none.
        paper_widths: Whether the width is by the paper's rule.
        stored_dtype: safetensors name of the dtype that a `size` target is meant in.

    Raises:
        PlanError: Unknown criterion.
        TargetError: An alignment below 1, or the paper's rule for another target than `remove`.
    """

    target: Target
    criterion: str = DEFAULT_CRITERION
    seed: int = 0
    align: int | None = None
    paper_widths: bool = False
    stored_dtype: str | None = None

    def __post_init__(self) -> None:
        if self.criterion not in (*CRITERIA, *MOMENT_CRITERIA):
            known = ", ".join((*CRITERIA, *MOMENT_CRITERIA))
            raise PlanError(f"criterion must be one of {known}; got {self.criterion!r}")
        if type(self.seed) is not int or not 0 <= self.seed < 2**31:
            raise PlanError(f"seed must be a whole number in [0, 2^31); got {self.seed!r}")
        check_rounding(self.target, self.align, self.paper_widths)

    @classmethod
    def of(
        cls,
        *,
        criterion: str = DEFAULT_CRITERION,
        seed: int = 0,
        align: int | None = None,
        paper_widths: bool = False,
        dtype: str | None = None,
        **width: Unpack[WidthOptions],
    ) -> PruneSpec:
        """The spec that `PruneOptions` describe.

        Raises:
            TargetError, PlanError: One of them is out of range, whatever the model is.
        """
        return cls(
            target=resolve_target(**width),
            criterion=criterion,
            seed=seed,
            align=align,
            paper_widths=paper_widths,
            stored_dtype=stored_dtype(dtype),
        )

    def refuse_early(self, source: ModelSource) -> None:
        """Refuse what the config.json of a folder, or the shapes in a GGUF file, rule out, before
        the model is read.

        Raises:
            TargetError: The model has no such width.
            CheckpointError, UnsupportedModelError: The file cannot be read.
        """
        if not self.paper_widths:
            refuse_beyond_stated(source.stated, self.target, align=self.align)

    def width(self, architecture: Architecture) -> Width:
        """The one width for all layers of a model.

        Raises:
            TargetError: The model has no such width.
        """
        return resolve(
            architecture,
            self.target,
            align=self.align,
            paper_widths=self.paper_widths,
            dtype=self.stored_dtype,
        )


def spec_of(
    spec: PruneSpec | None,
    asked: PruneOptions,
    *,
    function: Callable[..., Any] | None = None,
    options: type = PruneOptions,
) -> PruneSpec:
    """The spec that a public function was given, or the one that its keyword arguments describe.

    Args:
        spec, asked: What it was given.
        function: The function, which errors name.
        options: What its keyword arguments are declared by.

    Raises:
        TypeError: Both were given, or a keyword that the function does not know.
        TargetError, PlanError: As `PruneSpec.of`.
    """
    unknown = next((name for name in asked if name not in PruneOptions.__annotations__), None)
    if function is not None and unknown is not None:
        known = [*options.__annotations__, *signature(function).parameters]
        near = "".join(f"; did you mean {name}?" for name in get_close_matches(unknown, known, 1))
        raise TypeError(
            f"{function.__name__}() got an unexpected keyword argument {unknown!r}{near}"
        )
    if spec is None:
        return PruneSpec.of(**asked)
    if asked:
        raise TypeError(f"pass a PruneSpec or single options, not both; remove {', '.join(asked)}")
    return spec
