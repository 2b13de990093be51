"""A program that answers as llama-bench does, with times by rule; its files say what goes wrong.

A file `narrow` is twice as fast as others, and `cut-15` by 15 %.

What it prints has the fields of build 11549. Where it stands in for the real one, a test needs no
build of llama.cpp.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tiny_gguf import save_llama

_PROGRAM = """#!{python}
import json, pathlib, sys, time
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
log = "{log}"
with open(log, "a") as file:
    print(json.dumps(words), file=file)
with open(words["-m"], "rb") as file:
    file.seek(-8, 2)
    end = file.read()
if end == b"__fail__":
    sys.stderr.write("main: error: failed to load model\\n")
    sys.exit(1)
if end == b"__hang__":
    time.sleep(600)
visits = len(open(log).readlines())
name = pathlib.Path(words["-m"]).stem
share = int(name[4:]) if name.startswith("cut-") else 0
scale = 2.0 if name == "narrow" else 1 + share / 100
rows = []
for prompt, new in ((int(words["-p"]), 0), (0, int(words["-n"]))):
    rate = scale * (100.0 if prompt else 10.0) * (1 + visits / 100)
    rows.append(dict(
        build_commit="abc1234", build_number=11549, cpu_info="Some CPU", gpu_info="",
        model_filename=words["-m"], n_threads=int(words["-t"]), n_prompt=prompt, n_gen=new,
        avg_ts=rate, samples_ns=[int(1e9 * (prompt + new) / rate)], samples_ts=[rate],
    ))
print(json.dumps(rows))
"""


def install(folder: Path) -> Path:
    """Write the program into a folder, which is to stand on PATH; returns the log of its calls."""
    folder.mkdir(parents=True, exist_ok=True)
    log, program = folder / "calls.jsonl", folder / "llama-bench"
    program.write_text(_PROGRAM.format(python=sys.executable, log=log))
    program.chmod(0o755)
    return log


def two_files(folder: Path) -> dict[str, Path]:
    """A tiny model and a narrower one, as GGUF files."""
    return {
        "dense": save_llama(folder / "dense.gguf", neurons=64),
        "narrow": save_llama(folder / "narrow.gguf", neurons=32),
    }


def calls(log: Path) -> list[dict[str, str]]:
    """The options of each call."""
    return [json.loads(line) for line in log.read_text().splitlines()]
