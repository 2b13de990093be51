"""Shapes of a network's parameters, and their uses in its modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from ..errors import LimitError
from .attention_scale import find_scale, head_size
from .axes import LINEAR, TABLE, Axes, axes_of, axes_of_name, embedding_scale

if TYPE_CHECKING:
    from torch import Tensor, nn

_WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """A network without its numbers.

    Attributes:
        sizes: Shape of every parameter, by the first of its names.
        axes: How each is used, and which of its dimensions are inputs and outputs.
        shared: Further names of parameters that have several.
        heads: Modules that multiply by the weight of an embedding.
        attention: Scale of the logits and size of a head, of attention modules whose scale can be
            set.
        fixed: Size of a head of the other attention modules.
        embedding_scales: What embeddings multiply their rows by, by the name of the weight, where
            it is not 1; None where it cannot be read.
        module: The network itself, without wrappers; None of a mapping.
    """

    sizes: Mapping[str, tuple[int, ...]]
    axes: Mapping[str, Axes]
    shared: frozenset[str] = frozenset()
    heads: Mapping[str, str] = field(default_factory=dict)
    attention: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    fixed: Mapping[str, int] = field(default_factory=dict)
    embedding_scales: Mapping[str, float | None] = field(default_factory=dict)
    module: Any = field(default=None, compare=False, repr=False)


def read_shapes(source: Any, what: str) -> Shapes:
    """Shapes of a module (which may be on the meta device), a config of transformers, or names.

    Args:
        source: Network. In a mapping from names to shapes or tensors, names say how each is used:
            see `axes_of_name`.
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
    except Exception as error:  # classes raise errors of many kinds
        cause = " ".join(str(error).split())
        raise LimitError(f"{what}: no language model can be made of its config: {cause}") from error


def _mapping_shapes(source: Mapping[str, Any], what: str) -> Shapes:
    sizes = {}
    for name, given in source.items():
        shape = getattr(given, "shape", given)
        if not isinstance(shape, Sequence) or not all(type(n) is int and n > 0 for n in shape):
            raise LimitError(
                f"{what}: the shape of {name} must be whole numbers above 0; got {str(given)[:60]}"
            )
        sizes[str(name)] = tuple(shape)
    axes = {name: axes_of_name(name, shape) for name, shape in sizes.items()}
    return Shapes(sizes=sizes, axes=axes)


def _module_shapes(model: nn.Module) -> Shapes:
    shared: set[str] = set()
    sizes: dict[str, tuple[int, ...]] = {}
    axes: dict[str, Axes] = {}
    heads: dict[str, str] = {}
    scales: dict[str, float | None] = {}
    for owners in _uses(model).values():
        name, _, parameter = owners[0]
        sizes[name] = tuple(parameter.shape)
        kinds = [axes_of(m, n.rpartition(".")[2], sizes[name]) for n, m, _ in owners]
        axes[name] = TABLE if TABLE in kinds else kinds[0]
        shared |= {other for other, _, _ in owners[1:]}
        both = list(zip(owners, kinds, strict=True))
        if TABLE in kinds:
            heads |= {own.rpartition(".")[0]: name for (own, _, _), kind in both if kind == LINEAR}
        found = {embedding_scale(module) for (_, module, _), kind in both if kind == TABLE}
        for scale in found - {1.0}:
            scales[name] = scale
    scaled, fixed = _attention(model)
    return Shapes(
        sizes=sizes,
        axes=axes,
        shared=frozenset(shared),
        heads=heads,
        attention=scaled,
        fixed=fixed,
        embedding_scales=scales,
        module=plain_module(model),
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
