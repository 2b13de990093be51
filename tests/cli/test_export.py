"""`widthwise export`: what it refuses before it begins, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import run
from every_family import tiny_model
from family_trials import save_words
from json_results import printed_json


def test_a_wrong_type_and_a_result_that_is_there_are_refused(tmp_path: Path) -> None:
    tiny_model("llama").save_pretrained(tmp_path / "model")
    (tmp_path / "there.gguf").touch()
    wrong = run("export", tmp_path / "model", "-o", tmp_path / "a.gguf", "--type", "q9")
    assert wrong.exit_code == 2
    assert "'q9' is not one of 'f32', 'f16'" in wrong.output
    there = run("export", tmp_path / "model", "-o", tmp_path / "there.gguf", "--type", "f16")
    assert there.exit_code == 1
    assert "already exists" in there.output
    bare = run("export", tmp_path / "model", "-o", tmp_path / "a.gguf", "--type", "f16")
    assert bare.exit_code == 1
    assert "holds no tokenizer" in bare.output


@pytest.mark.demo
def test_the_file_is_told_with_its_size_and_types(tmp_path: Path) -> None:
    folder = save_words("llama", tmp_path / "tiny")
    result = run("export", folder, "-o", tmp_path / "a.gguf", "--type", "bf16")
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(tmp_path / "a.gguf")
    assert "a.gguf: bf16, " in result.stderr
    assert " BF16" in result.stderr


@pytest.mark.long
@pytest.mark.demo
def test_the_file_is_told_as_json(tmp_path: Path) -> None:
    folder = save_words("llama", tmp_path / "tiny")
    words = ("export", folder, "-o", tmp_path / "b.gguf", "--type", "bf16", "--json")
    found = printed_json("export", run(*words))
    assert found["path"] == str(tmp_path / "b.gguf")
    assert found["bytes_after"] == (tmp_path / "b.gguf").stat().st_size
