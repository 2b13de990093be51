"""What answers a task: our own way through a model, or one of lm-eval's, untouched."""

from __future__ import annotations

from typing import Any

BACKENDS = ("widthwise", "hf")
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
