"""What is taken from the machine: working memory, load, and what it does not tell."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from widthwise.measure import Conditions, machine
from widthwise.measure.machine import bring_in, conditions, peak_of

CPU = torch.device("cpu")
SIZE = 256 << 20  # far above what the interpreter takes meanwhile
ON_LINUX = Path("/proc/self/clear_refs").exists()


@pytest.mark.skipif(not ON_LINUX, reason="the peak of resident memory is read from /proc")
def test_working_memory_is_the_highest_less_what_was_there() -> None:
    before = torch.ones(SIZE, dtype=torch.uint8)
    for _ in range(2):  # memory that was freed before is no excuse
        with peak_of(CPU) as peak:
            one = torch.ones(SIZE, dtype=torch.uint8)
            del one
            other = torch.ones(SIZE // 2, dtype=torch.uint8)
            del other
        assert peak.allocated_bytes is None
        assert peak.resident_bytes is not None
        # the kernel adds pages up in batches for each thread, and other things take some too
        assert 0.98 * SIZE <= peak.resident_bytes < 1.2 * SIZE
    assert len(before) == SIZE


def test_no_proc_is_no_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "_CLEAR", tmp_path / "none" / "clear_refs")
    with peak_of(CPU) as peak:
        pass
    assert peak.resident_bytes is None


def test_a_busy_machine_is_known_by_its_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (3.5, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    state = conditions(CPU)
    assert (state.load, state.cores, state.is_busy) == (3.5, 3, True)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert not conditions(CPU).is_busy
    assert not Conditions(clock_mhz=None, temperature_c=None, load=None, cores=1).is_busy


@pytest.mark.skipif(not ON_LINUX, reason="the peak of resident memory is read from /proc")
def test_weights_that_come_in_when_first_read_are_no_working_memory(tmp_path: Path) -> None:
    numbers = 2**25  # 128 MB, far more than an allocator keeps back
    file = tmp_path / "weights"
    with open(file, "wb") as opened:
        opened.truncate(4 * numbers)
    module = torch.nn.Module()
    mapped = torch.from_file(str(file), shared=False, size=numbers)
    module.weight = torch.nn.Parameter(mapped, requires_grad=False)
    bring_in(module)
    with peak_of(CPU) as peak:
        module.weight.sum()
    assert peak.resident_bytes is not None
    assert peak.resident_bytes < numbers  # a quarter of them
