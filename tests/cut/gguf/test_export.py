"""Checkpoint folders written as GGUF files, which llama.cpp loads."""

from __future__ import annotations

import json
import logging
import re
import shutil
import threading
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
import transformers as hf
from family_trials import check_gguf, save_words
from killing import killed_at
from llama_cpp import CLOSE, greedy_of_file, greedy_of_model
from safetensors.torch import load_file, save_file

from widthwise.cut import Plan
from widthwise.cut.checkpoint import read_json, resolve_model
from widthwise.cut.gguf import export, export_gguf, quantize
from widthwise.errors import (
    CheckpointError,
    OutputError,
    RunError,
    TargetError,
    UnsupportedModelError,
)
from widthwise.prune import make_plan, prune_checkpoint

PROMPT = [1, 504, 3575, 282, 260]

pytestmark = pytest.mark.demo  # the words are those of SmolLM2


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama in float32 with the words of SmolLM2."""
    return save_words("llama", tmp_path_factory.mktemp("words") / "dense")


def uneven(dense: Path) -> Plan:
    plan = make_plan(dense, width=32, align=8, criterion="ppm")
    return Plan(**{**vars(plan), "keep": (plan.keep[0], plan.keep[1][:8], plan.keep[2][:24])})


@pytest.mark.long
@pytest.mark.parametrize("family", ["llama", "qwen2", "gemma3_text", "qwen2_moe"])
def test_llama_cpp_writes_what_transformers_writes(family: str, tmp_path: Path) -> None:
    check_gguf(family, tmp_path)


def test_an_encoder_is_refused_before_the_work(tmp_path: Path) -> None:
    folder = save_words("modernbert", tmp_path / "encoder")
    with pytest.raises(UnsupportedModelError, match="only models that do are exported"):
        export_gguf(resolve_model(folder), tmp_path / "out.gguf", "f32")
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]


def test_layers_that_zeros_pad_are_written_in_their_own_width(dense: Path, tmp_path: Path) -> None:
    padded = prune_checkpoint(dense, tmp_path / "padded", uneven(dense))
    export_gguf(resolve_model(padded), tmp_path / "out.gguf", "f32")
    reader = gguf.GGUFReader(tmp_path / "out.gguf")
    assert reader.fields["deci.feed_forward_length"].contents() == [32, 8, 24]
    shapes = {tensor.name: tensor.shape.tolist() for tensor in reader.tensors}
    assert shapes["blk.1.ffn_down.weight"] == [8, 32]
    assert shapes["blk.2.ffn_gate.weight"] == [32, 24]
    model: Any = hf.AutoModelForCausalLM.from_pretrained(padded)
    expected = greedy_of_model(model, PROMPT, {0, 2})
    found = greedy_of_file(tmp_path / "out.gguf", PROMPT)
    assert [token for token, _ in found] == [token for token, _ in expected]
    assert max(abs(a - b) for (_, a), (_, b) in zip(found, expected, strict=True)) < CLOSE


@pytest.mark.long
def test_a_compact_checkpoint_becomes_the_same_file_as_a_padded_one(
    dense: Path, tmp_path: Path
) -> None:
    files = []
    for layout in ("padded", "compact"):
        folder = tmp_path / layout / "model"  # whose name is that of the model in the file
        folder.parent.mkdir()
        prune_checkpoint(dense, folder, uneven(dense), layout=layout)
        files.append(folder.with_suffix(".gguf"))
        export_gguf(resolve_model(folder), files[-1], "f32")
    assert files[0].read_bytes() == files[1].read_bytes()


def test_several_widths_of_a_family_that_has_one_in_llama_cpp_are_refused(tmp_path: Path) -> None:
    """It was written, as a file that llama.cpp does not load."""
    dense = save_words("qwen2", tmp_path / "dense")
    compact = prune_checkpoint(dense, tmp_path / "compact", uneven(dense), layout="compact")
    with pytest.raises(UnsupportedModelError, match="8 to 32 neurons, and llama"):
        export_gguf(resolve_model(compact), tmp_path / "out.gguf", "f32")
    assert not (tmp_path / "out.gguf").exists()


@pytest.mark.long
def test_types_with_blocks_are_those_of_llama_cpp_and_hold_the_numbers(
    dense: Path, tmp_path: Path
) -> None:
    pytest.importorskip("xllamacpp")
    result = export_gguf(resolve_model(dense), tmp_path / "small.gguf", "q4_k_m")
    export_gguf(resolve_model(dense), tmp_path / "whole.gguf", "f32")
    small, whole = (gguf.GGUFReader(tmp_path / name) for name in ("small.gguf", "whole.gguf"))
    assert small.fields["general.file_type"].contents() == 15
    assert small.fields["tokenizer.ggml.pre"].contents() == "smollm"
    kinds = {tensor.name: tensor.tensor_type.name for tensor in small.tensors}
    assert kinds["blk.1.attn_q.weight"] == "Q5_0"  # for Q4_K: rows have 32 numbers
    assert kinds["blk.2.attn_v.weight"] == "Q8_0"  # for Q6_K
    assert kinds["blk.0.attn_norm.weight"] == "F32"
    assert "do not fill the blocks" in str(result)
    assert result.bytes_after == (tmp_path / "small.gguf").stat().st_size
    for a, b in zip(whole.tensors, small.tensors, strict=True):
        back = gguf.quants.dequantize(b.data, b.tensor_type)
        # A step of 5 bits over the range of 32 normal numbers, about 4.2: 4.2 / 31 / root 12, and
        # somewhat more where 56 numbers of a row became F16 or Q8_0.
        assert np.square(back - a.data).mean() <= 0.05**2 * np.square(a.data).mean()
    assert len(greedy_of_file(tmp_path / "small.gguf", PROMPT)) > 0


@pytest.mark.long
def test_a_larger_result_is_said_before_it_is_written(
    dense: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model: Any = hf.AutoModelForCausalLM.from_pretrained(dense, dtype="bfloat16")
    model.save_pretrained(tmp_path / "half")
    for file in dense.glob("tokenizer*"):
        (tmp_path / "half" / file.name).symlink_to(file)
    for file_type in ("f32", "f16"):  # the latter by its tokenizer and its vectors alone
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="widthwise"):
            result = export_gguf(
                resolve_model(tmp_path / "half"), tmp_path / f"{file_type}.gguf", file_type
            )
        assert "more than the" in caplog.text
        said = re.search(r"will have about ([\d,]+) bytes", caplog.text)
        assert said is not None
        assert result.bytes_after > result.bytes_before
        # Names and places of 30 tensors and the settings, which are not counted.
        assert 0 < result.bytes_after - int(said[1].replace(",", "")) < 10_000


@pytest.mark.long
def test_numbers_that_float16_cannot_hold_are_refused(dense: Path, tmp_path: Path) -> None:
    model: Any = hf.AutoModelForCausalLM.from_pretrained(dense)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[3, 4] = 1e6
    model.save_pretrained(tmp_path / "large")
    for file in dense.glob("tokenizer*"):
        (tmp_path / "large" / file.name).symlink_to(file)
    with pytest.raises(CheckpointError, match=r"blk\.1\.ffn_up\.weight .* take --type bf16"):
        export_gguf(resolve_model(tmp_path / "large"), tmp_path / "out.gguf", "f16")
    assert not (tmp_path / "out.gguf").exists()


@pytest.mark.parametrize(
    ("widths", "value", "why"), [([8, 16, 24], 0.0, "widthwise_widths"), ([], torch.nan, "NaN")]
)
def test_weights_that_the_file_would_not_hold_or_that_are_no_numbers_are_refused(
    widths: list[int], value: float, why: str, dense: Path, tmp_path: Path
) -> None:
    """Both were written without a word."""
    folder = tmp_path / "wrong"
    shutil.copytree(dense, folder)
    if widths:
        config = {**read_json(folder / "config.json"), "widthwise_widths": widths}
        (folder / "config.json").write_text(json.dumps(config))
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][0] += value
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=why):
        export_gguf(resolve_model(folder), tmp_path / "out.gguf", "f32")
    assert [*tmp_path.iterdir()] == [folder]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """Also a gate of a shared expert, which transformers has as a row and a file as a column.

    That its kinds have several widths is not called padding.
    """
    dense = save_words("qwen2_moe", tmp_path / "dense")
    result = export_gguf(resolve_model(dense), tmp_path / "dense.gguf", "bf16")
    file, folder = resolve_model(tmp_path / "dense.gguf"), resolve_model(dense)
    name = "model.layers.0.mlp.shared_expert_gate.weight"
    with file.checkpoint as again, folder.checkpoint as stored:
        assert torch.equal(again.rows(name, 0, 1), stored.rows(name, 0, 1).bfloat16())
    assert result.padded_to is None
    assert "Padded" not in str(result)


@pytest.mark.long
def test_a_killed_export_leaves_nothing_that_the_next_one_minds(
    dense: Path, tmp_path: Path
) -> None:
    source = resolve_model(dense)
    killed_at("replace", lambda: export_gguf(source, tmp_path / "out.gguf", "q8_0"))
    assert not (tmp_path / "out.gguf").exists()
    export_gguf(source, tmp_path / "out.gguf", "q8_0")
    assert [path.name for path in tmp_path.iterdir()] == ["out.gguf"]


def test_what_cannot_be_written_is_one_sentence(
    dense: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = resolve_model(dense), tmp_path / "out.gguf"
    with pytest.raises(TargetError, match="--type must be one of f32, f16"):
        export_gguf(source, out, "q3_k")
    with pytest.raises(OutputError, match=r"must end in \.gguf"):
        export_gguf(source, tmp_path / "out.bin", "f16")
    with pytest.raises(OutputError, match="does not exist; make it first"):
        export_gguf(source, tmp_path / "no" / "out.gguf", "f16")
    (tmp_path / "there.gguf").touch()
    with pytest.raises(OutputError, match="already exists; pass --force"):
        export_gguf(source, tmp_path / "there.gguf", "f16")
    with monkeypatch.context() as patch:
        patch.setattr(quantize, "_llama", lambda: None)
        with pytest.raises(RunError, match=r"pip install 'widthwise\[gguf\]', or take --type f32"):
            export_gguf(source, out, "q4_k_m")
    with monkeypatch.context() as patch:
        patch.setattr(export, "free_disk_bytes", lambda _: 1000)
        with pytest.raises(OutputError, match=r"the disk is full: about .* 1,000 are free"):
            export_gguf(source, out, "q8_0")
    with pytest.raises(UnsupportedModelError, match="is a GGUF file already"):
        export_gguf(resolve_model(tmp_path / "there.gguf"), out, "f16")
    assert not out.exists()


def test_one_tensor_that_does_not_fit_its_type_is_said_of_one() -> None:
    shared: dict[str, Any] = {"path": Path("a.gguf"), "file_type": "q4_0", "padded_to": None}
    sizes = {"bytes_before": 200, "bytes_after": 100, "kinds": {"Q4_0": 3, "Q8_0": 1}}
    one = export.ExportResult(**shared, **sizes, smaller={"Q8_0": 1})
    assert str(one).endswith(
        "one tensor do not fill the blocks of its type; it is Q8_0, as llama.cpp has it."
    )
    two = export.ExportResult(**shared, **sizes, smaller={"Q8_0": 1, "Q5_0": 1})
    assert "The rows of 2 tensors do not fill the blocks of their type; these are Q5_0" in str(two)


@pytest.mark.long
def test_how_far_it_is_is_told_of_each_part(dense: Path, tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    export_gguf(
        resolve_model(dense),
        tmp_path / "out.gguf",
        "q8_0",
        progress=lambda share, label: told.append((share, label)),
    )
    assert told[0] == (0.0, "converting by llama.cpp's program")
    assert told[-1] == (1.0, "written")
    assert all(0 <= share <= 1 for share, _ in told)
    written = [share for share, label in told if label.startswith("writing ")]
    assert written == sorted(written)
    assert (written[0], len(written)) == (0.0, len(gguf.GGUFReader(tmp_path / "out.gguf").tensors))


def test_a_file_that_another_process_writes_is_watched(tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    seen = threading.Event()

    def tell(share: float, label: str) -> None:
        told.append((share, label))
        if share == 0.5:
            seen.set()

    with export._watched(tmp_path / "growing", 8, tell):  # it is not there at first
        (tmp_path / "growing").write_bytes(b"half")
        assert seen.wait(60), "a thread looks at it twice a second"
