"""What a model knows and how it follows instructions: tasks of lm-eval, each with its floor."""

from .backends import BACKENDS, language_model_of, require_vllm, vllm_model_of
from .chat import Chat, chat_of
from .decoding import settings_not_applied
from .dense_reference import not_answered, reference_of
from .early_stopping import drawn_order, sequential_answers
from .engine import DenseReference, Distance, Watch
from .floors import FLOOR_RULE, Floor, compute_floor
from .score import TaskAnswer, TaskScore, answer_task, score_answers
from .suites import CHAT, SUITES, requested_tasks
from .task_names import check_tasks
from .tasks import Task, check_chat, chosen_items, load_tasks, unit_of

__all__ = [
    "BACKENDS",
    "CHAT",
    "FLOOR_RULE",
    "SUITES",
    "Chat",
    "DenseReference",
    "Distance",
    "Floor",
    "Task",
    "TaskAnswer",
    "TaskScore",
    "Watch",
    "answer_task",
    "chat_of",
    "check_chat",
    "check_tasks",
    "chosen_items",
    "compute_floor",
    "drawn_order",
    "language_model_of",
    "load_tasks",
    "not_answered",
    "reference_of",
    "requested_tasks",
    "require_vllm",
    "score_answers",
    "sequential_answers",
    "settings_not_applied",
    "unit_of",
    "vllm_model_of",
]
