"""A GGUF file as a checkpoint: its weights are decoded as they are read, and written nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...arch import Architecture, read_architecture
from ...assets import GgufModel
from ...io import TORCH_DTYPES
from .reader import SINGLE, Checkpoint, StoredTensor, read_json, read_widths

if TYPE_CHECKING:
    from torch import Tensor


class GgufCheckpoint(Checkpoint):
    """The parameters of a GGUF file in bfloat16, by their names in transformers.

    `path` is a folder of the cache with its config and no weights. The tokenizer is converted when
    `tokenizer_folder` is asked for, and the weights are where `loadable` is. `stored` has each in
    the one file of such a folder, which needs not be there: what is written out of this checkpoint
    is a folder, too.

    Args:
        file: The GGUF file.
        name: What to call it in plans and model cards.
        card: Its model card, where more is known than it states.

    Raises:
        CheckpointError, UnsupportedModelError, OutputError: As `convert_gguf`.
    """

    is_compared = True

    def __init__(self, file: Path, name: str, card: str | None = None) -> None:
        self.model = GgufModel(file, card)
        self.path, self.name = self.model.head, name
        self.config = read_json(self.path / "config.json")
        specs, folder_file = self.model.weights.specs, self.path / SINGLE
        self.stored = {name: StoredTensor(folder_file, 0, spec) for name, spec in specs.items()}
        self.tensors = self.stored
        # The parameters of a model, each of which was found in the file.
        self.architecture: Architecture = read_architecture(self.config, specs, is_built=True)
        self.widths = read_widths(self.config, self.architecture)

    def __exit__(self, *_: object) -> None:
        self.model.weights.close()

    @property
    def decoded_dtype(self) -> str:
        return next(iter(self.tensors.values())).spec.dtype

    @property
    def stored_bytes(self) -> int:
        return self.model.path.stat().st_size

    @property
    def storage_note(self) -> str:
        return (
            f"weights are stored as {', '.join(self.model.kinds)} (a file of "
            f"{self.stored_bytes:,} bytes), and read as {TORCH_DTYPES[self.decoded_dtype]}, in "
            "which bytes are counted"
        )

    @property
    def loadable(self) -> Path:
        return self.model.checkpoint

    @property
    def tokenizer_folder(self) -> Path:
        return self.model.tokenizer

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        return self.model.weights.rows(name, start, stop)
