"""Source of the classes of modules, where it can be had."""

from __future__ import annotations

import inspect
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


@lru_cache(maxsize=256)
def source_of(kind: Any) -> str:
    """Source of a class and of those that it derives from, torch's left out; "" if unknown."""
    texts = []
    for base in kind.__mro__:
        if base is object or base.__module__.partition(".")[0] == "torch":
            continue
        try:
            texts.append(inspect.getsource(base))
        except (OSError, TypeError):  # made while running
            continue
    return "\n".join(texts)


def starts_at_zero(module: nn.Module) -> bool:
    """Whether a norm multiplies by 1 + its weight, as Gemma's do."""
    kind: Any = type(module)
    return re.search(r"1(?:\.0)? \+ self\.weight", source_of(kind)) is not None
