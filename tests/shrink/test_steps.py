"""The steps of a shrink by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from llama_bench import calls
from shrink_runs import made

from widthwise.cut.checkpoint import resolve_model
from widthwise.measure import llama_cpp
from widthwise.shrink import steps as module
from widthwise.shrink.plan import plan_shrink
from widthwise.shrink.steps import Steps
from widthwise.study import read_study


@pytest.fixture
def steps(text: Path, tmp_path: Path) -> Steps:
    settings = made(tmp_path, text)
    source = resolve_model(settings.model)
    return Steps(
        path=tmp_path, settings=settings, source=source, command=None, on_progress=lambda *_: None
    )


def test_a_cut_that_is_whole_is_left_as_it_is(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(module, "prune", never)
    plan = plan_shrink(steps.settings)
    steps.cut(plan.spec, "dense", "cut")  # the dense model is a whole checkpoint
    with pytest.raises(AssertionError):
        steps.cut(plan.spec, "elsewhere", "cut")


def test_no_minutes_and_no_memory_are_reasons_for_no_healing(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert steps.heal("dense", 0.0) == "the other stages take the 60 minutes that there are"
    monkeypatch.setattr(module, "free_bytes", lambda _: 100)
    reason = steps.heal("dense", 1.0)
    assert reason is not None
    assert reason.startswith("training all weights takes ")
    assert not (steps.path / "model").exists()


def test_what_cannot_be_timed_is_a_reason_and_no_error(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Steps, "_dtype", "float32")
    (steps.path / "speed").mkdir()
    (steps.path / "speed" / "other.txt").write_text("of somebody else")
    reason = steps.time_models("speed", [steps.settings.model])
    assert reason is not None
    assert "holds other files" in reason


def test_without_llama_cpp_there_is_a_reason_and_no_file(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama_cpp, "_BENCH", "no-such-program")
    monkeypatch.setattr(llama_cpp, "_PACKAGE", "no_such_package")
    reason = steps.time_files("speed")
    assert reason is not None
    assert reason.startswith("there is no llama.cpp here")
    assert not (steps.path / "dense.gguf").exists()


@pytest.mark.long
@pytest.mark.demo
def test_the_files_are_timed_in_turn_and_the_one_without_a_cut_is_removed(
    text: Path, all_words: Path, llama_bench: Path, tmp_path: Path
) -> None:
    pytest.importorskip("sentencepiece")
    settings = made(tmp_path, text, model=str(all_words), gguf="f16")
    source = resolve_model(settings.model)
    steps = Steps(
        path=tmp_path, settings=settings, source=source, command=None, on_progress=lambda *_: None
    )
    steps.cut(plan_shrink(settings).spec, "cut", "cut")
    steps.export("cut", "cut")
    assert steps.time_files("speed") is None
    records = read_study(tmp_path / "speed").records
    assert [record.model for record in records[::2]] == ["dense.gguf", "model.gguf"]
    assert {Path(words["-m"]).name for words in calls(llama_bench)} == {"dense.gguf", "model.gguf"}
    assert not (tmp_path / "dense.gguf").exists()
    assert steps.time_files("speed") is None  # killed before it was noted, it goes on
    assert len(calls(llama_bench)) == 12
