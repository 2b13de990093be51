"""What a model knows: multiple-choice tasks and prose, each score beside its floor."""

from .embedded import embedded_suite as embedded_suite
from .embedded import held_out_passages as held_out_passages
from .score import score_prose as score_prose
from .score import score_task as score_task
from .tasks import Item as Item
from .tasks import Score as Score
from .tasks import Task as Task
from .tasks import accuracy_floor as accuracy_floor
