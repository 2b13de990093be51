"""Tasks that a user describes in a YAML file, with documents of their own."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import nltk
import pytest
import yaml
from harness_data import PIQA, write_rows

from widthwise.errors import RunError
from widthwise.evaluate import load_tasks, task_names


def yaml_task(path: Path, **config: Any) -> str:
    """A task file with documents of its own."""
    rows = path.with_suffix(".jsonl")
    rows.write_text(json.dumps(PIQA) + "\n")
    written = {
        "task": path.stem,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(rows)}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "goal",
        "doc_to_choice": "{{[sol1, sol2]}}",
        "doc_to_target": "label",
        **config,
    }
    path.write_text(yaml.safe_dump(written))
    return str(path)


@pytest.mark.usefixtures("cache")
def test_a_task_file_brings_its_own_documents(tmp_path: Path) -> None:
    file = yaml_task(tmp_path / "mine.yaml")
    (task,) = load_tasks([file], data=tmp_path / "elsewhere")
    assert (task.name, task.metric, len(task.requests)) == ("mine", "acc", 2)
    with pytest.raises(RunError, match="task no_code runs code that the model wrote"):
        load_tasks([yaml_task(tmp_path / "no_code.yaml", unsafe_code=True)])
    broken = yaml_task(tmp_path / "broken.yaml", doc_to_text="{{nothing}}")
    with pytest.raises(RunError, match=r"task broken cannot be loaded .*'nothing' is undefined"):
        load_tasks([broken])
    with pytest.raises(RunError, match=r"the task file .*absent\.yaml is not there"):
        load_tasks([str(tmp_path / "absent.yaml")])


@pytest.mark.usefixtures("cache")
def test_two_tasks_of_one_name_are_refused(tmp_path: Path) -> None:
    write_rows(tmp_path / "piqa" / "validation.jsonl", [PIQA])
    file = yaml_task(tmp_path / "piqa.yaml")
    with pytest.raises(RunError, match="two of the tasks have the name piqa"):
        load_tasks(["piqa", file], data=tmp_path)
    assert len(load_tasks(["piqa", "piqa"], data=tmp_path)) == 1


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("", r"task mine: there are no documents in .*mine\.yaml"),
        (json.dumps(PIQA) + '\n{"goal": "a', r"ArrowInvalid: JSON parse error: .* in row 1"),
    ],
)
def test_documents_that_are_none_are_said_to_be(tmp_path: Path, rows: str, words: str) -> None:
    file = yaml_task(tmp_path / "mine.yaml")
    (tmp_path / "mine.jsonl").write_text(rows)
    with pytest.raises(RunError, match=words):
        load_tasks([file])


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("length", "words"),
    [("many", "settings cannot be read .*'many'"), (-3, "max_gen_toks must be at least 1; got -3")],
)
def test_a_length_that_is_none_is_refused(tmp_path: Path, length: Any, words: str) -> None:
    file = yaml_task(
        tmp_path / "mine.yaml",
        output_type="generate_until",
        generation_kwargs={"until": ["."], "max_gen_toks": length},
        metric_list=[{"metric": "exact_match"}],
    )
    with pytest.raises(RunError, match=f"task mine.*{words}"):
        load_tasks([file])


IFEVAL = {"key": 1, "prompt": "Be brief.", "instruction_id_list": [], "kwargs": []}


def test_without_lm_eval_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"need the extra eval: pip install 'widthwise\[eval\]'"):
        load_tasks(["piqa"])


@pytest.fixture
def no_nltk_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nltk.data, "path", [])


@pytest.mark.usefixtures("no_nltk_data")
def test_ifeval_is_refused_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RunError, match=r"task ifeval needs punkt_tab of NLTK: run .*~/nltk_data"):
        load_tasks(["ifeval"])
    with pytest.raises(RunError, match=f"put the folder {tmp_path}/nltk_data/tokenizers/punkt_tab"):
        load_tasks(["piqa", "ifeval"], data=tmp_path)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        task_names.importlib.util,
        "find_spec",
        lambda name: None if name in ("langdetect", "immutabledict") else found(name),
    )
    with pytest.raises(RunError, match="task ifeval needs langdetect, immutabledict: pip install"):
        load_tasks(["ifeval"], data=tmp_path)


@pytest.mark.usefixtures("no_nltk_data")
def test_nltk_data_beside_the_documents_is_used(tmp_path: Path) -> None:
    (tmp_path / "nltk_data" / "tokenizers" / "punkt_tab" / "english").mkdir(parents=True)
    write_rows(tmp_path / "ifeval" / "test.jsonl", [IFEVAL])
    for _ in range(2):
        (task,) = load_tasks(["ifeval"], data=tmp_path)
    assert task.metric == "prompt_level_strict_acc"
    assert nltk.data.path == [str(tmp_path / "nltk_data")]
