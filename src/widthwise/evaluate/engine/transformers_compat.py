"""What transformers calls kept keys and values: `cache` from 5.24 on, `past_key_values` before."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any

_NAMES = ("cache", "past_key_values")


def given(model: Any, cache: Any) -> dict[str, Any]:
    """The argument with which a model's forward pass takes a cache."""
    return {_name(model.__class__): cache}


def cache_of(out: Any) -> Any:
    """The cache that a forward pass with `use_cache=True` gives; None where it gives none."""
    caches = (getattr(out, name, None) for name in _NAMES)
    return next((cache for cache in caches if cache is not None), None)


@lru_cache
def _name(kind: Any) -> str:
    parameters = inspect.signature(kind.forward).parameters
    return next((name for name in _NAMES if name in parameters), _NAMES[-1])
