"""A first look at a width that is asked for: what the numbers of a config rule out by themselves.

Reading a model asks the class of its config in transformers, which takes seconds to load.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from ..errors import TargetError
from .families import ALL_MIXTURE_KEYS, LATENT_KEY, MIXTURE_KEYS
from .sections import text_config
from .targets import Target, resolve_dense
from .width import family_in, unequal_width_keys

_KINDS = ("to", "remove", "width")  # of targets that sizes alone decide


def refuse_beyond_stated(
    config: Mapping[str, Any], target: Target, *, align: int | None = None
) -> None:
    """Refuse a width that a model cannot have by the sizes which its config states.

    Nothing is said of a config that does not state one width for all layers, or for all routed
    experts, in the usual way: `resolve` has the last word on every width.

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
    if target.kind not in _KINDS or target.named or not is_plain or not _is_size(hidden_size):
        return
    unequal = {*unequal_width_keys(config), LATENT_KEY} - {usual}
    if not unequal.isdisjoint(text):
        return
    if not ALL_MIXTURE_KEYS.isdisjoint({*text} - {usual}):
        _refuse_for_experts(text, hidden_size, target)
    elif _is_size(intermediate_size):
        resolve_dense(hidden_size, intermediate_size, target, align=align)


def _refuse_for_experts(text: Mapping[str, Any], hidden_size: int, target: Target) -> None:
    """Refuse what no width allows that a routed expert may have, in the words of the first one."""
    keys = MIXTURE_KEYS["experts"]
    if not _is_size(text.get(keys[0])):
        return
    refused = []
    for width in (text[key] for key in keys if _is_size(text.get(key))):
        try:
            resolve_dense(hidden_size, width, target, align=1)
        except TargetError as error:
            refused.append(error)
        else:
            return
    raise refused[0]


def _is_size(value: Any) -> TypeGuard[int]:
    return type(value) is int and value > 0
