"""Free memory, a limit on what a process takes of it, and the errors of its lack."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from .background import run_periodically

_SHARE = 0.9  # of free memory; the rest is for page tables, and for others
_EVERY_SEC = 0.25  # looks at free memory
_is_bounded: ContextVar[bool] = ContextVar("bounded", default=False)
_STATUS = Path("/proc/self/status")
_CGROUPS = Path("/sys/fs/cgroup")
_NO_MEMORY = (  # words of errors that are no OutOfMemoryError: of the CPU, and of parts of CUDA
    "can't allocate memory",
    "not enough memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def out_of_memory(error: Exception) -> bool:
    """Whether an allocation failed, in words since CPU allocations raise a plain RuntimeError."""
    torch = sys.modules.get("torch")  # where it was not loaded, the error is not one of its own
    kinds = (MemoryError,) if torch is None else (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or any(words in str(error) for words in _NO_MEMORY)


def free_bytes(device: str) -> int:
    """Memory that can be had on a device now; of the host, within what a container may take."""
    if device == "cpu":
        import psutil

        return min([int(psutil.virtual_memory().available), *_free_in_cgroups(_CGROUPS)])
    import torch

    return int(torch.cuda.mem_get_info(device)[0])


@contextmanager
def limited_memory(device: str) -> Iterator[None]:
    """On a CPU, let an allocation fail that free memory does not hold, while open.

    Linux grants it, and kills the process once it is used. Elsewhere, on other devices, and within
    another that is open in the same thread, this does nothing.
    """
    if device != "cpu" or process_bytes("RssAnon") is None or _is_bounded.get():
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    others = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]

    def bound() -> None:
        """All that is mapped may come to be used; others' memory comes and goes meanwhile."""
        most = (process_bytes("RssAnon") or 0) + int(_SHARE * free_bytes("cpu"))
        resource.setrlimit(resource.RLIMIT_DATA, (min([most, *others]), hard))

    # Before the bound: a thread that cannot be given memory to start is waited for without end.
    end = run_periodically(bound, _EVERY_SEC, name="widthwise-memory")
    bound()
    outside = _is_bounded.set(True)
    try:
        yield
    finally:
        _is_bounded.reset(outside)
        end()
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def process_bytes(field: str) -> int | None:
    """A size from this process's status (`VmRSS`, `VmHWM`, `RssAnon`); None but on Linux."""
    if not _STATUS.exists():
        return None
    for line in _STATUS.read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return None


def _free_in_cgroups(root: Path, own: Path = Path("/proc/self/cgroup")) -> list[int]:
    """Rest of the limit of each control group of this process (versions 1 and 2 of cgroups).

    A group counts files that it has read and that can be dropped; those are free.
    """
    free = []
    for line in own.read_text().splitlines() if own.exists() else []:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        base = root / controllers
        v1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        names = v1 if controllers else ("memory.max", "memory.current", "inactive_file")
        folder = base / path.strip("/")
        for group in (folder, *folder.parents):
            if group.is_relative_to(base):
                free += _left(group, *names)
    return free


def _left(group: Path, limit: str, used: str, droppable: str) -> list[int]:
    try:
        most, in_use = (group / limit).read_text().strip(), int((group / used).read_text())
        stat = (group / "memory.stat").read_text().split()
    except OSError:  # the root has no limit, and a namespace hides those above it
        return []
    files = int(stat[stat.index(droppable) + 1]) if droppable in stat else 0
    return [max(0, int(most) - in_use + files)] if most.isdecimal() else []
