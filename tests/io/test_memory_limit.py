"""Memory that is free, also within a container, and what happens when it does not suffice."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from widthwise.io import free_bytes, limited_memory, out_of_memory
from widthwise.io import memory_limit as memory

GB = 2**30


def group(folder: Path, limit: str, used: int, files: int, *, version: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current", "inactive_file")
    if version == 1:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{names[2]} {files}\n")


def test_a_container_has_what_its_limit_leaves(tmp_path: Path) -> None:
    """Files that can be dropped count as free; the groups above count too."""
    own = tmp_path / "cgroup"
    own.write_text("1:name=systemd:/x\n0::/slice/job\n")
    root = tmp_path / "v2"
    group(root / "slice", str(10 * GB), 9 * GB, 1 * GB, version=2)
    group(root / "slice/job", "max", 3 * GB, 0, version=2)
    assert memory._free_in_cgroups(root, own) == [2 * GB]
    group(root / "slice/job", str(4 * GB), 5 * GB, 0, version=2)  # a limit lowered below the use
    assert memory._free_in_cgroups(root, own) == [0, 2 * GB]


def test_the_older_groups_are_read_as_well(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"
    own.write_text("5:cpuset:/\n4:memory:/docker/ab\n")
    root = tmp_path / "v1"
    group(root / "memory/docker/ab", str(8 * GB), 6 * GB, GB, version=1)
    assert memory._free_in_cgroups(root, own) == [3 * GB]
    assert memory._free_in_cgroups(root, tmp_path / "none") == []


def test_free_memory_is_the_least_of_host_and_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_free_in_cgroups", lambda *_: [1000, 2000])
    assert free_bytes("cpu") == 1000
    monkeypatch.setattr(memory, "_free_in_cgroups", lambda *_: [])
    assert 0 < free_bytes("cpu") < psutil.virtual_memory().total


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux bounds a process's data")
def test_an_allocation_beyond_free_memory_fails_and_does_not_kill() -> None:
    """What is within it succeeds, and afterwards all is as it was."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    too_much = free_bytes("cpu") + GB
    with limited_memory("cpu"):
        torch.empty(2**20)
        with pytest.raises(RuntimeError) as caught:
            torch.empty(too_much, dtype=torch.uint8)  # never touched
        with limited_memory("cpu"):  # within another, the lower one holds
            assert resource.getrlimit(resource.RLIMIT_DATA)[0] <= too_much * 2
    assert out_of_memory(caught.value)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    with limited_memory("cuda"):
        assert resource.getrlimit(resource.RLIMIT_DATA) == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux bounds a process's data")
def test_a_bound_within_another_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where memory is short by then, a thread could not begin, and would be waited for."""
    started: list[str] = []
    begin = memory.run_periodically

    def counted(*args: Any, name: str, **kwargs: Any) -> Any:
        started.append(name)
        return begin(*args, name=name, **kwargs)

    monkeypatch.setattr(memory, "run_periodically", counted)
    for _ in range(2):
        with limited_memory("cpu"), limited_memory("cpu"):
            pass
    assert len(started) == 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux bounds a process's data")
def test_what_others_take_meanwhile_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Free memory falls to nothing while open; then an allocation that was granted fails."""
    free = 8 * GB
    monkeypatch.setattr(memory, "free_bytes", lambda device: free)
    monkeypatch.setattr(memory, "_EVERY_SEC", 0.001)
    with limited_memory("cpu"):
        torch.empty(2 * GB, dtype=torch.uint8)
        free = 0
        first = limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
        end = time.monotonic() + 60
        while limit >= first and time.monotonic() < end:
            limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
        with pytest.raises(RuntimeError):
            torch.empty(2 * GB, dtype=torch.uint8)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux bounds a process's data")
def test_a_limit_that_was_set_before_stays() -> None:
    code = """
import resource
from widthwise.io import limited_memory
resource.setrlimit(resource.RLIMIT_DATA, (2**31, 2**32))
with limited_memory("cpu"):
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] <= 2**31
    assert resource.getrlimit(resource.RLIMIT_DATA)[1] == 2**32
assert resource.getrlimit(resource.RLIMIT_DATA) == (2**31, 2**32)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux bounds a process's data")
def test_the_bound_begins_where_no_memory_is_left() -> None:
    """Its own thread once could not be started there, or was waited for without end."""
    code = (
        "from widthwise.io import memory_limit as memory\n"
        "memory.free_bytes = lambda device: 0\n"
        "with memory.limited_memory('cpu'):\n"
        "    pass\n"
        "print('ended')\n"
    )
    # Ten minutes are for a busy machine; without memory for the thread it never ended.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.stdout == "ended\n"
