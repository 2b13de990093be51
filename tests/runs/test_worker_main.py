"""The inside of a worker process: shares that it tells, and its end with the main process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import toy_worker
from toy_worker import Toy, is_gone, jobs_of, noted, wait_until

from widthwise.runs import Processes, Progressed

SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
from toy_worker import Toy, jobs_of
from widthwise.runs import Processes
with Processes(Toy, ["cpu", "cpu"]) as engine:
    list(engine.run(jobs_of(("tidy", *sys.argv[1:]), ("child", sys.argv[1]))))
"""


def test_shares_are_told_a_few_times_a_second_and_in_order() -> None:
    with Processes(Toy, ["cpu"]) as engine:
        events = list(engine.run(jobs_of(("chatter", 5000))))
    shares = [event.share for event in events if isinstance(event, Progressed)]
    assert shares == sorted(shares)
    assert 1 <= len(shares) < 2500  # 5000 take far less than the 125 s of 20 a second


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_the_main_process(sent: signal.Signals, pids: str, tmp_path: Path) -> None:
    """Also: a script without `if __name__ == "__main__"` runs."""
    script, held = tmp_path / "script.py", tmp_path / "held"
    script.write_text(SCRIPT)
    path = os.pathsep.join([str(Path(toy_worker.__file__).parent), *sys.path])
    main = subprocess.Popen(
        [sys.executable, str(script), pids, str(held)],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.DEVNULL,
    )
    with main:
        wait_until(lambda: len(noted(pids)) == 3 or main.poll() is not None)
        main.send_signal(sent)
        main.wait()
    assert main.returncode == -sent
    wait_until(lambda: all(is_gone(pid) for pid in noted(pids)))
    assert len(noted(pids)) == 3
    assert not held.exists()
