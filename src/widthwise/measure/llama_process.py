"""One pass of llama.cpp over one file: a program, as llama.cpp ends the process on some files.

It is given one argument, a job as JSON. With `"program"` it becomes that program; else it runs the
server in the package xllamacpp, and writes its own timings to stdout.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from typing import Any

_DEATH = 1  # PR_SET_PDEATHSIG of Linux
_SPARE_TOKENS = 8  # of the context, beyond the prompt and what is written
_TIMES = ("prompt_n", "prompt_ms", "predicted_n", "predicted_ms")


def main() -> None:
    """Do what the argument says."""
    ctypes.CDLL(None).prctl(_DEATH, signal.SIGKILL)  # killed with the process that started it
    job = json.loads(sys.argv[1])
    if job["program"] is not None:
        os.execv(job["program"], [job["program"], *job["arguments"]])
    sys.stdout.write(json.dumps(_timings(job)))
    sys.stdout.flush()
    os._exit(0)  # the server's threads need not come to rest


def _timings(job: dict[str, Any]) -> dict[str, Any]:
    """What the server says of a prompt and the tokens that it wrote after it."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = job["file"]
    params.n_ctx = len(job["prompt"]) + job["new_tokens"] + _SPARE_TOKENS
    params.n_parallel, params.n_ctx_checkpoints = 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = job["threads"]
    server = xllamacpp.Server(params)
    _answer(server, job["prompt"][::-1], 2)  # to warm up
    timings = _answer(server, job["prompt"], job["new_tokens"])
    return {
        **{name: timings[name] for name in _TIMES},
        "version": xllamacpp.__version__,
        "devices": [device["description"] for device in xllamacpp.get_device_info()],
    }


def _answer(server: Any, prompt: list[int], new_tokens: int) -> Any:
    asked = {
        "prompt": prompt,
        "n_predict": new_tokens,
        "ignore_eos": True,
        "cache_prompt": False,
        "samplers": ["top_k"],
        "top_k": 1,
    }
    answer = server.handle_completions(asked)
    if "timings" not in answer:
        raise SystemExit(json.dumps(answer))
    return answer["timings"]


if __name__ == "__main__":
    main()
