"""Joules that a device takes for a piece of work, from the best meter that it has, or why not.

| source | what is read | where it errs |
|---|---|---|
| `nvml_counter` | millijoules, added up by the GPU (Volta and newer) | one update at each end |
| `nvml_power` | watts, integrated by the trapezoid rule | between two readings |
| `rapl` | microjoules, added up by the processor | drawn from a model on some processors |

Whatever the source, it is read every `SAMPLE_SEC`, by a thread that sleeps in between. NVML renews
its counter about ten times a second, so a window of 5 s can just miss `MIN_UPDATES`: plan for 6.

A meter counts everything in its `scope`: all processes, not only this one. A number that cannot be
had is None with a reason, never 0, and a meter that breaks never breaks the work that it watches.

Source:
    NVML API reference (nvmlDeviceGetTotalEnergyConsumption, NVML_FI_DEV_POWER_INSTANT); Linux
    Documentation/power/powercap. Yang et al. (arXiv 2312.02741) on what NVML's power leaves out:
    some boards look at a quarter of the time, so `nvml_power` is a fallback.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import RunError
from ...io import run_periodically
from ..machine import synchronize
from .readers import Reader, Reading, Source, cuda_uuid, load_nvml, open_nvml, open_rapl

MIN_WINDOW_SEC = 5.0
MIN_UPDATES = 50  # a counter is up to one update old, so each end errs by less than 1/50
SAMPLE_SEC = 0.05  # half of NVML's 0.1 s: no update is missed
MAX_WATTS = 10_000.0  # more than any board takes, or all sockets of a host: beyond is a fault
_STALE_SEC = 0.1  # a counter may give this much time's energy at once

in_thread = partial(run_periodically, name="widthwise-energy")


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Clock, threads, drivers and files that a meter uses; tests replace them.

    Attributes:
        clock: Seconds that only go up.
        sleep: Waits so many seconds.
        every: `in_thread`, or another way to take readings.
        synchronize: Waits for a device, given its name.
        uuid_of: UUID of a CUDA device, as NVML writes it.
        load_nvml: Gives the module `pynvml`, or raises ImportError.
        powercap: Folder of the power zones.
        read_text: Reads a file in it.
    """

    clock: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], None] = time.sleep
    every: Callable[[Callable[[], None], float], Callable[[], None]] = in_thread
    synchronize: Callable[[str], None] = synchronize
    uuid_of: Callable[[str], str] = cuda_uuid
    load_nvml: Callable[[], Any] = load_nvml
    powercap: Path = Path("/sys/class/powercap")
    read_text: Callable[[Path], str] = Path.read_text


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Energy of one window.

    Attributes:
        gross_joules: All that the scope took; None if that is not known.
        net_joules: `gross_joules - idle_watts * seconds`; may be negative, which is the noise of
            the two. None if either is not known.
        idle_watts: Power at rest that was taken off; None if not known.
        seconds: From the first reading to the last.
        source: Where readings come from.
        scope: The devices and processes that are counted.
        updates: Times that the counter changed (of several counters, the one that changed least);
            for `nvml_power`, readings after the first.
        sample_sec: Time between two readings that was asked for.
        reason: Why gross, or else net, is missing; None if both are there.
    """

    gross_joules: float | None
    net_joules: float | None
    idle_watts: float | None
    seconds: float
    source: Source
    scope: str
    updates: int
    sample_sec: float
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class JoulesPerToken:
    """Joules per token, gross and with idle power taken off; None with a reason if not known."""

    gross: float | None
    net: float | None
    tokens: int
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Unavailable:
    """A device whose energy cannot be measured here, with the reason."""

    device: str
    reason: str


class EnergyWindow:
    """A window of `Meter.window`; its `energy` is known once it is closed."""

    _energy: Energy | None = None

    @property
    def energy(self) -> Energy:
        """Energy of the window.

        Raises:
            RunError: The window is still open.
        """
        if self._energy is None:
            raise RunError("energy must be read after its window is closed; got it inside `with`")
        return self._energy


class Meter:
    """Measures energy in windows; made by `open_meter`."""

    def __init__(self, reader: Reader, device: str, world: Environment) -> None:
        self.source, self.scope = reader.source, reader.scope
        self._reader, self._device, self._world = reader, device, world
        self._idle_watts: float | None = None
        self._idle_reason: str | None = "no idle power: it was not measured"

    @contextmanager
    def window(self) -> Iterator[EnergyWindow]:
        """Measure what is done inside `with`: the work only, without loading or warming up.

        The device is waited for at both ends. An exception of the work passes through; the thread
        that reads has ended by then. Nothing is raised for a meter's sake.
        """
        trace, window = _Trace(self._reader, self._world.clock), EnergyWindow()
        self._world.synchronize(self._device)
        trace.sample()
        stop = self._world.every(trace.sample, SAMPLE_SEC)
        try:
            yield window
            self._world.synchronize(self._device)
        finally:
            stop()
            trace.sample()
            window._energy = self._energy(trace)

    def idle(self, seconds: float = 10.0) -> float | None:
        """Watts of the device at rest; later windows subtract them, until measured again.

        Measure with the model loaded and the device warm, next to the windows: a loaded or warm
        board takes more at rest than an empty or cold one.

        Args:
            seconds: Length of the rest, at least `MIN_WINDOW_SEC`.

        Returns:
            Watts, or None if the rest could not be measured; then later windows have no net
            energy, and say why.

        Raises:
            RunError: `seconds` is too short.
        """
        if seconds < MIN_WINDOW_SEC:
            raise RunError(f"seconds of idle must be at least {MIN_WINDOW_SEC:g}; got {seconds:g}")
        with self.window() as window:
            self._world.sleep(seconds)
        rest = window.energy
        if rest.gross_joules is None:
            self._idle_watts, self._idle_reason = None, f"no idle power: {rest.reason}"
        else:
            self._idle_watts, self._idle_reason = rest.gross_joules / rest.seconds, None
        return self._idle_watts

    def _energy(self, trace: _Trace) -> Energy:
        gross, net, idle_watts = None, None, self._idle_watts
        reason = trace.reason or _too_little(trace.seconds, trace.updates)
        if reason is None:
            gross, reason = trace.joules, self._idle_reason
            net = None if idle_watts is None else gross - idle_watts * trace.seconds
        return Energy(
            gross_joules=gross,
            net_joules=net,
            idle_watts=idle_watts,
            seconds=trace.seconds,
            source=self.source,
            scope=self.scope,
            updates=trace.updates,
            sample_sec=SAMPLE_SEC,
            reason=reason,
        )


def open_meter(
    device: str, *, uuid: str | None = None, world: Environment | None = None
) -> Meter | Unavailable:
    """The best meter of a device: NVML's counter, else NVML's power, for a GPU; RAPL for a CPU.

    A meter of the GPU leaves the host out, and the other way round: `scope` says what is counted.

    Args:
        device: `"cpu"`, `"cuda"` (the current one) or `"cuda:n"`.
        uuid: UUID of the GPU, `GPU-...`; by default torch's. The number in `device` does
            not name a GPU to NVML, as CUDA_VISIBLE_DEVICES may renumber them.
        world: Stands in for clock, driver and files in tests.
    """
    world = world or Environment()
    try:
        if device == "cpu":
            reader = open_rapl(world.powercap, world.read_text, MAX_WATTS)
        elif device.split(":")[0] == "cuda":
            reader = open_nvml(world.load_nvml, uuid or world.uuid_of(device))
        else:
            raise RunError(f"energy can be measured on cpu and cuda; got {device}")
    except RunError as error:
        return Unavailable(device=device, reason=str(error))
    return Meter(reader, device, world)


def per_token(energy: Energy, tokens: int) -> JoulesPerToken:
    """Joules per token of a window.

    Args:
        energy: The energy of a window.
        tokens: Exactly those made within the window, at least 1: none of the warm-up, no padding.

    Raises:
        RunError: `tokens` is below 1.
    """
    if tokens < 1:
        raise RunError(f"tokens must be at least 1; got {tokens}")
    gross, net = energy.gross_joules, energy.net_joules
    return JoulesPerToken(
        gross=None if gross is None else gross / tokens,
        net=None if net is None else net / tokens,
        tokens=tokens,
        reason=energy.reason,
    )


class _Trace:
    """Readings of one window, added up as they come; the first fault ends them."""

    def __init__(self, reader: Reader, clock: Callable[[], float]) -> None:
        self._reader, self._clock = reader, clock
        self._start_sec: float | None = None
        self._last: tuple[float, Reading] | None = None
        self._updates: list[int] = []
        self.joules = self.seconds = 0.0
        self.reason: str | None = None

    @property
    def updates(self) -> int:
        return min(self._updates, default=0)

    def sample(self) -> None:
        """Take one reading. Never raises."""
        now_sec = self._clock()
        if self._start_sec is None:
            self._start_sec = now_sec
        self.seconds = now_sec - self._start_sec
        if self.reason is not None:
            return
        try:
            self._add(now_sec, self._reader.read())
        except Exception as error:  # of whatever kind: the work that is measured must go on
            self.reason = f"{self._reader.scope}: {error} ({self.seconds:.1f} s into the window)"

    def _add(self, now_sec: float, reading: Reading) -> None:
        if self._last is None:
            self._updates = [0] * len(reading)
        else:
            then_sec, before = self._last
            seconds = now_sec - then_sec
            if seconds > self._reader.longest_gap_sec:
                raise RunError(f"no reading for {seconds:.1f} s")
            joules = self._reader.joules(before, reading, seconds)
            if not 0 <= joules <= MAX_WATTS * (seconds + _STALE_SEC):
                change = f"a change of {joules:.0f} J within {seconds:.2f} s"
                raise RunError(f"{change}: the meter was reset or is broken")
            self.joules += joules
            for number, (old, new) in enumerate(zip(before, reading, strict=True)):
                self._updates[number] += new != old or not self._reader.is_counter
        self._last = now_sec, reading


def _too_little(seconds: float, updates: int) -> str | None:
    """Why a window is too short to be trusted, or None."""
    if seconds < MIN_WINDOW_SEC:
        return f"the window must last {MIN_WINDOW_SEC:g} s; got {seconds:.1f} s of work"
    if updates < MIN_UPDATES:
        return f"the meter must change {MIN_UPDATES} times in a window; got {updates}"
    return None
