"""Roofline: ceilings are the best that a device does, and a time is placed under them."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from widthwise.errors import RunError
from widthwise.io import free_bytes
from widthwise.measure import PeakRates, measure_peak_rates, roofline_point
from widthwise.measure.roofline import LEAST_ROUND_SEC, MatmulTrial, _cpu_model

SMALL, MIDDLE, LARGE = 5, 7, 11  # rows of the matrices
COPY_BYTES = 13 * 4


@dataclass
class FakeDevice:
    """Works behind the clock's back: time passes when it is waited for.

    The first work of a kind takes a second more. `disturbed` tells which of the waits are for work
    that takes three times as long.
    """

    flops_per_sec: dict[int, float]
    bytes_per_sec: float = 1e3
    disturbed: Any = lambda wait: False
    now_sec: float = 100.0
    pending_sec: float = 0.0
    waits: int = 0
    clock_reads: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    copied: list[int] = field(default_factory=list)

    def mm(self, a: torch.Tensor, b: torch.Tensor, *, out: torch.Tensor) -> torch.Tensor:
        rows = len(a)
        assert a.shape == b.shape == out.shape == (rows, rows)
        assert len(a.unique()) > rows
        assert not torch.equal(a, b)
        self._work(2 * rows**3 / self.flops_per_sec[rows], rows, self.sizes)
        return out

    def copy(self, target: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        assert bool((source == 1).all())  # was written to
        assert source.data_ptr() != target.data_ptr()
        self._work(2 * source.nbytes / self.bytes_per_sec, source.nbytes, self.copied)
        return target

    def _work(self, seconds: float, kind: int, seen: list[int]) -> None:
        self.pending_sec += seconds + (kind not in seen)
        seen.append(kind)

    def synchronize(self, device: str) -> None:
        assert device == "cpu"
        self.waits += 1
        self.now_sec += self.pending_sec * (3 if self.disturbed(self.waits) else 1)
        self.pending_sec = 0.0

    def clock(self) -> float:
        self.clock_reads.append(self.now_sec)
        return self.now_sec

    def trial(self, **changes: Any) -> MatmulTrial:
        settings = {
            "matmul_sizes": (SMALL, MIDDLE, LARGE),
            "copy_bytes": COPY_BYTES,
            "least_copy_bytes": 4,
            "clock": self.clock,
            "synchronize": self.synchronize,
            "free_bytes": lambda device: 10**6,
        }
        return MatmulTrial(**{**settings, **changes})


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeDevice:
    device = FakeDevice({SMALL: 3e4, MIDDLE: 5e4, LARGE: 4e4})
    monkeypatch.setattr(torch, "mm", device.mm)
    monkeypatch.setattr(torch.Tensor, "copy_", lambda target, source: device.copy(target, source))
    return device


def ceilings_of(fake: FakeDevice, **changes: Any) -> PeakRates:
    return measure_peak_rates("cpu", "float32", trial=fake.trial(**changes))


ROUNDING = 1e-9  # of a clock that reads 100 s and differences of 0.05 s, and of sums


def test_ceilings_are_the_best_matmul_and_the_copy(fake: FakeDevice) -> None:
    ceilings = ceilings_of(fake)
    assert ceilings.flops_per_sec == pytest.approx(5e4, rel=ROUNDING)
    # as many bytes are written as are read
    assert ceilings.bytes_per_sec == pytest.approx(1e3, rel=ROUNDING)
    assert set(fake.sizes) == {SMALL, MIDDLE, LARGE}
    assert set(fake.copied) == {COPY_BYTES}


def test_the_shortest_round_counts(fake: FakeDevice) -> None:
    """Each second round is disturbed; a round is waited for at both ends."""
    fake.disturbed = lambda wait: wait % 4 == 0
    ceilings = ceilings_of(fake)
    assert ceilings.flops_per_sec == pytest.approx(5e4, rel=ROUNDING)
    assert ceilings.bytes_per_sec == pytest.approx(1e3, rel=ROUNDING)


def test_rounds_are_long_enough_for_the_clock_and_none_is_a_first_call(fake: FakeDevice) -> None:
    fake.flops_per_sec = dict.fromkeys((SMALL, MIDDLE, LARGE), 1e6)
    ceilings_of(fake, repeats=9)
    starts, ends = fake.clock_reads[::2], fake.clock_reads[1::2]
    rounds = [end - start for start, end in zip(starts, ends, strict=True)]
    long = [seconds for seconds in rounds if seconds >= LEAST_ROUND_SEC * (1 - ROUNDING)]
    # nine that count, and the last that looked for how many calls fill a round
    assert len(long) == (3 + 1) * (9 + 1)
    assert max(rounds) < 1.0
    assert min(long) < 2 * LEAST_ROUND_SEC * (1 + ROUNDING)


def test_no_larger_matrices_once_one_product_fills_a_round(fake: FakeDevice) -> None:
    fake.flops_per_sec[MIDDLE] = 2 * MIDDLE**3 / LEAST_ROUND_SEC / 1.01
    ceilings = ceilings_of(fake)
    assert set(fake.sizes) == {SMALL, MIDDLE}
    assert ceilings.flops_per_sec == pytest.approx(3e4, rel=ROUNDING)


def test_what_does_not_fit_into_half_of_the_free_memory_is_left_out(fake: FakeDevice) -> None:
    needed = 2 * 3 * MIDDLE**2 * 4
    ceilings_of(fake, free_bytes=lambda device: needed)
    assert set(fake.sizes) == {SMALL, MIDDLE}
    fake.sizes.clear()
    ceilings_of(fake, free_bytes=lambda device: needed - 1)
    assert set(fake.sizes) == {SMALL}


def test_a_smaller_buffer_is_copied_where_memory_is_short(fake: FakeDevice) -> None:
    fake.flops_per_sec[2] = 1e3
    for free, copied in ((640, 160), (639, 80), (319, 40)):  # two buffers in half of the memory
        fake.copied.clear()
        ceilings = ceilings_of(
            fake, matmul_sizes=(2,), copy_bytes=160, free_bytes=lambda _, free=free: free
        )
        assert set(fake.copied) == {copied}
        assert ceilings.bytes_per_sec == pytest.approx(1e3, rel=ROUNDING)


def test_too_little_memory_is_a_clean_error(fake: FakeDevice) -> None:
    message = r"three matrices of 5 x 5 must fit into half of cpu's free memory; got 599 bytes"
    with pytest.raises(RunError, match=message):
        ceilings_of(fake, free_bytes=lambda device: 2 * 3 * SMALL**2 * 4 - 1)
    message = r"two buffers of 1,000 bytes must fit into half of cpu's free memory; got 3,999 bytes"
    with pytest.raises(RunError, match=message):
        ceilings_of(
            fake, copy_bytes=2000, least_copy_bytes=1000, free_bytes=lambda device: 4 * 1000 - 1
        )


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1"),
        MemoryError(),
    ],
)
def test_running_out_of_memory_is_a_clean_error(
    error: Exception, fake: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(torch, "mm", fail)
    with pytest.raises(RunError, match="cpu ran out of memory while its ceilings were measured"):
        ceilings_of(fake)


def test_other_faults_pass_through(fake: FakeDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("unspecified launch failure")

    monkeypatch.setattr(torch, "mm", fail)
    with pytest.raises(RuntimeError, match=r"^unspecified launch failure$"):
        ceilings_of(fake)


def test_a_clock_that_stands_still_is_a_clean_error(
    fake: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("widthwise.measure.roofline._MOST_CALLS", 8)
    with pytest.raises(RunError, match="clock must go up; it stood still for 8 calls"):
        ceilings_of(fake, clock=lambda: 1.0)
    reads = iter([0.0, 1.0])  # one round, and then no more
    with pytest.raises(RunError, match="clock must go up; it stood still for a round"):
        ceilings_of(fake, clock=lambda: next(reads, 1.0))


@pytest.mark.parametrize(
    ("device", "dtype", "repeats", "message"),
    [
        ("tpu", "float32", 5, "device must be cpu, or cuda or cuda:n of this machine; got tpu"),
        ("cpu:x", "float32", 5, "device must be .*; got cpu:x"),
        ("cuda:99", "float32", 5, "device must be .*; got cuda:99"),
        ("cuda:", "float32", 5, "device must be .*; got cuda:"),
        ("cpu", "int8", 5, "dtype must be one of bfloat16, .*; got int8"),
        ("cpu", "BF16", 5, "dtype must be one of bfloat16, .*; got BF16"),
        ("cpu", "float32", 4, "repeats must be at least 5; got 4"),
    ],
)
def test_settings_out_of_range_are_named(
    device: str, dtype: str, repeats: int, message: str
) -> None:
    with pytest.raises(RunError, match=message):
        measure_peak_rates(device, dtype, trial=MatmulTrial(repeats=repeats))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_ceilings_of_this_machine(dtype: str) -> None:
    sizes = MatmulTrial(matmul_sizes=(64,), copy_bytes=2**20)
    ceilings = measure_peak_rates("cpu", dtype, trial=sizes)
    # any processor of the last decades, and none of the next
    assert 1e6 < ceilings.flops_per_sec < 1e16
    assert 1e6 < ceilings.bytes_per_sec < 1e14
    assert (ceilings.device, ceilings.dtype) == ("cpu", dtype)
    assert ceilings.threads == torch.get_num_threads()
    assert len(ceilings.name) > 1


def test_free_memory_is_some_of_the_machines() -> None:
    import psutil

    assert 0 < free_bytes("cpu") < psutil.virtual_memory().total


def test_the_processor_has_a_name_without_linux_too(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor : 0\nmodel name\t: Chip 3: fast\nprocessor : 1\nmodel name : Chip\n")
    assert _cpu_model(file) == "Chip 3: fast"
    assert _cpu_model(tmp_path / "none") != ""


CEILINGS = PeakRates(
    flops_per_sec=2.0**40, bytes_per_sec=2.0**30, device="cpu", dtype="float32", name="x"
)
FLOPS, BYTES = 2.0**40, 2.0**30  # one second of each; powers of two divide without rounding


def test_the_longer_of_two_times_is_the_least() -> None:
    more_to_compute = roofline_point(3 * FLOPS, 2 * BYTES, 4.0, CEILINGS)
    assert (more_to_compute.least_sec, more_to_compute.of_limit) == (3.0, 0.75)
    assert more_to_compute.bound == "compute"
    more_to_move = roofline_point(2 * FLOPS, 3 * BYTES, 4.0, CEILINGS)
    assert (more_to_move.least_sec, more_to_move.of_limit) == (3.0, 0.75)
    assert more_to_move.bound == "memory"


def test_where_both_ask_for_the_same_it_is_compute() -> None:
    assert roofline_point(FLOPS, BYTES, 1.0, CEILINGS).bound == "compute"
    assert (
        roofline_point(FLOPS, BYTES * (1 + sys.float_info.epsilon), 1.0, CEILINGS).bound == "memory"
    )


@pytest.mark.parametrize(("flops", "num_bytes"), [(FLOPS, 0), (0, BYTES), (FLOPS, BYTES)])
def test_it_is_the_host_that_asks_for_more_than_both(flops: float, num_bytes: float) -> None:
    """However long the work took: a slow kernel is no fault of the host."""
    device = "compute" if flops else "memory"
    for seconds in (1.5, 100.0):
        assert roofline_point(flops, num_bytes, seconds, CEILINGS, 1.0).bound == device
        more = roofline_point(flops, num_bytes, seconds, CEILINGS, 1 + sys.float_info.epsilon)
        assert (more.bound, more.least_sec) == ("host", 1.0)
        unknown = roofline_point(flops, num_bytes, seconds, CEILINGS)
        assert (unknown.bound, unknown.host_sec) == (device, None)


def test_a_time_below_the_least_is_not_clipped() -> None:
    placed = roofline_point(0, 5 * BYTES, 4.0, CEILINGS)
    assert (placed.of_limit, placed.bound) == (1.25, "memory")


def test_time_without_work_is_the_hosts() -> None:
    placed = roofline_point(0, 0, 1.0, CEILINGS, 0.5)
    assert (placed.least_sec, placed.of_limit, placed.bound) == (0.0, 0.0, "host")


@pytest.mark.parametrize("bad", [-1.0, float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["flops", "num_bytes", "seconds"])
def test_numbers_out_of_range_are_named(name: str, bad: float) -> None:
    work = {"flops": FLOPS, "num_bytes": BYTES, "seconds": 1.0, name: bad}
    with pytest.raises(RunError, match=f"{name} must be finite and .* 0; got {bad:g}"):
        roofline_point(**work, ceilings=CEILINGS)


def test_what_is_divided_by_must_be_above_zero() -> None:
    with pytest.raises(RunError, match="seconds must be finite and above 0; got 0"):
        roofline_point(FLOPS, BYTES, 0.0, CEILINGS)
    for name in ("flops_per_sec", "bytes_per_sec"):
        with pytest.raises(RunError, match=f"{name} must be finite and above 0; got 0"):
            roofline_point(FLOPS, BYTES, 1.0, replace(CEILINGS, **{name: 0.0}))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_ceilings_on_cuda() -> None:
    ceilings = measure_peak_rates("cuda", "bfloat16")
    # a GPU computes much more than it moves: at least 10 FLOPs a byte
    assert ceilings.flops_per_sec > 10 * ceilings.bytes_per_sec > 1e11
    assert ceilings.name == torch.cuda.get_device_name()
