"""How conversations are written: thinking is a choice, and dates stand still."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import transformers as hf
from chat_templates import ASKED, OFF, TEMPLATES, TURNS
from healing_runs import save_dense, save_tokenizer
from transformers.utils import chat_template_utils

from widthwise.chat import ChatTemplate, chat_template_of
from widthwise.notices import shown

USER = [{"role": "user", "content": "hi"}]


def tokenizer_of(folder: Path, template: str) -> Any:
    save_tokenizer(folder)
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = template
    return tokenizer


def prompt(tokenizer: Any, **settings: Any) -> str:
    return ChatTemplate(tokenizer, **settings).write(USER, add_generation_prompt=True)


@pytest.mark.parametrize(
    ("name", "off", "said_off", "said_on"),
    [
        ("enable_thinking", OFF, "enable_thinking=False", "enable_thinking=True"),
        ("thinking", OFF, "thinking=False", "thinking=True"),
        ("reasoning_effort", "Reasoning: low", "reasoning_effort='low'", "template's default"),
        ("thinking_budget", OFF, "thinking_budget=0", "template's default"),
    ],
)
def test_thinking_is_off_unless_asked_for(
    tmp_path: Path, name: str, off: str, said_off: str, said_on: str
) -> None:
    tokenizer = tokenizer_of(tmp_path, TEMPLATES[name])
    assert off in prompt(tokenizer)
    assert off not in prompt(tokenizer, thinking=True)
    assert ChatTemplate(tokenizer).settings["thinking"] == f"off ({said_off})"
    chosen = str(ChatTemplate(tokenizer, thinking=True).settings["thinking"])
    assert chosen.startswith("on (")
    assert said_on in chosen


def test_template_that_cannot_be_told_is_named(tmp_path: Path) -> None:
    """As DeepSeek-R1's, which always opens the block, and as Llama's, which has none."""
    forced = tokenizer_of(tmp_path / "a", f"{TURNS}{ASKED}<think>\n{{% endif %}}")
    assert str(ChatTemplate(forced).settings["thinking"]).startswith("on: the chat template opens")
    plain = tokenizer_of(tmp_path / "b", f"{TURNS}{ASKED}{{% endif %}}")
    assert "no switch" in str(ChatTemplate(plain).settings["thinking"])
    assert "date" not in ChatTemplate(plain).settings


@pytest.mark.parametrize("form", ['"%d %b %Y"', "'%Y-%m-%d'", ' "%d %B %Y" '])
def test_prompt_is_the_same_on_every_day(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = tokenizer_of(
        tmp_path, f"{{% set today = strftime_now({form}) %}}Today: {{{{ today }}}}\n{TURNS}"
    )
    before = prompt(tokenizer)
    assert "2024" in before

    class Tomorrow(chat_template_utils.datetime):  # type: ignore[misc, name-defined]
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return cls(2031, 5, 17)

    monkeypatch.setattr(chat_template_utils, "datetime", Tomorrow)
    assert "2031" in tokenizer.apply_chat_template(USER, tokenize=False)
    assert prompt(tokenizer) == before
    assert ChatTemplate(tokenizer).settings["date"] == "2024-07-26"


def test_named_templates_are_used_where_one_is_the_default(tmp_path: Path) -> None:
    tokenizer = hf.AutoTokenizer.from_pretrained(save_dense(tmp_path / "a"))
    named = {"tool_use": "tools: {{ messages }}", "default": TURNS}
    tokenizer.chat_template = named
    template = chat_template_of(tokenizer)
    assert template is not None
    assert not template.write(USER).startswith("tools")
    tokenizer.chat_template = {"tool_use": named["tool_use"], "rag": TURNS}
    said: list[str] = []
    with shown(said.append):
        assert chat_template_of(tokenizer) is None
    assert said == [
        "No chat template is used: the tokenizer has rag, tool_use, and none as its default."
    ]
