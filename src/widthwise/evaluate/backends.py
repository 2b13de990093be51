"""Language models of lm-eval's kind: ours with shared prefixes, or lm-eval's own made greedy."""

from __future__ import annotations

import copy
import importlib.util
from pathlib import Path
from typing import Any

from ..errors import RunError
from .decoding import greedy
from .engine.cache_trial import check_causal

BACKENDS = ("widthwise", "hf", "vllm")
_HF_BATCH = 16  # rows a pass of lm-eval's own model


def language_model_of(
    backend: str, model: Any, tokenizer: Any, *, think_end: str | None = None
) -> Any:
    """A language model of lm-eval's kind around a model in memory.

    Either writes texts greedily: of the model's generation settings, only the tokens that end a
    text are applied (lm-eval's own would apply a repetition penalty and the like).

    Args:
        backend: `"widthwise"`: shared beginnings are read once. `"hf"`: lm-eval's own `HFLM`.
        model: Any `AutoModelForCausalLM`, on its device.
        tokenizer: Its tokenizer.
        think_end: End of a block of thinking; a text is given without all up to it.

    Raises:
        RunError: The model looks at tokens that follow, or the tokenizer has none that ends a text.
    """
    if tokenizer.eos_token_id is None:
        raise RunError(f"the tokenizer {tokenizer.name_or_path} has no end-of-text token")
    if backend == "hf":
        check_causal(model)
        return _greedy_hf(model, tokenizer, think_end)
    from .language_model import SharedPrefixLM

    return SharedPrefixLM(model, tokenizer, think_end=think_end)


def _greedy_hf(model: Any, tokenizer: Any, think_end: str | None) -> Any:
    from lm_eval.models.huggingface import HFLM

    class GreedyHFLM(HFLM):  # type: ignore[misc]  # lm-eval publishes no types
        """lm-eval's model, without what the checkpoint's generation settings would change."""

        def _model_generate(self, *args: Any, **settings: Any) -> Any:
            with greedy(self.model):
                return super()._model_generate(*args, **settings)

    tokenizer = _with_padding_of(model, tokenizer)
    return GreedyHFLM(
        pretrained=model, tokenizer=tokenizer, batch_size=_HF_BATCH, think_end_token=think_end
    )


def _with_padding_of(model: Any, tokenizer: Any) -> Any:
    """The tokenizer, padding with a token that the model has.

    Some classes of tokenizers add a token of their own for it, for which a table may have no row.
    """
    if (tokenizer.pad_token_id or 0) < model.get_input_embeddings().num_embeddings:
        return tokenizer
    other = copy.deepcopy(tokenizer)
    other.pad_token = other.eos_token
    return other


def vllm_model_of(folder: Path, dtype: str, *, think_end: str | None = None) -> Any:
    """lm-eval's own `VLLM` of a checkpoint folder; vLLM reads no model in memory.

    Of the checkpoint's generation settings it applies the tokens that end a text alone.

    Raises:
        RunError: vLLM is not installed.
    """
    require_vllm()
    from lm_eval.models.vllm_causallms import VLLM

    more = {} if think_end is None else {"think_end_token": think_end}
    return VLLM(pretrained=str(folder), dtype=dtype, batch_size="auto", **more)


def require_vllm() -> None:
    """Raise RunError unless vLLM is installed."""
    if importlib.util.find_spec("vllm") is None:
        raise RunError("backend vllm needs vLLM and a GPU that it supports: pip install vllm")
