"""The plan of a shrink: how wide, how large, and what it takes; made from shapes alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ..cut import PlannedWidth
from ..cut.checkpoint import ModelSource, check_causal_class, resolve_model
from ..cut.gguf import check_convertible, check_uneven
from ..io import DTYPE_BYTES
from ..prune import (
    CutEstimate,
    PruneSpec,
    check_per_layer,
    estimate_cut,
    planned_width,
    tokens_of,
)
from ..stats import number, percent
from .deployed_file import DeployedFile
from .goal import Goal
from .savings import CheapSaving, cheap_savings
from .settings import ShrinkSettings

_STATE_BYTES = 20  # of a parameter that is healed, as of `heal`


def healing_bytes(narrow: int, dense: int) -> int:
    """Memory that a healing takes.

    Args:
        narrow: Parameters of the cut, all of which are trained.
        dense: Parameters of the model without a cut.
    """
    return _STATE_BYTES * narrow + DTYPE_BYTES["BF16"] * (narrow + dense)


@dataclass(frozen=True, kw_only=True)
class ShrinkPlan:
    """What a shrink will do.

    Attributes:
        goal: What is asked of the size.
        source: The model.
        specs: The cuts that may do it, from the mildest on; only one where shapes tell it.
        file: The file that is deployed.
        dense_bytes: Bytes of that file without a cut.
        savings: What would make it smaller without a cut.
        per_layer: Whether each layer gets a width of its own.
    """

    goal: Goal
    source: ModelSource
    specs: tuple[PruneSpec, ...]
    file: DeployedFile
    dense_bytes: int
    savings: tuple[CheapSaving, ...]
    per_layer: bool = False

    def at(self, spec: PruneSpec) -> ShrinkPlan:
        """The plan when it is known which of its cuts does it."""
        return replace(self, specs=(spec,))

    @property
    def spec(self) -> PruneSpec:
        """The cut, the mildest one as long as several may do it."""
        return self.specs[0]

    @cached_property
    def sizes(self) -> PlannedWidth:
        """The width of that cut, and what the model comes to by it."""
        return planned_width(self.source.name, self.source.checkpoint.architecture, self.spec)

    @cached_property
    def planned_bytes(self) -> int:
        """Most bytes that the file will have by that cut."""
        return self.file.bytes_at(self.spec.width(self.source.checkpoint.architecture).widths)

    def estimate(self, out: Path) -> CutEstimate:
        """What the cut takes, with its result in a folder."""
        tokens = tokens_of(self.source.checkpoint.architecture)
        return estimate_cut(
            self.source, self.spec, tokens, out=out, scales=True, by_layers=self.per_layer
        )

    @property
    def healing_bytes(self) -> int:
        """Memory that the healing of that cut takes, in which both models are."""
        narrow, dense = self.sizes.parameters, self.sizes.parent_parameters
        return healing_bytes(narrow, dense)

    @property
    def is_cheaper(self) -> bool:
        """Whether the cheap savings alone do what is asked, so that no neuron need go."""
        most = self.goal.most_bytes(self.file)
        saved = sum(each.saved_bytes for each in self.savings)
        return most is not None and bool(saved) and self.dense_bytes - saved <= most

    @property
    def first_words(self) -> tuple[str, ...]:
        """Sentences on what saves without a cut."""
        if not self.savings:
            return ("Without a cut nothing is known to save: the vocabulary is stored once, and no "
                    "number that is stored could be shorter by half.",)  # fmt: skip
        said = [f"{each}." for each in self.savings]
        if self.is_cheaper:
            said.append(
                f"That alone would do what {self.goal} asks, so no narrower model is needed for it."
            )
        return tuple(said)

    @property
    def words(self) -> str:
        """What is asked, what the plan is, and how large the deployed file becomes."""
        sizes = self.sizes
        if self.goal.is_tried and len(self.specs) > 1:
            return f"{sizes.parent}: asked {self.goal}; {self._tried}"
        return (
            f"{sizes.parent}: asked {self.goal}; {sizes.words} of {sizes.intermediate_size}"
            f"{' on average, in widths by layers' if self.per_layer else ''}, "
            f"{percent(sizes.removed)} of neurons removed; "
            f"{number(sizes.parameters, 'count')} of {number(sizes.parent_parameters, 'count')} "
            f"parameters; {self.file} has at most {number(self.planned_bytes, 'bytes')} of "
            f"{number(self.dense_bytes, 'bytes')} "
            f"({percent(self.planned_bytes / self.dense_bytes)}){self._beside}"
        )

    @property
    def _beside(self) -> str:
        """What of disk the comparison of speed takes."""
        if self.file.gguf is None:
            return ""
        if self.goal.kind == "faster" and len(self.specs) > 1:
            needed = len(self.specs) * self.dense_bytes
            return f"; their files take at most {number(needed, 'bytes')} of disk for a while"
        return (
            "; while speed is measured, the file without a cut takes "
            f"{number(self.dense_bytes, 'bytes')} of disk too"
        )

    @property
    def _tried(self) -> str:
        """What is tried."""
        first, last = self.sizes, self.at(self.specs[-1]).sizes
        how = {
            "max_loss": "cut, refitted and asked, from the widest on, until one is not shown to "
            "lose at most that",
            "faster": "timed, and the widest that is shown to be as fast is taken",
        }
        return (
            f"up to {len(self.specs)} cuts, {first.words} to {last.words} of "
            f"{first.intermediate_size}, are {how[self.goal.kind]}{self._beside}"
        )


def plan_shrink(settings: ShrinkSettings) -> ShrinkPlan:
    """Find the model and plan its cut; nothing is loaded or written.

    Raises:
        TargetError: No width does what is asked.
        UnsupportedModelError: The model does not continue texts, has no blocks that can be cut, or
            cannot be written as GGUF where that is asked.
        CheckpointError: There is no such model.
    """
    source = resolve_model(settings.model)
    settings.goal.refuse_early(source)
    check_causal_class(source.checkpoint)
    if settings.per_layer:
        check_per_layer(source)
        if settings.gguf is not None:
            check_uneven(source.checkpoint, "widths by layers are asked for", "drop --per-layer")
    if settings.gguf is not None:
        check_convertible(source.checkpoint)
    file = DeployedFile(source=source, gguf=settings.gguf, dtype=settings.dtype)
    goal = settings.goal
    return ShrinkPlan(
        goal=goal,
        source=source,
        specs=goal.specs(file),
        file=file,
        dense_bytes=file.dense_bytes,
        savings=cheap_savings(file),
        per_layer=settings.per_layer,
    )
