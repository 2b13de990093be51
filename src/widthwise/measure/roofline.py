"""Distance of a measured time from the limit of the device, and which limit it is.

A device computes no faster than its best matrix product, and moves bytes no faster than its best
copy. Work of so many FLOPs and bytes (`widthwise.arch` counts them) therefore takes at least

    least_sec = max(flops / flops_per_sec, num_bytes / bytes_per_sec)

Both ceilings are measured, as those on a data sheet are out of reach. They hold for the dtype, the
number of threads and torch's settings (such as TF32) that they were measured with.

Source:
    Williams, Waterman, Patterson: Roofline (CACM 2009). There the axes are FLOPs a second and FLOPs
    a byte; here it is time, which is the same divided into the work.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import RunError
from ..io import free_bytes, out_of_memory
from .machine import calls_sec, synchronize

if TYPE_CHECKING:
    import torch

Bound = Literal["compute", "memory", "host"]

LEAST_REPEATS = 5
LEAST_ROUND_SEC = 0.05  # a clock read 1 us early or late, or one launch of 10 us, is then nothing
_MOST_CALLS = 2**18  # in a round: torch takes about 1 us for the least of calls
_DTYPES = ("bfloat16", "float16", "float32", "float64")
_SHARE = 0.5  # of free memory; the rest is left to libraries' workspaces and other processes


@dataclass(frozen=True, kw_only=True)
class PeakRates:
    """The most that a device was seen to do.

    Attributes:
        flops_per_sec: Rate of the best square matrix product; a multiply-add is 2 FLOPs.
        bytes_per_sec: Rate of the best copy of a large buffer, bytes read and bytes written both
            counted. What a processor reads only because it is about to overwrite it is not, so
            that work which mostly reads may come out a little faster.
        device: The device as asked for.
        dtype: Dtype of the matrices, as torch names it (`"bfloat16"`).
        name: The processor's name.
        threads: CPU threads with which both were measured; None on a GPU.
    """

    flops_per_sec: float
    bytes_per_sec: float
    device: str
    dtype: str
    name: str
    threads: int | None = None


@dataclass(frozen=True, kw_only=True)
class RooflinePoint:
    """A measured time beside the peak rates of its device."""

    least_sec: float  # no less time would do
    of_limit: float  # `least_sec` / the measured time; above 1 where less had to move
    bound: Bound  # the longest of compute, memory and host
    host_sec: float | None = None  # seconds that the host needs to ask for the work, if known


@dataclass(frozen=True, kw_only=True)
class MatmulTrial:
    """Settings of the measurement of peak rates; tests replace them.

    Attributes:
        matmul_sizes: Rows of the square matrices, ascending. Those that do not fit are left out,
            and those after the first whose product alone fills a round: they gain nothing.
        copy_bytes: The buffer that is copied; less where memory is short, never below
            `least_copy_bytes`. It should be far beyond the caches, which reach hundreds of MB on a
            server.
        least_copy_bytes: Several times the caches of a small computer.
        repeats: Rounds that count, of each size and of the copy; at least 5.
        clock: Seconds that only go up.
        synchronize: Waits for a device, given its name.
        free_bytes: Free memory of a device, given its name.
    """

    matmul_sizes: tuple[int, ...] = (512, 1024, 2048, 4096, 8192, 16384)
    copy_bytes: int = 2**30
    least_copy_bytes: int = 2**26
    repeats: int = LEAST_REPEATS
    clock: Callable[[], float] = time.perf_counter
    synchronize: Callable[[str], None] = synchronize
    free_bytes: Callable[[str], int] = free_bytes


def measure_peak_rates(
    device: str = "cpu", dtype: str = "float32", *, trial: MatmulTrial | None = None
) -> PeakRates:
    """The best matrix product and the best copy of a device; takes some seconds.

    Each is repeated until it fills a round of `LEAST_ROUND_SEC`, which also warms up; then the
    shortest of at least five rounds counts, as whatever else goes on can only make one longer.

    Args:
        device: `"cpu"`, `"cuda"` (the current one) or `"cuda:n"`.
        dtype: Dtype that the models compute in, as torch names it.
        trial: Sizes and clock.

    Raises:
        RunError: A device that is not there, a dtype that is not floating-point, too little free
            memory, or too few repeats.
    """
    import torch

    trial = trial or MatmulTrial()
    if dtype not in _DTYPES:
        raise RunError(f"dtype must be one of {', '.join(_DTYPES)}; got {dtype}")
    if not _is_there(device):
        raise RunError(f"device must be cpu, or cuda or cuda:n of this machine; got {device}")
    if trial.repeats < LEAST_REPEATS:
        raise RunError(f"repeats must be at least {LEAST_REPEATS}; got {trial.repeats}")
    kind: torch.dtype = getattr(torch, dtype)
    try:
        return PeakRates(
            flops_per_sec=_best_matmul(device, kind, trial),
            bytes_per_sec=_best_copy(device, kind, trial),
            device=device,
            dtype=dtype,
            name=_cpu_model() if device == "cpu" else torch.cuda.get_device_name(device),
            threads=torch.get_num_threads() if device == "cpu" else None,
        )
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RunError) or not out_of_memory(error):
            raise
        raise RunError(f"{device} ran out of memory while its ceilings were measured") from error


def roofline_point(
    flops: float,
    num_bytes: float,
    seconds: float,
    ceilings: PeakRates,
    host_sec: float | None = None,
) -> RooflinePoint:
    """The roofline point of work of so many FLOPs and bytes that took `seconds`.

    The rule of `bound`: of the time to compute, the time to move and the time to ask, the longest;
    of equals, the first. Far from the limit, a bound of compute or memory means kernels that are
    too small or of an ill shape for the device, or other work on a busy machine.

    Args:
        flops: FLOPs of the work, as in `widthwise.arch`.
        num_bytes: Bytes that it moves at least, read and written.
        seconds: Measured time; on a GPU until the work was done and not only asked for.
        ceilings: Peak rates of the device and dtype that it ran with.
        host_sec: Seconds that the host needs to ask for the work (`host_time`), or None.

    Raises:
        RunError: A negative or infinite number, or a time or a ceiling of 0.

    Example:
        >>> ceilings = PeakRates(
        ...     flops_per_sec=100e9, bytes_per_sec=10e9, device="cpu", dtype="float32", name="x"
        ... )
        >>> roofline_point(10e9, 2e9, 0.25, ceilings)  # 0.1 s to compute, 0.2 s to move
        RooflinePoint(least_sec=0.2, of_limit=0.8, bound='memory', host_sec=None)
    """
    rates = {name: getattr(ceilings, name) for name in ("flops_per_sec", "bytes_per_sec")}
    divisors = {"seconds": seconds, **rates}
    for name, number in {"flops": flops, "num_bytes": num_bytes, **divisors}.items():
        least = "above 0" if name in divisors else "at least 0"
        if not 0 <= number < math.inf or (number == 0 and name in divisors):
            raise RunError(f"{name} must be finite and {least}; got {number:g}")
    times: dict[Bound, float] = {"compute": flops / ceilings.flops_per_sec}
    times["memory"] = num_bytes / ceilings.bytes_per_sec
    least_sec = max(times.values())
    times["host"] = host_sec or 0.0
    bound = max(times, key=times.__getitem__)
    return RooflinePoint(
        least_sec=least_sec, of_limit=least_sec / seconds, bound=bound, host_sec=host_sec
    )


def _best_matmul(device: str, dtype: torch.dtype, trial: MatmulTrial) -> float:
    """FLOPs a second of the size that does best."""
    import torch

    best = 0.0
    generator = torch.Generator(device).manual_seed(0)
    for size in trial.matmul_sizes:
        if not _fits(3 * size * size * dtype.itemsize, device, trial):
            break
        # Random numbers: a GPU takes less power, and may run faster, on equal ones.
        factors = torch.randn(2, size, size, generator=generator, device=device, dtype=dtype)
        a, b = factors
        product = torch.empty_like(a)
        call_sec = _call_sec(partial(torch.mm, a, b, out=product), device, trial)
        best = max(best, 2 * size**3 / call_sec)
        if call_sec >= LEAST_ROUND_SEC:
            break
    if best == 0.0:
        smallest = min(trial.matmul_sizes)
        raise _too_little(f"three matrices of {smallest} x {smallest}", device, trial)
    return best


def _best_copy(device: str, dtype: torch.dtype, trial: MatmulTrial) -> float:
    """Bytes a second, read and written."""
    import torch

    numbers = trial.copy_bytes // dtype.itemsize
    while not _fits(2 * numbers * dtype.itemsize, device, trial):
        numbers //= 2
        if numbers * dtype.itemsize < trial.least_copy_bytes:
            raise _too_little(f"two buffers of {trial.least_copy_bytes:,} bytes", device, trial)
    # Written to, so that it lies in memory: pages of zeros are all one page, and stay in the cache.
    source = torch.ones(numbers, device=device, dtype=dtype)
    target = torch.empty_like(source)
    call_sec = _call_sec(lambda: target.copy_(source), device, trial)
    return 2 * numbers * dtype.itemsize / call_sec


def _call_sec(call: Callable[[], object], device: str, trial: MatmulTrial) -> float:
    """Seconds of one call, in the shortest of all rounds."""

    def round_sec() -> float:
        return calls_sec(call, calls, device, clock=trial.clock, wait=trial.synchronize)

    calls = 1
    call()  # the first one loads libraries and touches memory
    while round_sec() < LEAST_ROUND_SEC:
        calls *= 2
        if calls > _MOST_CALLS:
            raise RunError(f"the clock must go up; it stood still for {calls // 2:,} calls")
    best_sec = min(round_sec() for _ in range(trial.repeats))
    if best_sec <= 0:
        raise RunError("the clock must go up; it stood still for a round")
    return best_sec / calls


def _fits(nbytes: int, device: str, trial: MatmulTrial) -> bool:
    return nbytes <= _SHARE * trial.free_bytes(device)


def _too_little(what: str, device: str, trial: MatmulTrial) -> RunError:
    free = trial.free_bytes(device)
    return RunError(f"{what} must fit into half of {device}'s free memory; got {free:,} bytes free")


def _is_there(device: str) -> bool:
    import torch

    cuda = re.fullmatch(r"cuda(?::(\d+))?", device)
    return device == "cpu" or (cuda is not None and int(cuda[1] or 0) < torch.cuda.device_count())


def _cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name by Linux; elsewhere by Python."""
    import platform

    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), "") or platform.processor() or platform.machine()
