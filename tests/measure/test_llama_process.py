"""The program that runs llama.cpp once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from llama_bench import install

import widthwise.measure.llama_process as module

_PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, sys.argv[1], sys.argv[2]])
print(child.pid, flush=True)
child.wait()
"""
_SOON = 30.0  # seconds, in which a killed process is gone on a machine however busy


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    install(tmp_path)
    (tmp_path / "a.gguf").write_bytes(b"........__hang__")
    words = ["-m", str(tmp_path / "a.gguf"), "-p", "1", "-n", "1", "-t", "1", "-r", "1"]
    job = json.dumps({"program": str(tmp_path / "llama-bench"), "arguments": words})
    command = [sys.executable, "-c", _PARENT, str(module.__file__), job]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        while not (tmp_path / "calls.jsonl").exists():  # it runs
            time.sleep(0.05)
        parent.send_signal(signal.SIGKILL)
    end = time.monotonic() + _SOON
    while time.monotonic() < end and _is_alive(child):
        time.sleep(0.05)
    assert not _is_alive(child)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2]
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_it_becomes_the_program(tmp_path: Path) -> None:
    install(tmp_path)
    (tmp_path / "a.gguf").write_bytes(b"................")
    words = ["-m", str(tmp_path / "a.gguf"), "-p", "3", "-n", "2", "-t", "1", "-r", "1"]
    job = json.dumps({"program": str(tmp_path / "llama-bench"), "arguments": words})
    done = subprocess.run(
        [sys.executable, module.__file__, job], capture_output=True, text=True, check=True
    )
    assert [row["n_prompt"] for row in json.loads(done.stdout)] == [3, 0]
