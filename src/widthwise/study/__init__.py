"""Studies: cells that are measured once, and the records they leave."""

from .calibrated import calibration_notes
from .cost_settings import CostSettings, around
from .costs import CostStudy
from .demo import Demo, DemoSettings
from .network import Network
from .records import Record, append, load
from .settings import SweepSettings
from .stored import Stored, read_study
from .study import Study
from .study_settings import StudySettings
from .sweep import Sweep

__all__ = [
    "CostSettings",
    "CostStudy",
    "Demo",
    "DemoSettings",
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
    "load",
    "read_study",
]
