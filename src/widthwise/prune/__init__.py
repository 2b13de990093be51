"""Cutting GLU blocks: score, plan, apply. Called, the room itself is its function `prune`."""

import sys
from importlib import import_module
from inspect import signature
from types import ModuleType
from typing import Any

from .api import check_calibration, make_plan, prune_checkpoint, prune_gguf
from .calibration.activations import activation_norms
from .calibration.moments import bfloat16_products
from .calibration.second_moments import Calibration, calibrate
from .calibration.text import TextOptions
from .criteria import (
    CALIBRATED,
    CRITERIA,
    DEFAULT_CRITERION,
    MEANINGS,
    MOMENT_CRITERIA,
    PAPER_CRITERION,
    ROW_CRITERIA,
    activation,
    keep_highest,
    ppm_activation,
    random,
)
from .cut_estimate import CutEstimate, CutWork
from .cut_needs import check_memory, estimate_cut, in_bytes, in_minutes
from .drafts import draft_criterion
from .healing.api import Healing, distil, heal
from .healing.record import inspect_healing
from .healing.settings import HealSettings
from .method import (
    Pruned,
    aligned_to_blocks,
    check_out,
    check_per_layer,
    is_refitted,
    kept_layers,
    prune,
    tokens_of,
    weights_advised,
)
from .nested import Nested
from .opened_model import OpenedModel, open_model
from .pace import measured_pace
from .refitting.refit import least_tokens_of, refit, refits
from .selection import plan_of, planned_width, score_group, select
from .sensitivity import Allocation, allowed_widths, per_layer
from .spec import PruneOptions, PruneSpec, WidthOptions, resolve_target, spec_of

__all__ = [
    "CALIBRATED",
    "CRITERIA",
    "DEFAULT_CRITERION",
    "MEANINGS",
    "MOMENT_CRITERIA",
    "PAPER_CRITERION",
    "ROW_CRITERIA",
    "Allocation",
    "Calibration",
    "CutEstimate",
    "CutWork",
    "HealSettings",
    "Healing",
    "Nested",
    "OpenedModel",
    "PruneOptions",
    "PruneSpec",
    "Pruned",
    "TextOptions",
    "WidthOptions",
    "activation",
    "activation_norms",
    "aligned_to_blocks",
    "allowed_widths",
    "bfloat16_products",
    "calibrate",
    "check_calibration",
    "check_memory",
    "check_out",
    "check_per_layer",
    "distil",
    "draft_criterion",
    "estimate_cut",
    "heal",
    "in_bytes",
    "in_minutes",
    "inspect_healing",
    "is_refitted",
    "keep_highest",
    "kept_layers",
    "least_tokens_of",
    "make_plan",
    "measured_pace",
    "open_model",
    "per_layer",
    "plan_of",
    "planned_width",
    "ppm_activation",
    "prune",
    "prune_checkpoint",
    "prune_gguf",
    "random",
    "refit",
    "refits",
    "resolve_target",
    "score_group",
    "select",
    "spec_of",
    "tokens_of",
    "weights_advised",
]


class _Callable(ModuleType):
    """This room, which as an attribute of `widthwise` stands where its function `prune` is due."""

    __call__ = staticmethod(prune)
    __signature__ = signature(prune)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by its name, as a function is."""
        return import_module, (self.__name__,)


sys.modules[__name__].__class__ = _Callable
