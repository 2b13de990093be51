"""Workers that do what a test says, good or bad, for tests of engines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from widthwise.errors import RunError
from widthwise.runs import Event, Executor, Failed, Finished, Job


class Toy:
    """Its work is the name of one of its methods and the arguments."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.made = time.monotonic_ns()

    def do(self, work: Any, on_share: Callable[[float, str], None]) -> Any:
        name, *arguments = work
        if name == "chatter":
            for step in range(arguments[0]):
                on_share(step / arguments[0], "chatter")
            return None
        on_share(0.5, f"half of {name}")
        return getattr(self, name)(*arguments)

    def variable(self, name: str) -> str | None:
        return os.environ.get(name)

    def shout(self) -> None:
        """Write to both streams, from Python and from below it."""
        print("shouted")
        print("shouted", file=sys.stderr, flush=True)
        os.system("echo shouted; echo shouted >&2")

    def double(self, number: int) -> int:
        return 2 * number

    def place(self) -> tuple[str, int, int]:
        """Its device, process and when it was made: the same as long as it is the same worker."""
        return self.device, os.getpid(), self.made

    def big(self, n_bytes: int) -> bytes:
        return b"x" * n_bytes

    def size(self, data: bytes) -> int:
        return len(data)

    def interval(self, seconds: float) -> tuple[float, float]:
        begun = time.time()
        time.sleep(seconds)
        return begun, time.time()

    def sleep(self, seconds: float, pids: str = "") -> None:
        if pids:
            note(pids)
        time.sleep(seconds)

    def fail(self) -> None:
        raise RuntimeError("no such thing\nat all")

    def refuse(self) -> None:
        raise RunError("not with this model")

    def leave(self) -> None:
        sys.exit(7)

    def unpicklable(self) -> Any:
        return lambda: None

    def die(self, pids: str, times: int, how: int = signal.SIGKILL) -> int:
        """End by the signal, `times` times; return how often it was begun."""
        note(pids)
        begun = len(noted(pids))
        if begun <= times:
            print(f"these are the last words {begun}", file=sys.stderr, flush=True)
            os.kill(os.getpid(), how)
            time.sleep(60)
        return begun

    def freeze(self, pids: str, times: int) -> int:
        """Be stopped, `times` times; return how often it was begun."""
        note(pids)
        begun = len(noted(pids))
        if begun <= times:
            os.kill(os.getpid(), signal.SIGSTOP)
        return begun

    def hang(self, pids: str, times: int) -> int:
        """Say nothing for long, `times` times; return how often it was begun."""
        note(pids)
        begun = len(noted(pids))
        if begun <= times:
            time.sleep(60)
        return begun

    def gate(self, pids: str, opened: str) -> str:
        """Wait until there is a file."""
        note(pids)
        while not Path(opened).exists():
            time.sleep(0.02)
        return "passed"

    def child(self, pids: str) -> None:
        """Begin a process that would outlive this one, and wait."""
        child = subprocess.Popen(["sleep", "60"])
        note(pids, child.pid)
        note(pids)
        time.sleep(60)

    def spin(self, pids: str) -> None:
        """Work until it is stopped, and note it then as well."""
        try:
            note(pids)  # inside: once it is read, the end may come at any moment
            for _ in range(6000):
                time.sleep(0.01)
        finally:
            note(pids)

    def tidy(self, pids: str, held: str) -> None:
        """Wait with a file that is put away when the worker is asked to end."""
        try:
            Path(held).touch()
            note(pids)
            time.sleep(60)
        finally:
            Path(held).unlink()


class Unbegun:
    """An actor on a node that lacks a package."""

    def __init__(self, make: bytes) -> None:
        raise ImportError("no widthwise here")

    def is_there(self) -> bool:
        return True


def unmade(device: str) -> Toy:
    raise ValueError(f"no {device} here")


def note(pids: str, pid: int | None = None) -> None:
    with open(pids, "a") as file:
        file.write(f"{pid or os.getpid()}\n")


def noted(pids: str) -> list[int]:
    path = Path(pids)
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def jobs_of(*works: Sequence[Any], alone: bool = False) -> list[Job]:
    """Jobs named by what they do and their place in the list."""
    return [
        Job(key=f"{work[0]} {place}", label=f"Toy: {work[0]}", work=tuple(work), alone=alone)
        for place, work in enumerate(works)
    ]


def last_of(events: Sequence[Event]) -> dict[str, Finished | Failed]:
    """The last event of each job, which there must be one of."""
    last = [event for event in events if isinstance(event, Finished | Failed)]
    keys = [event.job.key for event in last]
    assert len(set(keys)) == len(keys), keys
    return dict(zip(keys, last, strict=True))


def results_of(engine: Executor, jobs: Sequence[Job]) -> dict[str, Any]:
    """What each job gave; `Failed` is an error of the test."""
    last = last_of(list(engine.run(jobs)))
    assert set(last) == {job.key for job in jobs}
    return {key: event.result for key, event in last.items() if isinstance(event, Finished)}


def kinds(events: Sequence[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def wait_until(true: Callable[[], Any], sec: float = 300.0) -> None:
    """Wait for something that other processes bring about: long, where the machine is busy."""
    deadline = time.monotonic() + sec
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    """Whether the process has ended with all its threads, reaped or not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX" and threads <= 1  # its parent learns of its end with that of the last
