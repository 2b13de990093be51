"""`widthwise measure`: one comparison of models and widths, its records, and what goes wrong."""

from __future__ import annotations

import json
import math
import shutil
import statistics
from pathlib import Path

import pytest
from cost_runs import by_place, settings_of
from safetensors.torch import load_file, save_file

from widthwise.arch import counts_at
from widthwise.errors import CheckpointError, RunError, TargetError
from widthwise.report import COST_COLUMNS, cost_tables
from widthwise.study import CostStudy, load
from widthwise.study.quantities import quantities_of

pytestmark = pytest.mark.usefixtures("quick_ceilings")


def test_every_quantity_of_every_workload_has_a_record(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    study = CostStudy(tmp_path / "out", settings_of(tiny_checkpoint))
    records = by_place(study.run())
    quantities = quantities_of(study.settings)
    assert len(records) == 3 * 2 * len(quantities)
    assert records == by_place(load(tmp_path / "out" / "records.jsonl"))
    # 53 neurons: the exact number is not rounded to a multiple, the share is
    assert [records[place].width for place in [(None, "dense", "3x4x1 ttft")]] == [53]
    assert records["ppm", "50", "3x4x1 ttft"].width == 50
    for work in ("3x4x1", "5x1x2"):
        for quantity, unit in quantities.items():
            record = records["ppm", "40%", f"{work} {quantity}"]
            assert record.unit == unit
            assert (record.value is None) == (record.reason is not None)
    ttft = records[None, "dense", "3x4x1 ttft"]
    assert ttft.n == len(ttft.items) == 5
    assert ttft.value == sorted(ttft.items)[2]
    assert records[None, "dense", "5x1x2 tpot"].reason == "a single new token has no next one"
    assert records[None, "dense", "3x4x1 allocated"].reason == "cpu keeps no count"


def test_records_say_how_far_from_the_limit(tiny_checkpoint: Path, tmp_path: Path) -> None:
    study = CostStudy(tmp_path / "out", settings_of(tiny_checkpoint, widths=()))
    records = by_place(study.run())
    architecture = study.benchmark.parents[0].checkpoint.architecture
    for place, flops in (
        ("3x4x1 ttft", 3 * counts_at(architecture, context=3).prefill_flops_per_token),
        (
            "3x4x1 tpot",
            sum(counts_at(architecture, context=c).decode_flops_per_token for c in (3, 4, 5)) / 3,
        ),
    ):
        told, record = records[None, "dense", place].settings, records[None, "dense", place]
        assert math.isclose(told["flops"], flops)
        assert told["least_sec"] == max(told["flops"], told["moved_bytes"]) / 1e9
        assert record.value is not None
        assert math.isclose(told["of_limit"], told["least_sec"] / record.value)
        seconds = {"compute": told["flops"] / 1e9, "memory": told["moved_bytes"] / 1e9}
        seconds["host"] = told["host_sec"]
        assert min(seconds.values()) > 0
        assert told["bound"] == max(seconds, key=seconds.__getitem__)
    assert "bound" not in records[None, "dense", "3x4x1 throughput"].settings


def test_blocks_alone_are_measured_around_a_width(tiny_checkpoint: Path, tmp_path: Path) -> None:
    settings = settings_of(tiny_checkpoint, widths=(), around=50, workloads=("3x4",))
    records = CostStudy(tmp_path / "out", settings).run()
    blocks = [r for r in records if r.quantity == "3x4x1 block_decode"]
    assert [r.width for r in blocks] == [53, 52, 50, 48]
    assert all(r.n == 5 and r.unit == "sec" and (r.value or 0) > 0 for r in blocks)
    (table,) = cost_tables(records)
    column = COST_COLUMNS.index("block, token")
    dense, other = table.rows[0], table.rows[1]
    assert (dense[column].endswith(" ms"), dense[column + 1]) == (True, "")
    median = statistics.median(
        own / first for own, first in zip(blocks[1].items, blocks[0].items, strict=True)
    )
    assert other[column + 1].startswith(f"{median * 53 / 52:.3f} [")
    # what was not asked for has no column of its own
    bare = CostStudy(tmp_path / "bare", settings_of(tiny_checkpoint, widths=())).run()
    assert all("block" not in r.quantity and "co2" not in r.quantity for r in bare)


def test_an_incomplete_checkpoint_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """transformers would put random numbers in the place of what is missing."""
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "lacking")
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.self_attn.q_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    study = CostStudy(tmp_path / "out", settings_of(folder, widths=()))
    with pytest.raises(CheckpointError, match=r"missing \(1 of 30\).*layers\.1\.self_attn\.q_proj"):
        study.run()


