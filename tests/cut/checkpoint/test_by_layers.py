"""A model by layers has the weights of the loaded one, each layer's only while it is held."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from every_family import EACH_KIND, tiny_model

from widthwise.cut.checkpoint import Checkpoint, ModelByLayers, WholeModel, load_model
from widthwise.errors import CheckpointError

Named = dict[str, torch.Tensor]


def _all(model: Any) -> Named:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _in_layers(model: ModelByLayers) -> dict[str, int]:
    """The number of the layer of each tensor of a layer that files hold.

    Left out are tensors outside of layers, and buffers that are computed: all always there.
    """
    return {
        name: number
        for name in model.module.state_dict()
        for number, layer in enumerate(model.architecture.layer_names)
        if name.startswith(f"{layer}.")
    }


@contextmanager
def _saved(family: str, folder: Path, **changes: Any) -> Iterator[Checkpoint]:
    tiny_model(family, **changes).save_pretrained(folder)
    with Checkpoint(folder) as checkpoint:
        yield checkpoint


@pytest.mark.parametrize("family", EACH_KIND)
def test_every_family_has_the_weights_of_its_loaded_model(family: str, tmp_path: Path) -> None:
    with _saved(family, tmp_path) as checkpoint:
        wanted = _all(load_model(checkpoint, dtype=torch.float32))
        model = ModelByLayers(checkpoint, dtype=torch.float32, kept_bytes=0)
        layer_of = _in_layers(model)
        for layer in range(len(model.architecture.layer_names)):
            with model.held(layer):
                result = _all(model.module)
            assert result.keys() == wanted.keys()
            for name, value in result.items():
                if layer_of.get(name, layer) == layer:
                    assert value.dtype == wanted[name].dtype, name
                    assert torch.equal(value, wanted[name]), name
                else:
                    assert value.is_meta, name


def test_a_layer_is_there_until_all_have_let_go(tmp_path: Path) -> None:
    with _saved("llama", tmp_path) as checkpoint:
        model = ModelByLayers(checkpoint, dtype=torch.float32, kept_bytes=0)
        weight = model.architecture.groups[0].down
        with model.held(0):
            with model.held(0):
                pass
            assert not model.module.get_parameter(weight).is_meta
        assert model.module.get_parameter(weight).is_meta


@pytest.mark.parametrize("missing", [0, 1])
def test_all_layers_stay_or_none(missing: int, tmp_path: Path) -> None:
    """They are run in turn: of some that stay, each would be gone when its turn comes."""
    with _saved("llama", tmp_path, num_hidden_layers=3) as checkpoint:
        model = ModelByLayers(checkpoint, dtype=torch.float32)
        layers = [model.module.get_submodule(name) for name in model.architecture.layer_names]
        size = sum(each.nbytes for layer in layers for each in layer.parameters())
        model = ModelByLayers(checkpoint, dtype=torch.float32, kept_bytes=size - missing)
        for layer in (0, 2):
            with model.held(layer):
                pass
    downs = [model.module.get_parameter(group.down) for group in model.architecture.groups]
    assert [each.is_meta for each in downs] == [bool(missing), True, bool(missing)]


def test_a_head_tied_to_the_embeddings_is_one_tensor(tmp_path: Path) -> None:
    with _saved("llama", tmp_path, tie_word_embeddings=True) as checkpoint:
        module: Any = ModelByLayers(checkpoint, dtype=torch.float32).module
    assert module.get_output_embeddings().weight is module.get_input_embeddings().weight


def test_files_that_changed_since_are_refused(tmp_path: Path) -> None:
    with _saved("llama", tmp_path) as checkpoint:
        model = ModelByLayers(checkpoint, dtype=torch.float32, kept_bytes=0)
        (tmp_path / "model.safetensors").write_bytes(b"")
        with pytest.raises(CheckpointError, match=r"model\.safetensors"), model.held(1):
            pass


def test_a_model_in_memory_is_always_held() -> None:
    module = tiny_model("llama")
    model = WholeModel(module)
    with model.held(1):
        assert model.module is module
