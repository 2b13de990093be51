"""What a GGUF file that was cut says of its cut, as it has no model card."""

from __future__ import annotations

from ... import __version__
from ..plan import Plan
from .layout import stated


def trace(plan: Plan, *, is_refitted: bool) -> dict[str, bytes]:
    """Entries of the metadata that state the cut, by their keys; readers of GGUF pass over them.

    Of a file that was cut before they take the place of the older ones.
    """
    of = "" if plan.kinds else f" of {plan.intermediate_size}"
    values: dict[str, str | bool] = {
        "widthwise.version": __version__,
        "widthwise.plan": plan.digest,
        "widthwise.width": f"{plan.sizes.words.removesuffix(',')}{of}",
        "widthwise.refitted": is_refitted,
    }
    return {key: stated(key, value) for key, value in values.items()}
