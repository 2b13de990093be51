"""From the MODEL a user names to a checkpoint folder on this machine, once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ...assets import (
    EMBEDDED,
    NAMED_MODELS,
    block_sizes,
    embedded_model,
    has_embedded_model,
    has_named_model,
    model_names,
    named_model,
)
from ...errors import CheckpointError
from ...notices import notice
from ..weights import fingerprint
from .gguf_checkpoint import GgufCheckpoint
from .hub import hub_folder
from .lineage import lineage_of
from .reader import Checkpoint, read_json
from .tokenizer import load_tokenizer

EMBEDDED_TITLE = "SmolLM2-135M-Instruct"
_HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+(@[\w./-]+)?")


@dataclass(frozen=True)
class ModelSource:
    """A model that was named, found on this machine; what it holds is read at first need.

    Attributes:
        found: Checkpoint folder, or GGUF file.
        name: What plans, records and messages call the model.
        card: Model card of a GGUF file, where more is known than it states.
    """

    found: Path
    name: str
    card: str | None = None

    @property
    def gguf(self) -> Path | None:
        """The GGUF file; None of a folder."""
        return self.found if self.found.is_file() else None

    @property
    def path(self) -> Path:
        """A folder that transformers can load; a GGUF file is converted to one, once.

        Raises:
            CheckpointError, UnsupportedModelError, OutputError: As `convert_gguf`.
        """
        return self.found if self.gguf is None else self.checkpoint.loadable

    @property
    def stated(self) -> Mapping[str, Any]:
        """What a folder's config.json states; of a GGUF file the sizes of its blocks, by the names
        of a config. Empty where there is no such file, and where blocks are not alike.

        It is there before the model is read, which takes seconds.

        Raises:
            CheckpointError, UnsupportedModelError: The file cannot be read.
        """
        if self.gguf is None:
            path = self.found / "config.json"
            return read_json(path) if path.is_file() else {}
        return block_sizes(self.gguf)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The model, opened; its files may be closed by `with`, and open again when rows are read.

        Raises:
            CheckpointError, UnsupportedModelError, OutputError: As `Checkpoint` and `convert_gguf`.
        """
        if self.gguf is not None:
            return GgufCheckpoint(self.gguf, self.name, self.card)
        result = Checkpoint(self.found, self.name)
        if result.storage_note:
            notice(f"{self.name}: {result.storage_note}.")
        return result

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer beside the weights, or of the GGUF file.

        Raises:
            RunError: As `load_tokenizer`.
        """
        folder = self.found if self.gguf is None else self.checkpoint.tokenizer_folder
        return load_tokenizer(folder, self.name)


def resolve_model(model: str | Path | ModelSource) -> ModelSource:
    """The one place at which a name becomes a model; all that comes after takes a `ModelSource`.

    Args:
        model: A checkpoint folder, a `.gguf` file (decoded to bfloat16; where a folder is needed,
            converted once to one in the cache), a name of `model_names` such as `"smollm2"`, the
            embedded model (a folder of that name is `"./smollm2"`), or a hub id (`"org/name"`,
            `"org/name@revision"`; downloaded once by huggingface_hub). One that was resolved is
            returned as it is.

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
        return ModelSource(embedded_model(), EMBEDDED_TITLE)
    if name in NAMED_MODELS:
        return _named(name)
    path = Path(os.path.expanduser(name))
    if path.is_dir():
        return ModelSource(path, name)
    if path.is_file():
        _refuse_other_file(path)
        return ModelSource(path, path.name)
    if _HUB_ID.fullmatch(name):
        return ModelSource(hub_folder(name), name)
    raise CheckpointError(
        f"{name}: no such folder or file, nor a hub id (org/name); "
        f"these models go by a name: {', '.join(model_names())}"
    )


def parent_of(model: ModelSource) -> str:
    """The model that a checkpoint was cut from, as `resolve_model` takes it.

    Raises:
        CheckpointError: No file beside it says that it was cut, or the other one is not here, or
            has other weights than the file tells.
    """
    lineage = None if model.gguf is not None else lineage_of(model.found)
    if lineage is None:
        raise CheckpointError(
            f"{model.name} has no record of what it was cut from: name its dense model"
        )
    titles = {EMBEDDED_TITLE: EMBEDDED} | {each.title: n for n, each in NAMED_MODELS.items()}
    parent = titles.get(lineage.parent, lineage.parent)
    try:
        found = resolve_model(parent)
    except CheckpointError as error:
        raise CheckpointError(
            f"{model.name} was cut from {lineage.parent}, which is not found here under this name: "
            "name its dense model"
        ) from error
    with found.checkpoint as weights:
        if not fingerprint(weights).startswith(lineage.parent_weights):
            raise CheckpointError(
                f"{model.name} was cut from {lineage.parent}, but the GLU weights of {parent} are "
                "not those that its record names, so it is another version or dtype of that model: "
                "name the right one"
            )
    return parent


def is_gguf(path: Path) -> bool:
    """Whether a file is, or a result is to be, a GGUF file, by its name."""
    return path.suffix.lower() == ".gguf"


def names_folder(model: str | Path | ModelSource) -> bool:
    """Whether a MODEL is a checkpoint folder and no GGUF file, before it is fetched.

    False also of what is nothing at all, which `resolve_model` refuses.
    """
    if isinstance(model, ModelSource):
        return model.gguf is None
    name = str(model)
    if name == EMBEDDED or name in NAMED_MODELS:
        return name == EMBEDDED
    path = Path(os.path.expanduser(name))
    return path.is_dir() or (not path.is_file() and _HUB_ID.fullmatch(name) is not None)


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
    return ModelSource(path, model.title, model.card)


def _refuse_other_file(path: Path) -> None:
    if not is_gguf(path):
        raise CheckpointError(
            f"{path}: a model is a checkpoint folder or a .gguf file; for a single safetensors "
            "file, give its folder"
        )
