"""Shapes of tensors, as signatures state them, compared with every call while tests run.

A module of the package that imports jaxtyping for its annotations is compiled with a decorator on
each function and each dataclass whose annotations hold a shape. The package itself never imports
jaxtyping: its annotations are strings. All other annotations are mypy's to check.
"""

from __future__ import annotations

import ast
import collections.abc
import sys
from collections.abc import Sequence
from dataclasses import is_dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from inspect import isclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import jaxtyping

PACKAGE = Path(__file__).parents[2] / "src" / "widthwise"
DTYPES = ("Float", "Float32", "Float64", "Int", "Int64", "UInt8", "Bool", "Shaped")


def modules_with_shapes() -> list[str]:
    """Names of the modules whose signatures state shapes."""
    return [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in sorted(PACKAGE.rglob("*.py"))
        if "from jaxtyping import" in path.read_text(encoding="utf8")
    ]


def install() -> None:
    """Have these modules checked from their import on; none of them may be imported yet."""
    names = modules_with_shapes()
    early = [name for name in names if name in sys.modules]
    assert not early, f"imported before their shapes could be checked: {early}"
    sys.meta_path.insert(0, _Finder(names))


class _Finder(MetaPathFinder):
    def __init__(self, names: Sequence[str]) -> None:
        self._names = set(names)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in self._names else None
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(name, spec.origin)
        return spec


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        """Compiled anew, so that no decorator gets into the files that users' runs take."""
        tree = ast.parse(self.get_data(self.path))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                text = "__import__('shape_checks').checked"
                decorator = ast.parse(text, mode="eval").body
                for part in ast.walk(decorator):
                    ast.copy_location(part, node)
                # Next to a function; above `dataclass`, which makes the function to be checked.
                place = 0 if isinstance(node, ast.ClassDef) else len(node.decorator_list)
                node.decorator_list.insert(place, decorator)
        return compile(tree, self.path, "exec", dont_inherit=True)


def checked(function: Any) -> Any:
    """The function, or the dataclass with its `__init__`, with a check of its annotated shapes."""
    if isclass(function):
        if is_dataclass(function):
            function.__init__ = checked(function.__init__)
        return function
    texts = {
        name: str(text)
        for name, text in getattr(function, "__annotations__", {}).items()
        if any(f"{dtype}[" in str(text) for dtype in DTYPES)
    }
    if not texts:
        return function
    import numpy as np
    import torch
    from beartype import beartype

    scope = {name: getattr(collections.abc, name) for name in collections.abc.__all__}
    scope |= {dtype: getattr(jaxtyping, dtype) for dtype in DTYPES}
    scope |= {"Tensor": torch.Tensor, "torch": torch, "Array": np.ndarray, "np": np}
    function.__annotations__ = {name: eval(text, scope) for name, text in texts.items()}
    return jaxtyping.jaxtyped(function, typechecker=beartype)
