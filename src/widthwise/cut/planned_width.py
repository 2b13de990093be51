"""How wide and how large a model becomes by a plan: what its shapes alone say."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from ..arch import CutWidths, suitability_note


@dataclass(frozen=True)
class PlannedKind:
    """One kind of groups: its name, the width that the config stated, and that which is left."""

    name: str
    width: int
    kept: int


@dataclass(frozen=True, kw_only=True)
class PlannedWidth:
    """The width that a model is to be cut to and what it comes to, whichever neurons stay.

    Attributes:
        parent: Name of the checkpoint.
        model_type: Family (`"llama"`).
        hidden_size: H of the parent.
        intermediate_size: I of the parent.
        asked: The width as it was asked for (`"--to 2.4x"`).
        unaligned: Width before rounding to the alignment.
        alignment: Multiple that the width was rounded down to; 1 for none.
        parent_parameters: Parameters of the parent.
        parameters: Parameters of the result; of layers of unequal widths without any padding.
        parent_bytes: Bytes of the parent's weights.
        weight_bytes: Bytes of the result's weights, in the dtype that the width was asked for in,
            likewise without padding.
        neurons: Neurons of the block of each layer before the cut; of a mixture of experts, of
            each group.
        widths: Those that are left.
        kinds: Of a mixture the kinds of its groups, else none.
        parent_active: Of a mixture the parameters of the parent that one token passes, if known.
        active: The same of the result.
    """

    parent: str
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
    neurons: tuple[int, ...]
    widths: tuple[int, ...]
    kinds: tuple[PlannedKind, ...] = ()
    parent_active: int | None = None
    active: int | None = None

    @property
    def uniform(self) -> bool:
        """Whether every layer has the same width."""
        return bool(self.kinds) or len(set(self.widths)) == 1

    @property
    def width(self) -> int:
        """Neurons left in the widest block, to which a plain checkpoint pads the others."""
        return self.kinds[0].kept if self.kinds else max(self.widths)

    @property
    def mean_width(self) -> float:
        """Neurons left in a block, in the mean over layers."""
        return self.kinds[0].kept if self.kinds else sum(self.widths) / len(self.widths)

    @property
    def removed(self) -> float:
        """Share of the neurons of all blocks that is removed, those that stay whole counted too."""
        return 1 - sum(self.widths) / sum(self.neurons)

    @property
    def expansion_ratio(self) -> float:
        """Mean width / hidden_size, as got; of a mixture that of its first kind."""
        return self.mean_width / self.hidden_size

    @property
    def cut_widths(self) -> tuple[int, ...]:
        """The widths of blocks that become narrower, of which alignment is asked."""
        return tuple(kind.kept for kind in self.kinds if kind.kept < kind.width) or self.widths

    @property
    def suitability(self) -> str:
        """What of quantization and parallelism the widths do not suit; empty where nothing."""
        size, asked = self.intermediate_size, self.unaligned
        if not self.kinds:
            return suitability_note(
                [CutWidths(name="", dense=size, unaligned=asked, kept=self.widths)]
            )
        # The first kind is the one that the width was asked for; others are known as rounded.
        whole = [asked, *(kind.kept for kind in self.kinds[1:])]
        return suitability_note(
            [
                CutWidths(name=kind.name, dense=kind.width, unaligned=most, kept=(kind.kept,))
                for kind, most in zip(self.kinds, whole, strict=True)
            ]
        )

    @property
    def words(self) -> str:
        """The widths in a few words: `width 1376`, `width 512 to 1408 by layers, ...`."""
        if self.kinds:
            parts = (f"{kind.name} of width {kind.kept} of {kind.width}" for kind in self.kinds)
            return ", ".join(parts)
        if self.uniform:
            return f"width {self.width}"
        return (
            f"width {min(self.widths)} to {self.width} by layers, {self.mean_width:,.0f} in the "
            "mean,"
        )

    def __str__(self) -> str:
        return self.told()

    def told(self, chosen: str = "") -> str:
        """The lines that say what was asked and got.

        Args:
            chosen: What the first of them says further, of how neurons were chosen.
        """
        rounded = f", {self.unaligned} rounded down to a multiple of {self.alignment}"
        is_rounded = self.uniform and self.unaligned != self.width
        return (
            f"{self.parent}: {self.model_type}, "
            f"{len(self.widths)} {'groups of neurons' if self.kinds else 'layers'}, "
            f"hidden size {self.hidden_size}\n"
            f"  asked  {self.asked}{chosen}\n"
            f"  got    {self.words}{self._of} "
            f"{self._first}{self.expansion_ratio:.3f}x "
            f"of {self.intermediate_size / self.hidden_size:.3f}x, "
            f"{self.removed:.1%} of neurons removed{rounded if is_rounded else ''}\n"
            f"         {self.parameters:,} of {self.parent_parameters:,} parameters "
            f"({self.parameters / self.parent_parameters:.1%} of dense), "
            f"{self.weight_bytes:,} of {self.parent_bytes:,} bytes "
            f"({self.weight_bytes / self.parent_bytes:.1%})"
            f"{self._active}"
        )

    @property
    def _of(self) -> str:
        return "," if self.kinds else f" of {self.intermediate_size},"

    @property
    def _first(self) -> str:
        """Of several kinds of groups the one whose ratio to the hidden size is told."""
        return f"{self.kinds[0].name} at " if len(self.kinds) > 1 else ""

    @property
    def _active(self) -> str:
        """A line on the parameters that one token passes, of a mixture."""
        if not self.active or not self.parent_active:
            return ""
        share = self.active / self.parent_active
        return (
            f"\n         {self.active:,} of {self.parent_active:,} parameters are active in a "
            f"token ({share:.1%})"
        )

    def to_json(self) -> str:
        """The numbers as JSON, by the names of a plan's, with one width for all groups of a kind.

        A plan file has `keep`, the neurons, in the place of `width`, and a fingerprint.
        """
        data = asdict(self) | {"width": self.width}
        del data["neurons"], data["widths"]
        if not self.kinds:
            del data["kinds"], data["parent_active"], data["active"]
        return json.dumps(data)
