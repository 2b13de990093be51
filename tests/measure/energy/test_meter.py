"""Energy: joules are the integral of power, and what is not known is None with a reason."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from power_fakes import (
    START_SEC,
    Bench,
    FakeError,
    FakeNvml,
    Load,
    gpu_meter,
    work,
)

from widthwise.errors import RunError
from widthwise.measure.energy.meter import (
    MIN_UPDATES,
    SAMPLE_SEC,
    Meter,
    Unavailable,
    in_thread,
    open_meter,
    per_token,
)

UPDATE_SEC = 0.1  # of the fake counter: each end of a window may miss so much


def test_counter_gives_the_integral_of_power(bench: Bench) -> None:
    load = Load(100.0, slope_watts_per_sec=11.0)
    meter = gpu_meter(bench, load)
    bench.run(0.37)  # the window opens between two updates
    energy = work(meter, bench, 7.0)
    truth = load.joules(START_SEC + 7.37) - load.joules(START_SEC + 0.37)
    # the counter is up to one update old at either end
    assert energy.gross_joules == pytest.approx(truth, abs=UPDATE_SEC * load.watts(bench.now_sec))
    assert (energy.source, energy.sample_sec) == ("nvml_counter", SAMPLE_SEC)
    assert energy.scope == "GPU 1 (NVIDIA L4), whole board, all processes"
    assert energy.seconds == pytest.approx(7.0, abs=1e-9)  # rounding of the clock
    assert energy.updates == 70


def test_power_is_integrated_where_there_is_no_counter(bench: Bench) -> None:
    load = Load(100.0, slope_watts_per_sec=11.0)
    energy = work(gpu_meter(bench, load, counter=3), bench, 6.01)
    truth = load.joules(START_SEC + 6.01)
    # the trapezoid rule is exact for a straight line, but for power rounded to milliwatts
    assert energy.gross_joules == pytest.approx(truth, abs=0.001 * 6.01)
    assert energy.source == "nvml_power"
    assert energy.updates == 121  # each 0.05 s, and the end


def test_power_usage_is_read_where_the_instant_field_is_not(bench: Bench) -> None:
    energy = work(gpu_meter(bench, Load(93.0), counter=3, instant=3), bench, 10.0)
    # a constant power, seven watts more in the fake's other reading; tolerance of rounding
    assert energy.gross_joules == pytest.approx(1000.0, abs=1e-6)
    assert energy.source == "nvml_power"


def test_a_counter_that_reads_zero_is_no_counter(bench: Bench) -> None:
    assert gpu_meter(bench, Load(0.0), power=0, before_joules=0.0).source == "nvml_power"


@pytest.mark.parametrize("counter", [0, 3], ids=["nvml_counter", "nvml_power"])
def test_twice_the_window_is_twice_the_energy(bench: Bench, counter: int) -> None:
    meter = gpu_meter(bench, Load(70.0), counter=counter)
    once, twice = work(meter, bench, 6.0), work(meter, bench, 12.0)
    assert once.gross_joules is not None
    # windows open on an update of the counter, so that only rounding is left
    assert twice.gross_joules == pytest.approx(2 * once.gross_joules, abs=0.01)


def test_net_is_gross_less_idle_power_times_seconds(bench: Bench) -> None:
    load = Load(30.0)
    meter = gpu_meter(bench, load, counter=3)
    assert meter.idle(6.0) == pytest.approx(30.0, rel=1e-9)  # rounding of the clock
    load.at_start_watts = 110.0
    energy = work(meter, bench, 8.0)
    # rounding of the clock, here and below
    assert energy.idle_watts == pytest.approx(30.0, rel=1e-9)
    assert energy.gross_joules == pytest.approx(110.0 * 8, rel=1e-9)
    assert energy.net_joules == pytest.approx((110.0 - 30.0) * 8, rel=1e-9)
    assert energy.reason is None


def test_net_may_be_negative(bench: Bench) -> None:
    load = Load(30.0)
    meter = gpu_meter(bench, load, counter=3)
    meter.idle(6.0)
    load.at_start_watts = 28.0
    assert work(meter, bench, 8.0).net_joules == pytest.approx(-2.0 * 8, rel=1e-9)  # as above


def test_net_needs_idle_power(bench: Bench) -> None:
    meter = gpu_meter(bench, Load(30.0))
    energy = work(meter, bench, 8.0)
    assert energy.gross_joules is not None
    assert (energy.net_joules, energy.idle_watts) == (None, None)
    assert energy.reason == "no idle power: it was not measured"


def test_idle_that_fails_takes_the_old_one_away(bench: Bench) -> None:
    load = Load(30.0)
    meter = gpu_meter(bench, load)
    assert meter.idle() is not None
    load.at_start_watts = 0.0  # the counter stands still
    assert meter.idle() is None
    load.at_start_watts = 30.0
    energy = work(meter, bench, 8.0)
    assert energy.gross_joules is not None
    assert (energy.net_joules, energy.idle_watts) == (None, None)
    assert energy.reason == "no idle power: the meter must change 50 times in a window; got 0"


def test_a_short_idle_is_refused(bench: Bench) -> None:
    meter = gpu_meter(bench, Load(30.0))
    with pytest.raises(RunError, match=r"seconds of idle must be at least 5; got 4\.9"):
        meter.idle(4.9)


def test_the_gpu_is_found_by_uuid(bench: Bench) -> None:
    """With CUDA_VISIBLE_DEVICES=1, NVML's GPU 1 is torch's cuda:0."""
    nvml = FakeNvml(bench, Load(100.0))
    world = bench.world(load_nvml=lambda: nvml, uuid_of={"cuda:0": "GPU-b"}.__getitem__)
    by_torch = open_meter("cuda:0", world=world)
    by_hand = open_meter("cuda:0", uuid="GPU-a", world=world)
    assert isinstance(by_torch, Meter)
    assert isinstance(by_hand, Meter)
    assert nvml.handles == ["GPU-b", "GPU-a"]
    assert by_torch.scope.startswith("GPU 1 ")
    assert by_hand.scope.startswith("GPU 0 ")


@pytest.mark.parametrize(
    ("faults", "uuid", "reason"),
    [
        (
            {"counter": 3, "instant": 3, "power": 4},
            "GPU-b",
            "GPU 1 (NVIDIA L4) tells neither energy nor power (energy counter: Not Supported; "
            "instantaneous power: Not Supported; power: Insufficient Permissions)",
        ),
        ({"init": 9}, "GPU-b", "NVML does not start: Driver Not Loaded; is the NVIDIA driver"),
        ({}, "GPU-c", "NVML does not open GPU-c: Not Found; a slice of a GPU (MIG) has no meter"),
    ],
)
def test_a_gpu_without_a_meter_is_unavailable(
    bench: Bench, faults: dict[str, int], uuid: str, reason: str
) -> None:
    nvml = FakeNvml(bench, Load(100.0), **faults)
    meter = open_meter("cuda", uuid=uuid, world=bench.world(load_nvml=lambda: nvml))
    assert isinstance(meter, Unavailable)
    assert meter.device == "cuda"
    assert meter.reason.startswith(reason)


def test_without_pynvml_a_gpu_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    reason = "pynvml is not installed; pip install 'widthwise[energy]'"
    assert open_meter("cuda", uuid="GPU-b") == Unavailable(device="cuda", reason=reason)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a torch that opens no GPU")
def test_without_cuda_a_gpu_is_unavailable() -> None:
    meter = open_meter("cuda")
    assert isinstance(meter, Unavailable)
    assert meter.reason.startswith("torch does not open cuda: ")


def test_other_devices_are_unavailable() -> None:
    reason = "energy can be measured on cpu and cuda; got mps"
    assert open_meter("mps") == Unavailable(device="mps", reason=reason)


def test_a_lost_gpu_ends_the_number_not_the_run(bench: Bench) -> None:
    energy = work(gpu_meter(bench, Load(100.0), lost_at_sec=START_SEC + 7.08), bench, 10.0)
    assert (energy.gross_joules, energy.net_joules) == (None, None)
    assert energy.reason == (
        "GPU 1 (NVIDIA L4), whole board, all processes: GPU is lost (7.1 s into the window)"
    )
    assert energy.seconds == pytest.approx(10.0, abs=1e-9)  # rounding of the clock


def test_a_gpu_that_is_lost_before_the_window_raises_nothing(bench: Bench) -> None:
    meter = gpu_meter(bench, Load(100.0), lost_at_sec=START_SEC + 1.0)
    bench.run(2.0)
    energy = work(meter, bench, 10.0)
    assert energy.gross_joules is None
    assert energy.updates == 0
    assert "GPU is lost (0.0 s into the window)" in str(energy.reason)


def test_a_short_window_gives_no_number(bench: Bench) -> None:
    energy = work(gpu_meter(bench, Load(100.0), counter=3), bench, 4.9)
    assert energy.gross_joules is None
    assert energy.updates > MIN_UPDATES
    assert energy.reason == "the window must last 5 s; got 4.9 s of work"


def test_a_slow_counter_gives_no_number(bench: Bench) -> None:
    meter = gpu_meter(bench, Load(100.0), update_sec=0.25)
    energy = work(meter, bench, 12.25)
    assert energy.gross_joules is None
    assert energy.reason == "the meter must change 50 times in a window; got 49"
    assert work(meter, bench, 12.5).gross_joules is not None


def test_a_counter_that_goes_back_gives_no_number(bench: Bench) -> None:
    energy = work(gpu_meter(bench, Load(100.0), resets_at_sec=START_SEC + 3.0), bench, 8.0)
    assert energy.gross_joules is None
    assert "a change of -5000290 J within 0.05 s: the meter was reset" in str(energy.reason)


def test_power_that_was_not_read_for_long_gives_no_number(bench: Bench) -> None:
    bench.frozen = True
    energy = work(gpu_meter(bench, Load(100.0), counter=3), bench, 8.0)
    assert energy.gross_joules is None
    assert "no reading for 8.0 s" in str(energy.reason)


def test_the_device_is_waited_for_before_both_ends(bench: Bench) -> None:
    """Work that is queued at an end takes a second more: it counts in the window that queued it."""
    load, waits = Load(100.0), []

    def synchronize(device: str) -> None:
        waits.append(device)
        bench.run(1.0)

    nvml = FakeNvml(bench, load, counter=3)
    world = bench.world(load_nvml=lambda: nvml, synchronize=synchronize)
    meter = open_meter("cuda:1", world=world)
    assert isinstance(meter, Meter)
    energy = work(meter, bench, 6.0)
    assert waits == ["cuda:1", "cuda:1"]
    assert energy.seconds == pytest.approx(7.0, abs=1e-9)  # rounding of the clock


def test_the_exception_of_the_work_passes_through(bench: Bench) -> None:
    meter = gpu_meter(bench, Load(100.0))

    def fails() -> None:
        with meter.window() as window:
            windows.append(window)
            bench.run(6.0)
            raise KeyError("the work's own")

    windows: list[Any] = []
    with pytest.raises(KeyError, match="the work's own"):
        fails()
    assert bench.timers == []
    assert windows[0].energy.gross_joules is not None


def test_the_last_reading_comes_after_the_thread_has_ended(bench: Bench) -> None:
    log: list[str] = []

    class Watched(FakeNvml):
        def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
            log.append("read")
            return super().nvmlDeviceGetTotalEnergyConsumption(handle)

    nvml = Watched(bench, Load(100.0))
    world = bench.world(load_nvml=lambda: nvml, every=lambda *_: lambda: log.append("end"))
    meter = open_meter("cuda", world=world)
    assert isinstance(meter, Meter)
    work(meter, bench, 6.0)
    assert log == ["read", "read", "end", "read"]  # the first is that of `open_meter`


def test_the_thread_ends_when_it_is_told_to() -> None:
    readings: list[str] = []
    came = threading.Event()

    def sample() -> None:
        readings.append(threading.current_thread().name)
        came.set()

    end = in_thread(sample, 0.001)
    came.wait()
    end()
    taken = len(readings)
    assert set(readings) == {"widthwise-energy"}
    assert "widthwise-energy" not in [thread.name for thread in threading.enumerate()]
    assert len(readings) == taken


def test_the_thread_ends_when_the_work_fails(bench: Bench) -> None:
    nvml = FakeNvml(bench, Load(100.0))
    world = bench.world(load_nvml=lambda: nvml, every=in_thread)
    meter = open_meter("cuda", world=world)
    assert isinstance(meter, Meter)
    names: list[str] = []

    def fails() -> None:
        with meter.window():
            names.extend(thread.name for thread in threading.enumerate())
            raise KeyError("the work's own")

    with pytest.raises(KeyError, match="the work's own"):
        fails()
    assert "widthwise-energy" in names
    assert "widthwise-energy" not in [thread.name for thread in threading.enumerate()]


def test_energy_of_an_open_window_is_refused(bench: Bench) -> None:
    with gpu_meter(bench, Load(100.0)).window() as window:
        with pytest.raises(RunError, match="energy must be read after its window is closed"):
            _ = window.energy


def test_joules_per_token_are_of_the_tokens_of_the_window(bench: Bench) -> None:
    load = Load(30.0)
    meter = gpu_meter(bench, load, counter=3)
    meter.idle(6.0)
    load.at_start_watts = 110.0
    cost = per_token(work(meter, bench, 8.0), tokens=44)
    assert cost.gross == pytest.approx(880 / 44, rel=1e-9)  # rounding of the clock
    assert cost.net == pytest.approx(640 / 44, rel=1e-9)
    assert (cost.tokens, cost.reason) == (44, None)


def test_joules_per_token_of_no_energy_are_none_with_the_reason(bench: Bench) -> None:
    cost = per_token(work(gpu_meter(bench, Load(30.0)), bench, 1.0), tokens=44)
    assert (cost.gross, cost.net) == (None, None)
    assert cost.reason == "the window must last 5 s; got 1.0 s of work"


def test_joules_per_no_token_are_refused(bench: Bench) -> None:
    energy = work(gpu_meter(bench, Load(30.0)), bench, 6.0)
    with pytest.raises(RunError, match="tokens must be at least 1; got 0"):
        per_token(energy, tokens=0)


def test_the_fake_has_the_names_of_the_real_nvml() -> None:
    pynvml = pytest.importorskip("pynvml", reason="needs nvidia-ml-py")
    for name in dir(FakeNvml):
        if name.startswith(("nvml", "NVML")):
            assert hasattr(pynvml, name), name
    assert pynvml.NVML_SUCCESS == 0
    assert pynvml.NVML_FI_DEV_POWER_INSTANT == FakeNvml.NVML_FI_DEV_POWER_INSTANT
    for code, message in FakeError.MESSAGES.items():
        assert str(pynvml.NVMLError(code)) == message


def test_without_a_driver_the_real_nvml_is_unavailable() -> None:
    pytest.importorskip("pynvml", reason="needs nvidia-ml-py")
    if Path("/dev/nvidiactl").exists():
        pytest.skip("needs a machine without the NVIDIA driver")
    meter = open_meter("cuda", uuid="GPU-b")
    assert isinstance(meter, Unavailable)
    assert meter.reason.startswith("NVML does not start: ")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_real_gpu_takes_more_under_load() -> None:
    pytest.importorskip("pynvml", reason="needs nvidia-ml-py")
    meter = open_meter("cuda")
    assert isinstance(meter, Meter), meter
    matrix = torch.rand(4096, 4096, device="cuda")
    idle_watts = meter.idle(8.0)
    with meter.window() as window:
        end = time.perf_counter() + 8
        while time.perf_counter() < end:
            matrix @ matrix
            torch.cuda.synchronize()
    energy = window.energy
    assert energy.gross_joules is not None, energy.reason
    assert energy.net_joules is not None
    assert idle_watts is not None
    assert 0 < idle_watts < energy.gross_joules / energy.seconds < 2000  # watts of one board
