"""What llama.cpp itself writes of a GGUF file, beside what transformers writes of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

TOKENS = 12
# Of a log probability, which is some units: float32 sums in another order, grown by three layers.
CLOSE = 1e-3


def greedy_of_file(path: Path, prompt: list[int], count: int = TOKENS) -> list[tuple[int, float]]:
    """The likeliest tokens after a prompt by llama.cpp, and their log probabilities."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.warmup = str(path), 128, False
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.n_parallel, params.cpuparams.n_threads = 1, 1
    server = xllamacpp.Server(params)
    asked = {"prompt": prompt, "n_predict": count, "top_k": 1, "temperature": 0, "logprobs": 1}
    answer = server.handle_completions({**asked, "ignore_eos": True})
    steps = answer["choices"][0]["logprobs"]["content"]
    return [(step["id"], step["logprob"]) for step in steps]


def greedy_of_model(
    model: Any, prompt: list[int], ends: set[int], count: int = TOKENS
) -> list[tuple[int, float]]:
    """The same by transformers, without the tokens that end a text."""
    ids, steps = torch.tensor([prompt]), []
    with torch.no_grad():
        for _ in range(count):
            logits = model(input_ids=ids, use_cache=False).logits[0, -1].float()
            chances = torch.log_softmax(logits, -1)
            chances[list(ends)] = -torch.inf
            token = int(chances.argmax())
            steps.append((token, float(chances[token])))
            ids = torch.cat([ids, torch.tensor([[token]])], 1)
    return steps
