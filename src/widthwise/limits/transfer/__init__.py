"""muP for real networks: what to change of one network's settings at another width.

Learning rates and initial scales that were found at a base width are carried over to the widths of
any `nn.Module`, parameter by parameter, by shapes alone. Nothing is attached to parameters, and no
module is replaced: a `Parametrization` is plain data beside the model.

Source: arXiv 2203.03466, Tables 3 and 8, Appendix B.
"""

from .coordinates import Coordinates, Start, coordinate_check
from .glu import glu_base, glu_config, glu_network, glu_start
from .optimum import Curve, Shift, check_grid, shifts_of
from .parametrization import Parametrization, parametrize
from .scales import initial_stds
from .text import Rows, read_rows
from .training import KINDS, Trained, Training, check_fits, train_glu
from .weights import Kind, Weight

__all__ = [
    "KINDS",
    "Coordinates",
    "Curve",
    "Kind",
    "Parametrization",
    "Rows",
    "Shift",
    "Start",
    "Trained",
    "Training",
    "Weight",
    "check_fits",
    "check_grid",
    "coordinate_check",
    "glu_base",
    "glu_config",
    "glu_network",
    "glu_start",
    "initial_stds",
    "parametrize",
    "read_rows",
    "shifts_of",
    "train_glu",
]
