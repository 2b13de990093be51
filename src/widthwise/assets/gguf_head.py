"""The small files that a GGUF file becomes, and where its parameters are; no weight is read."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedModelError
from ..io import from_plain
from .gguf_config import model_without_weights, refused_by_name
from .gguf_file import architecture_of, check_counts, licence_of, refuse_unknown, torch_shape
from .gguf_keys import GgufSettings
from .gguf_names import Parameter, parameters_of, translation_of

if TYPE_CHECKING:
    import torch

TENSORS = ".gguf_tensors.json"


def write_head(path: Path, reader: Any, folder: Path, dtype: str | torch.dtype) -> None:
    """Write all but weights and tokenizer, and where the weights are, without reading them.

    Raises:
        CheckpointError, UnsupportedModelError: As `convert_gguf`.
    """
    refuse_unknown(path, reader)
    check_counts(path, reader)
    with refused_by_name(path):
        refuse_undecodable(reader)
        stated = GgufSettings(reader)
        model = model_without_weights(path, reader, stated, dtype)
        translation = translation_of(architecture_of(reader), model.config)
        shapes = {str(tensor.name): torch_shape(tensor) for tensor in reader.tensors}
        parameters = parameters_of(model, translation, shapes)
        used = {name for each in parameters.values() for name in each.tensors}
        stated.check_tensors(used, type(model).__name__)
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    text = json.dumps({name: asdict(each) for name, each in parameters.items()})
    (folder / TENSORS).write_text(text, encoding="utf8")
    if licence := licence_of(reader):
        (folder / "README.md").write_text(f"---\nlicense: {licence}\n---\n", encoding="utf8")


def read_parameters(folder: Path) -> dict[str, Parameter]:
    """Where the parameters are, as `write_head` wrote it."""
    entries = json.loads((folder / TENSORS).read_text(encoding="utf8"))
    parameters: dict[str, Parameter] = from_plain(dict[str, Parameter], entries, "the parameter")
    return parameters


def decode(raw: NDArray[np.uint8], kind: Any) -> NDArray[np.float32]:
    """Numbers by their bytes, in one dimension.

    They are given as one row, as gguf decodes no more than 16 rows at a time, however short.

    Raises:
        NotImplementedError: gguf cannot decode the type.
    """
    import gguf

    numbers: NDArray[np.float32] = gguf.quants.dequantize(raw[None], kind)[0]
    return numbers


def refuse_undecodable(reader: Any) -> None:
    """Raise UnsupportedModelError where gguf cannot decode the type of a tensor."""
    import gguf

    checked = set()
    for tensor in reader.tensors:
        kind = tensor.tensor_type
        if kind not in checked:
            try:
                decode(np.zeros(gguf.GGML_QUANT_SIZES[kind][1], dtype=np.uint8), kind)
            except NotImplementedError as error:
                raise UnsupportedModelError(
                    f"the tensor {tensor.name} of type {kind.name}, which gguf cannot decode"
                ) from error
        checked.add(kind)
