"""What answers a task: our own way through a model, or one of lm-eval's, untouched."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from ..errors import RunError

BACKENDS = ("widthwise", "hf", "vllm")
_HF_BATCH = 16  # rows a pass of lm-eval's own model


def language_model_of(backend: str, model: Any, tokenizer: Any) -> Any:
    """A language model of lm-eval's kind around a model in memory.

    Args:
        backend: `"widthwise"`: shared beginnings are read once. `"hf"`: lm-eval's own `HFLM`.
        model: Any `AutoModelForCausalLM`, on its device.
        tokenizer: Its tokenizer.
    """
    if backend == "hf":
        from lm_eval.models.huggingface import HFLM

        return HFLM(pretrained=model, tokenizer=tokenizer, batch_size=_HF_BATCH)
    from .language_model import SharedPrefixLM

    return SharedPrefixLM(model, tokenizer)


def vllm_model_of(folder: Path, dtype: str) -> Any:
    """lm-eval's own `VLLM` of a checkpoint folder; vLLM reads no model in memory.

    Raises:
        RunError: vLLM is not installed.
    """
    require_vllm()
    from lm_eval.models.vllm_causallms import VLLM

    return VLLM(pretrained=str(folder), dtype=dtype, batch_size="auto")


def require_vllm() -> None:
    """Raise RunError unless vLLM is installed."""
    if importlib.util.find_spec("vllm") is None:
        raise RunError("backend vllm needs vLLM and a GPU that it supports: pip install vllm")
