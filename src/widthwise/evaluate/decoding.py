"""How texts are written: greedily, whatever else a checkpoint's generation settings ask for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_ENDS = ("bos_token_id", "eos_token_id", "pad_token_id")  # these are applied
_OTHER = (  # these change no token of a text of a given length
    "_from_model_config",
    "cache_implementation",
    "max_length",
    "max_new_tokens",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "return_dict_in_generate",
    "transformers_version",
    "use_cache",
)


def settings_not_applied(folder: Path) -> dict[str, Any]:
    """Generation settings of a checkpoint that greedy decoding leaves out, by name.

    Repetition penalties, beams, sampling, forbidden and forced tokens and the like; not the tokens
    that end a text, which are applied. Sorted; empty where there are none.

    Args:
        folder: Of the checkpoint.
    """
    from transformers import GenerationConfig

    config: Any = GenerationConfig
    if (folder / "generation_config.json").exists():
        found = config.from_pretrained(folder)
    else:
        stored = json.loads((folder / "config.json").read_text(encoding="utf8"))
        found = config.from_model_config(stored)
    return _others(found)


def _others(settings: Any) -> dict[str, Any]:
    named = settings.to_diff_dict()
    return {
        name: named[name]
        for name in sorted(named)
        if name not in (*_ENDS, *_OTHER) and named[name] is not None
    }


@contextmanager
def greedy(model: Any) -> Iterator[None]:
    """While open, `generate` of a model of transformers is greedy but for what its caller asks.

    Its generation settings hold the tokens that begin and end a text, and nothing else; they are
    put back.
    """
    from transformers import GenerationConfig

    stored = model.generation_config
    make: Any = GenerationConfig
    model.generation_config = make(**{name: getattr(stored, name, None) for name in _ENDS})
    try:
        yield
    finally:
        model.generation_config = stored
