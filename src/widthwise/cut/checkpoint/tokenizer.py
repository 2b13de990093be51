"""The tokenizer in the folder of a checkpoint, or the reason why there is none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import RunError
from .model_class import cause_of, missing_package, model_class_of
from .reader import read_json

if TYPE_CHECKING:
    from .reader import Checkpoint

# Files that hold the words of a tokenizer.
_VOCABULARIES = (
    "tokenizer.json",
    "vocab.json",
    "vocab.txt",
    "tekken.json",
    "*.model",
    "*.tiktoken",
)
_MISSING = "its tokenizer needs a package that is not installed: pip install {}"


def has_tokenizer(folder: Path) -> bool:
    """Whether the words of a tokenizer lie in a folder."""
    return any(any(folder.glob(pattern)) for pattern in _VOCABULARIES)


def stored_chat_template(folder: Path) -> str | None:
    """The chat template of a checkpoint folder, as its files state it; None where they do not.

    Raises:
        CheckpointError: A file cannot be read.
    """
    template, config = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    if template.is_file():
        return template.read_text(encoding="utf8")
    stated = read_json(config).get("chat_template") if config.is_file() else None
    return stated if isinstance(stated, str) else None


def load_tokenizer(folder: Path, name: str) -> Any:
    """The tokenizer whose files lie in a checkpoint folder; messages call it by its name.

    Raises:
        RunError: Its files are missing or damaged, need another package, or bring their own code.
    """
    from transformers import AutoTokenizer

    if folder.is_dir() and not has_tokenizer(folder):  # a hub id is no folder
        raise RunError(
            f"{name}: there is no tokenizer to load; put its files (tokenizer.json, or "
            "tokenizer.model) next to config.json"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # of many kinds, by what is missing
        raise RunError(f"{name}: {_cause(folder, error)}") from error
    special = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}
    if set(tokenizer.get_vocab()) <= special:
        raise RunError(
            f"{name}: its tokenizer has no words; put all of its files next to config.json"
        )
    return tokenizer


def table_rows(checkpoint: Checkpoint) -> int:
    """Tokens that a checkpoint's model has an embedding for."""
    return int(model_class_of(checkpoint).config.get_text_config().vocab_size)


def check_tokens(tokens: Iterable[int], rows: int, tokenizer: Any, source: str) -> None:
    """Raise where a text holds a word that the tokenizer has and the model has not.

    Raises:
        RunError: Names the word.
    """
    beyond = next((int(token) for token in tokens if token >= rows), None)
    if beyond is not None:
        word = tokenizer.convert_ids_to_tokens(beyond)
        raise RunError(
            f"{source}: contains {word!r}, token {beyond}, for which the model has no embedding: "
            f"its table has {rows:,} rows, and the tokenizer has {len(tokenizer):,} words; remove "
            "this word from the text, or use the tokenizer of the model"
        )


def _cause(folder: Path, error: Exception) -> str:
    """Why a tokenizer cannot be loaded, and what to do."""
    reason = cause_of(error)
    if not (folder / "tokenizer.json").exists():
        for file in (*sorted(folder.glob("*.model")), *sorted(folder.glob("*.tiktoken"))):
            # transformers asks for tiktoken also where the file is one of sentencepiece.
            package = "tiktoken" if _is_tiktoken(file) else "sentencepiece"
            if find_spec(package) is None:
                return _MISSING.format(package)
            reason = f"{file.name} cannot be read as a file of {package}"
        if (folder / "tekken.json").exists() and find_spec("mistral_common") is None:
            return _MISSING.format("mistral-common")
    if package := missing_package(error):
        return _MISSING.format(package)
    if "trust_remote_code" in str(error):
        return (
            "its tokenizer needs its own code, which widthwise does not run; convert it to "
            "a tokenizer.json"
        )
    return f"its tokenizer cannot be loaded from the files next to config.json: {reason}"


def _is_tiktoken(file: Path) -> bool:
    """Whether a file lists words in base64 with their numbers, one a line."""
    with open(file, "rb") as opened:
        first = opened.readline(4096)
    return re.fullmatch(rb"[A-Za-z0-9+/]+=* \d+\r?\n", first) is not None
