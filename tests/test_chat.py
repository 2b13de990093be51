"""How conversations are written: thinking is a choice, dates stand still, records say both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers as hf
from click.testing import CliRunner
from healing_runs import save_dense, save_tokenizer
from transformers.utils import chat_template_utils

from widthwise.chat import ChatTemplate, chat_template_of
from widthwise.cli import main
from widthwise.notices import shown

USER = [{"role": "user", "content": "hi"}]
TURNS = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
ASKED = "{% if add_generation_prompt %}<assistant>"
OFF = "<think></think>"
TEMPLATES = {  # as those of Qwen3, DeepSeek-V3.1, gpt-oss, Seed-OSS
    "enable_thinking": (
        f"{TURNS}{ASKED}{{% if enable_thinking is defined and enable_thinking is false %}}{OFF}"
        "{% endif %}{% endif %}"
    ),
    "thinking": (
        f"{{% if not thinking is defined %}}{{% set thinking = true %}}{{% endif %}}{TURNS}{ASKED}"
        f"{{% if not thinking %}}{OFF}{{% endif %}}{{% endif %}}"
    ),
    "reasoning_effort": (
        "{% if reasoning_effort is not defined %}{% set reasoning_effort = 'medium' %}{% endif %}"
        f"Reasoning: {{{{ reasoning_effort }}}}\n{TURNS}{ASKED}{{% endif %}}"
    ),
    "thinking_budget": (
        f"{TURNS}{ASKED}{{% if thinking_budget == 0 %}}{OFF}{{% endif %}}{{% endif %}}"
    ),
}


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


@pytest.mark.demo
def test_evaluate_states_and_records_how_it_asks(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Before anything is measured; what was chosen otherwise is another cell in another folder."""
    folder = tmp_path / "model"
    hf.AutoModelForCausalLM.from_pretrained(tiny_checkpoint).save_pretrained(folder)
    tokenizer = hf.AutoTokenizer.from_pretrained(tiny_checkpoint)
    tokenizer.chat_template = TEMPLATES["enable_thinking"]
    tokenizer.save_pretrained(folder)
    told = {"repetition_penalty": 1.3, "eos_token_id": 0}
    (folder / "generation_config.json").write_text(json.dumps(told))

    def evaluate(out: str, *words: str, tasks: str = "embedded:ifbench@chat") -> Any:
        options = ["--limit", "2", "--max-new-tokens", "6", "--dtype", "float32"]
        where = ["--device", "cpu", "-o", str(tmp_path / out)]
        return CliRunner().invoke(
            main, ["evaluate", str(folder), "--suite", tasks, *options, *words, *where]
        )

    def record(out: str) -> Any:
        lines = (tmp_path / out / "records.jsonl").read_text().splitlines()
        return json.loads(lines[-1])

    off = evaluate("off")
    assert off.exit_code == 0, off.output
    assert "thinking is off (enable_thinking=False)" in off.stderr
    penalty = "other generation settings are not applied: repetition_penalty 1.3"
    assert penalty in off.stderr
    assert off.stderr.index(penalty) < off.stderr.index("ifbench@chat")
    found = record("off")["settings"]
    assert found["chat_thinking"] == "off (enable_thinking=False)"
    assert found["decoding"] == "greedy"
    assert found["settings_not_applied"] == {"repetition_penalty": 1.3}

    on = evaluate("on", "--thinking")
    assert on.exit_code == 0, on.output
    assert record("on")["settings"]["chat_thinking"].startswith("on")
    assert record("on")["cell"] != record("off")["cell"]
    other = evaluate("off", "--thinking")
    assert "thinking False, not True" in other.output
    nothing = evaluate("none", "--thinking", tasks="embedded:ifbench")
    assert "add @chat to a task's name" in nothing.output
    tokenizer.chat_template = TURNS
    tokenizer.save_pretrained(folder)
    nothing = evaluate("none", "--thinking")
    assert "has no switch for thinking; drop --thinking" in nothing.output
