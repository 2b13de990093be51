"""A GGUF file with fewer neurons; all that has nothing to do with them is copied byte for byte.

Quantized blocks run along a row. So rows of gate and up are taken out as they are, bit for bit;
down, whose rows are as long as the width, is decoded, cut (or replaced by its refit) and written in
the type that it had, or in the nearest that can be written. Of a mixture of experts, whose tensors
are stacked, so is each expert.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...arch import Architecture
from ...assets import architecture_of, gguf_reader
from ...errors import CheckpointError, OutputError, PlanError
from ...io import check_new_file, replace_file
from ...notices import notice
from ..plan import Plan
from ..weights import check_refit
from .layout import (
    Entry,
    file_bytes,
    filled,
    head,
    keys_of,
    renamed,
    whole_number,
)
from .llama_cpp import UNEVEN
from .quantize import block_size, quantized, written_kind
from .trace import trace
from .vocabulary import TwoCopies, tied, two_copies

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ..refit_result import Refit

_FFN = re.compile(
    r"blk\.(?P<layer>\d+)\.ffn_(?P<part>gate_up|gate|up|down)(?P<block>_exps|_shexp|)"
    r"\.(?P<kind>weight|bias)"
)
_EXPERTS, _SHARED, _DENSE = "_exps", "_shexp", ""  # ends of names, by the kind of block
# Keys that state a width, below the architecture's name, by the kind of block.
_KEYS = {
    _EXPERTS: "expert_feed_forward_length",
    _SHARED: "expert_shared_feed_forward_length",
    _DENSE: "feed_forward_length",
}


@dataclass(frozen=True, kw_only=True)
class GgufResult:
    """A GGUF file that was written.

    Attributes:
        path: The file.
        bytes_before, bytes_after: Of the parent and of the result.
        padded_to: Width to which zeros fill up narrower layers; None where there are none.
        down: Names of the types of the downs, before and after.
        error: What writing down in blocks adds: root mean square over that of its numbers.
        copies: The two copies of the vocabulary where the result has the finer one alone.
    """

    path: Path
    bytes_before: int
    bytes_after: int
    padded_to: int | None
    down: tuple[str, str]
    error: float
    copies: TwoCopies | None = None

    def __str__(self) -> str:
        before, after = self.down
        kinds = f"{after}" if before == after else f"{after} (the parent's are {before})"
        text = (
            f"{self.path}: {self.bytes_after:,} of {self.bytes_before:,} bytes "
            f"({self.bytes_after / self.bytes_before:.1%}); gate, up and all else bit for bit, "
            f"down written as {kinds}, which changes its numbers by {self.error:.2%}"
        )
        if self.copies is not None:
            text = f"{text}\n{self.copies}."
        return text if self.padded_to is None else f"{text}\n{padding_note(self.padded_to)}"


def write_pruned_gguf(
    source: Path,
    architecture: Architecture,
    plan: Plan,
    out: Path,
    *,
    refit: Refit | Literal[False] | None = None,
    tie_embeddings: bool = False,
    force: bool = False,
    progress: Callable[[int], None] | None = None,
) -> GgufResult:
    """Write a GGUF file cut to a plan; it appears whole or not at all.

    A result that is larger than the parent is said before it is written.

    Args:
        source: The parent, for whose conversion the plan was made.
        architecture: Of that conversion.
        plan: Which neurons stay. Layers of several widths are stated as llama.cpp reads them, or,
            where it reads one width only, filled up with zeros.
        out: The file to write.
        refit: The plan's refit, whose downs are taken; False for none where one is wanted.
        tie_embeddings: Whether of a vocabulary that is stored twice the finer copy is left alone.
        force: Whether an existing file is replaced.
        progress: Function that is called with the bytes read since the last call.

    Raises:
        PlanError: The refit belongs to another plan, or scales what is kept.
        UnsupportedModelError: The vocabulary is not stored twice, or llama.cpp needs both.
        CheckpointError: The file does not hold the blocks of the plan, or a down holds NaN, Inf or
            numbers too large for its type.
        OutputError: `out` exists, is the parent, or cannot be written.

    Cost: each byte of the parent is read once; memory is that of one down in float32.
    """
    down = _down_of(plan, refit)
    _check_place(source, out, force=force)
    copies = two_copies(source) if tie_embeddings else None
    reader = gguf_reader(source)
    job = _Job(reader, architecture, plan, down, copies)
    changed = job.changed_keys() | trace(plan, is_refitted=down is not None)
    before = source.stat().st_size
    after = file_bytes(reader, job.entries, changed)
    if after > before:
        notice(f"{out} will have {after:,} bytes, more than the {before:,} of {source.name}.")
    with replace_file(out, only_new=not force) as partial, open(partial, "wb") as file:
        file.write(head(reader, job.entries, changed))
        for entry in job.entries:
            for block in filled(reader, entry, job.blocks(entry)):
                file.write(block)
            if progress is not None:
                progress(int(entry.tensor.n_bytes))
    return GgufResult(
        path=out.absolute(),
        bytes_before=before,
        bytes_after=out.stat().st_size,
        padded_to=job.padded_to,
        down=job.down_kinds,
        error=job.error,
        copies=copies,
    )


def _down_of(plan: Plan, refit: Refit | Literal[False] | None) -> Sequence[Tensor] | None:
    """The refitted downs by groups, or None where there are none.

    Raises:
        PlanError: The refit belongs to another plan, or scales what is kept.
    """
    if refit and refit.rows:
        raise PlanError(
            f"the refit has scales for rows of {len(refit.rows)} tensors that a .gguf file keeps "
            "bit for bit: refit the .gguf file itself, or without scales"
        )
    return check_refit(plan, refit)


def _check_place(source: Path, out: Path, *, force: bool) -> None:
    """Raise OutputError where the file may not be written."""
    check_new_file(out, force=force)
    if out.exists() and out.samefile(source):
        raise OutputError(f"{out} is the parent itself; choose another file")


def padding_note(width: int) -> str:
    """What to know of a file in which zeros fill up narrower layers."""
    return (
        f"Padded to width {width}: llama.cpp reads this architecture with one width for all layers."
    )


def down_alignment(source: Path) -> int:
    """The multiple that a width must be of so that every down keeps the type it has.

    Raises:
        CheckpointError: It is no GGUF file.
    """
    try:
        tensors = gguf_reader(source).tensors
    except (OSError, ValueError, IndexError, KeyError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is damaged or cut short"
        raise CheckpointError(f"{source} cannot be read as a GGUF file: {why}") from error
    downs = [tensor for tensor in tensors if ".ffn_down" in str(tensor.name)]
    return max((block_size(tensor.tensor_type) for tensor in downs), default=1)


@dataclass(frozen=True)
class _Cut:
    """How a tensor depends on the width: its groups, stacked where they are several."""

    groups: tuple[int, ...]
    is_down: bool = False
    is_bias: bool = False
    parts: int = 1  # of a neuron along the rows: two where gate and up are one


@dataclass
class _Job:
    """The parent and what becomes of it."""

    reader: Any
    architecture: Architecture
    plan: Plan
    down: Sequence[Tensor] | None
    copies: TwoCopies | None
    entries: list[Entry] = field(default_factory=list)
    _cuts: dict[str, _Cut] = field(default_factory=dict)
    _errors: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._places = self._groups_by_place()
        is_read = self.plan.uniform or architecture_of(self.reader) in UNEVEN
        self.padded_to = None if is_read else self.plan.width
        entries = [Entry.of(tensor) for tensor in self.reader.tensors]
        entries = entries if self.copies is None else tied(entries, self.copies)
        self.entries = [self._entry(entry) for entry in entries]
        for block, members in self._places.items():
            downs = [cut.groups for cut in self._cuts.values() if cut.is_down]
            if not any(set(members) <= set(groups) for groups in downs):
                raise CheckpointError(
                    f"the file has no GLU block of layer {block[0]} (blk.{block[0]}.ffn_down"
                    f"{block[1]}.weight)"
                )

    def _groups_by_place(self) -> dict[tuple[int, str], tuple[int, ...]]:
        """Groups by layer and end of their name, experts in order."""
        groups = self.architecture.groups[: len(self.plan.keep)]
        routed = {group.layer for group in groups if group.expert is not None}
        places: dict[tuple[int, str], tuple[int, ...]] = {}
        for index, group in enumerate(groups):
            beside = _SHARED if group.layer in routed else _DENSE
            place = (group.layer, beside if group.expert is None else _EXPERTS)
            places[place] = (*places.get(place, ()), index)
        return places

    @property
    def down_kinds(self) -> tuple[str, str]:
        """Names of the types of down, before and after."""
        downs = [each for each in self.entries if each.name in self._cuts]
        downs = [each for each in downs if self._cuts[each.name].is_down]
        before = {str(entry.tensor.tensor_type.name) for entry in downs}
        after = {str(entry.kind.name) for entry in downs}
        return " and ".join(sorted(before)), " and ".join(sorted(after))

    @property
    def error(self) -> float:
        """Root mean square of what writing the downs changed, over that of their numbers."""
        changed, whole = (sum(part) for part in zip(*self._errors, strict=True))
        return float((changed / whole) ** 0.5) if whole else 0.0  # zeros stay zeros

    def _neurons(self, group: int) -> int:
        plan = self.plan
        return plan.neurons[group] if plan.neurons else plan.intermediate_size

    def _missing(self, group: int) -> int:
        """Neurons of zeros that a group is filled up with."""
        return 0 if self.padded_to is None else self.padded_to - len(self.plan.keep[group])

    def _entry(self, entry: Entry) -> Entry:
        """A tensor as it will be; how it is cut is kept."""
        match = _FFN.fullmatch(entry.name)
        if match is None or (match["part"] == "down" and match["kind"] == "bias"):
            return entry
        groups = self._places.get((int(match["layer"]), match["block"]))
        if groups is None:
            planned = len({layer for layer, _ in self._places})
            raise CheckpointError(
                f"the file has more layers than the {planned} planned: {entry.name}"
            )
        kept = self.padded_to or len(self.plan.keep[groups[0]])
        neurons = self._neurons(groups[0])
        if match["part"] == "down":
            self._cuts[entry.name] = _Cut(groups, is_down=True)
            self._check(entry, entry.shape[0], neurons)
            shape = (kept, *entry.shape[1:])
            return replace(entry, kind=written_kind(entry.kind, kept), shape=shape)
        is_bias = match["kind"] == "bias"
        axis = 0 if is_bias else 1
        parts = self._check(entry, entry.shape[axis], neurons)
        self._cuts[entry.name] = _Cut(groups, is_bias=is_bias, parts=parts)
        size = kept * parts
        return replace(entry, shape=(*entry.shape[:axis], size, *entry.shape[axis + 1 :]))

    def _check(self, entry: Entry, size: int, neurons: int) -> int:
        """How many parts of a neuron one tensor holds: two where gate and up are one."""
        parts, rest = divmod(size, neurons)
        if rest or parts not in (1, 2):
            raise CheckpointError(
                f"{entry.name} has {size} rows or columns; the plan is for {neurons} neurons"
            )
        return parts

    def changed_keys(self) -> dict[str, bytes]:
        """The entries of the metadata that state a width, as they will be."""
        fields = keys_of(self.reader)
        arch = architecture_of(self.reader)
        plain = f"{arch}.{_KEYS[_DENSE]}"
        if self.plan.uniform or self.padded_to:
            if not self.plan.kinds:
                return {plain: whole_number(plain, self.plan.width)}
        else:
            layered = UNEVEN[arch]
            widths = whole_number(f"{layered}.{_KEYS[_DENSE]}", self.plan.widths)
            return {**renamed(self.reader, layered), plain: widths}
        blocks = dict.fromkeys(block for _, block in self._places)
        keys = {f"{arch}.{_KEYS[block]}": block for block in blocks}
        if _DENSE not in blocks and f"{arch}.{_KEYS[_EXPERTS]}" not in fields:
            keys[plain] = _EXPERTS  # of Mixtral, whose experts are its only blocks
        return {
            key: whole_number(key, self._width(key, fields[key].contents(), block))
            for key, block in keys.items()
            if key in fields
        }

    def _width(self, key: str, stated: int | list[int], block: str) -> int | list[int]:
        """What a key of a mixture will state."""
        group = next(members[0] for (_, each), members in self._places.items() if each == block)
        kept, neurons = len(self.plan.keep[group]), self._neurons(group)
        if isinstance(stated, list):
            return [one * kept // neurons for one in stated]
        if stated * kept % neurons:
            raise CheckpointError(f"{key} is {stated}, and the blocks have {neurons} neurons")
        return stated * kept // neurons

    def blocks(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of a tensor, one group after another."""
        import numpy as np

        stored: NDArray[Any] = entry.tensor.data
        cut = self._cuts.get(entry.name)
        if cut is None:
            yield stored.tobytes()
            return
        stacked = stored.reshape(len(cut.groups), *stored.shape[-(1 if cut.is_bias else 2) :])
        for group, each in zip(cut.groups, stacked, strict=True):
            keep = np.asarray(self.plan.keep[group])
            if cut.is_down:
                yield self._down(entry, group, each, keep).tobytes()
            else:
                size = self._neurons(group)
                zeros = np.zeros((self._missing(group), *each.shape[1:]), dtype=each.dtype)
                for part in range(cut.parts):
                    yield each[keep + part * size].tobytes()
                    yield zeros.tobytes()  # of any type the number 0

    def _down(
        self, entry: Entry, group: int, stored: NDArray[Any], keep: NDArray[Any]
    ) -> NDArray[np.uint8]:
        """One down, decoded, cut or refitted, and written again."""
        import gguf
        import numpy as np

        if self.down is None:
            dense = gguf.quants.dequantize(stored, entry.tensor.tensor_type)
            if not np.isfinite(dense).all():
                raise CheckpointError(f"{entry.name} holds NaN or Inf; nothing was written")
            wanted = np.ascontiguousarray(dense[:, keep], dtype=np.float32)
        else:
            wanted = self.down[group].float().numpy()
        wanted = np.pad(wanted, ((0, 0), (0, self._missing(group))))
        with np.errstate(over="ignore"):  # it is refused below
            written = quantized(wanted, entry.kind)
        back = gguf.quants.dequantize(written, entry.kind)
        if not np.isfinite(back).all():
            raise CheckpointError(
                f"{entry.name} holds numbers too large for {entry.kind.name}, the type in which a "
                f"row of {wanted.shape[1]} is written; choose a width that is a multiple of "
                f"{block_size(entry.tensor.tensor_type)}"
            )
        self._errors.append((_squares(back - wanted), _squares(wanted)))
        return written


def _squares(numbers: NDArray[np.float32]) -> float:
    import numpy as np

    return float(np.square(numbers, dtype=np.float64).sum())
