"""The model that a caller names or holds, opened once for all that is done with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..cut import ModelWeights, Weights
from ..cut.checkpoint import (
    ModelByLayers,
    ModelSource,
    WholeModel,
    load_model,
    load_tokenizer,
    resolve_model,
)
from ..errors import RunError

if TYPE_CHECKING:
    import torch
    from torch import nn

    Model: TypeAlias = "str | Path | ModelSource | OpenedModel | nn.Module"


class OpenedModel:
    """A model in memory, or one on disk that is loaded at first need and then stays.

    Attributes:
        weights: Its weights as they are stored.

    Args:
        given: The model.
        device: Where one on disk is run; None for CUDA where there is one, else the CPU.

    Raises:
        CheckpointError, UnsupportedModelError: As `Checkpoint` and `ModelWeights`.
    """

    def __init__(self, given: ModelSource | nn.Module, device: str | None = None) -> None:
        self._given, self._device = given, device
        self.weights: Weights = (
            given.checkpoint if isinstance(given, ModelSource) else ModelWeights(given)
        )

    @cached_property
    def module(self) -> nn.Module:
        """The whole model, to be run on text.

        On a processor without units for bfloat16 it is loaded in float32, which is faster there.
        """
        if not isinstance(self._given, ModelSource):
            return self._given
        dtype, device = self.run_in
        module: nn.Module = load_model(self._given.checkpoint, dtype=dtype).to(device)
        return module

    @cached_property
    def by_layers(self) -> ModelByLayers | WholeModel:
        """The same, to be run layer by layer: of a model on disk, layers are read as they are run.

        A model that is loaded already is taken as it is.
        """
        if not isinstance(self._given, ModelSource) or "module" in vars(self):
            return WholeModel(self.module)
        dtype, device = self.run_in
        return ModelByLayers(self._given.checkpoint, dtype=dtype, device=device)

    @property
    def source(self) -> ModelSource | None:
        """Where it is on disk; None of a model in memory."""
        return self._given if isinstance(self._given, ModelSource) else None

    @property
    def run_in(self) -> tuple[torch.dtype, str]:
        """The dtype and the device in which the model is run."""
        import torch

        if not isinstance(self._given, ModelSource):
            return self.module.dtype, self.module.device.type  # type: ignore[return-value]
        device = self._device or ("cuda" if torch.cuda.is_available() else "cpu")
        checkpoint = self._given.checkpoint
        kinds = {checkpoint.tensors[name].spec.dtype for name in checkpoint.architecture.cuts}
        is_bfloat16 = kinds == {"BF16"} and has_bfloat16(device)
        return torch.bfloat16 if is_bfloat16 else torch.float32, device

    @property
    def is_gguf(self) -> bool:
        """Whether its weights are those of a GGUF file."""
        return isinstance(self._given, ModelSource) and self._given.gguf is not None

    @property
    def embedding_rows(self) -> int:
        """Tokens that the model has an embedding for."""
        table: Any = self.by_layers.module.get_input_embeddings()  # type: ignore[operator]
        return int(table.weight.shape[0])

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer in the folder of the model's checkpoint.

        Raises:
            RunError: It cannot be loaded, or a model in memory does not say where it lies.
        """
        if isinstance(self._given, ModelSource):
            return self._given.tokenizer
        config: Any = self._given.config
        path = str(getattr(config, "_name_or_path", "") or "")
        if not path:
            raise RunError(
                "the model's tokenizer cannot be loaded, because the model does not say where it "
                "is stored; pass the tokenizer"
            )
        return load_tokenizer(Path(path), path)


@contextmanager
def open_model(model: Model) -> Iterator[OpenedModel]:
    """Open a model for the functions below a public one; one that is open stays so."""
    if isinstance(model, OpenedModel):
        yield model
    elif isinstance(model, str | Path | ModelSource):
        source = resolve_model(model)
        with source.checkpoint:
            yield OpenedModel(source)
    else:
        yield OpenedModel(model)


def has_bfloat16(device: str) -> bool:
    """Whether bfloat16 is multiplied in hardware: on CUDA from Ampere on."""
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    units = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # private, not in every torch
    return any(getattr(torch.cpu, each, bool)() for each in units)
