"""A first look at a width that is asked for: what the numbers of a config rule out by themselves.

Reading a model asks the class of its config in transformers, which takes seconds to load.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from .families import ALL_MIXTURE_KEYS
from .sections import text_config
from .targets import Target, resolve_dense
from .width import family_in, unequal_width_keys

_KINDS = ("to", "remove", "width")  # of targets that sizes alone decide


def refuse_beyond_stated(
    config: Mapping[str, Any], target: Target, *, align: int | None = None
) -> None:
    """Refuse a width that a model cannot have by the sizes which its config states.

    Nothing is said of a config that does not state one width for all layers in the usual way:
    `resolve` has the last word on every width.

    Args:
        config: The parsed config.json.
        target: The requested width.
        align: Multiple to round down to, as for `resolve`.

    Raises:
        TargetError: As `resolve`, in the same words.
    """
    text, family = text_config(config), family_in(config)
    usual = family.width_keys[0]
    hidden_size, intermediate_size = text.get("hidden_size"), text.get(usual)
    is_plain = family.factor == 1 and not (family.adjusted_by or family.doubled_by)
    others = {*ALL_MIXTURE_KEYS, *unequal_width_keys(config)} - {usual}
    if target.kind not in _KINDS or target.named or not is_plain or not others.isdisjoint(text):
        return
    if _is_size(hidden_size) and _is_size(intermediate_size):
        resolve_dense(hidden_size, intermediate_size, target, align=align)


def _is_size(value: Any) -> TypeGuard[int]:
    return type(value) is int and value > 0
