"""Energy of a host: packages and memory once, through wraps, resets and what may not be read."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import pytest
from power_fakes import (
    HOST,
    Bench,
    PowercapTree,
    Zone,
    cpu_meter,
    cpu_world,
    work,
)

from widthwise.measure.energy.meter import Unavailable, open_meter

UPDATE_SEC = 0.1  # of the fake counter: each end of a window may miss so much


def test_packages_and_dram_are_counted_once(bench: Bench, tmp_path: Path) -> None:
    meter = cpu_meter(bench, tmp_path, HOST)
    energy = work(meter, bench, 9.0)
    # 80 + 50 W of packages, 7 + 3 W of memory; counters are rounded to microjoules
    assert energy.gross_joules == pytest.approx((80 + 50 + 7 + 3) * 9.0, abs=1e-5)
    assert energy.source == "rapl"
    assert energy.scope == "2 packages and 2 DRAM zones of the host, all processes"
    assert energy.updates == 180


def test_a_desktop_has_one_package_and_no_dram(bench: Bench, tmp_path: Path) -> None:
    meter = cpu_meter(bench, tmp_path, {"intel-rapl:0": Zone("package-0", 35.0)})
    assert meter.scope == "1 package, no DRAM, of the host, all processes"


def test_a_counter_that_wraps_goes_on(bench: Bench, tmp_path: Path) -> None:
    zone = Zone("package-0", 120.0, start_joules=262143.328850 - 300.0)
    meter = cpu_meter(bench, tmp_path, {"intel-rapl:0": zone})
    energy = work(meter, bench, 8.0)  # 960 J: it wraps after 2.5 s
    assert energy.gross_joules == pytest.approx(960.0, abs=1e-5)  # rounding to microjoules


def test_each_wrap_of_a_long_window_counts(bench: Bench, tmp_path: Path) -> None:
    zone = Zone("package-0", 4000.0, range_joules=65532.61)  # of 15 microjoule units
    meter = cpu_meter(bench, tmp_path, {"intel-rapl:0": zone})
    energy = work(meter, bench, 40.0)  # 160 kJ: it wraps twice
    assert energy.gross_joules == pytest.approx(160_000.0, abs=1e-5)  # rounding to microjoules


def test_a_counter_that_was_reset_has_not_wrapped(bench: Bench, tmp_path: Path) -> None:
    zone = Zone("package-0", 120.0, start_joules=90_000.0)
    meter = cpu_meter(bench, tmp_path, {"intel-rapl:0": zone})
    with meter.window() as window:
        bench.run(6.0)
        zone.start_joules = 10.0
        bench.run(6.0)
    assert window.energy.gross_joules is None
    assert "J within 0.05 s: the meter was reset or is broken" in str(window.energy.reason)


def test_a_counter_that_may_have_wrapped_twice_gives_no_number(
    bench: Bench, tmp_path: Path
) -> None:
    zone = Zone("package-0", 120.0, range_joules=65532.61)
    meter = cpu_meter(bench, tmp_path, {"intel-rapl:0": zone})
    bench.frozen = True
    energy = work(meter, bench, 6.6)  # 65.5 kJ at the 10 kW that nothing reaches take 6.55 s
    assert energy.gross_joules is None
    assert "no reading for 6.6 s" in str(energy.reason)


def test_one_counter_that_stands_still_is_enough_to_give_no_number(
    bench: Bench, tmp_path: Path
) -> None:
    zones = {"intel-rapl:0": Zone("package-0", 80.0), "intel-rapl:0:0": Zone("dram", 0.0)}
    energy = work(cpu_meter(bench, tmp_path, zones), bench, 9.0)
    assert energy.gross_joules is None
    assert energy.reason == "the meter must change 50 times in a window; got 0"


def test_a_zone_that_vanishes_ends_the_number_not_the_run(bench: Bench, tmp_path: Path) -> None:
    meter = cpu_meter(bench, tmp_path, {"intel-rapl:0": Zone("package-0", 120.0)})
    with meter.window() as window:
        bench.run(6.0)
        (tmp_path / "intel-rapl:0" / "energy_uj").unlink()
        bench.run(6.0)
    assert window.energy.gross_joules is None
    assert "No such file or directory" in str(window.energy.reason)


def test_counters_that_may_not_be_read_are_unavailable(bench: Bench, tmp_path: Path) -> None:
    world = cpu_world(bench, tmp_path, HOST)

    def denied(file: Path) -> str:
        if file.name == "energy_uj":
            raise PermissionError(13, "Permission denied", str(file))
        return file.read_text()

    meter = open_meter("cpu", world=dataclasses.replace(world, read_text=denied))
    assert isinstance(meter, Unavailable)
    assert meter.reason.startswith(f"{tmp_path}/intel-rapl:0/energy_uj may not be read: ")
    assert meter.reason.endswith("chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_files_of_another_user_are_unavailable(bench: Bench, tmp_path: Path) -> None:
    world = cpu_world(bench, tmp_path, HOST)
    (tmp_path / "intel-rapl:0" / "energy_uj").chmod(0)
    meter = open_meter("cpu", world=dataclasses.replace(world, read_text=Path.read_text))
    assert isinstance(meter, Unavailable)
    assert "may not be read" in meter.reason


def test_a_virtual_machine_is_unavailable(bench: Bench, tmp_path: Path) -> None:
    meter = open_meter("cpu", world=bench.world(powercap=tmp_path / "absent"))
    assert isinstance(meter, Unavailable)
    assert meter.reason.startswith(f"{tmp_path}/absent has no zone intel-rapl:0; virtual machines")


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("energy_uj", "0\n", "has no package whose counter runs"),
        ("energy_uj", "\n", "energy_uj must hold microjoules; got ''"),
        ("max_energy_range_uj", None, "max_energy_range_uj cannot be read: No such file"),
        ("name", None, "name cannot be read: No such file"),
    ],
)
def test_a_broken_tree_is_unavailable(
    bench: Bench, tmp_path: Path, file: str, text: str | None, reason: str
) -> None:
    PowercapTree(bench, tmp_path, {"intel-rapl:0": Zone("package-0", 120.0)})
    path = tmp_path / "intel-rapl:0" / file
    path.unlink() if text is None else path.write_text(text)
    meter = open_meter("cpu", world=bench.world(powercap=tmp_path))
    assert isinstance(meter, Unavailable)
    assert reason in meter.reason


COUNTER = Path("/sys/class/powercap/intel-rapl:0/energy_uj")


@pytest.mark.skipif(not os.access(COUNTER, os.R_OK), reason=f"{COUNTER} cannot be read")
def test_a_real_processor_takes_some_power() -> None:
    meter = open_meter("cpu")
    if isinstance(meter, Unavailable):  # a virtual machine may show a counter that stands still
        pytest.skip(meter.reason)
    with meter.window() as window:
        time.sleep(6)
    assert window.energy.gross_joules is not None, window.energy.reason
    assert 0 < window.energy.gross_joules / window.energy.seconds < 5000  # watts of one host
