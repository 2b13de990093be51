"""`widthwise.prune`: a cut in one call, by text and refitted unless told otherwise."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
import transformers as hf
from every_family import tiny_model
from refitted import save_sentences
from tiny_gguf import requantized, save_llama

import widthwise
from widthwise import apply, make_plan, refit
from widthwise.cut import ModelWeights
from widthwise.errors import OutputError, RunError, TargetError
from widthwise.notices import shown
from widthwise.prune import PruneSpec, prune, tokens_of


@pytest.fixture(scope="module")
def text(tmp_path_factory: Any) -> Path:
    return save_sentences(tmp_path_factory.mktemp("text"))


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(torch.arange(3, 60)[None]).logits
    return found


def test_the_room_is_called_like_its_function_and_stays_a_room() -> None:
    import widthwise.prune.spec as spec_module

    assert spec_module.PruneSpec is PruneSpec
    room: Any = widthwise.prune
    assert room.prune is prune
    assert inspect.signature(room) == inspect.signature(prune)
    assert pickle.loads(pickle.dumps(room)) is room
    with pytest.raises(TypeError, match="unexpected keyword argument 'removed'; did you mean remo"):
        room("absent", out="out", removed="20%")


def test_one_call_is_the_steps_in_a_row(tiny_checkpoint: Path, text: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"width": 20, "align": 1}
    texts: dict[str, Any] = {"text": text, "tokens": 2048}
    layers: list[int] = []
    done = widthwise.prune(
        tiny_checkpoint, out=tmp_path / "out", progress=layers.append, **asked, **texts
    )
    assert done.path == tmp_path / "out"
    assert layers == [0, 1, 2]
    steps = refit(tiny_checkpoint, **asked, **texts)
    assert done.plan == steps.plan
    assert done.plan.criterion == "activation"
    assert done.refit is not None
    model = hf.AutoModelForCausalLM.from_pretrained(tiny_checkpoint)
    expected = logits(apply(model, steps.plan, steps))
    assert torch.equal(logits(hf.AutoModelForCausalLM.from_pretrained(done.path)), expected)
    assert len(repr(done)) < 200  # and not all of its numbers


@pytest.mark.parametrize("criterion", ["ppm", "activation"])
def test_without_a_refit_weights_are_only_cut(
    criterion: str, tiny_checkpoint: Path, text: Path, tmp_path: Path
) -> None:
    texts: dict[str, Any] = {} if criterion == "ppm" else {"text": text, "tokens": 2048}
    asked: dict[str, Any] = {"width": 20, "align": 1, "criterion": criterion}
    done = widthwise.prune(
        tiny_checkpoint,
        out=tmp_path / "out",
        refit=None if criterion == "ppm" else False,
        dtype="float16",
        **asked,
        **texts,
    )
    plan = make_plan(
        tiny_checkpoint, **asked, **({"calibration": text, "tokens": 2048} if texts else {})
    )
    assert (done.plan.keep, done.refit) == (plan.keep, None)
    config = hf.AutoConfig.from_pretrained(done.path)
    assert (config.intermediate_size, config.dtype) == (20, torch.float16)


def test_a_gguf_file_is_cut_to_its_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: Path
) -> None:
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "cache"))
    whole = save_llama(tmp_path / "whole.gguf", 96)
    source = requantized(whole, tmp_path / "small.gguf", gguf.GGMLQuantizationType.Q8_0)
    done = widthwise.prune(source, out=tmp_path / "out.gguf", width=72, text=text, tokens=2048)
    assert done.plan.width == 64  # a multiple of 32
    assert done.refit is not None
    down = next(
        each for each in gguf.GGUFReader(done.path).tensors if each.name.endswith("ffn_down.weight")
    )
    assert (down.tensor_type.name, down.shape.tolist()[0]) == ("Q8_0", 64)
    found = gguf.quants.dequantize(down.data, down.tensor_type)
    wanted = done.refit.down[0].float().numpy()
    assert np.abs(found - wanted).max() <= np.abs(wanted).max() / 127  # a step of Q8_0
    exact = widthwise.prune(source, out=tmp_path / "exact.gguf", width=72, align=8, criterion="l2")
    assert exact.plan.width == 72


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"width": 99_999}, TargetError, "width must be in"),
        ({"remove": "20%", "text": "absent.txt"}, RunError, "absent.txt: no such file or folder"),
        ({"remove": "20%", "tokens": 100}, RunError, "--tokens must be at least 1024; got 100"),
        ({"remove": "20%", "dtype": "int3"}, TargetError, "--dtype must be one of"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_left(
    asked: Any, error: type, message: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        widthwise.prune(tiny_checkpoint, out=tmp_path / "out", **asked)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_taken_is_refused_before_a_model_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="already exists"):
        widthwise.prune("no such model", out=tmp_path, remove="20%")


def test_a_model_without_a_tokenizer_is_told_what_needs_no_text(
    saved: Path, text: Path, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=r'no tokenizer to load.*pass criterion="ppm", refit=False'):
        widthwise.prune(saved, out=tmp_path / "out", width=20, text=text)
    done = widthwise.prune(saved, out=tmp_path / "out", width=20, criterion="ppm", refit=False)
    assert done.plan.width == 20


def test_more_tokens_are_read_where_the_widest_layer_needs_them() -> None:
    narrow = ModelWeights(tiny_model("llama")).architecture
    assert (tokens_of(narrow), tokens_of(narrow, 2048)) == (65_536, 2048)
    with torch.device("meta"):
        config = hf.LlamaConfig(
            hidden_size=8, intermediate_size=40_000, num_hidden_layers=1, num_attention_heads=1
        )
        wide = ModelWeights(hf.LlamaForCausalLM(config)).architecture
    said: list[str] = []
    with shown(said.append):
        assert tokens_of(wide) == 80_896  # two halves of 79 blocks of 512
    assert said == [
        "80,896 tokens of text are read instead of 65,536, as a refit needs in each half as many "
        "as the widest layer has neurons, 40,000."
    ]


class Ended(Exception):
    pass


def test_a_refit_that_was_ended_goes_on_with_the_layers_that_are_done(
    tiny_checkpoint: Path, text: Path, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"width": 20, "align": 1, "text": text, "tokens": 2048}

    def end(layer: int) -> None:
        if layer == 1:
            raise Ended

    out = tmp_path / "new" / "out"
    with pytest.raises(Ended):
        widthwise.prune(tiny_checkpoint, out=out, progress=end, **asked)
    (kept,) = out.parent.iterdir()
    assert kept.name == ".out.layers"
    assert len(list(kept.iterdir())) == 2
    said: list[str] = []
    with shown(said.append):
        done = widthwise.prune(tiny_checkpoint, out=out, **asked)
    assert f"The first 2 layers are taken from {kept}, as they are done." in said
    assert [*out.parent.iterdir()] == [out]
    whole = refit(tiny_checkpoint, **asked)
    assert done.refit is not None
    for ours, theirs in zip(done.refit.down, whole.down, strict=True):  # although the files went
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", ["out", "out.gguf"])
def test_a_full_disk_is_said_before_any_layer_is_refitted(
    name: str, tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "cache"))
    source = save_llama(tmp_path / "whole.gguf", 96)
    layers: list[int] = []
    monkeypatch.setattr("widthwise.cut.checkpoint.reader.free_disk_bytes", lambda _: 1000)
    with pytest.raises(OutputError, match=r"the disk is full: [\d,]+ bytes are needed, 1,000 are"):
        widthwise.prune(source, out=tmp_path / name, width=64, text=text, progress=layers.append)
    assert not layers
    assert {each.name for each in tmp_path.iterdir()} <= {"cache", "whole.gguf", "text.txt"}
