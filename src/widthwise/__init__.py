"""How wide should this network be? Cut GLU language models to a width, and see what it does."""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .arch import Architecture, Counts, Target, counts_at, read_architecture
    from .cut import Plan, Refit, apply, apply_
    from .cut.checkpoint import WriteOptions
    from .errors import WidthwiseError
    from .prune import (
        Allocation,
        Nested,
        Pruned,
        PruneOptions,
        PruneSpec,
        TextOptions,
        WidthOptions,
        allowed_widths,
        make_plan,
        per_layer,
        prune,
        prune_checkpoint,
    )
    from .prune.calibration import Calibration, activation_norms, calibrate
    from .prune.healing import HealSettings, heal
    from .prune.refitting import refit, refits
    from .report import open_study
    from .study import Study, StudySettings
else:  # each name comes when it is asked for, as loading all of them takes a while
    from importlib import import_module

    _HOMES = {
        ".arch": ("Architecture", "Counts", "Target", "counts_at", "read_architecture"),
        ".cut": ("Plan", "Refit", "apply", "apply_"),
        ".cut.checkpoint": ("WriteOptions",),
        ".errors": ("WidthwiseError",),
        ".prune": (
            "Allocation",
            "Nested",
            "Pruned",
            "PruneOptions",
            "PruneSpec",
            "TextOptions",
            "WidthOptions",
            "allowed_widths",
            "make_plan",
            "per_layer",
            "prune_checkpoint",
        ),
        ".prune.calibration": ("Calibration", "activation_norms", "calibrate"),
        ".prune.healing": ("HealSettings", "heal"),
        ".prune.refitting": ("refit", "refits"),
        ".report": ("open_study",),
        ".study": ("Study", "StudySettings"),
    }
    _ROOM_OF = {name: room for room, names in _HOMES.items() for name in names}

    def __getattr__(name):
        """A public name, or a room; that of `prune` can be called, and stands for its function."""
        if name in _ROOM_OF:
            value = globals()[name] = getattr(import_module(_ROOM_OF[name], __name__), name)
            return value
        if not name.startswith("_"):
            room = f"{__name__}.{name}"
            try:
                return import_module(room)
            except ModuleNotFoundError as error:
                if error.name != room:
                    raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__all__})


__all__ = [
    "Allocation",
    "Architecture",
    "Calibration",
    "Counts",
    "HealSettings",
    "Nested",
    "Plan",
    "PruneOptions",
    "PruneSpec",
    "Pruned",
    "Refit",
    "Study",
    "StudySettings",
    "Target",
    "TextOptions",
    "WidthOptions",
    "WidthwiseError",
    "WriteOptions",
    "activation_norms",
    "allowed_widths",
    "apply",
    "apply_",
    "calibrate",
    "counts_at",
    "heal",
    "make_plan",
    "open_study",
    "per_layer",
    "prune",
    "prune_checkpoint",
    "read_architecture",
    "refit",
    "refits",
]
