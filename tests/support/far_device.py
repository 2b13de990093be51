"""A device beside the CPU, imitated with real numbers, so that mixing the two fails as on CUDA.

A tensor on it holds one of the CPU, on which its operations are done. As on CUDA, an operation on
tensors of both places is an error unless one of them is a single number, is copied, or is an index
into a tensor on the device; and numpy cannot read the device. It is slow, and has no kernels of its
own: what only a GPU rounds, orders or runs out of is not shown. Once made, it is known to torch as
long as the process lasts, which would then seed it: use it in a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

KIND = "far"
_COPIES = ("aten._to_copy", "aten.copy_", "aten._local_scalar_dense")
_INDEXED = ("aten.index", "aten.index_put", "aten.index_put_", "aten._index_put_impl_")


class FarTensor(torch.Tensor):
    """A tensor on the device, and the one of the CPU that holds its numbers."""

    near: torch.Tensor

    @staticmethod
    def __new__(cls, near: torch.Tensor) -> FarTensor:
        make: Any = torch.Tensor._make_wrapper_subclass
        far: FarTensor = make(
            cls,
            near.shape,
            strides=near.stride(),
            storage_offset=near.storage_offset(),
            dtype=near.dtype,
            device=f"{KIND}:0",
        )
        far.near = near
        return far

    def tolist(self) -> Any:
        return self.near.tolist()

    def numpy(self, **_: Any) -> Any:
        raise TypeError(f"can't convert {KIND}:0 device type tensor to numpy")

    @classmethod
    def __torch_dispatch__(cls, call: Any, types: Any, args: Any = (), named: Any = None) -> Any:
        return _run(call, args, named or {})


class _Everywhere(TorchDispatchMode):
    """Lets the device be named where tensors are made."""

    def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), named: Any = None) -> Any:
        return _run(call, args, named or {})


@contextmanager
def far_device() -> Iterator[str]:
    """The name of the device, which is there while this is open; inference mode is not."""
    if torch._C._get_privateuse1_backend_name() != KIND:  # once a process
        _setup_privateuseone_for_python_backend(KIND)
    lifted = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device=...) makes, then copies
    try:
        with _Everywhere(), patch.object(torch, "inference_mode", torch.no_grad):
            yield f"{KIND}:0"
    finally:
        torch._C._set_only_lift_cpu_tensors(lifted)


def _run(call: Any, args: Any, named: dict[str, Any]) -> Any:
    """An operation of torch, on the CPU's tensors, its results where they belong."""
    tensors = [each for each in tree_flatten((args, named))[0] if isinstance(each, torch.Tensor)]
    far = [each for each in tensors if isinstance(each, FarTensor)]
    asked = named.get("device")
    is_far = bool(far) if asked is None else torch.device(asked).type == KIND
    if is_far and asked is not None:
        named = {**named, "device": torch.device("cpu")}
    name = str(call.overloadpacket)
    _check_places(name, args, tensors, far)
    if is_far and name == "aten.histc":  # of whole numbers on a GPU alone
        args = (args[0].float(), *args[1:])

    def near(value: Any) -> Any:
        return value.near if isinstance(value, FarTensor) else value

    result = call(*tree_map(near, args), **tree_map(near, named))
    of_near = {id(each.near): each for each in far}  # what was changed in place stays itself

    def placed(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or value.is_meta:
            return value
        if id(value) in of_near:
            return of_near[id(value)]
        return FarTensor(value) if is_far else value

    return tree_map(placed, result)


def _check_places(name: str, args: Any, tensors: list[torch.Tensor], far: list[FarTensor]) -> None:
    """Raise RuntimeError where CUDA would."""
    near = [each for each in tensors if not isinstance(each, FarTensor) and each.dim()]
    if not far or not near or name in _COPIES:
        return
    if name in _INDEXED and isinstance(args[0], FarTensor):
        return
    raise RuntimeError(
        f"Expected all tensors to be on the same device, but found {KIND}:0 and cpu in {name}"
    )
