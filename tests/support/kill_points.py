"""Run by test_io_atomic_folder.py as a process of its own: kill a prune at every step on disk.

Each step (an open, a rename, a removal, a chunk that is written ...) is seen through Python's audit
events; a forked child kills itself with SIGKILL just before step n, for n = 1, 2, ... until a child
comes through. After every kill the parent process checks what lies on the disk.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sys
from pathlib import Path

import torch

from widthwise import make_plan, prune_checkpoint
from widthwise.cut.checkpoint import stream

STEPS = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree", "fcntl.flock")


def contents(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def die_at(step: int, watched: Path) -> None:
    """Kill this process before its `step`-th action on anything below `watched`."""
    left = [step]

    def act() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, args: tuple[object, ...]) -> None:
        if event in STEPS and (event == "fcntl.flock" or str(watched) in str(args[0])):
            act()

    original = stream.tensor_bytes

    def counted(tensor: torch.Tensor) -> memoryview:
        act()
        return original(tensor)

    stream.tensor_bytes = counted
    sys.modules["widthwise.cut.checkpoint.writer"].tensor_bytes = counted  # type: ignore[attr-defined]
    sys.addaudithook(hook)


def main(parent: Path, place: Path, replace: bool) -> int:
    torch.set_num_threads(1)  # a forked child must not meet a pool of threads
    old_plan, plan = (make_plan(parent, width=k, criterion="ppm") for k in (31, 17))
    out = place / "out"
    prune_checkpoint(parent, place / "new", plan)
    prune_checkpoint(parent, place / "old", old_plan)
    wanted, before, source = contents(place / "new"), contents(place / "old"), contents(parent)
    step = kills = 0
    while True:
        step += 1
        shutil.rmtree(out, ignore_errors=True)
        if replace:
            shutil.copytree(place / "old", out)
        child = os.fork()
        if child == 0:
            die_at(step, place)
            prune_checkpoint(parent, out, plan, force=replace)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert contents(parent) == source, f"step {step} touched the source"
        whole = (wanted, before) if replace else (wanted,)
        assert not out.exists() or contents(out) in whole, f"step {step} left half a result"
        if not os.WIFSIGNALED(status):
            assert status == 0
            break
        kills += 1
        if replace and not out.exists():
            assert contents(place / ".out.widthwise-replaced") == before, (
                f"step {step} lost the old result"
            )
        prune_checkpoint(parent, out, plan, force=True)  # the next run sweeps and succeeds
        assert contents(out) == wanted
        assert sorted(p.name for p in place.iterdir()) == ["new", "old", "out"], f"step {step}"
    print(kills)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "replace"))
