"""How tasks are asked of a parent's networks: the choices of its chat template, and decoding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from ..chat import CLOSE, has_thinking_switch
from ..cut.checkpoint import stored_chat_template
from ..errors import RunError
from ..evaluate import Chat, Task, chat_of, check_chat, settings_not_applied
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

    def refuse_early(self) -> None:
        """Refuse thinking where the files of the model state a template that has no switch for it,
        before a tokenizer, which takes seconds, is loaded.

        Raises:
            RunError: It has none.
        """
        template = stored_chat_template(self._parent.files.source.found) if self._thinking else None
        if template is not None and not has_thinking_switch(template):
            raise self._no_switch

    def check_template(self, names: Sequence[str]) -> None:
        """See, before documents and weights are read, that tasks can be asked by the chat template.

        Args:
            names: The tasks, as for `load_tasks`.

        Raises:
            RunError: There is no template, or it has no switch for thinking, which is asked for.
        """
        check_chat(names, self.chat)
        chosen = "" if self.chat is None else str(self.chat.settings["thinking"])
        if self._thinking and not chosen.startswith("on"):
            raise self._no_switch

    @property
    def _no_switch(self) -> RunError:
        return RunError(
            f"{self._parent.name}: its chat template has no switch for thinking; drop --thinking"
        )

    def tell(self, tasks: Sequence[Task]) -> None:
        """Give notice of all choices."""
        for text in self._notices(tasks):
            notice(f"{self._parent.name}: {text}.")

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
