"""How tasks are asked of a parent's networks: the choices of its chat template, and decoding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from ..chat import CLOSE
from ..errors import RunError
from ..evaluate import CHAT, Chat, Task, chat_of, settings_not_applied
from ..notices import notice
from .dense_model import DenseModel


class Asking:
    """The choices, besides their prompts, for the tasks of a dense model.

    Args:
        parent: The dense model.
        thinking: Whether the model is asked to think before it answers.
    """

    def __init__(self, parent: DenseModel, *, thinking: bool) -> None:
        self._parent = parent
        self._thinking = thinking

    @cached_property
    def chat(self) -> Chat | None:
        """How the parent's tokenizer writes a conversation."""
        return chat_of(self._parent.tokenizer, thinking=self._thinking)

    @property
    def think_end(self) -> str | None:
        """The text that ends a block of thinking that the model was asked for."""
        return CLOSE if self._thinking else None

    def check(self, tasks: Sequence[Task]) -> None:
        """See that thinking can be had where it is asked for, and give notice of all choices.

        Raises:
            RunError: No task is asked with the chat template, or it has no switch.
        """
        name = self._parent.name
        if self._thinking and not any(task.is_chat for task in tasks):
            raise RunError(
                f"--thinking needs a task that is asked with a chat template: add {CHAT} to a "
                "task's name, or drop --thinking"
            )
        chosen = "" if self.chat is None else str(self.chat.settings["thinking"])
        if self._thinking and not chosen.startswith("on"):
            raise RunError(f"{name}: its chat template has no switch for thinking; drop --thinking")
        for text in self._notices(tasks):
            notice(f"{name}: {text}.")

    def settings(self, task: Task) -> dict[str, Any]:
        """The settings of a record that name the choices for a task."""
        settings: dict[str, Any] = {}
        if task.is_chat and self.chat is not None:
            settings |= {f"chat_{name}": value for name, value in self.chat.settings.items()}
        if task.is_written:
            settings |= {"decoding": "greedy", "settings_not_applied": self._not_applied}
        return settings

    def _notices(self, tasks: Sequence[Task]) -> Iterator[str]:
        """Sentences on what a user may not expect."""
        if self.chat is not None and any(task.is_chat for task in tasks):
            chosen = self.chat.settings
            date = f"; dates in its texts are {chosen['date']}" if "date" in chosen else ""
            yield f"of the chat template, thinking is {chosen['thinking']}{date}"
        if any(task.is_written for task in tasks) and self._not_applied:
            named = ", ".join(f"{name} {value}" for name, value in self._not_applied.items())
            yield (
                "texts are written greedily; the checkpoint's other generation settings are not "
                f"applied: {named}"
            )

    @cached_property
    def _not_applied(self) -> dict[str, Any]:
        return settings_not_applied(self._parent.checkpoint.path)
