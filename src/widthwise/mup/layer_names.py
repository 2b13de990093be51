"""Names of parameters and modules within the layers of a list."""

from __future__ import annotations

import re

_LAYER = re.compile(r"(.*?)\.(\d+)(?:\.(.*))?")


def split_layer(name: str) -> tuple[str, int, str] | None:
    """Path of the list, number of the layer, and the name within it; None outside of layers.

    >>> split_layer("model.layers.3.mlp.experts.5.up"), split_layer("model.norm.weight")
    (('model.layers', 3, 'mlp.experts.5.up'), None)
    """
    found = _LAYER.fullmatch(name)
    return None if found is None else (found[1], int(found[2]), found[3] or "")


def layer_pattern(name: str) -> str:
    """A name with the number of its layer as `*`.

    >>> layer_pattern("model.layers.3.mlp.experts.5.up")
    'model.layers.*.mlp.experts.5.up'
    """
    place = split_layer(name)
    return name if place is None else ".".join(filter(None, (place[0], "*", place[2])))


def at_layer(pattern: str, name: str) -> str:
    """What a pattern is in the layer of a name.

    >>> at_layer("model.layers.*.q_proj", "model.layers.3")
    'model.layers.3.q_proj'
    """
    place = split_layer(name)
    return pattern if place is None else pattern.replace("*", str(place[1]), 1)
