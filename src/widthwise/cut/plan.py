"""A plan: which neurons each layer keeps. Made once, printed, saved, loaded, applied anywhere."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from ..errors import PlanError
from ..io import from_plain, write_text
from .planned_width import PlannedKind, PlannedWidth

FORMAT, MIXTURE_FORMAT = 1, 2
WIDTHS_KEY = "widthwise_widths"  # in a config: the neurons of each layer, where they differ
_LATER = {"parent_active", "active"}  # fields that first plans of mixtures lack
_ABOVE_ZERO = (
    *("hidden_size", "intermediate_size", "unaligned", "alignment"),
    *("parent_parameters", "parameters", "parent_bytes", "weight_bytes"),
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Neurons to keep in every GLU block of one checkpoint.

    Attributes, beside those that it has in common with `PlannedWidth`, which `sizes` is:
        fingerprint: Of the parent's GLU weights; a plan is refused for any other.
        criterion: How neurons were scored.
        seed: Of the `random` criterion, else None.
        keep: For each layer the indices kept, ascending, at least one; mostly the same number in
            every layer (`uniform`). Of a mixture of experts for each group of neurons.
        neurons: Of a mixture the neurons of each group before the cut, else none.
        parent_active, active: As there; None where an older plan of a mixture does not say.
        format: Version of this layout.

    Raises:
        PlanError: An index is out of range, double or out of order, or a layer keeps none.
    """

    parent: str
    fingerprint: str
    model_type: str
    hidden_size: int
    intermediate_size: int
    asked: str
    unaligned: int
    alignment: int
    parent_parameters: int
    parameters: int
    parent_bytes: int
    weight_bytes: int
    criterion: str
    seed: int | None
    keep: tuple[tuple[int, ...], ...]
    kinds: tuple[PlannedKind, ...] = field(default=(), metadata={"added_later": True})
    neurons: tuple[int, ...] = field(default=(), metadata={"added_later": True})
    parent_active: int | None = field(default=None, metadata={"added_later": True})
    active: int | None = field(default=None, metadata={"added_later": True})
    format: int = FORMAT

    def __post_init__(self) -> None:
        wanted = MIXTURE_FORMAT if self.kinds else FORMAT
        if self.format != wanted or bool(self.kinds) != bool(self.neurons):
            raise PlanError(f"plan format must be {wanted}; got {self.format!r}")
        if self.neurons and len(self.neurons) != len(self.keep):
            raise PlanError(f"neurons must be of {len(self.keep)} groups; got {len(self.neurons)}")
        for name in _ABOVE_ZERO:
            if not 0 < getattr(self, name) < 2**63:
                raise PlanError(f"{name} must be a whole number above 0 and below 2^63")
        if not self.keep:
            raise PlanError("a plan must hold at least one layer")
        for layer, keep in enumerate(self.keep):
            self._check_layer(layer, keep)

    def _check_layer(self, layer: int, keep: tuple[int, ...]) -> None:
        if not keep:
            raise PlanError(f"layer {layer} must keep at least one neuron; got none")
        if any(type(i) is not int for i in keep):
            raise PlanError(f"indices in layer {layer} must be whole numbers")
        size = self.neurons[layer] if self.neurons else self.intermediate_size
        if keep[0] < 0 or max(keep) >= size:
            odd = next(i for i in keep if not 0 <= i < size)
            raise PlanError(f"indices must be in [0, {size - 1}]; got {odd} in layer {layer}")
        if any(a >= b for a, b in pairwise(keep)):
            raise PlanError(f"indices must ascend without duplicates; layer {layer} does not")

    @property
    def widths(self) -> tuple[int, ...]:
        """Neurons left in the block of each layer."""
        return tuple(map(len, self.keep))

    @property
    def unit(self) -> str:
        """What `keep` has an entry for, as a word: a layer, or a group of neurons of a mixture."""
        return "group" if self.kinds else "layer"

    @property
    def kind_widths(self) -> tuple[int, ...]:
        """The width that is left of each kind of group."""
        return tuple(kind.kept for kind in self.kinds) or (self.width,)

    @property
    def layer_widths(self) -> list[tuple[int, ...]]:
        """For each layer the width of each kind of group; once where all layers are alike."""
        if self.kinds:
            return [self.kind_widths]
        return [(width,) for width in self.widths]

    @cached_property
    def sizes(self) -> PlannedWidth:
        """How wide and how large the model becomes, whichever neurons stay."""
        own = {each.name: getattr(self, each.name) for each in fields(PlannedWidth)}
        own["neurons"] = self.neurons or (self.intermediate_size,) * len(self.keep)
        return PlannedWidth(**own)

    @property
    def uniform(self) -> bool:
        """Whether every layer has the same width."""
        return self.sizes.uniform

    @property
    def width(self) -> int:
        """Neurons left in the widest block, to which a plain checkpoint pads the others."""
        return self.sizes.width

    @property
    def mean_width(self) -> float:
        """Neurons left in a block, in the mean over layers."""
        return self.sizes.mean_width

    @property
    def removed(self) -> float:
        """Share of the neurons of all blocks that is removed, those that stay whole counted too."""
        return self.sizes.removed

    @property
    def expansion_ratio(self) -> float:
        """Mean width / hidden_size, as got; of a mixture that of its first kind."""
        return self.sizes.expansion_ratio

    @property
    def digest(self) -> str:
        """sha256 over the parent's fingerprint and the neurons kept, however they were asked."""
        return hashlib.sha256(json.dumps([self.fingerprint, self.keep]).encode()).hexdigest()

    def __str__(self) -> str:
        seed = "" if self.seed is None else f" (seed {self.seed})"
        told = self.sizes.told(f", criterion {self.criterion}{seed}")
        return f"{told}\n  plan   sha256 {self.digest[:16]}"

    def to_json(self) -> str:
        """The plan as JSON; `Plan.from_json` is the inverse."""
        data = {
            f.name: getattr(self, f.name) for f in fields(self) if f.name in _names(self.format)
        }
        return json.dumps(data | ({"kinds": list(map(asdict, self.kinds))} if self.kinds else {}))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read a plan.

        Raises:
            PlanError: Not JSON, unknown or missing fields, wrong types, or invalid indices.
        """
        try:
            data = json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise PlanError(f"a plan must be JSON: {error}") from error
        if isinstance(data, dict) and "keep" not in data and "width" in data:
            raise PlanError(
                "this states a width and no neurons, as widthwise plan --json prints it; a plan is "
                "saved by widthwise plan -o FILE"
            )
        known = _names(data.get("format") if isinstance(data, dict) else None)
        if not isinstance(data, dict) or not known - _LATER <= set(data) <= known:
            odd = sorted(set(data) ^ known) if isinstance(data, dict) else type(data).__name__
            raise PlanError(f"a plan must have exactly the fields of its format; wrong here: {odd}")
        try:
            plan: Plan = from_plain(cls, data, "a plan")
        except TypeError as error:
            raise PlanError(str(error)) from error
        return plan

    def save(self, path: str | Path) -> None:
        """Write the plan to a file, whole or not at all; an existing file is replaced.

        Raises:
            OutputError: The file cannot be written.
        """
        write_text(Path(path), self.to_json() + "\n", shared=True)

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read a plan from a file; errors name the file."""
        if not Path(path).is_file():
            raise PlanError(f"{path}: cannot read the plan: there is no such file")
        try:
            return cls.from_json(Path(path).read_text(encoding="utf8"))
        except (OSError, UnicodeDecodeError) as error:
            raise PlanError(f"{path}: cannot read the plan: {error}") from error
        except PlanError as error:
            raise PlanError(f"{path}: {error}") from error


def _names(version: object) -> set[str]:
    """Fields of a version of the layout; plans of one width a layer have none for kinds."""
    names = {each.name for each in fields(Plan)}
    return names if version == MIXTURE_FORMAT else names - {"kinds", "neurons"} - _LATER
