"""The demo as a study: killed anywhere it goes on, and nothing is counted twice."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import transformers as hf
from killing import command_killed_at

from widthwise.errors import OutputError, RunError
from widthwise.runs import RunFolder
from widthwise.study import PROMPTS, Demo, DemoSettings, Record, demo

NETWORKS = 1 + 4 * 3  # dense, and four widths by two criteria and chance
CELLS = NETWORKS * 4 + 5 * 2  # parameters, bytes and two tasks; two speeds of five widths
SMALL = ["--minutes", "0", "--dtype", "float32"]


def numbers(records: list[Record]) -> dict[str, Any]:
    """What must not depend on interruptions: all but speeds and clocks."""
    return {
        r.cell: (r.criterion, r.asked, r.width, r.quantity, r.value, r.items)
        for r in records
        if r.quantity not in ("prefill", "decode")
    }


def run(folder: Path, model: Path, deadline: float = -math.inf, **changes: Any) -> Demo:
    """A demo that has ended; by default one whose time is over when it begins."""
    settings = DemoSettings(model=str(model), dtype="float32", **changes)
    study = Demo(folder, settings, deadline=deadline)
    study.run()
    return study


@pytest.fixture(scope="module")
def whole(tiny_checkpoint: Path, tmp_path_factory: Any) -> list[Record]:
    """The records of an undisturbed demo."""
    return run(tmp_path_factory.mktemp("whole"), tiny_checkpoint).records


@pytest.mark.long
@pytest.mark.demo
def test_killed_demos_go_on_and_end_with_the_same_records(
    whole: list[Record], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    for records_before_kill in (1, 2 * NETWORKS + 1):  # the sizes, and the first pass
        words = ["demo", tiny_checkpoint, "-o", out, *SMALL]
        command_killed_at(out / "records.jsonl", records_before_kill, words)
    resumed = run(out, tiny_checkpoint).records
    assert len(resumed) == CELLS
    assert numbers(resumed) == numbers(whole)


@pytest.mark.demo
def test_the_same_items_meet_every_width(whole: list[Record]) -> None:
    for quantity, items in demo.PASSES[0].items():
        column = [r for r in whole if r.quantity == quantity]
        assert len(column) == NETWORKS
        assert {(r.n, len(r.items)) for r in column} == {(items, items)}
        assert len({(r.floor, r.floor_items, r.settings["documents"]) for r in column}) == 1


@pytest.mark.long
@pytest.mark.demo
def test_dense_and_the_ends_of_each_criterion_write_texts(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    texts = run(tmp_path, tiny_checkpoint).texts
    assert {(t.criterion, t.asked) for t in texts} == {
        (None, "dense"),
        *((name, asked) for name in (*demo.CRITERIA, "random") for asked in ("10%", "40%")),
    }
    assert {t.prompt for t in texts} == set(PROMPTS)


@pytest.mark.demo
def test_more_time_asks_more_of_the_same_items(
    whole: list[Record], tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "PASSES", (*demo.PASSES[:1], {"prose": 5, "sciq": 9}))
    passes: list[dict[str, int]] = []
    settings = DemoSettings(model=str(tiny_checkpoint), dtype="float32")
    study = Demo(
        tmp_path, settings, deadline=math.inf, on_pass=lambda _: passes.append(study.counts)
    )
    records = study.run()
    assert passes == list(map(dict, demo.PASSES))
    assert not study.more
    first = {(r.criterion, r.asked, r.quantity): r for r in whole}
    grown = [r for r in records if r.quantity == "sciq"]
    assert {r.n for r in grown} == {9}
    for record in grown:
        assert record.items[:2] == first[record.criterion, record.asked, "sciq"].items


@pytest.mark.long
@pytest.mark.demo
def test_a_demo_that_ended_is_gone_on_with_in_the_next_one(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "PASSES", (*demo.PASSES[:1], {"prose": 5, "sciq": 9}))
    first = run(tmp_path, tiny_checkpoint)
    assert first.more == {"prose": 5, "sciq": 9}
    assert first.more_seconds > 0
    assert run(tmp_path, tiny_checkpoint, deadline=math.inf).counts == first.more
    with pytest.raises(RunError, match="started with seed 0, not 3"):
        run(tmp_path, tiny_checkpoint, seed=3)


@pytest.mark.demo
def test_wide_blocks_have_twice_the_text_that_their_refit_needs(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = tmp_path / "wide"
    config = hf.AutoConfig.from_pretrained(tiny_checkpoint)
    config.update({"hidden_size": 16, "intermediate_size": 4500, "num_hidden_layers": 1})
    config.update({"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8})
    hf.AutoModelForCausalLM.from_config(config).save_pretrained(wide)
    hf.AutoTokenizer.from_pretrained(tiny_checkpoint).save_pretrained(wide)
    monkeypatch.setattr(Demo, "_measure", lambda _: None)
    study = run(tmp_path / "out", wide)
    assert study.settings.tokens == 2 * 2 * 4608  # twice as many; both halves, in blocks of 512


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(
        RunError, match=r"holds other files \(thesis\.tex\), and is not a folder of a study"
    ):
        run(tmp_path, Path("smollm2"))


def test_two_runs_in_one_folder_do_not_mix(tmp_path: Path) -> None:
    with (
        RunFolder(tmp_path).held(),
        pytest.raises(OutputError, match="another process is running a study"),
    ):
        run(tmp_path, Path("smollm2"))
    with pytest.raises(OutputError, match="cannot be written"):
        run(Path("/proc/demo"), Path("smollm2"))
