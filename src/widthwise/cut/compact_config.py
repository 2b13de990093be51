"""Configs of compact checkpoints, read as those of the family whose layers they hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..arch import at_layer_widths
from ..errors import CheckpointError
from .plan import WIDTHS_KEY

COMPACT_TYPE = "widthwise_compact_"  # before the family, in the config of a compact checkpoint


def is_compact(config: Mapping[str, Any]) -> bool:
    """Whether a config is that of a compact checkpoint."""
    return str(config.get("model_type")).startswith(COMPACT_TYPE)


def family_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a compact checkpoint in the words of its family; any other as it is.

    The widths of layers are in `per_layer_config`, also of one that was written without.

    Raises:
        CheckpointError: It states no widths.
    """
    if not is_compact(config):
        return dict(config)
    code = ("architectures", "auto_map", WIDTHS_KEY)
    result = {key: value for key, value in config.items() if key not in code}
    result["model_type"] = str(config["model_type"]).removeprefix(COMPACT_TYPE)
    widths = config.get(WIDTHS_KEY)
    if widths is None:
        return result
    if not isinstance(widths, list) or not all(type(w) is int and w > 0 for w in widths):
        raise CheckpointError(
            f"config.json: {WIDTHS_KEY} must be whole numbers above 0; got {str(widths)[:60]}"
        )
    return at_layer_widths(result, widths)
