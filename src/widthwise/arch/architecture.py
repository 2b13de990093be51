"""Shapes of a checkpoint, and their dependence on the width."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

from ..errors import UnsupportedModelError
from ..io import TensorSpec
from .built import is_causal
from .families import family_of

_TABLES = (
    *("embed_tokens", "wte", "word_embeddings", "tok_embeddings", "embed_in", "embeddings"),
    "shared",
)


def table_beside(stems: Sequence[str], names: Container[str]) -> str:
    """Name of the table of token embeddings that stands where stacks of layers do, or ""."""
    owners = (stem.split(".")[:-1] for stem in stems)
    common = takewhile(lambda parts: len({*parts}) == 1, zip(*owners, strict=False))
    root = "".join(f"{parts[0]}." for parts in common)
    return next((t for table in _TABLES if (t := f"{root}{table}.weight") in names), "")


@dataclass(frozen=True)
class TensorCut:
    """Dependence of a tensor on the width of one group of neurons, or of a stack of them.

    Attributes:
        group: Index of the group; of a stack, of its first.
        axis: Axis of the neurons within what belongs to one group: 0 for rows, 1 for columns.
        parts: How often a neuron stands along the axis: twice where gate and up are one tensor.
        interleaved: True where the parts of a neuron are neighbours, instead of all neurons of
            one part before those of the next.
        up_first: True where up is the first of two parts.
        stacked: Groups whose tensors are stacked along a first axis of their own; 0 for none.
    """

    group: int
    axis: int
    parts: int = 1
    interleaved: bool = False
    stacked: int = 0
    up_first: bool = False

    @property
    def groups(self) -> range:
        """Indices of the groups that the tensor belongs to."""
        return range(self.group, self.group + max(1, self.stacked))

    @property
    def stored_axis(self) -> int:
        """Axis of the neurons in the whole tensor."""
        return self.axis + bool(self.stacked)


@dataclass(frozen=True)
class GroupKind:
    """The groups whose width one setting of the config states.

    Attributes:
        name: For users: `"mlp"`, `"experts"` or `"shared"`.
        key: That setting (`"intermediate_size"`).
        width: What it states: neurons of a group, or of each of its `GluGroup.factor` parts.
        layers: Those that it is of, where the config states a width for each layer by itself.
    """

    name: str
    key: str
    width: int
    layers: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GluGroup:
    """Neurons that one gate, up and down share: the block of a layer, or one expert of it.

    Attributes:
        kind: Index of its kind among `Architecture.kinds`.
        layer: Number of its layer; a decoder's go on where those of its encoder end.
        name: Of the block (`"model.layers.3.mlp"`), as its tensors are stored.
        gate: Weight of gate; None where the block has none and computes `down(act(up(x)))`.
        up: Weight of up; the same tensor where it holds gate and up.
        down: Weight of down.
        expert: Number of the expert; None of a block that every token passes.
        factor: Neurons, divided by the width that the config states.
    """

    kind: int = 0
    layer: int
    name: str
    gate: str | None
    up: str
    down: str
    expert: int | None = None
    factor: int = 1

    @property
    def fused(self) -> bool:
        """Whether one tensor holds gate and up."""
        return self.gate == self.up

    @property
    def module(self) -> str:
        """Name of the module that has down: the block, or all experts of a layer."""
        return self.down.removesuffix(".weight").rpartition(".")[0]


@dataclass(frozen=True, kw_only=True)
class LayerStack:
    """Layers that run one after the other.

    Attributes:
        stem: Name before the number of a layer in the names of its tensors (`"model.layers"`).
        count: Number of layers.
    """

    stem: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Shapes of a checkpoint and their dependence on the width. Holds no weights.

    Attributes:
        model_type: Family as the config names it (`"llama"`).
        hidden_size: H, size of the residual stream.
        stacks: Stacks of layers, in the order in which a text runs through them: one, or that of
            an encoder and that of a decoder.
        kinds: Kinds of groups; routed experts first.
        groups: Groups of neurons in the order of layers.
        tensors: Every stored tensor but those of draft layers.
        cuts: The tensors that depend on the width.
        drafts: The draft layers (multi-token prediction) that a cut keeps, as an architecture of
            their own with the same kinds; None without. No model in memory has them, as
            transformers does not build them.
        left_out: Stored tensors of draft layers that a cut cannot keep.
        left_out_because: The reason, as a clause; "" where none are left out.
        tied: Names that share the storage of another parameter and are not counted twice.
        parameters: Numbers in the parameters of the model that transformers builds.
        config: The model's config, as a plain mapping.
    """

    model_type: str
    hidden_size: int
    stacks: tuple[LayerStack, ...]
    kinds: tuple[GroupKind, ...]
    groups: tuple[GluGroup, ...]
    tensors: Mapping[str, TensorSpec]
    cuts: Mapping[str, TensorCut]
    drafts: Architecture | None = None
    left_out: Mapping[str, TensorSpec] = field(default_factory=dict)
    left_out_because: str = ""
    tied: frozenset[str]
    parameters: int
    config: Mapping[str, Any]

    @property
    def layers(self) -> int:
        """Number of layers of all stacks."""
        return sum(stack.count for stack in self.stacks)

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of the stacks."""
        return tuple(stack.stem for stack in self.stacks)

    @property
    def stem(self) -> str:
        """Name of the stack that writes text (of a causal language model, the only one)."""
        return self.stacks[-1].stem

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Names of all layers, in the order in which a text runs through them."""
        return tuple(f"{each.stem}.{i}" for each in self.stacks for i in range(each.count))

    @property
    def is_causal(self) -> bool:
        """Whether the model continues a text, unlike an encoder, which reads a whole one."""
        return is_causal(self.config)

    @property
    def intermediate_size(self) -> int:
        """I, the width of the first kind: neurons in each GLU block, or in each routed expert."""
        return self.kinds[0].width

    @property
    def dense_widths(self) -> tuple[int, ...]:
        """The width of every kind, as stored."""
        return tuple(kind.width for kind in self.kinds)

    @property
    def is_mixture(self) -> bool:
        """Whether some groups are experts, of which a token passes a few."""
        return any(group.expert is not None for group in self.groups)

    @property
    def is_uniform(self) -> bool:
        """Whether every layer holds one block, and all blocks are of one width."""
        return (
            len(self.kinds) == 1
            and [group.layer for group in self.groups] == [*range(self.layers)]
            and all(group.factor == 1 and group.expert is None for group in self.groups)
        )

    @property
    def is_renamed(self) -> bool:
        """Whether blocks are in other tensors in files than in memory: only groups compare."""
        return self.is_mixture or family_of(self.model_type).renamed

    @property
    def table(self) -> str:
        """Name of the table of token embeddings outside the layers, or ""."""
        return table_beside(self.stems, self.tensors)

    @property
    def expansion_ratio(self) -> float:
        """I / H."""
        return self.intermediate_size / self.hidden_size

    @property
    def fused(self) -> bool:
        """Whether one tensor of a block holds gate and up."""
        return self.groups[0].fused

    def width_of(self, group: int, widths: tuple[int, ...] | None = None) -> int:
        """Neurons of a group, as stored or where its kinds have other widths."""
        each = self.groups[group]
        stated = self.kinds[each.kind].width if widths is None else widths[each.kind]
        return stated * each.factor

    def neurons(self, widths: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """Neurons of every group, as stored or where its kinds have other widths."""
        return tuple(self.width_of(group, widths) for group in range(len(self.groups)))

    def widths_at(self, width: int) -> tuple[int, ...]:
        """The width of every kind, in proportion to that of the first; rounded down."""
        return tuple(kind.width * width // self.intermediate_size for kind in self.kinds)

    def draft_widths(self, widths: tuple[int, ...]) -> tuple[int, ...]:
        """The width of every kind in draft layers, where the model's kinds have these.

        Of widths by layers it is the largest, which the config then states for all others.
        """
        return (max(widths),) * len(widths) if self.kinds[0].layers else widths

    def draft_specs(self, widths: tuple[int, ...]) -> list[TensorSpec]:
        """Shapes and dtypes of draft layers, where the model's kinds have these widths."""
        drafts, own = self.drafts, self.draft_widths(widths)
        return [] if drafts is None else [drafts.cut_spec(name, own) for name in drafts.tensors]

    def cut_spec(self, name: str, widths: tuple[int, ...]) -> TensorSpec:
        """Shape and dtype of a tensor once the kinds of groups have these widths."""
        cut = self.cuts.get(name)
        if cut is None:
            return self.tensors[name]
        return self.spec_at(name, self.width_of(cut.group, widths))

    def refuse_unless_uniform(self, what: str) -> None:
        """Raise UnsupportedModelError unless `is_uniform`; `what` begins the message."""
        if self.is_mixture:
            raise UnsupportedModelError(
                f"{what} works on models without experts only, and {self.model_type} is a mixture "
                "of experts, whose config states one width for each kind of block; ask for these "
                "(--remove, --to, --width)"
            )
        if not self.is_uniform:
            has = "layers without a GLU block" if self._blocks_missing else "blocks of other widths"
            raise UnsupportedModelError(
                f"{what} works on models with a GLU block of one width in every layer only, and "
                f"this {self.model_type} has {has} as well; prune it in proportion (--remove, --to)"
            )

    @property
    def _blocks_missing(self) -> bool:
        """Whether some layer has no block that is cut."""
        return {group.layer for group in self.groups} != {*range(self.layers)}

    def spec_at(self, name: str, width: int) -> TensorSpec:
        """Shape and dtype of a tensor once its groups have `width` neurons each."""
        spec, cut = self.tensors[name], self.cuts.get(name)
        if cut is None:
            return spec
        shape = list(spec.shape)
        shape[cut.stored_axis] = cut.parts * width
        return replace(spec, shape=tuple(shape))
