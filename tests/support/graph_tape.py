"""CUDA graphs on a CPU: what a call asks of torch is written down, and done again without Python.

A replay works on the very tensors of the capture, and what was a Python number then stays what it
was. That is what a graph does on a device, and what a step must be fit for. What cannot be captured
is refused: reading a tensor's value on the host, or sending one from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

_ON_THE_HOST = {"_local_scalar_dense", "nonzero", "equal", "is_nonzero", "lift_fresh"}


class Tape(TorchDispatchMode):
    """Stands in for `torch.cuda.CUDAGraph`."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Callable[..., Any], Any, Any, Any]] = []
        self.replays = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in _ON_THE_HOST:
            raise RuntimeError(f"{func} is not permitted when a stream is capturing")
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        return out

    def replay(self) -> None:
        self.replays += 1
        for func, args, kwargs, out in self.calls:
            again = func(*args, **kwargs)
            for old, new in zip(_tensors(out), _tensors(again), strict=True):
                if old.data_ptr() != new.data_ptr():  # neither in place nor a view
                    old.copy_(new)


def _tensors(out: Any) -> list[torch.Tensor]:
    return [t for t in (out if isinstance(out, (tuple, list)) else [out]) if torch.is_tensor(t)]


def install(monkeypatch: pytest.MonkeyPatch) -> list[Tape]:
    """Put tapes in the place of CUDA's graphs; they are listed as they are made."""
    made: list[Tape] = []
    capturing = False

    def graph() -> Tape:
        made.append(Tape())
        return made[-1]

    @contextmanager
    def capture(tape: Tape, stream: object) -> Iterator[None]:
        nonlocal capturing
        capturing = True
        try:
            with tape:
                yield
        finally:
            capturing = False

    stream = SimpleNamespace(wait_stream=lambda _: None)
    for name, fake in {
        "CUDAGraph": graph,
        "graph": capture,
        "Stream": lambda *_: stream,
        "current_stream": lambda *_: stream,
        "stream": lambda *_: nullcontext(),
        "device": lambda *_: nullcontext(),
        "is_available": lambda: True,
        "is_current_stream_capturing": lambda: capturing,
    }.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    return made
