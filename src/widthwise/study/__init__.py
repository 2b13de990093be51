"""Studies: cells that are measured once, and the records they leave."""

from .calibration_stage import CALIBRATING, calibration_notes
from .continuations import PROMPTS, Continuation
from .cost_settings import CostSettings, neighbour_widths
from .cost_study import CostStudy
from .demo import CRITERIA, QUESTIONS, TEXT, Demo, DemoSettings
from .dense_model import checked_device
from .evaluate_settings import EvaluateSettings
from .evaluation import Evaluation
from .file_cost_study import RUNTIME, FileCostSettings, FileCostStudy
from .item_distances import ItemDistances
from .quantities import NOT_ASKED, QUANTITY_NAMES, Quantity, names_its_unit, quantity_text
from .records import Record, append, load
from .stored import StoredStudy, read_study, usual_criteria
from .study import Study
from .study_settings import StudySettings
from .variant import (
    CONTROL,
    DEFAULT_CRITERIA,
    REFIT,
    SCALES,
    Variant,
    base_criterion,
    is_calibrated,
    is_control,
)

__all__ = [
    "CALIBRATING",
    "CONTROL",
    "CRITERIA",
    "DEFAULT_CRITERIA",
    "NOT_ASKED",
    "PROMPTS",
    "QUANTITY_NAMES",
    "QUESTIONS",
    "REFIT",
    "RUNTIME",
    "SCALES",
    "TEXT",
    "Continuation",
    "CostSettings",
    "CostStudy",
    "Demo",
    "DemoSettings",
    "EvaluateSettings",
    "Evaluation",
    "FileCostSettings",
    "FileCostStudy",
    "ItemDistances",
    "Quantity",
    "Record",
    "StoredStudy",
    "Study",
    "StudySettings",
    "Variant",
    "append",
    "base_criterion",
    "calibration_notes",
    "checked_device",
    "is_calibrated",
    "is_control",
    "load",
    "names_its_unit",
    "neighbour_widths",
    "quantity_text",
    "read_study",
    "usual_criteria",
]
