"""Which dimensions of a parameter are inputs and which are outputs, as its module uses it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from .module_source import source_of

if TYPE_CHECKING:
    from torch import nn

Use = Literal["matrix", "table", "vector", "recurrent", "unknown"]

_TABLES = ("emb", "wte", "wpe")  # in names of tables
_ADDED = (*_TABLES, "position", "prompt", "cls_token", "query_tokens")
_RECURRENT = ("A_log", "dt_bias", "recurrent_param", "time_decay", "time_first")
_NESTED = r"(?:[^()]|\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))*"  # with brackets in brackets
_CALL = rf"\({_NESTED},\s*(?:\w+=)?self\."  # and the name, of what is the second argument


@dataclass(frozen=True)
class Axes:
    """How a parameter is used.

    Attributes:
        use: A `matrix` is multiplied by what comes in. Rows of a `table` are looked up or added,
            and not summed over. The numbers of a `vector` are added to or multiplied by others, one
            by one. `recurrent` ones set how a state decays from token to token. `unknown` where
            neither module nor source says it.
        outputs, inputs: Dimensions of a matrix.
    """

    use: Use
    outputs: int = 0
    inputs: int = 1


LINEAR, TRANSPOSED = Axes("matrix"), Axes("matrix", 1, 0)
TABLE, VECTOR, RECURRENT, UNKNOWN = (
    Axes(use) for use in ("table", "vector", "recurrent", "unknown")
)


def axes_of_name(name: str, shape: tuple[int, ...]) -> Axes:
    """Axes of a parameter of which only the name is known.

    A matrix has outputs first. Those with `emb`, `wte` or `wpe` in their name are tables, and of
    three dimensions the first may be that of experts.

    >>> axes_of_name("wte.weight", (11, 8)).use, axes_of_name("mlp.experts.up", (4, 16, 8)).inputs
    ('table', 2)
    """
    if name.rpartition(".")[2] in _RECURRENT:
        return RECURRENT
    if len(shape) < 2:
        return VECTOR
    if any(part in name.lower() for part in _TABLES):
        return TABLE
    if len(shape) == 2:
        return LINEAR
    return Axes("matrix", 1, 2) if len(shape) == 3 and "expert" in name else UNKNOWN


def axes_of(module: nn.Module, name: str, shape: tuple[int, ...]) -> Axes:
    """Axes of a parameter of a module, by the module's class or else its source.

    Args:
        module: Module that owns it.
        name: Its name there.
        shape: Its shape.
    """
    from torch import nn

    if name in _RECURRENT:
        return RECURRENT
    if len(shape) < 2 or name.endswith("bias"):
        return VECTOR
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        return TABLE
    transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    # transformers' Conv1D, of GPT-2, is a linear layer with a transposed weight
    if isinstance(module, transposed) or type(module).__name__ == "Conv1D":
        return TRANSPOSED
    convolutions = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    recurrent = (nn.RNNBase, nn.RNNCellBase)
    if isinstance(module, (nn.Linear, *convolutions, *recurrent, nn.MultiheadAttention)):
        return LINEAR if len(shape) == 2 or isinstance(module, convolutions) else VECTOR
    if isinstance(module, (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm)):
        return VECTOR
    return _axes_of_bare(module, name, shape)


def _axes_of_bare(module: nn.Module, name: str, shape: tuple[int, ...]) -> Axes:
    """Axes of a parameter that is in no layer of torch."""
    last, kind = len(shape) - 1, cast("Any", type(module))
    source, transposed = source_of(kind), getattr(module, "is_transposed", None)
    if len(shape) == 3 and isinstance(transposed, bool):  # experts of transformers
        return _matrix(last, transposed=transposed)
    if re.search(rf"linear{_CALL}{name}\b", source):
        return _matrix(last, transposed=False)
    multiplied = rf"(?:matmul|bmm|mm){_CALL}{name}\b|@\s*self\.{name}\b"
    if re.search(multiplied, source):
        return _matrix(last, transposed=True)
    if shape[0] == 1 and last > 1:  # as tokens and positions of vision transformers have it
        return TABLE
    return TABLE if any(part in name.lower() for part in _ADDED) else UNKNOWN


def _matrix(last: int, *, transposed: bool) -> Axes:
    ends = (last, last - 1) if transposed else (last - 1, last)
    return Axes("matrix", *ends)


def embedding_scale(module: nn.Module) -> float | None:
    """What an embedding multiplies its rows by, as Gemma's does by sqrt(H); None where it cannot be
    read, as on the meta device, and 1 where there is none."""
    import torch

    for name in ("scalar_embed_scale", "embed_scale"):
        value: Any = getattr(module, name, None)
        if isinstance(value, torch.Tensor):
            return None if value.is_meta or value.numel() != 1 else float(value)
        if value is not None:
            return float(value)
    return 1.0
