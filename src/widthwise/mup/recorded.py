"""What the layers of a running network compute, and the logits of its attention."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from .shapes import named_modules

if TYPE_CHECKING:
    from torch import Tensor, nn

_ARGUMENTS = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")  # of attention
_MASKED = -1e4  # logits at and below it are those of tokens that are not looked at


@contextmanager
def recorded_outputs(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """The latest output of every layer as the model runs, and what every softmax in it is given.

    Layers are the modules that have parameters themselves and return one tensor, and members of
    a `ModuleList` that do: their outputs are the residual stream.

    Logits are named by the module that computes them: `layers.0.self_attn (logits)`. Those that
    masks leave out are not among them. torch's own `MultiheadAttention` and kernels of other
    libraries hide theirs.
    """
    import torch

    outputs: dict[str, Tensor] = {}
    running: list[str] = []
    modules = named_modules(model)

    def enter(path: str, *_: object) -> None:
        running.append(path)

    def leave(path: str, module: nn.Module, _: object, output: object) -> None:
        running.pop()
        is_layer = isinstance(modules.get(path.rpartition(".")[0]), torch.nn.ModuleList)
        is_layer |= next(module.parameters(recurse=False), None) is not None
        if is_layer and isinstance(output, torch.Tensor):
            outputs[path] = output.detach().clone()

    def told(logits: Tensor) -> None:
        path = running[-1] if running else "network"
        outputs[f"{path} (logits)"] = logits.detach().clone()

    with ExitStack() as stack:
        for path, module in modules.items():
            stack.enter_context(module.register_forward_pre_hook(partial(enter, path)))
            stack.enter_context(module.register_forward_hook(partial(leave, path)))
        stack.enter_context(_logits_told(told))
        yield outputs


def _logits_told(told: Callable[[Tensor], None]) -> Any:
    """A mode of torch in which logits are told before their softmax is taken."""
    import torch
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    class Logits(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
        ) -> Any:
            given = kwargs or {}
            if function is functional.scaled_dot_product_attention:
                told(_attended({**dict(zip(_ARGUMENTS, args, strict=False)), **given}))
            elif function in (functional.softmax, torch.softmax, torch.Tensor.softmax):
                logits = args[0] if args else given["input"]
                told(logits[logits > _MASKED])
            return function(*args, **given)

    return Logits()


def _attended(given: Mapping[str, Any]) -> Tensor:
    """The logits of torch's attention, those that its mask leaves in, by the arguments' names."""
    import torch

    query, key, mask = given["query"], given["key"], given.get("attn_mask")
    with torch.no_grad():
        if key.shape[-3] != query.shape[-3]:
            key = key.repeat_interleave(query.shape[-3] // key.shape[-3], dim=-3)
        scale = given.get("scale")
        factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
        logits: Tensor = query @ key.transpose(-2, -1) * factor
        seen = torch.ones_like(logits, dtype=torch.bool)
        if given.get("is_causal"):
            seen = seen.tril()
        if mask is not None:
            seen &= mask if mask.dtype == torch.bool else mask > _MASKED
        found: Tensor = logits[seen]
        return found
