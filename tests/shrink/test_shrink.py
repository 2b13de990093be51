"""`Shrink`: stages that go on where they ended, and what lies in the folder then."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import transformers as hf
from shrink_runs import made, quick_runs

from widthwise.errors import RunError
from widthwise.shrink import Shrink, ShrinkResult
from widthwise.shrink import steps as module
from widthwise.shrink.stages import FinishedStage
from widthwise.study import read_study


def test_a_tiny_model_is_cut_healed_and_compared(shrunk: tuple[ShrinkResult, list[str]]) -> None:
    result, said = shrunk
    model = hf.AutoModelForCausalLM.from_pretrained(result.model)
    assert model.config.intermediate_size == 31  # of 53, 40 % removed
    assert (result.model / "README.md").exists()
    assert result.healing is not None
    assert result.healing.after.divergence_nats < result.healing.before.divergence_nats
    assert [pair.quantity for pair in result.pairs] == ["piqa"]
    assert {speed.metric for speed in result.speeds} == {"ttft", "tpot", "throughput"}
    assert said[0].startswith("After the cut and its refit: KL ")
    assert said[1].startswith("Healed in ")
    names = {path.name for path in result.folder.iterdir()}
    assert {"model", "cut", "evaluations", "speed", "README.md", "report.html"} <= names


def test_a_finished_shrink_is_only_read(shrunk: tuple[ShrinkResult, list[str]]) -> None:
    result, said = shrunk
    before = {p: p.stat().st_mtime_ns for p in result.folder.rglob("*") if p.is_file()}
    told: list[str] = []
    work = Shrink(result.folder, result.settings, on_told=told.append)
    assert work.is_done
    again = work.run()
    assert (again.verdict, told) == (result.verdict, said)
    drawn = {"README.md", "report.html"}
    after = {p: p.stat().st_mtime_ns for p in before}
    assert {p.name for p in before if after[p] != before[p]} <= drawn


def test_other_settings_are_refused(shrunk: tuple[ShrinkResult, list[str]]) -> None:
    result, _ = shrunk
    with pytest.raises(RunError, match="was started with remove '40%', not '30%'"):
        Shrink(result.folder, replace(result.settings, remove="30%")).run()
    more = replace(result.settings, minutes=2 * result.settings.minutes)
    with pytest.raises(RunError, match="was started with minutes "):  # it is healed
        Shrink(result.folder, more).run()


def test_a_folder_of_other_files_is_refused_and_left_alone(text: Path, tmp_path: Path) -> None:
    settings = made(tmp_path, text)
    with pytest.raises(RunError, match=r"holds other files \(piqa\)"):
        Shrink(tmp_path / "data", settings).plan  # noqa: B018
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["piqa"]


def test_an_interrupted_shrink_goes_on_with_the_next_stage(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the healing, a further run neither asks nor cuts again, and may have more time."""

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    settings = made(tmp_path, text)
    with quick_runs():
        with monkeypatch.context() as patch:
            patch.setattr(module, "heal", stopped)
            with pytest.raises(KeyboardInterrupt):
                Shrink(tmp_path / "out", settings).run()
        cut = tmp_path / "out" / "cut" / "model.safetensors"
        before = cut.stat()
        monkeypatch.setattr(module, "prune", stopped)
        more = replace(settings, minutes=2 * settings.minutes)
        result = Shrink(tmp_path / "out", more).run()
    kept_settings = json.loads((tmp_path / "out" / "study.json").read_text())
    assert more.minutes in kept_settings.values()
    assert (result.model / "config.json").exists()
    kept = cut if cut.exists() else result.model / "model.safetensors"
    assert kept.stat().st_ino == before.st_ino


@pytest.mark.long
@pytest.mark.demo
def test_too_few_minutes_leave_the_cut_as_it_is_and_a_gguf_file_fits(
    text: Path, all_words: Path, tmp_path: Path
) -> None:
    pytest.importorskip("sentencepiece")
    asked = {"model": str(all_words), "smaller": "0.1%", "gguf": "f16", "minutes": 0.001}
    with quick_runs():
        work = Shrink(tmp_path / "out", made(tmp_path, text, **asked))
        result = work.run()
    assert result.healing is None
    assert result.healing_sentence == (
        "It was not healed: the other stages take the 0.001 minutes that there are."
    )
    assert not (tmp_path / "out" / "cut").exists()  # it is the model now
    assert next(result.said_of("cut")).startswith("After the cut and its refit: KL ")
    assert result.file == tmp_path / "out" / "model.gguf"
    assert result.file_bytes <= work.plan.planned_bytes
    assert result.is_kept
    assert [*work.store.records][2:4] == ["trial", "speed"]
    assert {speed.metric for speed in result.speeds} == {"prefill", "decode", "throughput"}
    assert result.table.about.endswith("of the result")  # a checkpoint holds the same numbers
    assert result.speed_table.about.startswith("Both f16 files in turn by llama.cpp (")
    assert not (tmp_path / "out" / "dense.gguf").exists()


def test_healing_has_what_the_other_stages_leave(text: Path, tmp_path: Path) -> None:
    """Asking, and writing a GGUF file, come again after it."""
    work = Shrink(tmp_path / "out", made(tmp_path, text, minutes=10.0))
    for name, seconds in (("before", 60.0), ("cut", 120.0), ("trial", 30.0), ("speed", 30.0)):
        work.store.records[name] = FinishedStage(name=name, seconds=seconds)
    assert work.healing_minutes == 10 - (2 * 60 + 120 + 2 * 30 + 30) / 60


@pytest.mark.long
@pytest.mark.demo
def test_a_file_with_blocks_is_what_is_asked(
    text: Path, all_words: Path, llama_bench: Path, tmp_path: Path
) -> None:
    """Decoded, and not the checkpoint; which numbers it has is seen in the scores."""
    pytest.importorskip("sentencepiece")
    asked = {"model": str(all_words), "smaller": "0.1%", "gguf": "q4_0", "minutes": 0.001}
    with quick_runs():
        work = Shrink(tmp_path / "out", made(tmp_path, text, **asked))
        result = work.run()
    assert [*work.store.records][-2:] == ["gguf", "after"]
    assert result.table.about.endswith("and of the result, by their q4_0 files, decoded")
    assert not [*(tmp_path / "out").glob("*decoded")]
    before = {pair.other.model for pair in result.pairs}
    assert before == {str(tmp_path / "out" / "dense-decoded")}
    own = {record.model for record in read_study(tmp_path / "out" / "evaluations/after").records}
    assert own == {str(tmp_path / "out" / "decoded")}
    again = Shrink(tmp_path / "out", work.settings)
    assert again.is_done
    assert again.run().verdict == result.verdict


def test_a_result_that_somebody_removed_is_missed(
    shrunk: tuple[ShrinkResult, list[str]], tmp_path: Path
) -> None:
    result, _ = shrunk
    copy = shutil.copytree(result.folder, tmp_path / "copy")
    shutil.rmtree(copy / "model")
    with pytest.raises(RunError, match=r"copy/model is gone, which this shrink had made: name"):
        Shrink(copy, result.settings).run()
