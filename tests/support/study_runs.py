"""Small studies of tiny checkpoints, in a process that can be killed."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from widthwise.runs import InProcess
from widthwise.study import Record, Study, StudySettings

TASKS = ("embedded:piqa", "embedded:prose")
QUICK: dict[str, Any] = {
    "tasks": TASKS,
    "widths": ("1.4x", "40%"),  # 44 and 31 of 53 neurons
    "criteria": ("ppm",),
    "limit": 4,
    "dtype": "float32",
    "device": "cpu",
}
here = partial(InProcess, device="cpu")


def settings_of(*models: Path, **changes: Any) -> StudySettings:
    return StudySettings(models=tuple(map(str, models)), **{**QUICK, **changes})


def run(folder: Path, settings: StudySettings, **more: Any) -> list[Record]:
    return Study(folder, settings, **{"engine": here, **more}).run()


def by_place(records: list[Record]) -> dict[tuple[Any, ...], Record]:
    """Records by what they are of."""
    return {(r.model, r.criterion, r.asked, r.quantity): r for r in records}


def numbers(records: list[Record]) -> dict[str, Any]:
    """What must not depend on how a run went: all but clocks."""
    return {
        r.cell: (r.model, r.criterion, r.asked, r.quantity, r.value, r.n, r.floor, r.items)
        for r in records
    }


def killed_often(model: str, folder: str, kills: int, seed: int) -> None:
    """Run studies in children, each killed at a random moment, until so many kills are done.

    A study that ends before its kill is left as it is, and the next one has a folder of its own.
    Prints a line for each finished folder: its number and how often it was killed.
    """
    import datasets  # noqa: F401  what children then need not import
    import lm_eval.tasks  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import torch
    import transformers.models.llama.modeling_llama  # noqa: F401

    torch.set_num_threads(1)
    settings, draw = settings_of(Path(model)), random.Random(seed)
    number, here_killed, done = 0, 0, 0
    longest = _undisturbed(settings, Path(folder) / "first")
    while done < kills or here_killed:
        child = os.fork()
        if child == 0:
            _in_child(settings, Path(folder) / str(number))
        is_last = done >= kills  # only to bring the last folder to its end
        deadline = time.monotonic() + (1e9 if is_last else draw.uniform(0, longest))
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
            time.sleep(0.005)
        if ended == (0, 0):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            done, here_killed = done + 1, here_killed + 1
            continue
        assert ended[1] == 0, f"a run in folder {number} ended with {ended[1]}"
        print(number, here_killed, flush=True)
        number, here_killed = number + 1, 0


def _undisturbed(settings: StudySettings, folder: Path) -> float:
    """Seconds that a run takes in a child."""
    start = time.monotonic()
    if (child := os.fork()) == 0:
        _in_child(settings, folder)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
    return time.monotonic() - start


def _in_child(settings: StudySettings, folder: Path) -> None:
    code = 1
    try:
        run(folder, settings)
        code = 0
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    killed_often(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
