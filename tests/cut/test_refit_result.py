"""A refit says by itself where it does not do what it should."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from families import tiny
from layered_models import batches

from widthwise.cut import MOST_LAM
from widthwise.prune.refitting import refit


def test_another_language_in_the_held_out_half_is_warned_of() -> None:
    """Words of one half of the vocabulary to fit, of the other half to hold out."""
    model = tiny("llama")
    strange = [b for pair in zip(batches(high=20), batches(low=60), strict=True) for b in pair]
    warning = str(refit(model, width=20, align=1, text=strange).warning)
    assert re.search(r"times worse on the held-out half|took the largest ridge", warning)
    assert warning.endswith(
        "calibrate on more text, and on text such as the model will be used for"
    )
    plenty = [b for seed in range(15) for b in batches(seed=seed)]
    assert refit(model, width=20, align=1, text=plenty).warning is None


def test_ridges_at_the_largest_that_is_tried_are_said(llama: Any) -> None:
    done = refit(
        llama, width=20, align=1, text=[b for seed in range(15) for b in batches(low=seed)]
    )
    assert done.warning is None
    first, *others = done.layers
    stuck = replace(done, layers=(replace(first, lam=MOST_LAM), *others))
    assert str(stuck.warning).startswith(f"1 of {len(done.layers)} layers took the largest ridge")
