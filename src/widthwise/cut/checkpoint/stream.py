"""The tensors of a pruned checkpoint, a few megabytes at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...arch import Architecture, TensorCut
from ...errors import CheckpointError
from ...io import TORCH_DTYPES, TensorSpec, tensor_bytes
from ..tensor_cut import cut_group, cut_tensor, scaled_rows, zero_padded
from ..weights import CHUNK_BYTES, check_finite
from .reader import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Remainder:
    """What stays of a model, or of its draft layers.

    Attributes:
        architecture: Before the cut.
        keep: The neurons that stay, by groups.
        down: Weight of down_proj of each group, in place of the cut one; None to cut it.
        padded_to: Width of all groups, narrower ones padded with zeros; None to each its own.
        scales: Of the rows of tensors that are not cut, by their names.
    """

    architecture: Architecture
    keep: Sequence[Sequence[int]]
    down: Sequence[Tensor] | None = None
    padded_to: int | None = None
    scales: Mapping[str, Tensor] = field(default_factory=dict)

    def width(self, group: int) -> int:
        """Neurons of a group, padding included."""
        return self.padded_to or len(self.keep[group])

    def spec(self, name: str) -> TensorSpec:
        """Shape and dtype of what is left of a tensor."""
        cut = self.architecture.cuts.get(name)
        if cut is None:
            return self.architecture.tensors[name]
        return self.architecture.spec_at(name, self.width(cut.group))


class Stream:
    """Reads the parent's tensors once, cuts, checks and hashes them on the way.

    Args:
        checkpoint: The parent, opened.
        parts: What stays of it.
        digest: Function that is called with all bytes of the parent's tensors, in their order.
        progress: Function that is called with the bytes read since the last call.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        parts: Sequence[Remainder],
        digest: Callable[[memoryview], None],
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self._checkpoint = checkpoint
        self._parts = {name: part for part in parts for name in part.architecture.cuts}
        self._scales = {name: each for part in parts for name, each in part.scales.items()}
        self._digest = digest
        self._progress = progress

    def chunks(self, name: str, dtype: str) -> Iterator[Tensor]:
        """The data of one tensor of the result, in order.

        Raises:
            CheckpointError: It holds NaN or Inf, or a value too large for `dtype`.
        """
        import torch

        checkpoint = self._checkpoint
        source, part = checkpoint.tensors[name].spec, self._parts.get(name)
        cut = None if part is None else part.architecture.cuts[name]
        if part and cut and cut.stacked:
            yield from self._stacked_chunks(name, part, dtype)
            return
        keep = torch.tensor(part.keep[cut.group] if part and cut else ())
        rows = source.shape[0] if source.shape else 1
        step = max(1, CHUNK_BYTES * rows // max(1, source.nbytes))
        side = rows // cut.parts if cut and cut.axis == 0 else rows  # no chunk is of two parts
        for end in range(side, rows + 1, side):
            for start in range(end - side, end, step):
                stop = min(start + step, end)
                chunk = checkpoint.rows(name, start, stop)
                self._see(chunk, name)
                if part and cut:
                    chunk = _kept(chunk, part, cut, keep, start)
                if name in self._scales:
                    chunk = scaled_rows(chunk, self._scales[name][start:stop])
                yield _converted(chunk, dtype, name)
            if part and cut and cut.axis == 0:
                missing = part.width(cut.group) - len(part.keep[cut.group])
                for count in _portions(missing, step):
                    yield _converted(chunk.new_zeros((count, *source.shape[1:])), dtype, name)

    def _stacked_chunks(self, name: str, part: Remainder, dtype: str) -> Iterator[Tensor]:
        """The data of a tensor that holds all experts of a layer, one expert after the other."""
        architecture = part.architecture
        for index, group in enumerate(architecture.cuts[name].groups):
            chunk = self._checkpoint.rows(name, index, index + 1)
            self._see(chunk, name)
            down = None if part.down is None else part.down[group]
            left = cut_group(architecture, name, group, chunk[0], part.keep[group], down)
            yield _converted(left.contiguous(), dtype, name)

    def _see(self, chunk: Tensor, name: str) -> None:
        """Check and hash what was read."""
        check_finite(chunk, name)
        self._digest(tensor_bytes(chunk))
        if self._progress:
            self._progress(chunk.nbytes)


def _kept(chunk: Tensor, part: Remainder, cut: TensorCut, keep: Tensor, start: int) -> Tensor:
    """What stays of some rows, the first of which is row `start`; columns padded."""
    width = part.architecture.width_of(cut.group)
    if cut.axis == 0:
        inside = keep + start // width * width - start
        return chunk.index_select(0, inside[(inside >= 0) & (inside < len(chunk))])
    if part.down is not None:
        chunk = part.down[cut.group][start : start + len(chunk)]
    else:
        chunk = cut_tensor(chunk, cut, keep, width)
    return zero_padded(chunk, cut, part.width(cut.group))


def _portions(count: int, step: int) -> Iterator[int]:
    """At most `step` at a time."""
    for start in range(0, count, step):
        yield min(step, count - start)


class BackgroundWriter:
    """Calls a function on one block after the other in a separate thread.

    So hashing and writing run at the same time as reading and cutting. At most two blocks wait.
    They must not change until they are done, which they are when the `with` block has ended.
    """

    def __init__(self, function: Callable[[memoryview], object]) -> None:
        self._function = function
        self._worker = ThreadPoolExecutor(max_workers=1)
        self._waiting: deque[Future[object]] = deque()

    def __enter__(self) -> BackgroundWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._worker.shutdown()
        if kind is None:
            for future in self._waiting:
                future.result()

    def __call__(self, block: memoryview) -> None:
        """Add a block; raises what the function raised on an earlier one."""
        self._waiting.append(self._worker.submit(self._function, block))
        if len(self._waiting) > 2:
            self._waiting.popleft().result()


def _converted(chunk: Tensor, dtype: str, name: str) -> Tensor:
    import torch

    wanted = getattr(torch, TORCH_DTYPES[dtype])
    if chunk.dtype == wanted:
        return chunk
    converted = chunk.to(wanted)
    if not torch.isfinite(converted).all():
        raise CheckpointError(
            f"tensor {name} has values too large for {TORCH_DTYPES[dtype]}; choose another --dtype"
        )
    return converted
