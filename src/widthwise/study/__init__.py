"""Studies: cells that are measured once, and the records they leave."""

from .calibration_stage import CALIBRATING, calibration_notes
from .cost_settings import CostSettings, around
from .cost_study import CostStudy
from .demo import CRITERIA, Demo, DemoSettings
from .evaluate_settings import SweepSettings
from .evaluation import Sweep
from .quantities import NOT_ASKED, QUANTITY_NAMES, quantity_text
from .records import Record, append, load
from .stored import Stored, read_study
from .study import MakeEngine, Study
from .study_settings import StudySettings
from .variant import CONTROL, REFIT, Network, is_calibrated, is_control

__all__ = [
    "CALIBRATING",
    "CONTROL",
    "CRITERIA",
    "NOT_ASKED",
    "QUANTITY_NAMES",
    "REFIT",
    "CostSettings",
    "CostStudy",
    "Demo",
    "DemoSettings",
    "MakeEngine",
    "Network",
    "Record",
    "Stored",
    "Study",
    "StudySettings",
    "Sweep",
    "SweepSettings",
    "append",
    "around",
    "calibration_notes",
    "is_calibrated",
    "is_control",
    "load",
    "quantity_text",
    "read_study",
]
