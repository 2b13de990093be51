"""Which tensors of a GGUF file are which parameter of its model, and how their rows lie.

llama.cpp's converter renames tensors, and reorders or changes the numbers of some. transformers
undoes that on whole tensors, by classes that know a family. Here its classes are given numbers that
say which row they are: what comes out tells whether a parameter can be read row by row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedModelError

Numbers = NDArray[Any]
# plain: row by row as stored. ordered: the same rows in another order. joined: of each matrix of a
# stack first the rows of one tensor, then those of the next. whole: anything else.
Layout = Literal["plain", "ordered", "joined", "whole"]


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """Where a parameter comes from.

    Attributes:
        tensors: Names in the file.
        shape: Its shape in the model.
        layout: How its rows are made of theirs.
    """

    tensors: tuple[str, ...]
    shape: tuple[int, ...]
    layout: Layout


class Translation(Protocol):
    """What transformers does to the tensors of one architecture."""

    def named(self, tensors: Sequence[str], model: Any) -> dict[str, str]:
        """Tensor of the file to parameter, of those that have a place in a model."""

    def whole(self, name: str, tensors: Mapping[str, Numbers]) -> Numbers:
        """The numbers of a parameter by those of its tensors."""


def translation_of(architecture: str, config: Any) -> Translation:
    """The classes of transformers for an architecture.

    Args:
        architecture: As the file names it.
        config: transformers' config of the model.
    """
    from transformers.integrations.gguf.gguf_conversion_mapping import GGUF_ARCHS

    return (_Rules if architecture in GGUF_ARCHS else _Processed)(architecture, config)


class _Processed:
    """By a processor, which changes one tensor after the other."""

    def __init__(self, architecture: str, config: Any) -> None:
        from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor

        make: Any = TENSOR_PROCESSORS.get(architecture, TensorProcessor)
        self._processor = make(config=config.to_dict())

    def named(self, tensors: Sequence[str], model: Any) -> dict[str, str]:
        from transformers.modeling_gguf_pytorch_utils import get_gguf_hf_weights_map

        mapped: Any = get_gguf_hf_weights_map
        known = mapped(model, self._processor)
        places = {name: (name, name.removesuffix(".weight")) for name in tensors}
        return {
            name: next(known[each] for each in both if each in known)
            for name, both in places.items()
            if any(each in known for each in both)
        }

    def whole(self, name: str, tensors: Mapping[str, Numbers]) -> Numbers:
        import torch

        made: dict[str, Any] = {}
        places = {each.removesuffix(".weight"): name for each in tensors}
        for each, numbers in tensors.items():
            result = self._processor.process(
                weights=numbers,
                name=each,
                tensor_key_mapping=places,
                parsed_parameters={"tensors": made},
            )
            if result.name is not None:
                made[name] = result.weights
        value = made[name]
        return value.numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


class _Rules:
    """By rules for names, and operations on what has the new name."""

    def __init__(self, architecture: str, config: Any) -> None:
        from transformers.core_model_loading import WeightConverter, WeightRenaming
        from transformers.integrations.gguf.utils import get_gguf_conversion_mapping

        rules: Any = get_gguf_conversion_mapping(architecture, config)
        self._renamings = [rule for rule in rules if isinstance(rule, WeightRenaming)]
        self._converters = [rule for rule in rules if isinstance(rule, WeightConverter)]
        self._config = config

    def named(self, tensors: Sequence[str], model: Any) -> dict[str, str]:
        places = set(model.state_dict())
        names = {name: self._renamed(name)[0] for name in tensors}
        return {name: renamed for name, renamed in names.items() if renamed in places}

    def whole(self, name: str, tensors: Mapping[str, Numbers]) -> Numbers:
        import torch

        patterns = {self._renamed(each)[1]: numbers for each, numbers in tensors.items()}
        if None in patterns:
            (numbers,) = patterns.values()
            return numbers
        converter = next(
            rule for rule in self._converters if set(patterns) <= set(rule.source_patterns)
        )
        values: Any = {
            pattern: [torch.from_numpy(np.array(patterns[pattern]))]
            for pattern in converter.source_patterns
            if pattern in patterns
        }
        for operation in converter.operations:
            values = operation.convert(
                values,
                source_patterns=converter.source_patterns,
                target_patterns=converter.target_patterns,
                full_layer_name=name,
                config=self._config,
            )
        (value,) = values.values()
        result: Numbers = (value[0] if isinstance(value, list) else value).numpy()
        return result

    def _renamed(self, name: str) -> tuple[str, str | None]:
        from transformers.core_model_loading import rename_source_key

        rename: Any = rename_source_key
        renamed, pattern = rename(name, self._renamings, self._converters)
        return str(renamed), pattern


def parameters_of(
    model: Any, translation: Translation, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Parameter]:
    """Every parameter of a model, and where it comes from; sorted by name.

    Args:
        model: Of the file's config; its weights are not looked at.
        translation: Of its architecture.
        shapes: Name to shape of each tensor of the file, in torch's order.

    Raises:
        UnsupportedModelError: A parameter has no tensor, or one of another shape.
    """
    needed = {name: tuple(each.shape) for name, each in model.named_parameters()}
    known = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    kept = model.state_dict()
    needed |= {name: tuple(kept[name].shape) for name in kept if name not in known}
    sources: dict[str, list[str]] = {}
    for tensor, name in translation.named(list(shapes), model).items():
        sources.setdefault(name, []).append(tensor)
    if missing := sorted(set(needed) - set(sources)):
        raise UnsupportedModelError(f"no tensor for {missing[0]}")
    result = {}
    for name in sorted(needed):
        tensors = tuple(sorted(sources[name], key=_part))
        found = {each: shapes[each] for each in tensors}
        layout = layout_of(translation, name, found)
        result[name] = Parameter(tensors=tensors, shape=needed[name], layout=layout)
        stored = _shape(layout, list(found.values()))
        if stored is not None and stored != needed[name]:
            raise UnsupportedModelError(
                f"the tensor {tensors[0]} of shape {list(stored)}, where {type(model).__name__} "
                f"has {name} of shape {list(needed[name])}"
            )
    return result


def layout_of(translation: Translation, name: str, shapes: Mapping[str, tuple[int, ...]]) -> Layout:
    """How the rows of a parameter are made of those of its tensors."""
    marks = _marked(shapes)
    try:
        made = translation.whole(name, marks)
    except Exception:  # it looks at the columns, of which there are not enough
        return "whole"
    if len(marks) > 1:
        joined = np.concatenate(list(marks.values()), axis=1) if made.ndim > 2 else None
        return "joined" if joined is not None and np.array_equal(made, joined) else "whole"
    (mark,) = marks.values()
    if np.array_equal(made, mark):
        return "plain"
    if mark.ndim == 2 and made.shape == mark.shape and set(made.flat) == set(mark.flat):
        return "ordered"
    return "whole"


def row_order(translation: Translation, name: str, tensor: str, rows: int) -> NDArray[np.int64]:
    """The rows of a tensor in the order that its parameter has them."""
    order = translation.whole(name, _marked({tensor: (rows, 1)}))
    return order[:, 0].astype(np.int64)


def _marked(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Numbers]:
    """Tensors with as many rows as those of a file, each a number of its own."""
    result, first = {}, 0
    for name, shape in shapes.items():
        narrow = shape if len(shape) == 1 else (*shape[:-1], 1)
        count = int(np.prod(narrow))
        numbers = np.arange(first, first + count, dtype=np.float32).reshape(narrow)
        result[name], first = numbers, first + count
    return result


def _part(tensor: str) -> int:
    """The place of a tensor among those that make one parameter: gates first."""
    return 0 if "gate" in tensor else 1


def _shape(layout: Layout, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
    """The shape of a parameter by those of its tensors; None where it is made of them whole."""
    if layout == "whole":
        return None
    first = shapes[0]
    if layout != "joined":
        return first
    return (first[0], sum(shape[1] for shape in shapes), *first[2:])
