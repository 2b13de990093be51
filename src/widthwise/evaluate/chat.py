"""Chat templates in the form that lm-eval's tasks apply them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..chat import chat_template_of


@dataclass(frozen=True, kw_only=True)
class Chat:
    """A tokenizer's chat template.

    Attributes:
        apply: From messages (`{"role": ..., "content": ...}`) and the keyword
            `add_generation_prompt` to text, as `apply_chat_template` of lm-eval's models.
        tokenizer_name: For error messages.
        settings: Settings of the template, for records: whether the model is asked to think,
            and the date of its texts.
    """

    apply: Callable[..., str]
    tokenizer_name: str
    settings: Mapping[str, Any] = field(default_factory=dict)


def chat_of(tokenizer: Any, *, thinking: bool = False) -> Chat | None:
    """The chat template of a tokenizer; None if it has none.

    A template that refuses a system message gets the conversation without it, as in lm-eval. Dates
    in its texts are those of one fixed day.

    Args:
        tokenizer: A tokenizer of transformers.
        thinking: Whether the model is asked to think before it answers.
    """
    from jinja2.exceptions import TemplateError

    template = chat_template_of(tokenizer, thinking=thinking)
    if template is None:
        return None

    def apply(history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        how = {
            "add_generation_prompt": add_generation_prompt,
            "continue_final_message": not add_generation_prompt,
        }
        try:
            return template.write(history, **how)
        except TemplateError:
            others = [message for message in history if message["role"] != "system"]
            return template.write(others, **how)

    name = str(tokenizer.name_or_path)
    return Chat(apply=apply, tokenizer_name=name, settings=template.settings)
