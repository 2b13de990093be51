"""A model whose layers are read from disk when they are run, so that one is in memory at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

from ...arch import Architecture
from ...errors import CheckpointError
from ..weights import ModelWeights
from .load import StoredAtNeed, built_from, check_stored, quiet
from .model_class import model_class_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from .reader import Checkpoint

KEPT_BYTES = 2**29  # of all layers, up to which they stay in memory once they were read


class ModelByLayers:
    """The model of a checkpoint, of which all but the layers is in memory.

    Attributes:
        module: The model in eval mode. The weights of a layer are on the meta device unless it is
            held; buffers that are not stored are there.
        architecture: Its groups of neurons, by the names of its parameters.
        all_stay: Whether layers stay in memory once they were read.

    Args:
        checkpoint: The checkpoint, opened; it is read from as long as the model is used.
        dtype: torch dtype of the weights.
        device: Where layers are run.
        kept_bytes: Most bytes of all layers, up to which they stay once they were read; of a larger
            model none does, as layers are run in turn. None for `KEPT_BYTES`.

    Raises:
        CheckpointError, UnsupportedModelError: As `load_model`.

    Memory: embeddings, head and other parts; the layers that are held, or `kept_bytes`.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        dtype: torch.dtype,
        device: str = "cpu",
        kept_bytes: int | None = None,
    ) -> None:
        builder, lock = model_class_of(checkpoint), Lock()
        check_stored(checkpoint, builder)
        self._dtype, self._device = dtype, device
        self._layers = _by_layers(checkpoint, lock)
        inside = {name: _Unread(tensor) for each in self._layers for name, tensor in each.items()}
        outside = {
            name: StoredAtNeed(checkpoint, name, lock)
            for name in checkpoint.tensors
            if name not in inside
        }
        with checkpoint:
            module, _ = built_from(checkpoint, builder, {**outside, **inside}, dtype=dtype)
        self.module: nn.Module = module.eval()
        self.architecture: Architecture = ModelWeights(module).architecture
        self._held: dict[int, int] = {}  # how often each layer that was read is held
        whole = sum(math.prod(each.shape) for layer in self._layers for each in layer.values())
        self.all_stay = whole * dtype.itemsize <= (KEPT_BYTES if kept_bytes is None else kept_bytes)
        _move(module, device)

    @contextmanager
    def held(self, layer: int) -> Iterator[None]:
        """Have a layer's weights in memory, where they are run, while open.

        Raises:
            CheckpointError: They cannot be read.
        """
        if layer not in self._held:
            self._read(layer)
        self._held[layer] = self._held.get(layer, 0) + 1
        try:
            yield
        finally:
            self._held[layer] -= 1
            if not (self._held[layer] or self.all_stay):
                del self._held[layer]
                _let_go(self._module(layer))

    def _module(self, layer: int) -> nn.Module:
        return self.module.get_submodule(self.architecture.layer_names[layer])

    def _read(self, layer: int) -> None:
        """Read a layer's weights as transformers does, with all the renaming and joining."""
        from transformers.conversion_mapping import get_model_conversion_mapping
        from transformers.core_model_loading import convert_and_load_state_dict_in_model
        from transformers.modeling_utils import LoadStateDictConfig

        module: Any = self.module
        mapping: Any = get_model_conversion_mapping(module)
        how = LoadStateDictConfig(dtype=self._dtype, weight_mapping=mapping)
        tensors = {name: each[...] for name, each in self._layers[layer].items()}
        with quiet():  # what is read already needs none of its threads, which an error leaves alive
            convert_and_load_state_dict_in_model(model=module, state_dict=tensors, load_config=how)
        part = self._module(layer)
        if absent := [name for name, each in _weights(part).items() if each.is_meta]:
            raise CheckpointError(
                f"{self.architecture.layer_names[layer]}.{absent[0]} cannot be read without the "
                "other layers"
            )
        part.requires_grad_(False)
        _move(part, self._device)


def renamed_parts(model: nn.Module) -> tuple[str, ...]:
    """Parts of names of parameters that transformers gives in the place of others when it loads."""
    from transformers.conversion_mapping import get_model_conversion_mapping

    entries: Any = get_model_conversion_mapping(cast("Any", model))
    targets = [target for entry in entries for target in entry.target_patterns]
    # Behind the place of a group stands what is inside of a layer.
    return tuple(filter(None, (target.rpartition("\\1")[2] for target in targets)))


class WholeModel:
    """A model in memory, in the place of a `ModelByLayers`: all of its layers are always held."""

    all_stay = True

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def held(self, _: int) -> AbstractContextManager[None]:
        """Nothing is to be read."""
        return nullcontext()


class _Unread:
    """A tensor in a file as transformers takes it, by `[...]` and `to`, without its numbers."""

    def __init__(self, stored: StoredAtNeed) -> None:
        self._stored = stored

    def __getitem__(self, _: Any) -> _Unread:
        return self

    def to(self, *, device: Any, dtype: torch.dtype | None) -> Tensor:
        """The tensor on the meta device, wherever it is asked for."""
        import torch

        return torch.empty(self._stored.shape, dtype=dtype, device="meta")


def _by_layers(checkpoint: Checkpoint, lock: Lock) -> list[dict[str, StoredAtNeed]]:
    """The stored tensors of each layer, by their names."""
    begins = [f"{name}." for name in checkpoint.architecture.layer_names]
    return [
        {
            name: StoredAtNeed(checkpoint, name, lock)
            for name in checkpoint.tensors
            if name.startswith(begin)
        }
        for begin in begins
    ]


def _weights(module: nn.Module) -> Mapping[str, Tensor]:
    """Parameters and buffers of a module that files hold."""
    return module.state_dict(keep_vars=True)


def _move(module: nn.Module, device: str) -> None:
    """Move what has numbers to a device; what is used twice stays one tensor."""
    moved: dict[int, Tensor] = {}
    for part in module.modules():
        for named in (part._parameters, part._buffers):
            for name, value in [*named.items()]:
                if value is None or value.is_meta or value.device.type == device:
                    continue
                if id(value) not in moved:
                    _set(part, name, value.detach().to(device))
                    moved[id(value)] = getattr(part, name)
                setattr(part, name, moved[id(value)])


def _let_go(module: nn.Module) -> None:
    """Leave of the weights of a module their shapes."""
    for name, value in _weights(module).items():
        owner, _, last = name.rpartition(".")
        _set(module.get_submodule(owner), last, value.detach().to("meta"))


def _set(module: nn.Module, name: str, value: Tensor) -> None:
    """Put a tensor in the place of a parameter or a buffer."""
    import torch

    if name not in module._buffers:
        value = torch.nn.Parameter(value, requires_grad=False)
    setattr(module, name, value)
