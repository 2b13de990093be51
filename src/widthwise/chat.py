"""How a tokenizer writes a conversation: thinking chosen, and the same text on every day."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Any

from .notices import notice

DATE = date(2024, 7, 26)  # Llama 3's template writes this day where it cannot ask for today's
_TODAY = re.compile(r"""strftime_now\(\s*(["'])(.*?)\1\s*\)""")
_OPEN, CLOSE = "<think>", "</think>"
# Variables by which templates let one choose: their values for thinking off and on; None where the
# template's default is what is wanted.
_SWITCHES: Mapping[str, tuple[Any, Any]] = {
    "enable_thinking": (False, True),
    "thinking": (False, True),
    "reasoning_effort": ("low", None),
    "thinking_budget": (0, None),
}


class ChatTemplate:
    """A tokenizer's chat template with its settings chosen.

    Dates that a template asks for are those of one fixed day: the same messages give the same text
    whenever they are written.

    Args:
        tokenizer: Has a chat template.
        thinking: Whether the model is asked to think before it answers.
    """

    def __init__(self, tokenizer: Any, *, thinking: bool = False) -> None:
        self._tokenizer = tokenizer
        self._stored = str(tokenizer.get_chat_template())
        self._source = _TODAY.sub(lambda call: repr(DATE.strftime(call[2])), self._stored)
        self._thinking = thinking

    def write(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
    ) -> str:
        """The text of a conversation.

        Raises:
            jinja2.exceptions.TemplateError: The template refuses the messages.
        """
        return str(
            self._tokenizer.apply_chat_template(
                list(messages),
                chat_template=self._source,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=continue_final_message,
                **self.switches,
            )
        )

    @cached_property
    def switches(self) -> dict[str, Any]:
        """The template's variables about thinking that are set, and what they are set to."""
        names = _variables(self._source)
        chosen = {name: _SWITCHES[name][self._thinking] for name in _SWITCHES if name in names}
        if chosen.get("reasoning_effort") and re.search("""["']none["']""", self._source):
            chosen["reasoning_effort"] = "none"
        return {name: value for name, value in chosen.items() if value is not None}

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What was chosen, for a record.

        Whether the model is asked to think and by which variables, and the date of the texts where
        the template writes one.
        """
        named = ", ".join(f"{name}={value!r}" for name, value in self.switches.items())
        if self._opens_thinking and not self._thinking:
            thinking = "on: the chat template opens a block of thinking, and cannot be told not to"
        elif not has_thinking_switch(self._source):
            thinking = "not asked for: the chat template has no switch for it"
        else:
            by = named or "the chat template's default"
            thinking = f"{'on' if self._thinking else 'off'} ({by})"
        found = {"thinking": thinking}
        if self._source != self._stored:
            found["date"] = DATE.isoformat()
        if "strftime_now" in self._source:
            found["date"] = "of the day of the run, which the chat template writes"
        return found

    @cached_property
    def _opens_thinking(self) -> bool:
        """Whether the prompt for an answer ends within a block of thinking."""
        from jinja2.exceptions import TemplateError

        try:
            prompt = self.write([{"role": "user", "content": "?"}], add_generation_prompt=True)
        except TemplateError:
            return False
        return prompt.rfind(_OPEN) > prompt.rfind(CLOSE)


def chat_template_of(tokenizer: Any, *, thinking: bool = False) -> ChatTemplate | None:
    """The chat template of a tokenizer; None if it has none."""
    stored = getattr(tokenizer, "chat_template", None)
    if not stored:
        return None
    if isinstance(stored, Mapping) and "default" not in stored:
        names = ", ".join(sorted(stored))
        notice(f"No chat template is used: the tokenizer has {names}, and none as its default.")
        return None
    return ChatTemplate(tokenizer, thinking=thinking)


def has_thinking_switch(template: str) -> bool:
    """Whether a chat template has a variable by which it asks for thinking, or for none."""
    return bool(set(_SWITCHES) & _variables(template))


def _variables(source: str) -> set[str]:
    """Names that a template looks up and that whoever applies it may give."""
    import jinja2
    from jinja2 import meta

    environment = jinja2.Environment(extensions=["jinja2.ext.loopcontrols"], autoescape=False)
    plain = re.sub(r"\{%-?\s*(end)?generation\s*-?%\}", "", source)  # a tag of transformers
    try:
        return meta.find_undeclared_variables(environment.parse(plain))
    except jinja2.exceptions.TemplateError:
        return set()
