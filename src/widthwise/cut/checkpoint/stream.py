"""The tensors of a pruned checkpoint, a few megabytes at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from ...arch import TensorCut
from ...errors import CheckpointError
from ...io import TORCH_DTYPES, tensor_bytes
from ..plan import Plan
from ..tensor_cut import cut_group, cut_tensor, zero_padded
from ..weights import CHUNK_BYTES, check_finite
from .reader import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor


class Stream:
    """Reads the parent's tensors once, cuts, checks and hashes them on the way.

    Args:
        checkpoint: The parent, opened.
        plan: Which neurons stay.
        digest: Function that is called with all bytes of the parent's tensors, in their order.
        progress: Function that is called with the bytes read since the last call.
        down: Weight of down_proj of each layer, in place of the cut one.
        padded_to: Width of all layers, narrower ones padded with zeros; None to each its own.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        plan: Plan,
        digest: Callable[[memoryview], None],
        progress: Callable[[int], None] | None = None,
        down: Sequence[Tensor] | None = None,
        padded_to: int | None = None,
    ) -> None:
        self._checkpoint = checkpoint
        self._plan = plan
        self._digest = digest
        self._progress = progress
        self._down = down
        self._padded_to = padded_to

    def chunks(self, name: str, dtype: str) -> Iterator[Tensor]:
        """The data of one tensor of the result, in order.

        Raises:
            CheckpointError: It holds NaN or Inf, or a value too large for `dtype`.
        """
        checkpoint = self._checkpoint
        source, cut = checkpoint.tensors[name].spec, checkpoint.architecture.cuts.get(name)
        if cut and cut.stacked:
            yield from self._stacked_chunks(name, cut, dtype)
            return
        rows = source.shape[0] if source.shape else 1
        step = max(1, CHUNK_BYTES * rows // max(1, source.nbytes))
        part = rows // cut.parts if cut and cut.axis == 0 else rows  # no chunk is of two parts
        for end in range(part, rows + 1, part):
            for start in range(end - part, end, step):
                stop = min(start + step, end)
                chunk = checkpoint.rows(name, start, stop)
                self._see(chunk, name)
                if cut:
                    chunk = self._kept(chunk, name, cut, start)
                yield _converted(chunk, dtype, name)
            if cut and cut.axis == 0:
                for count in _portions(self._missing(cut), step):
                    yield _converted(chunk.new_zeros((count, *source.shape[1:])), dtype, name)

    def _stacked_chunks(self, name: str, cut: TensorCut, dtype: str) -> Iterator[Tensor]:
        """The data of a tensor that holds all experts of a layer, one expert after the other."""
        architecture = self._checkpoint.architecture
        for index, group in enumerate(cut.groups):
            chunk = self._checkpoint.rows(name, index, index + 1)
            self._see(chunk, name)
            down = None if self._down is None else self._down[group]
            keep = self._plan.keep[group]
            part = cut_group(architecture, name, group, chunk[0], keep, down)
            yield _converted(part.contiguous(), dtype, name)

    def _see(self, chunk: Tensor, name: str) -> None:
        """Check and hash what was read."""
        check_finite(chunk, name)
        self._digest(tensor_bytes(chunk))
        if self._progress:
            self._progress(chunk.nbytes)

    def _kept(self, chunk: Tensor, name: str, cut: TensorCut, start: int) -> Tensor:
        """What stays of some rows, the first of which is row `start`; columns padded."""
        import torch

        width = self._checkpoint.architecture.width_of(cut.group)
        keep = torch.tensor(self._plan.keep[cut.group])
        if cut.axis == 0:
            inside = keep + start // width * width - start
            return chunk.index_select(0, inside[(inside >= 0) & (inside < len(chunk))])
        if self._down is not None:
            chunk = self._down[cut.group][start : start + len(chunk)]
        else:
            chunk = cut_tensor(chunk, cut, keep, width)
        return zero_padded(chunk, cut, self._width(cut))

    def _missing(self, cut: TensorCut) -> int:
        """Neurons of zeros that a layer is padded with."""
        return self._width(cut) - self._plan.widths[cut.group]

    def _width(self, cut: TensorCut) -> int:
        """Neurons of a group in the result, padding included."""
        return self._padded_to or self._plan.widths[cut.group]


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
