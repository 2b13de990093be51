"""Shapes of a network's parameters, and their uses in its modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

from ..errors import LimitError
from .attention_scale import find_scale, head_size

if TYPE_CHECKING:
    from torch import Tensor, nn

Layout = Literal["linear", "transposed", "embedding"]

_WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
_TABLES = ("emb", "wte", "wpe")  # in names of embeddings


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """A network without its numbers.

    Attributes:
        sizes: Shape of every parameter, by the first of its names.
        layouts: Order of a weight's dimensions: `linear` has outputs first, `transposed` inputs
            first, and rows of an `embedding` are picked and not summed over.
        shared: Further names of parameters that have several.
        heads: Modules that multiply by the weight of an embedding.
        attention: Scale of the logits and size of a head, of attention modules whose scale can be
            set.
        fixed: Size of a head of the other attention modules.
    """

    sizes: Mapping[str, tuple[int, ...]]
    layouts: Mapping[str, Layout]
    shared: frozenset[str] = frozenset()
    heads: Mapping[str, str] = field(default_factory=dict)
    attention: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    fixed: Mapping[str, int] = field(default_factory=dict)


def read_shapes(source: Any, what: str) -> Shapes:
    """Shapes of a module (which may be on the meta device), a config of transformers, or names.

    Args:
        source: Network. In a mapping from names to shapes or tensors, weights with `emb`, `wte` or
            `wpe` in their name count as embeddings and all others as linear.
        what: Name of the network in errors.

    Raises:
        LimitError: It is none of these, or has no parameters.
    """
    from torch import nn

    if isinstance(source, Mapping):
        shapes = _mapping_shapes(source, what)
    else:
        shapes = _module_shapes(
            source if isinstance(source, nn.Module) else _model_of_config(source, what)
        )
    if not shapes.sizes:
        raise LimitError(f"{what} must have parameters; got none")
    return shapes


def plain_module(model: nn.Module) -> nn.Module:
    """The module within torch's wrappers for several devices."""
    from torch import nn

    if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        return cast("nn.Module", model.module)
    return model


def plain_name(name: str) -> str:
    """A name without what torch.compile and FSDP put into it.

    >>> plain_name("_orig_mod.layers.0._fsdp_wrapped_module.weight")
    'layers.0.weight'
    """
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def named_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters by their plain names, each once."""
    return {
        plain_name(name): parameter for name, parameter in plain_module(model).named_parameters()
    }


def named_modules(model: nn.Module) -> dict[str, nn.Module]:
    """Modules by their plain names, the innermost where a wrapper has the same."""
    return {plain_name(name): module for name, module in plain_module(model).named_modules()}


def _model_of_config(source: Any, what: str) -> nn.Module:
    """The model of a config, without memory for its weights."""
    import torch
    import transformers

    if not isinstance(source, transformers.PretrainedConfig):
        raise LimitError(
            f"{what} must be a module, a config of transformers, or a mapping from names to "
            f"shapes; got {type(source).__name__}"
        )
    try:
        with torch.device("meta"):
            build: Any = transformers.AutoModelForCausalLM.from_config
            return cast("nn.Module", build(source))
    except ValueError as error:
        raise LimitError(f"{what}: no language model can be made of its config: {error}") from error


def _mapping_shapes(source: Mapping[str, Any], what: str) -> Shapes:
    sizes = {}
    for name, given in source.items():
        shape = getattr(given, "shape", given)
        if not isinstance(shape, Sequence) or not all(type(n) is int and n > 0 for n in shape):
            raise LimitError(
                f"{what}: the shape of {name} must be whole numbers above 0; got {str(given)[:60]}"
            )
        sizes[str(name)] = tuple(shape)
    layouts: dict[str, Layout] = {
        name: "embedding" if any(part in name.lower() for part in _TABLES) else "linear"
        for name in sizes
    }
    return Shapes(sizes=sizes, layouts=layouts)


def _module_shapes(model: nn.Module) -> Shapes:
    uses = _uses(model)
    shared: set[str] = set()
    sizes: dict[str, tuple[int, ...]] = {}
    layouts: dict[str, Layout] = {}
    heads: dict[str, str] = {}
    for owners in uses.values():
        name = owners[0][0]
        sizes[name] = tuple(owners[0][2].shape)
        kinds = [_layout(module) for _, module, _ in owners]
        layouts[name] = "embedding" if "embedding" in kinds else kinds[0]
        shared |= {other for other, _, _ in owners[1:]}
        if "embedding" in kinds:
            heads |= {
                owner.rpartition(".")[0]: name
                for (owner, _, _), kind in zip(owners, kinds, strict=True)
                if kind == "linear"
            }
    scaled, fixed = _attention(model)
    return Shapes(
        sizes=sizes,
        layouts=layouts,
        shared=frozenset(shared),
        heads=heads,
        attention=scaled,
        fixed=fixed,
    )


def _uses(model: nn.Module) -> dict[int, list[tuple[str, nn.Module, Tensor]]]:
    """Every parameter with all its names and the modules that have it."""
    uses: dict[int, list[tuple[str, nn.Module, Tensor]]] = {}
    for path, module in plain_module(model).named_modules(remove_duplicate=False):
        for local, parameter in module.named_parameters(recurse=False):
            name = plain_name(f"{path}.{local}" if path else local)
            owners = uses.setdefault(id(parameter), [])
            if name not in [other for other, _, _ in owners]:
                owners.append((name, module, parameter))
    return uses


def _layout(module: nn.Module) -> Layout:
    from torch import nn

    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        return "embedding"
    transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    # transformers' Conv1D, of GPT-2, is a linear layer with a transposed weight
    if isinstance(module, transposed) or type(module).__name__ == "Conv1D":
        return "transposed"
    return "linear"


def _attention(model: nn.Module) -> tuple[dict[str, tuple[float, int]], dict[str, int]]:
    """Attention modules: those whose scale can be set, with it, and the others."""
    scaled: dict[str, tuple[float, int]] = {}
    fixed: dict[str, int] = {}
    for path, module in named_modules(model).items():
        head = head_size(module)
        scale = None if head is None else find_scale(module)
        if head is not None and scale is not None:
            scaled[path] = scale.value, head
        elif head is not None:
            fixed[path] = head
    return scaled, fixed
