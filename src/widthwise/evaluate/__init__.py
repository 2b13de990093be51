"""What a model knows and how it follows instructions: tasks of lm-eval, each beside its floor."""

from .asked import check_tasks as check_tasks
from .backends import BACKENDS as BACKENDS
from .backends import language_model_of as language_model_of
from .backends import require_vllm as require_vllm
from .backends import vllm_model_of as vllm_model_of
from .chats import Chat as Chat
from .chats import chat_of as chat_of
from .decoding import settings_not_applied as settings_not_applied
from .floors import FLOOR_RULE as FLOOR_RULE
from .floors import Floor as Floor
from .floors import floor_of as floor_of
from .harness import Task as Task
from .harness import chosen_items as chosen_items
from .harness import load_tasks as load_tasks
from .score import Answer as Answer
from .score import Score as Score
from .score import answer_task as answer_task
from .score import score_answers as score_answers
from .score import unit_of as unit_of
from .steps import Steps as Steps
from .steps import drawn_order as drawn_order
from .suites import CHAT as CHAT
from .suites import SUITES as SUITES
