"""A GGUF file as a model of transformers: what needs no weights at once, the rest at first need.

In the cache, three kinds of folders are kept, each whole or absent: the *head* (config, and where
the parameters are), the tokenizer, which files of one model in several types share, and the whole
checkpoint as safetensors. One that is damaged all the same is made again.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Collection
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from ..io import new_once, remembered_sha256
from ..notices import notice
from .gguf import CONVERSION, WEIGHTS, longest_text, write_tokenizer, write_weights
from .gguf_file import architecture_of, checked_reader, head_digest, tokenizer_digest
from .gguf_head import TENSORS, write_head
from .gguf_weights import GgufWeights
from .wheels import cache_dir, digests

DTYPE = "bfloat16"  # of all weights as they are read
# Files that each kind of folder has.
_HEAD = (TENSORS, "config.json", "generation_config.json")
_TOKENIZER = ("tokenizer_config.json",)
_WHOLE = (WEIGHTS, "config.json")


class GgufModel:
    """A GGUF file, opened; no weight is read.

    Args:
        path: The file.
        card: Its model card, where more is known than it states.

    Attributes:
        path: The file.
        head: Folder of its config, its generation settings and its licence.
        weights: Its parameters, read by rows.

    Raises:
        CheckpointError, UnsupportedModelError, OutputError: As `convert_gguf`.
    """

    def __init__(self, path: Path, card: str | None = None) -> None:
        self.path = path
        self._card = card
        self._reader = checked_reader(path)
        digest = head_digest(self._reader, (*_makers("transformers", "gguf"), card or ""))
        self.head = _kept(_cache() / "heads" / digest[:32], _HEAD, self._write_head)
        self.weights = GgufWeights(path, self._reader, self.head, DTYPE)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the types of its tensors, that of most bytes first."""
        sizes: Counter[str] = Counter()
        for tensor in self._reader.tensors:
            sizes[str(tensor.tensor_type.name)] += int(tensor.n_bytes)
        return tuple(kind for kind, _ in sizes.most_common())

    @cached_property
    def tokenizer(self) -> Path:
        """Folder of its tokenizer and its chat template.

        Raises:
            UnsupportedModelError: transformers cannot read it.
        """
        longest, makers = longest_text(self.head), _makers("transformers", "tokenizers")
        architecture = architecture_of(self._reader)
        digest = tokenizer_digest(self._reader, (*makers, architecture, str(longest)))
        return _kept(
            _cache() / "tokenizers" / digest[:32],
            _TOKENIZER,
            lambda folder: write_tokenizer(self.path, self._reader, folder, longest),
        )

    @cached_property
    def checkpoint(self) -> Path:
        """Folder of the whole model as safetensors, known by the sha256 of the file.

        Raises:
            OutputError: It does not fit on the disk.
        """
        digest = remembered_sha256(self.path, digests())
        folder = _cache() / f"{self.path.stem}-{digest[:16]}-{CONVERSION}"
        if not _is_whole(folder, _WHOLE):
            notice(f"Converting {self.path.name} to safetensors, once; it is kept in {folder}.")
        return _kept(folder, _WHOLE, self._write)

    def _write_head(self, folder: Path) -> None:
        write_head(self.path, self._reader, folder, DTYPE)
        if self._card is not None:
            (folder / "README.md").write_text(self._card, encoding="utf8")

    def _write(self, folder: Path) -> None:
        for each in (*self.head.iterdir(), *self.tokenizer.iterdir()):
            if each.name != TENSORS:
                shutil.copyfile(each, folder / each.name)
        write_weights(self.weights, folder)


def _cache() -> Path:
    return cache_dir() / "gguf"


def _makers(*packages: str) -> tuple[str, ...]:
    """What a folder depends on beside the file."""
    return (str(CONVERSION), *(f"{name} {version(name)}" for name in packages))


def _kept(folder: Path, names: Collection[str], fill: Callable[[Path], None]) -> Path:
    """A folder of the cache with these files, filled where it is not there or damaged."""
    if not _is_whole(folder, names):
        with new_once(folder, lambda found: _is_whole(found, names)) as empty:
            if empty is not None:
                fill(empty)
    return folder


def _is_whole(folder: Path, names: Collection[str]) -> bool:
    """Whether a folder has these files, and all its JSON can be read."""
    if not all((folder / name).is_file() for name in names):
        return False
    try:
        for file in folder.glob("*.json"):
            json.loads(file.read_text(encoding="utf8"))
    except ValueError:  # of bytes that are no text, too
        return False
    return True
