"""Decoding of new tokens: each step called from Python, or replayed from a CUDA graph.

A small model on a GPU computes a step faster than Python can ask for it. A graph holds all that a
step asks of the device, and needs to be asked for once. It works on fixed addresses, so keys and
values are kept in a cache that does not grow (`fixed_cache`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ..errors import RunError
from ..evaluate.engine import cache_of, given
from ..io import out_of_memory
from .workloads import Workload

if TYPE_CHECKING:
    import torch

_WARM_UPS = 3  # calls before a capture, so that libraries have chosen their kernels and buffers

Decoding = Literal["called", "captured"]


class Decoder(Protocol):
    """Reads a batch of prompts and writes after them, the most probable token each time."""

    token: torch.Tensor

    def ready(self) -> None:
        """Forget the batch before."""

    def start(self, prompts: torch.Tensor) -> None:
        """Read prompts, shape (rows, length), and write `token`, shape (rows, 1)."""

    def step(self) -> None:
        """Write the next one."""


class EagerDecoder:
    """Each step is a call of the model; its cache grows by a token."""

    token: torch.Tensor

    def __init__(self, model: Any) -> None:
        self._model = model
        self._cache: Any = None

    def ready(self) -> None:
        self._cache = None

    def start(self, prompts: torch.Tensor) -> None:
        self._write(self._model(prompts, use_cache=True, logits_to_keep=1))

    def step(self) -> None:
        if self._cache is None:
            raise RunError(
                f"{self._model.config.model_type} keeps nothing of what it has read, so it has no "
                "step from one new token to the next; measure workloads of a single new token"
            )
        self._write(self._model(self.token, use_cache=True, **given(self._model, self._cache)))

    def _write(self, out: Any) -> None:
        self._cache = cache_of(out)
        self.token = out.logits[:, -1:].argmax(-1)


class StaticCacheDecoder:
    """Each step is a call of the model; its cache has its final size from the beginning.

    Every step attends to the whole cache behind a mask; a prompt attends to itself alone. The
    cache is made at once, so that lack of memory shows here, and not while time is taken.

    Args:
        model: On its device.
        rows: Rows of every batch.
        length: Tokens of the longest text, prompt and continuation.
    """

    def __init__(self, model: Any, rows: int, length: int) -> None:
        import torch

        from .static_cache import fixed_cache

        self._model = model
        self._cache: Any = fixed_cache(model.config, max(length, 1 + _WARM_UPS + 1))
        device = next(model.parameters()).device
        self.token = torch.zeros(rows, 1, dtype=torch.long, device=device)
        with torch.inference_mode():
            self._call(self.token)  # the cache takes its shapes from the first keys and values

    def ready(self) -> None:
        self._cache.reset()

    def start(self, prompts: torch.Tensor) -> None:
        self._call(prompts)

    def step(self) -> None:
        self._call(self.token)

    def _call(self, tokens: torch.Tensor) -> None:
        cache = given(self._model, self._cache)
        out = self._model(tokens, use_cache=True, logits_to_keep=1, **cache)
        self.token.copy_(out.logits[:, -1:].argmax(-1))


class CudaGraphDecoder(StaticCacheDecoder):
    """A step is captured once as a CUDA graph, then replayed; prompts are read by a call."""

    def __init__(self, model: Any, rows: int, length: int) -> None:
        super().__init__(model, rows, length)
        self._graph = cuda_graph(partial(StaticCacheDecoder.step, self), self.token.device)

    def step(self) -> None:
        self._graph.replay()


def cuda_graph(call: Callable[[], object], device: torch.device) -> torch.cuda.CUDAGraph:
    """All that a call asks of a CUDA device, to be replayed; the call is made a few times before.

    Each graph is captured on a stream of its own: graphs of one stream share the workspace of
    cuBLAS, which the first of them to go takes along. The stream is the former one again
    afterwards, also where the capture fails.

    Args:
        call: Works on the same tensors each time, which must live as long as the graph.
        device: Where they are.

    Raises:
        RuntimeError: Something in the call cannot be captured, or memory is out. It is the first
            error, not that of the capture's end, which fails for it and comes last.
    """
    try:
        return _captured(call, device)
    except RuntimeError as error:
        first = error.__context__
        if isinstance(first, RuntimeError):
            raise first from None
        raise


def _captured(call: Callable[[], object], device: torch.device) -> torch.cuda.CUDAGraph:
    import torch

    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode(), torch.cuda.device(device):
        side: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        current = torch.cuda.current_stream(device)
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                call()
            with torch.cuda.graph(graph, stream=side):
                call()
        current.wait_stream(side)
    return graph


class Decoders:
    """The decoders of a model on a workload, one for each number of rows, made when first needed.

    They hold the keys and values of a batch, which may be larger than the model.

    Attributes:
        decoding: The kind of decoding steps.
        reason: Why steps are called on a device that could replay them; None otherwise.
    """

    def __init__(self, model: Any, work: Workload) -> None:
        self._model = model
        self._work = work
        self._made: dict[int, Decoder] = {}
        on_cuda = next(model.parameters()).device.type == "cuda"
        self.reason = _capture_fault(model, work) if on_cuda else None
        self.decoding: Decoding = "captured" if on_cuda and self.reason is None else "called"

    def __call__(self, rows: int) -> Decoder:
        if rows not in self._made:
            self._made[rows] = self._make(rows)
        return self._made[rows]

    def make_all(self) -> None:
        """Make what the workload needs now, and not while something is measured."""
        for rows, _ in self._work.batches:
            self(rows)

    def release(self) -> None:
        """Let go of caches and graphs; they are made anew when they are needed."""
        self._made.clear()

    def _make(self, rows: int) -> Decoder:
        if self.decoding == "captured":
            try:
                return CudaGraphDecoder(self._model, rows, self._work.longest)
            except RuntimeError as error:
                if out_of_memory(error):
                    raise
                message = str(error).partition("\n")[0]
                self.decoding, self.reason = "called", f"a step cannot be captured: {message}"
                self.release()
        return EagerDecoder(self._model)


def _capture_fault(model: Any, work: Workload) -> str | None:
    """Why a step of this model must not be captured, or None."""
    from .static_cache import unsupported_reason

    if work.new_tokens == 1:
        return "a single new token needs no step"
    if "dynamic" in str(getattr(model.config.get_text_config(), "rope_parameters", None)):
        return "its rotations are chosen on the host, by the length of the text"
    return unsupported_reason(model.config)
