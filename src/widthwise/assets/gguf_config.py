"""The config that a GGUF file states, and its model without weights, by transformers' tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import UnsupportedModelError
from .gguf_file import architecture_of
from .gguf_keys import GgufSettings
from .gguf_rope import check_rotation

_TOKENS = "tokenizer.ggml.tokens"


def _config_of(path: Path, reader: Any) -> Any:
    """transformers' config of the file, without what transformers' reader drops.

    It reads keys alone; the tokens of the tokenizer are counted and not read.
    """
    from transformers import CONFIG_MAPPING
    from transformers.integrations.gguf.gguf_config_mapping import (
        GGUF_CONFIG_ARCHS,
        get_gguf_config,
    )
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    if architecture_of(reader) in GGUF_CONFIG_ARCHS:
        keys = {name: field.contents() for name, field in reader.fields.items()}
        keys[_TOKENS] = _token_count(reader)
        names = tuple(tensor.name for tensor in reader.tensors)
        settings = get_gguf_config(keys, names)
    else:
        read: Any = load_gguf_checkpoint
        with parsed_once(reader):
            settings = read(str(path))["config"]
        if not settings.get("vocab_size"):  # by the tokens, which the reader passes over
            settings["vocab_size"] = _token_count(reader)
    settings.pop("_model_name_or_path", None)
    return CONFIG_MAPPING[settings["model_type"]].from_dict(settings)


def model_without_weights(path: Path, reader: Any, stated: GgufSettings, dtype: Any) -> Any:
    """The model of the file on torch's meta device, with all that the file states.

    Raises:
        UnsupportedModelError: No config can state it.
    """
    import torch
    from transformers import AutoModelForCausalLM

    config = _config_of(path, reader)
    rotation = stated.complete(config)
    loader: Any = AutoModelForCausalLM
    with torch.device("meta"):
        model = loader.from_config(config, dtype=dtype)
    if rotation is not None:
        check_rotation(model, *rotation)
    model.config.architectures = [type(model).__name__]
    model.config.dtype = str(model.dtype).removeprefix("torch.")
    model.generation_config = _generation_config(model.config, stated.ends)
    return model


def _generation_config(config: Any, ends: tuple[int, ...]) -> Any:
    """Generation settings that hold the special tokens, all that end a turn, and nothing else."""
    import transformers

    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    make: Any = transformers.GenerationConfig
    made = make(**{name: getattr(config, name, None) for name in names})
    if len(ends) > 1 and not isinstance(made.eos_token_id, list):
        made.eos_token_id = list(ends)
    return made


@contextmanager
def parsed_once(reader: Any) -> Iterator[None]:
    """While open, transformers uses this reader, and does not parse the file again."""
    import gguf

    package: Any = gguf
    original = package.GGUFReader
    package.GGUFReader = lambda *_, **__: reader
    try:
        yield
    finally:
        package.GGUFReader = original


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No warnings and no progress bars."""
    from transformers.utils import logging

    log: Any = logging
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()


@contextmanager
def refused_by_name(path: Path) -> Iterator[None]:
    """Errors of transformers and tokenizers as one that names the file."""
    with quiet_transformers():
        try:
            yield
        except UnsupportedModelError as error:
            raise UnsupportedModelError(f"{path} cannot be converted: it has {error}") from error
        except Exception as error:  # tokenizers raises nothing more precise
            raise UnsupportedModelError(f"{path} cannot be converted: {error}") from error


def _token_count(reader: Any) -> int | None:
    field = reader.get_field(_TOKENS)
    return None if field is None else int(field.parts[4][0])
