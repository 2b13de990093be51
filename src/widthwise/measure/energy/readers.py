"""Readers of energy counters and of power: NVML's for a GPU, RAPL's for a host.

NVML stays open until the process ends. Its readings are of the whole board: other processes on the
GPU are counted, the host is not. A slice of a GPU (MIG) and many virtual GPUs have no meter.

RAPL is the kernel's tree under `/sys/class/powercap` (AMD's processors have the same names as
Intel's):

    intel-rapl:0      package-0   counted: cores, caches, memory controller, built-in graphics
    intel-rapl:0:0    core        not counted, it is in the package
    intel-rapl:0:1    uncore      not counted, it is in the package
    intel-rapl:0:2    dram        counted: it is not in the package
    intel-rapl:1      psys        not counted, the packages are in it
    intel-rapl-mmio:0 package-0   not counted, the same package by another way

Its counters wrap: 2^32 units of 15 to 61 microjoules last minutes at full load. Two readings tell a
wrap from none, not from two, so readings may not be further apart than the shortest possible wrap.

Source: Linux Documentation/power/powercap; CVE-2020-8694 for why only root may read.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ...errors import RunError

Source = Literal["nvml_counter", "nvml_power", "rapl"]
Reading = tuple[float, ...]

_POWER_GAP_SEC = 1.0  # twenty readings missed: the line between two would be a guess


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One source of readings.

    Attributes:
        source: Its kind.
        scope: The devices and processes that are counted.
        read: Joules of each counter, or watts, now.
        joules: Two readings and the seconds between them to the energy from one to the other;
            negative if a counter went back.
        longest_gap_sec: Readings further apart than this do not tell the energy between them.
    """

    source: Source
    scope: str
    read: Callable[[], Reading]
    joules: Callable[[Reading, Reading, float], float]
    longest_gap_sec: float

    @property
    def is_counter(self) -> bool:
        """Whether a reading that has not changed is an old one; power may well stay the same."""
        return self.source != "nvml_power"


def load_nvml() -> Any:
    """The module `pynvml`, of the package nvidia-ml-py."""
    return importlib.import_module("pynvml")


def cuda_uuid(device: str) -> str:
    """UUID of a CUDA device as NVML writes it, from torch.

    Raises:
        RunError: torch knows no such device.
    """
    import torch

    try:
        return f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    except (AssertionError, RuntimeError) as error:  # torch raises either, by what is missing
        raise RunError(f"torch does not open {device}: {error}") from error


def open_nvml(load: Callable[[], Any], uuid: str) -> Reader:
    """The best working reader of a GPU: its counter, else instantaneous power, else power.

    The counter holds joules since the driver was loaded, renewed about every 0.1 s. Power is that
    of `nvmlDeviceGetPowerUsage` at last, which is instantaneous up to the A100 and, on other Ampere
    and newer boards, the mean of the last second: then up to a second of work at each end is
    mistaken.

    Args:
        load: Gives the module `pynvml`, or raises ImportError.
        uuid: `GPU-...`.

    Raises:
        RunError: There is none: no bindings, no driver, no such GPU, or nothing that it tells.
    """
    try:
        nvml = load()
    except ImportError as error:
        raise RunError("pynvml is not installed; pip install 'widthwise[energy]'") from error
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise RunError(f"NVML does not start: {error}; is the NVIDIA driver loaded?") from error
    try:
        handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
        gpu = f"GPU {nvml.nvmlDeviceGetIndex(handle)} ({nvml.nvmlDeviceGetName(handle)})"
    except nvml.NVMLError as error:
        slice_ = "a slice of a GPU (MIG) has no meter of its own"
        raise RunError(f"NVML does not open {uuid}: {error}; {slice_}") from error
    reader = partial(Reader, scope=f"{gpu}, whole board, all processes")
    counter = partial(  # 64 bits of millijoules do not wrap
        reader, source="nvml_counter", joules=lambda a, b, _: b[0] - a[0], longest_gap_sec=math.inf
    )
    power = partial(
        reader,
        source="nvml_power",
        joules=lambda a, b, seconds: (a[0] + b[0]) / 2 * seconds,  # trapezoid
        longest_gap_sec=_POWER_GAP_SEC,
    )
    reasons = []
    for name, read, make in (
        ("energy counter", lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle), counter),
        ("instantaneous power", lambda: _instant_milliwatts(nvml, handle), power),
        ("power", lambda: nvml.nvmlDeviceGetPowerUsage(handle), power),
    ):
        try:
            if read() > 0:  # a GPU that is on has used, and uses, some
                return make(read=lambda read=read: (read() / 1000,))
            reasons.append(f"{name}: it reads 0")
        except (nvml.NVMLError, AttributeError) as error:  # bindings before 12 lack the field
            reasons.append(f"{name}: {error}")
    raise RunError(f"{gpu} tells neither energy nor power ({'; '.join(reasons)})")


