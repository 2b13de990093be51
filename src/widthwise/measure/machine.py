"""Waiting for the device, and the machine's memory, clocks, heat and load."""

from __future__ import annotations

import ctypes
import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..io import process_bytes

if TYPE_CHECKING:
    import torch
    from torch import nn

_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # Linux Documentation/filesystems/proc: resets VmHWM


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """State of the machine that may explain a slow round.

    Attributes:
        clock_mhz: Clock of the GPU's processors, or of the CPU; None where it is unknown.
        temperature_c: Its temperature; None where it is unknown.
        load: Processes that want a core, mean of the last minute; None where it is not kept.
        cores: Cores of this machine.
    """

    clock_mhz: float | None
    temperature_c: float | None
    load: float | None
    cores: int

    @property
    def is_busy(self) -> bool:
        """Whether more processes want a core than there are."""
        return self.load is not None and self.load > self.cores


@dataclass
class PeakMemory:
    """Working memory of a piece of work: the highest, less what was there before.

    Attributes:
        allocated_bytes: Memory that torch took on the device; None on a CPU, where it is uncounted.
        resident_bytes: Memory of the process on the host; None where the system does not tell.
    """

    allocated_bytes: int | None = None
    resident_bytes: int | None = None


def synchronize(device: torch.device | str) -> None:
    """Wait for the device, which on CUDA works behind the clock's back."""
    import torch

    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def calls_sec(
    call: Callable[[], object],
    count: int,
    device: torch.device | str,
    *,
    clock: Callable[[], float] = time.perf_counter,
    wait: Callable[[Any], None] = synchronize,
) -> float:
    """Seconds of so many calls, from the device at rest until it has done them all."""
    wait(device)
    start = clock()
    for _ in range(count):
        call()
    wait(device)
    return clock() - start


@contextmanager
def peak_of(device: torch.device) -> Iterator[PeakMemory]:
    """Measure the working memory of what is done inside; known once the context has ended.

    Freed memory is given back to the system first, or the peak would be that of earlier work.
    """
    import torch

    peak = PeakMemory()
    gc.collect()
    _trim()
    if device.type == "cuda":
        number = torch.ones(1, 1, device=device)
        torch.mm(number, number)  # from its first product on, cuBLAS keeps some 32 MB a stream
        del number
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        allocated = torch.cuda.memory_allocated(device)
    resident = _reset_resident()
    yield peak
    if device.type == "cuda":
        peak.allocated_bytes = torch.cuda.max_memory_allocated(device) - allocated
    if resident is not None:
        highest = process_bytes("VmHWM")
        peak.resident_bytes = None if highest is None else max(0, highest - resident)


def bring_in(model: nn.Module) -> None:
    """Have all weights of a model in memory: those mapped from a file come in when first read."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.device.type == "cpu":
            tensor.detach().sum()


def conditions(device: torch.device) -> Conditions:
    """Clock, heat and load now."""
    clock, heat = _gpu(device) if device.type == "cuda" else _cpu()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return Conditions(clock_mhz=clock, temperature_c=heat, load=load, cores=os.cpu_count() or 1)


def _gpu(device: torch.device) -> tuple[float | None, float | None]:
    """Torch asks NVML; without its bindings or its rights there is no answer."""
    import torch

    def ask(read: Callable[[torch.device], float]) -> float | None:
        try:
            return float(read(device))
        except Exception:  # of NVML's own kinds, which its bindings alone know: nothing to report
            return None

    return ask(torch.cuda.clock_rate), ask(torch.cuda.temperature)


def _cpu() -> tuple[float | None, float | None]:
    import psutil

    frequency = psutil.cpu_freq()
    sensors: Any = getattr(psutil, "sensors_temperatures", dict)()  # Linux only
    heats = [reading.current for readings in sensors.values() for reading in readings]
    return frequency.current if frequency else None, max(heats, default=None)


def _trim() -> None:
    """Have the C library give freed memory back, where it can."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def _reset_resident() -> int | None:
    """Bytes resident now, from which on the peak is counted anew; None where that cannot be."""
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:  # no Linux, or no right to: then there is no number
        return None
    return process_bytes("VmRSS")
