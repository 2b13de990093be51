"""From the MODEL a user names to a checkpoint folder on this machine, once."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from ...assets import (
    CONVERSION,
    EMBEDDED,
    NAMED_MODELS,
    cache_dir,
    convert_gguf,
    embedded_model,
    has_embedded_model,
    has_named_model,
    model_names,
    named_model,
)
from ...errors import CheckpointError
from ...io import file_sha256, write_text
from ...notices import notice
from .hub import hub_folder
from .reader import Checkpoint
from .tokenizer import load_tokenizer


@dataclass(frozen=True)
class ModelSource:
    """A model that was named, found on this machine; what its folder holds is read at first need.

    Attributes:
        path: Checkpoint folder.
        name: What plans, records and messages call the model.
        gguf: The GGUF file that the folder was converted from; None of any other folder.
    """

    path: Path
    name: str
    gguf: Path | None = None

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The folder, opened; its files may be closed by `with`, and open again when rows are read.

        Raises:
            CheckpointError, UnsupportedModelError: As `Checkpoint`.
        """
        result = Checkpoint(self.path, self.name)
        if result.quantization:
            notice(f"{self.name}: {result.quantization.note}.")
        return result

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer in the folder of the weights.

        Raises:
            RunError: As `load_tokenizer`.
        """
        return load_tokenizer(self.path, self.name)


def resolve_model(model: str | Path | ModelSource) -> ModelSource:
    """The one place at which a name becomes a model; all that comes after takes a `ModelSource`.

    Args:
        model: A checkpoint folder, a `.gguf` file (converted once to bfloat16 safetensors in the
            cache), a name of `model_names` such as `"smollm2"`, the embedded model (a folder of
            that name is `"./smollm2"`), or a hub id (`"org/name"`, `"org/name@revision"`;
            downloaded once by huggingface_hub). One that was resolved is returned as it is.

    Raises:
        CheckpointError: There is no such model, or it cannot be fetched.
        AssetError: A model that goes by a name cannot be fetched.
    """
    if isinstance(model, ModelSource):
        return model
    name = str(model)
    if not name:
        raise CheckpointError("a model must be named; got an empty name")
    if name == EMBEDDED:
        return ModelSource(embedded_model(), "SmolLM2-135M-Instruct")
    if name in NAMED_MODELS:
        return _named(name)
    path = Path(os.path.expanduser(name))
    if path.is_dir():
        return ModelSource(path, name)
    if path.is_file():
        return ModelSource(_converted(path), path.name, gguf=path)
    if re.fullmatch(r"\w[\w.-]*/[\w.-]+(@[\w./-]+)?", name):
        return ModelSource(hub_folder(name), name)
    raise CheckpointError(
        f"{name}: no such folder or file, nor a hub id (org/name); "
        f"these models go by a name: {', '.join(model_names())}"
    )


def finding(models: Sequence[str]) -> str:
    """What `resolve_model` does with these models, in words for somebody who waits for it.

    >>> finding(["org/name"])
    'finding the model, fetched at first use'
    """
    what = "the models" if len(models) > 1 else "the model"
    is_local = all(map(_is_local, models))
    return f"reading {what}" if is_local else f"finding {what}, fetched at first use"


def _is_local(model: str) -> bool:
    if model == EMBEDDED:
        return has_embedded_model()
    if model in NAMED_MODELS:
        return has_named_model(model)
    return Path(os.path.expanduser(model)).exists()


def _named(name: str) -> ModelSource:
    """A model whose file is fetched; the card says what the file itself does not."""
    model, path = NAMED_MODELS[name], named_model(name)
    folder = _converted(path, model.sha256)
    if not (folder / "README.md").exists():
        write_text(folder / "README.md", model.card)
    return ModelSource(folder, model.title, gguf=path)


def _converted(path: Path, digest: str | None = None) -> Path:
    if path.suffix.lower() != ".gguf":
        raise CheckpointError(
            f"{path}: a model is a checkpoint folder or a .gguf file; for a single safetensors "
            "file, give its folder"
        )
    stat = path.stat()
    digest = digest or _sha256(path, stat.st_size, stat.st_mtime_ns)
    folder = cache_dir() / "gguf" / f"{path.stem}-{digest[:16]}-{CONVERSION}"
    if not folder.exists():
        notice(f"Converting {path.name} to safetensors, once; it is kept in {folder}.")
        convert_gguf(path, folder, "bfloat16")
    return folder


@lru_cache(maxsize=8)
def _sha256(path: Path, size: int, modified_ns: int) -> str:
    """The digest of a file, read once while its size and the time of its last change stay."""
    return file_sha256(path)
