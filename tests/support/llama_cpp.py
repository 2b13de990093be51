"""What llama.cpp itself writes of a GGUF file, beside what transformers writes of a model.

As a program: the tokens of a file, as JSON; llama.cpp ends the process on some files.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

TOKENS = 12
# Of a log probability, which is some units: float32 sums in another order, grown by three layers.
CLOSE = 1e-3


def greedy_of_file(path: Path, prompt: list[int], count: int = TOKENS) -> list[tuple[int, float]]:
    """The likeliest tokens after a prompt by llama.cpp, and their log probabilities."""
    command = [sys.executable, __file__, str(path), json.dumps(prompt), str(count)]
    done = subprocess.run(command, capture_output=True, text=True)
    errors = [line for line in done.stderr.splitlines() if " E " in line or "ASSERT" in line]
    assert done.returncode == 0, f"llama.cpp: {(errors or [done.returncode])[0]}"
    return [(token, chance) for token, chance in json.loads(done.stdout)]


def greedy_of_model(
    model: Any, prompt: list[int], ends: set[int], count: int = TOKENS
) -> list[tuple[int, float]]:
    """The same by transformers, without the tokens that end a text."""
    import torch

    ids, steps = torch.tensor([prompt]), []
    with torch.no_grad():
        for _ in range(count):
            logits = model(input_ids=ids, use_cache=False).logits[0, -1].float()
            chances = torch.log_softmax(logits, -1)
            likeliest = chances.clone()
            likeliest[list(ends)] = -torch.inf
            token = int(likeliest.argmax())
            steps.append((token, float(chances[token])))
            ids = torch.cat([ids, torch.tensor([[token]])], 1)
    return steps


def main(path: str, prompt: str, count: str) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.warmup = path, 128, False
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.n_parallel, params.cpuparams.n_threads = 1, 1
    server = xllamacpp.Server(params)
    asked = {"prompt": json.loads(prompt), "n_predict": int(count), "logprobs": 1}
    answer = server.handle_completions({**asked, "top_k": 1, "temperature": 0, "ignore_eos": True})
    steps = answer["choices"][0]["logprobs"]["content"]
    print(json.dumps([(step["id"], step["logprob"]) for step in steps]))


if __name__ == "__main__":
    main(*sys.argv[1:])
