"""Which tasks are asked for: suites, headline metrics and where lm-eval keeps them, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import RunError

ITEM_SUFFIXES = (".jsonl", ".jsonl.gz")  # of a file of a user's own items
CHAT = "@chat"  # ends the name of a task that is asked with the chat template

_PAPER = {
    "wikitext": 0,
    "lambada_openai": 0,
    "mmlu": 5,
    "gsm8k": 5,
    "arc_challenge": 0,
    "hellaswag": 0,
    "winogrande": 0,
    "piqa": 0,
    "boolq": 0,
    "truthfulqa_mc1": 0,
    "truthfulqa_mc2": 0,
    "ifeval": 0,
    "leaderboard_musr": 0,
}
_INSTRUCT = ["ifeval", "leaderboard_musr", "truthfulqa_mc1", "truthfulqa_mc2", "lambada_openai"]
_INSTRUCT += ["mmlu", "gsm8k"]
_EMBEDDED = ["hellaswag", "arc_easy", "arc_challenge", "piqa", "winogrande", "boolq", "sciq"]
_EMBEDDED += ["openbookqa", "prose", "ifbench"]

# Suite -> name of a task -> its solved examples ("shots").
SUITES: dict[str, dict[str, int]] = {
    "paper": _PAPER,
    "paper-instruct": {name + end: _PAPER[name] for name in _INSTRUCT for end in ("", CHAT)},
    "embedded": {"mmlu": 5, **dict.fromkeys(_EMBEDDED, 0)},
}

# The metric of a task where it is not the first that lm-eval lists, and the filter likewise.
METRICS = {
    "arc_challenge": "acc_norm",
    "arc_easy": "acc_norm",
    "hellaswag": "acc_norm",
    "openbookqa": "acc_norm",
    "piqa": "acc_norm",
}
FILTERS = {"gsm8k": "flexible-extract"}

# The folders of lm-eval's tasks that the suites use: to read these few takes 0.03 s, to read all
# of lm-eval's 14,000 tasks 5 s.
FOLDERS = ["arc", "gsm8k", "hellaswag", "ifeval", "lambada", "leaderboard/musr", "mmlu/default"]
FOLDERS += ["openbookqa", "piqa", "sciq", "super_glue", "truthfulqa", "wikitext", "winogrande"]


@dataclass(frozen=True, kw_only=True)
class TaskRequest:
    """One name that was asked for."""

    task: str  # lm-eval's name of a task, group or tag, or the path of a task YAML or of items
    shots: int | None = None  # solved examples in the prompt; None for those of lm-eval's task
    chat: bool = False  # whether the chat template is applied
    embedded: bool = False  # whether the documents are those of the embedded data

    @property
    def is_file(self) -> bool:
        """Whether the task is given as the path of a file that says itself what is asked."""
        return self.is_items or self.task.endswith((".yaml", ".yml"))

    @property
    def is_items(self) -> bool:
        """Whether the task is given as the path of a file of items, JSON lines."""
        return self.task.endswith(ITEM_SUFFIXES)


def requested_tasks(names: Sequence[str]) -> tuple[TaskRequest, ...]:
    """The tasks that the names ask for, suites taken apart, in order, each once.

    Raises:
        RunError: A suite has no such task (`SUITE:TASK`).
    """
    requests: list[TaskRequest] = []
    for name in names:
        suite, colon, rest = name.partition(":")
        shots_of: dict[str, int | None] = {name: None}
        if suite in SUITES and not colon:
            shots_of = {**SUITES[suite]}
        elif suite in SUITES and rest.removesuffix(CHAT) in SUITES[suite]:
            shots_of = {rest: SUITES[suite][rest.removesuffix(CHAT)]}
        elif suite in SUITES:
            raise RunError(f"suite {suite} has no task {rest!r}; it has {', '.join(SUITES[suite])}")
        for task, shots in shots_of.items():
            base = task.removesuffix(CHAT)
            requests.append(
                TaskRequest(task=base, shots=shots, chat=base != task, embedded=suite == "embedded")
            )
    return tuple(dict.fromkeys(requests))