def test_widths_of_two_names_and_of_none_are_told(tiny_checkpoint: Path, tmp_path: Path) -> None:
    settings = settings_of(tiny_checkpoint, widths=("40%", "31", "41%"), around=31)
    study = CostStudy(tmp_path / "out", settings)
    assert [network.label for _, network in study.benchmark.entries][:3] == [
        "dense",
        "ppm 32",
        "ppm 40%",
    ]
    name = tiny_checkpoint
    assert f"{name}: ppm 31 is 31 neurons wide, as is ppm 40%" in study.notes
    for middle in (53, 64):
        study = CostStudy(tmp_path / "out", settings_of(tiny_checkpoint, around=middle))
        with pytest.raises(RunError, match=f"must be below the model's 53 neurons; got {middle}"):
            study.run()


def test_two_models_stand_side_by_side(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Of one name: then by what was asked for."""
    other = tmp_path / "elsewhere" / tiny_checkpoint.name
    shutil.copytree(tiny_checkpoint, other)
    study = CostStudy(tmp_path / "out", settings_of(tiny_checkpoint, other, widths=("40%",)))
    (table, _) = cost_tables(study.run())
    assert [row[0] for row in table.rows] == [
        f"{tiny_checkpoint}, dense",
        f"{tiny_checkpoint}, ppm 40%",
        f"{other}, dense",
        f"{other}, ppm 40%",
    ]
    ratio = COST_COLUMNS.index("first token ratio")
    assert table.rows[0][ratio] == ""
    assert all("[" in row[ratio] for row in table.rows[1:])


def test_a_model_of_a_shorter_context_has_a_reason(tiny_checkpoint: Path, tmp_path: Path) -> None:
    config = json.loads((tiny_checkpoint / "config.json").read_text())
    context = config["max_position_embeddings"]
    settings = settings_of(tiny_checkpoint, widths=(), workloads=(f"{context + 1}x1", "2x1"))
    long, short = cost_tables(CostStudy(tmp_path / "out", settings).run())
    assert set(long.rows[0][3:]) <= {"-", ""}
    assert any("needs a context of" in note for note in long.notes)
    assert short.rows[0][3].endswith(" ms")


def test_widths_beyond_the_model_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="54"):
        CostStudy(tmp_path / "out", settings_of(tiny_checkpoint, widths=("54",))).run()


def test_what_memory_cannot_hold_is_said_before_it_is_loaded(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("widthwise.study.cost_benchmark.free_bytes", lambda device: 1000)
    with pytest.raises(
        RunError, match=r"takes [\d,]+ bytes of memory, but only 1,000 are free on cpu"
    ):
        CostStudy(tmp_path / "out", settings_of(tiny_checkpoint)).run()


def test_a_network_with_a_lost_record_is_left_out_and_named(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    records = CostStudy(tmp_path / "out", settings_of(tiny_checkpoint, workloads=("3x4",))).run()
    lost = next(r for r in records if r.asked == "40%" and r.quantity == "3x4x1 resident")
    (table,) = cost_tables([record for record in records if record is not lost])
    assert [row[0] for row in table.rows] == ["dense", "ppm 50"]
    assert any(
        note.startswith("ppm 40%: some of its records are not there") for note in table.notes
    )
    assert cost_tables([record for record in records if not record.quantity.endswith("ttft")]) == ()
