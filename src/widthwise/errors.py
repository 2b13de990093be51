"""Every error that a user of widthwise can meet.

    WidthwiseError
    ├── TargetError          a width, ratio or budget that cannot be met   (ValueError)
    ├── PlanError            a plan that is malformed or not for this model (ValueError)
    ├── UnsupportedModelError  an architecture or storage that cannot be cut (ValueError)
    ├── CheckpointError      files that are missing, truncated or not finite (ValueError)
    ├── LimitError           a parametrization or a limit that cannot be had (ValueError)
    ├── OutputError          a place that cannot be written                (RuntimeError)
    ├── AssetError           the embedded model or data cannot be had      (RuntimeError)
    └── RunError             a measurement or a study that cannot go on    (RuntimeError)

The command line prints the message of any of them as one line and exits with 1.
"""


class WidthwiseError(Exception):
    """Base of all expected errors: the message is one sentence meant for the user."""


class TargetError(WidthwiseError, ValueError):
    """A width, ratio or budget cannot be parsed or met."""


class PlanError(WidthwiseError, ValueError):
    """A plan is malformed, or was made for another checkpoint."""


class UnsupportedModelError(WidthwiseError, ValueError):
    """The architecture, or the way its weights are stored, cannot be cut."""


class CheckpointError(WidthwiseError, ValueError):
    """Checkpoint files are missing, truncated, contradictory or hold NaN or Inf."""


class LimitError(WidthwiseError, ValueError):
    """A parametrization, or its limit of infinite width, cannot be had."""


class OutputError(WidthwiseError, RuntimeError):
    """A result cannot be written where it was asked for."""


class AssetError(WidthwiseError, RuntimeError):
    """The embedded model or the benchmark data cannot be found or fetched."""


class RunError(WidthwiseError, RuntimeError):
    """A measurement or a study cannot go on."""
