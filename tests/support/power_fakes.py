"""A fake NVML, a fake powercap tree, and their bench: a clock that tests move by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from widthwise.measure.energy.meter import Energy, Environment, Meter, open_meter

START_SEC = 1000.0  # the clock at the start: meters were running long before


class Bench:
    """Time stands still but in `run`, where readings are taken when they are due."""

    def __init__(self) -> None:
        self.now_sec = START_SEC
        self.timers: list[tuple[Callable[[], None], float]] = []
        self.frozen = False  # True: the thread that reads does not get to run

    def clock(self) -> float:
        return self.now_sec

    def every(self, sample: Callable[[], None], interval_sec: float) -> Callable[[], None]:
        timer = (sample, interval_sec)
        self.timers.append(timer)
        return lambda: self.timers.remove(timer)

    def run(self, seconds: float) -> None:
        """Work, or rest, for so long."""
        begin_sec = self.now_sec
        for sample, interval_sec in self.timers:
            for number in range(1, 0 if self.frozen else math.floor(seconds / interval_sec) + 1):
                self.now_sec = begin_sec + number * interval_sec
                sample()
        self.now_sec = begin_sec + seconds

    def world(self, **more: Any) -> Environment:
        settings = {
            "clock": self.clock,
            "sleep": self.run,
            "every": self.every,
            "synchronize": lambda device: None,
            "uuid_of": lambda device: "GPU-b",
        }
        return Environment(**{**settings, **more})


@dataclass
class Load:
    """Power over time, `at_start + slope * (t - START_SEC)`, and its integral since the start."""

    at_start_watts: float
    slope_watts_per_sec: float = 0.0

    def watts(self, now_sec: float) -> float:
        return self.at_start_watts + self.slope_watts_per_sec * (now_sec - START_SEC)

    def joules(self, now_sec: float) -> float:
        t = now_sec - START_SEC
        return self.at_start_watts * t + self.slope_watts_per_sec * t * t / 2


class FakeError(Exception):
    """As pynvml's: made from a code, printed as its message."""

    MESSAGES: ClassVar[dict[int, str]] = {
        3: "Not Supported",
        4: "Insufficient Permissions",
        6: "Not Found",
        9: "Driver Not Loaded",
        15: "GPU is lost",
    }

    def __str__(self) -> str:
        return self.MESSAGES[self.args[0]]


@dataclass
class FakeNvml:
    """Two GPUs: `GPU-a`, at index 0, and `GPU-b`, at index 1, which bears the load.

    Attributes:
        counter, instant, power: The error code of each reading; 0 if it works.
        before_joules: Counted before the start; `resets_at_sec` sets the counter back to 0.
        update_sec: Time between two changes of the counter.
        lost_at_sec: When `GPU-b` falls off the bus.
    """

    bench: Bench
    load: Load
    counter: int = 0
    instant: int = 0
    power: int = 0
    init: int = 0
    before_joules: float = 5e6
    update_sec: float = 0.1
    lost_at_sec: float = math.inf
    resets_at_sec: float = math.inf
    handles: list[str] = field(default_factory=list)

    NVMLError = FakeError
    NVML_SUCCESS = 0
    NVML_FI_DEV_POWER_INSTANT = 186

    def nvmlInit(self) -> None:
        self._answer(self.init)

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        self._answer(0 if uuid in ("GPU-a", "GPU-b") else 6)
        self.handles.append(uuid)
        return uuid

    def nvmlDeviceGetIndex(self, handle: str) -> int:
        return ["GPU-a", "GPU-b"].index(handle)

    def nvmlDeviceGetName(self, handle: str) -> str:
        return "NVIDIA L4"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        self._answer(self.counter)
        # 1e-6: a reading that is due at an update comes after it, whatever the rounding
        now_sec = math.floor(self.bench.now_sec / self.update_sec + 1e-6) * self.update_sec
        joules = self.before_joules + self.load.joules(now_sec)
        if now_sec > self.resets_at_sec:
            joules = self.load.joules(now_sec) - self.load.joules(self.resets_at_sec)
        return round(joules * 1000)

    def nvmlDeviceGetFieldValues(self, handle: str, fields: list[int]) -> list[Any]:
        assert fields == [186]
        self._answer(0)
        value = SimpleNamespace(uiVal=round(self.load.watts(self.bench.now_sec) * 1000))
        return [SimpleNamespace(nvmlReturn=self.instant, value=value)]

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        self._answer(self.power)
        return round(self.load.watts(self.bench.now_sec) * 1000) + 7000  # to be told from instant

    def _answer(self, code: int) -> None:
        if self.bench.now_sec >= self.lost_at_sec:
            raise FakeError(15)
        if code:
            raise FakeError(code)


@dataclass
class Zone:
    """One zone of a `PowercapTree`, at constant power."""

    name: str
    watts: float
    start_joules: float = 1000.0
    range_joules: float = 262143.328850  # of Intel's 61 microjoule units


class PowercapTree:
    """Files as under /sys/class/powercap, whose counters follow the bench's clock when read."""

    def __init__(self, bench: Bench, root: Path, zones: dict[str, Zone]) -> None:
        self.bench, self.root, self.zones = bench, root, zones
        for folder, zone in zones.items():
            (root / folder).mkdir(parents=True)
            (root / folder / "name").write_text(f"{zone.name}\n")
            range_uj = round(zone.range_joules * 1e6)
            (root / folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
            self._write(folder)

    def read_text(self, file: Path) -> str:
        """Brings a counter up to date, then reads its file."""
        if file.name == "energy_uj" and file.exists():
            self._write(file.parent.name)
        return file.read_text()

    def _write(self, folder: str) -> None:
        zone = self.zones[folder]
        joules = zone.start_joules + zone.watts * (self.bench.now_sec - START_SEC)
        energy_uj = round(joules % zone.range_joules * 1e6)
        (self.root / folder / "energy_uj").write_text(f"{energy_uj}\n")


HOST = {  # a server with two sockets, and all that must not be counted twice
    "intel-rapl": Zone("intel-rapl", 0.0),
    "intel-rapl:0": Zone("package-0", 80.0),
    "intel-rapl:0:0": Zone("core", 40.0),
    "intel-rapl:0:1": Zone("dram", 7.0),
    "intel-rapl:1": Zone("package-1", 50.0),
    "intel-rapl:1:0": Zone("dram", 3.0),
    "intel-rapl:2": Zone("psys", 200.0),
    "intel-rapl-mmio:0": Zone("package-0", 80.0),
}


def gpu_meter(bench: Bench, load: Load, **faults: Any) -> Meter:
    nvml = FakeNvml(bench, load, **faults)
    meter = open_meter("cuda", world=bench.world(load_nvml=lambda: nvml))
    assert isinstance(meter, Meter)
    return meter


def cpu_world(bench: Bench, root: Path, zones: dict[str, Zone]) -> Environment:
    tree = PowercapTree(bench, root, zones)
    return bench.world(powercap=tree.root, read_text=tree.read_text)


def cpu_meter(bench: Bench, root: Path, zones: dict[str, Zone]) -> Meter:
    meter = open_meter("cpu", world=cpu_world(bench, root, zones))
    assert isinstance(meter, Meter)
    return meter


def work(meter: Meter, bench: Bench, seconds: float) -> Energy:
    with meter.window() as window:
        bench.run(seconds)
    return window.energy
