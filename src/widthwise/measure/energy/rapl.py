"""Energy of the processors' packages and memory, from the kernel's power zones (RAPL).

The tree under `/sys/class/powercap` (AMD's processors have the same names as Intel's):

    intel-rapl:0      package-0   counted: cores, caches, memory controller, built-in graphics
    intel-rapl:0:0    core        not counted, it is in the package
    intel-rapl:0:1    uncore      not counted, it is in the package
    intel-rapl:0:2    dram        counted: it is not in the package
    intel-rapl:1      psys        not counted, the packages are in it
    intel-rapl-mmio:0 package-0   not counted, the same package by another way

Counters wrap: 2^32 units of 15 to 61 microjoules last minutes at full load. Two readings tell a
wrap from none, not from two, so readings may not be further apart than the shortest possible wrap.

Source: Linux Documentation/power/powercap; CVE-2020-8694 for why only root may read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from ...errors import RunError


@dataclass(frozen=True)
class Rapl:
    """Counters of one host.

    Attributes:
        counters: Their files, in microjoules.
        ranges_joules: Where each wraps, parallel to `counters`.
        scope: What is counted.
        longest_gap_sec: Between two readings, so that no counter wraps twice.
        read_text: Reads a file.
    """

    counters: tuple[Path, ...]
    ranges_joules: tuple[float, ...]
    scope: str
    longest_gap_sec: float
    read_text: Callable[[Path], str]
    source: ClassVar[Literal["rapl"]] = "rapl"
    is_counter = True

    def read(self) -> tuple[float, ...]:
        """Joules of each counter."""
        return tuple(int(self.read_text(file)) / 1e6 for file in self.counters)

    def joules(self, before: tuple[float, ...], after: tuple[float, ...], seconds: float) -> float:
        """Sum over counters between two readings; one that went back is taken to have wrapped."""
        return sum(
            new - old + (range_joules if new < old else 0.0)
            for old, new, range_joules in zip(before, after, self.ranges_joules, strict=True)
        )


def open_rapl(root: Path, read_text: Callable[[Path], str], max_watts: float) -> Rapl:
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
    names = {zone: _read(zone / "name", read_text) for zone in zones}
    counted = {zone: name for zone, name in names.items() if name.startswith(("package", "dram"))}
    readings = {zone: _read_joules(zone / "energy_uj", read_text) for zone in counted}
    live = [zone for zone, joules in readings.items() if joules > 0]  # 0 since boot: not wired up
    packages = sum(names[zone].startswith("package") for zone in live)
    if not packages:
        raise RunError(f"{root} has no package whose counter runs; the host may be a virtual one")
    ranges = [_read_joules(zone / "max_energy_range_uj", read_text) for zone in live]
    return Rapl(
        counters=tuple(zone / "energy_uj" for zone in live),
        ranges_joules=tuple(ranges),
        scope=_scope(packages, len(live) - packages),
        longest_gap_sec=min(ranges) / max_watts,
        read_text=read_text,
    )


def _scope(packages: int, drams: int) -> str:
    """What is counted, in words."""
    memory = f" and {drams} DRAM zone{'s' * (drams > 1)}" if drams else ", no DRAM,"
    return f"{packages} package{'s' * (packages > 1)}{memory} of the host, all processes"


def _read(file: Path, read_text: Callable[[Path], str]) -> str:
    try:
        return read_text(file).strip()
    except PermissionError as error:
        raise RunError(
            f"{file} may not be read: Linux keeps it for root, as it can leak secrets; "
            "run as root, or let root do: chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj"
        ) from error
    except OSError as error:
        raise RunError(f"{file} cannot be read: {error.strerror}") from error


def _read_joules(file: Path, read_text: Callable[[Path], str]) -> float:
    text = _read(file, read_text)
    if not text.isdecimal():
        raise RunError(f"{file} must hold microjoules; got {text!r}")
    return int(text) / 1e6