def _instant_milliwatts(nvml: Any, handle: Any) -> float:
    field = nvml.nvmlDeviceGetFieldValues(handle, [nvml.NVML_FI_DEV_POWER_INSTANT])[0]
    if field.nvmlReturn != nvml.NVML_SUCCESS:
        raise nvml.NVMLError(field.nvmlReturn)
    return float(field.value.uiVal)


def open_rapl(root: Path, read_text: Callable[[Path], str], max_watts: float) -> Reader:
    """The counters under `root`.

    Args:
        root: `/sys/class/powercap`.
        read_text: Reads a file.
        max_watts: More than any zone takes; sets how often counters must be read.

    Raises:
        RunError: There are none, or they may not be read.
    """
    zones = sorted(root.glob("intel-rapl:*"))
    if not zones:
        raise RunError(
            f"{root} has no zone intel-rapl:0; virtual machines and containers mostly hide the "
            "processor's counters, and elsewhere the kernel module intel_rapl_msr may be missing"
        )
    names = {zone: _zone_text(zone / "name", read_text) for zone in zones}
    counted = [zone for zone, name in names.items() if name.startswith(("package", "dram"))]
    readings = {zone: _zone_joules(zone / "energy_uj", read_text) for zone in counted}
    live = [zone for zone, joules in readings.items() if joules > 0]  # 0 since boot: not wired up
    packages = sum(names[zone].startswith("package") for zone in live)
    if not packages:
        raise RunError(f"{root} has no package whose counter runs; the host may be a virtual one")
    ranges = [_zone_joules(zone / "max_energy_range_uj", read_text) for zone in live]
    drams = len(live) - packages
    memory = f" and {drams} DRAM zone{'s' * (drams > 1)}" if drams else ", no DRAM,"
    return Reader(
        source="rapl",
        scope=f"{packages} package{'s' * (packages > 1)}{memory} of the host, all processes",
        read=lambda: tuple(int(read_text(zone / "energy_uj")) / 1e6 for zone in live),
        joules=partial(_unwrapped, ranges),
        longest_gap_sec=min(ranges) / max_watts,
    )


def _unwrapped(ranges: list[float], before: Reading, after: Reading, seconds: float) -> float:
    """Sum over counters between two readings; one that went back is taken to have wrapped."""
    return sum(
        new - old + (range_joules if new < old else 0.0)
        for old, new, range_joules in zip(before, after, ranges, strict=True)
    )


def _zone_text(file: Path, read_text: Callable[[Path], str]) -> str:
    try:
        return read_text(file).strip()
    except PermissionError as error:
        raise RunError(
            f"{file} may not be read: Linux keeps it for root, as it can leak secrets; "
            "run as root, or let root do: chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
        ) from error
    except OSError as error:
        raise RunError(f"{file} cannot be read: {error.strerror}") from error


def _zone_joules(file: Path, read_text: Callable[[Path], str]) -> float:
    text = _zone_text(file, read_text)
    if not text.isdecimal():
        raise RunError(f"{file} must hold microjoules; got {text!r}")
    return int(text) / 1e6
