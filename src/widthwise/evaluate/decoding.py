"""Greedy decoding, whatever else a checkpoint's generation settings ask for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import RunError

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
        folder: The checkpoint's folder.

    Raises:
        RunError: They cannot be read, or name no tokens by number that begin and end a text.
    """
    from transformers import GenerationConfig

    config: Any = GenerationConfig
    file = folder / "generation_config.json"
    try:
        if file.exists():
            settings = config.from_pretrained(folder)
        else:
            file = folder / "config.json"
            settings = config.from_model_config(json.loads(file.read_text(encoding="utf8")))
    except Exception as error:  # its checks raise errors of many kinds
        cause = " ".join(str(error).split())
        raise RunError(f"{file}: transformers cannot read the settings: {cause}") from error
    for name in _ENDS:
        tokens = getattr(settings, name, None)
        single = [] if tokens is None else [tokens]
        numbers = tokens if isinstance(tokens, list | tuple) else single
        if not all(type(number) is int for number in numbers):
            raise RunError(f"{file}: {name} must be a token's number or a list; got {tokens!r}")
    changed = settings.to_diff_dict()
    values = {name: changed[name] for name in sorted(changed.keys() - {*_ENDS, *_OTHER})}
    return {  # objects as a record can store them
        name: value.to_dict() if hasattr(value, "to_dict") else value
        for name, value in values.items()
        if value is not None
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
