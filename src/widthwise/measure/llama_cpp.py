"""How fast llama.cpp reads and writes with GGUF files, by its own clock, side by side.

Files are visited in a new random order in every round, each time in a process of its own: that of
`llama-bench` where it is on PATH, else one with the server in the package xllamacpp.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..assets import GgufFacts, gguf_facts
from ..errors import RunError
from .costs import LEAST_ROUNDS, in_rounds
from .machine import Conditions, conditions
from .workloads import NAMED, Workload, workload

_BENCH, _PACKAGE = "llama-bench", "xllamacpp"
_VISIT_SEC = 1800  # the longest visit of a file: it is read, and warms up, each time
_LEAST_NEW = 2  # the first token comes with the prompt
_LINE = 300  # of llama.cpp's words, characters that are shown
_STAMP = re.compile(
    r"^(?:[\d.]+ )?[DEIW] "
)  # the time before a line of its log, and how grave it is


@dataclass(frozen=True, kw_only=True)
class LlamaCpp:
    """The llama.cpp on this machine.

    Attributes:
        program: `llama-bench`; None where the package xllamacpp is taken.
        threads: Threads that it computes with.
    """

    program: Path | None
    threads: int

    @property
    def name(self) -> str:
        return _PACKAGE if self.program is None else _BENCH


@dataclass(frozen=True, kw_only=True)
class LlamaRound:
    """One visit of a file.

    Attributes:
        prefill: Tokens of the prompt that were read in a second.
        decode: Tokens that were written in a second.
        build: Which llama.cpp it was.
        device: What it computed on.
        conditions: State of the machine, just before.
    """

    prefill: float
    decode: float
    build: str
    device: str
    conditions: Conditions


@dataclass(frozen=True, kw_only=True)
class FileCost:
    """One file on one workload.

    Attributes:
        file: The file.
        facts: What it states.
        workload: What was read and written.
        llama: What timed it.
        rounds: Rounds that count; () where there is a reason.
        reason: Why there is no number; None otherwise.
    """

    file: Path
    facts: GgufFacts
    workload: Workload
    llama: LlamaCpp
    rounds: tuple[LlamaRound, ...]
    reason: str | None


class _NoTiming(Exception):
    """Why a visit gave no number."""


@dataclass
class _FileTiming:
    """A file, while it is measured."""

    file: Path
    facts: GgufFacts
    rounds: list[LlamaRound] = field(default_factory=list)
    reason: str | None = None


def find_llama_cpp() -> LlamaCpp:
    """The llama.cpp of this machine, with a thread for each core that this process may use.

    Raises:
        RunError: There is none.
    """
    program = shutil.which(_BENCH)
    if program is None and find_spec(_PACKAGE) is None:
        raise RunError(
            f"there is no llama.cpp here to time .gguf files with: put its program {_BENCH} on "
            "PATH, or pip install 'widthwise[gguf]'"
        )
    return LlamaCpp(program=None if program is None else Path(program), threads=_cores())


def single_prompt(text: str) -> Workload:
    """A workload that llama.cpp is timed on, from `"PROMPTxNEW"`.

    Raises:
        RunError: Another form, several prompts, or fewer than two new tokens.
    """
    if text in ("grid", "paper", *NAMED):
        raise _several(text)
    work = workload(text)
    _refuse_several(work)
    return work


def _refuse_several(work: Workload) -> None:
    if len(work.prompt_tokens) > 1 or work.new_tokens < _LEAST_NEW:
        raise _several(work.name)


def _several(name: str) -> RunError:
    return RunError(
        f"llama.cpp is timed on one prompt, after which at least {_LEAST_NEW} tokens are written: "
        f"PROMPTxNEW, such as 512x32; got {name}"
    )


def time_files(
    files: Mapping[str, Path],
    work: Workload,
    *,
    rounds: int = LEAST_ROUNDS,
    seed: int = 0,
    llama: LlamaCpp | None = None,
    on_step: Callable[[int], None] = lambda _: None,
) -> dict[str, FileCost]:
    """Have llama.cpp read a prompt and write tokens with each file, and say what its clock says.

    Prompts are random tokens, the same in every round. `llama-bench` writes its tokens after an
    empty text, the package after the prompt.

    Args:
        files: GGUF files by name.
        work: Workload of one prompt.
        rounds: Counted rounds, at least 5; one more goes before to bring the files into memory.
        seed: Seed of the prompt and of the order of files.
        llama: What times them; None for what `find_llama_cpp` finds.
        on_step: Called after each visit with the number of visits done, out of
            `len(files) * (rounds + 1)`.

    Raises:
        RunError: Too few rounds, no file, more than one prompt, or no llama.cpp.
        CheckpointError, UnsupportedModelError: What is no GGUF file of a model.

    Cost: each visit reads the file and warms up; one of more than half an hour is given up, and
    with it the file.
    """
    if rounds < LEAST_ROUNDS or not files:
        raise RunError(
            f"to time files takes at least {LEAST_ROUNDS} rounds and a file; got {rounds} and "
            f"{len(files)}"
        )
    _refuse_several(work)
    llama = llama or find_llama_cpp()
    timings = [_FileTiming(path, gguf_facts(path)) for path in files.values()]
    order = in_rounds(timings, rounds, random.Random(seed))
    for done, (timing, is_warm_up) in enumerate(order, 1):
        timing.reason = timing.reason or _too_long(timing, work)
        if timing.reason is None:
            try:
                visited = _visit(timing, work, llama, seed)
            except _NoTiming as error:
                timing.reason = str(error)
            else:
                timing.rounds += [] if is_warm_up else [visited]
        on_step(done)
    return {
        name: FileCost(
            file=timing.file,
            facts=timing.facts,
            workload=work,
            llama=llama,
            rounds=() if timing.reason else tuple(timing.rounds),
            reason=timing.reason,
        )
        for name, timing in zip(files, timings, strict=True)
    }


def _cores() -> int:
    """Cores that this process may use; two threads of one core count once."""
    import psutil

    allowed = len(os.sched_getaffinity(0))
    return min(psutil.cpu_count(logical=False) or allowed, allowed)


def _too_long(timing: _FileTiming, work: Workload) -> str | None:
    """Why a model cannot read so much, or None."""
    context = timing.facts.context
    if context is None or work.longest <= context:
        return None
    return f"{work.name} needs a context of {work.longest} tokens; {timing.file} has {context}"


def _visit(timing: _FileTiming, work: Workload, llama: LlamaCpp, seed: int) -> LlamaRound:
    import torch

    state = conditions(torch.device("cpu"))
    if llama.program is None:
        told = _told(timing.file, _server_job(timing, work, llama, seed))
        read, written = told["prompt_ms"] / told["prompt_n"], told["predicted_ms"]
        return LlamaRound(
            prefill=1e3 / read,
            decode=1e3 * (told["predicted_n"] - 1) / written,
            build=f"{_PACKAGE} {told['version']}",
            device=", ".join(told["devices"]),
            conditions=state,
        )
    rows = _told(timing.file, _bench_job(timing, work, llama))
    prompt = next(row for row in rows if not row["n_gen"])
    new = next(row for row in rows if not row["n_prompt"])
    return LlamaRound(
        prefill=prompt["samples_ts"][0],
        decode=new["samples_ts"][0],
        build=f"{_BENCH} {prompt['build_number']} ({prompt['build_commit']})",
        device=prompt["gpu_info"] or prompt["cpu_info"],
        conditions=state,
    )


def _bench_job(timing: _FileTiming, work: Workload, llama: LlamaCpp) -> dict[str, Any]:
    arguments = {
        "-m": timing.file,
        "-p": work.prompt_tokens[0],
        "-n": work.new_tokens,
        "-t": llama.threads,
        "-r": 1,
        "-o": "json",
    }
    words = [str(word) for pair in arguments.items() for word in pair]
    return {"program": str(llama.program), "arguments": words}


def _server_job(timing: _FileTiming, work: Workload, llama: LlamaCpp, seed: int) -> dict[str, Any]:
    if not timing.facts.tokens:
        raise _NoTiming(f"{timing.file} has no vocabulary, of which a prompt could be made")
    chance = random.Random(seed)
    prompt = [chance.randrange(timing.facts.tokens) for _ in range(work.prompt_tokens[0])]
    return {
        "program": None,
        "file": str(timing.file),
        "prompt": prompt,
        "new_tokens": work.new_tokens,
        "threads": llama.threads,
    }


def _told(file: Path, job: Mapping[str, Any]) -> Any:
    """What a process says that does a job, as JSON; `_NoTiming` says why it says nothing."""
    program = Path(__file__).with_name("llama_process.py")
    command = [sys.executable, "-P", str(program), json.dumps(job)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_VISIT_SEC,
        )
    except subprocess.TimeoutExpired:
        raise _NoTiming(
            f"{file}: llama.cpp took more than {_VISIT_SEC // 60} minutes, and was ended"
        ) from None
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise _NoTiming(f"{file}: {_cause(done)}") from None


def _cause(done: subprocess.CompletedProcess[str]) -> str:
    """Why a process has nothing to say, in llama.cpp's own words where it has some."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if " E " in line or "error" in line or "ASSERT" in line]
    words = _STAMP.sub("", (errors or lines[-1:] or ["it said nothing"])[0])
    return f"llama.cpp gave no times and ended with {done.returncode}: {words[:_LINE]}"
