"""How a model is asked by its chat template is a choice that output and records name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers as hf
from chat_templates import TEMPLATES, TURNS
from click.testing import CliRunner

from widthwise.cli import main


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
