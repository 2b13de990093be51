"""The lines of a model card load what lies beside it, whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers as hf
from cards import by_card
from families import SHAPE, tiny
from healing_runs import VOCABULARY, save_dense, save_text, save_tokenizer
from layered_models import ragged
from multimodal_models import save_multimodal
from safetensors.torch import load_file

from widthwise import make_plan, prune_checkpoint
from widthwise.prune.refitting import refit


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    return save_dense(tmp_path / "dense")


def test_the_card_of_a_plain_result_loads_it(dense: Path, tmp_path: Path) -> None:
    out = prune_checkpoint(
        dense, tmp_path / "out", make_plan(dense, width=20, align=1, criterion="ppm")
    )
    found = by_card(out)
    assert isinstance(found["model"], hf.LlamaForCausalLM)
    name = "model.layers.0.mlp.up_proj.weight"
    assert torch.equal(
        found["model"].get_parameter(name), load_file(out / "model.safetensors")[name]
    )
    assert len(found["tokenizer"]) == VOCABULARY


def test_the_card_of_a_compact_result_loads_it(
    dense: Path, tmp_path: Path, own_modules: None
) -> None:
    out = prune_checkpoint(dense, tmp_path / "out", ragged(dense), layout="compact")
    found = by_card(out)
    assert [len(layer.mlp.up_proj.weight) for layer in found["model"].model.layers] == [17, 41, 29]
    assert len(found["tokenizer"]) == VOCABULARY


def test_the_card_names_no_tokenizer_where_there_is_none(tmp_path: Path) -> None:
    tiny("llama").save_pretrained(tmp_path / "dense")
    plan = make_plan(tmp_path / "dense", width=20, align=1, criterion="ppm")
    out = prune_checkpoint(tmp_path / "dense", tmp_path / "out", plan)
    assert "okenizer" not in (out / "README.md").read_text()
    assert by_card(out)["model"].config.intermediate_size == 20


def test_the_card_says_on_which_text_the_error_of_a_refit_is(dense: Path, tmp_path: Path) -> None:
    """It is no error on fresh text: its half has chosen the ridge."""
    text = save_text(tmp_path / "text.txt")
    done = refit(dense, width=20, align=1, text=text, tokens=2048, sequential=False)
    out = prune_checkpoint(dense, tmp_path / "out", done.plan, refit=done)
    errors = [layer.held_out_error for layer in done.layers]
    worst = max(errors)
    assert (
        f"half of the text that chose the ridge {worst:.3f}, in layer {errors.index(worst)} ("
        in (out / "README.md").read_text()
    )


def test_the_card_of_a_model_with_a_processor_loads_that(tmp_path: Path) -> None:
    dense = save_multimodal("llava", tmp_path / "dense")
    tokenizer = hf.AutoTokenizer.from_pretrained(dense)
    images = hf.CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=28)
    hf.LlavaProcessor(images, tokenizer, patch_size=14).save_pretrained(dense)
    out = prune_checkpoint(
        dense, tmp_path / "out", make_plan(dense, width=20, align=1, criterion="ppm")
    )
    found = by_card(out)
    assert isinstance(found["model"], hf.LlavaForConditionalGeneration)
    assert isinstance(found["processor"], hf.LlavaProcessor)


def test_the_card_takes_the_class_that_the_config_names_where_several_load_it(
    tmp_path: Path,
) -> None:
    """A text class would leave the tower of images out."""
    text = tiny("qwen3").config.to_dict()
    config = hf.Qwen3_5Config(
        text_config={
            **text, "model_type": "qwen3_5_text", "layer_types": ["full_attention"] * 3,
            "vocab_size": VOCABULARY,
        },
        vision_config={
            "depth": 1, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2,
            "out_hidden_size": 32, "deepstack_visual_indexes": [],
        },
    )  # fmt: skip
    dense = tmp_path / "dense"
    hf.Qwen3_5ForConditionalGeneration(config).save_pretrained(dense)
    save_tokenizer(dense)
    assert hf.AutoModelForCausalLM.from_pretrained(dense).config.model_type == "qwen3_5_text"
    out = prune_checkpoint(
        dense, tmp_path / "out", make_plan(dense, width=20, align=1, criterion="ppm")
    )
    assert json.loads((out / "config.json").read_text())["architectures"] == [
        "Qwen3_5ForConditionalGeneration"
    ]
    assert isinstance(by_card(out)["model"], hf.Qwen3_5ForConditionalGeneration)


def test_the_card_of_a_model_that_writes_no_text_names_the_class_that_it_is_of(
    tmp_path: Path,
) -> None:
    """An encoder may have GLU blocks as well: it can be cut and loaded, and not be asked."""
    config = hf.EuroBertConfig(**{**SHAPE, "vocab_size": VOCABULARY})
    for model_class in (hf.EuroBertForMaskedLM, hf.EuroBertForTokenClassification):
        dense = tmp_path / model_class.__name__
        model_class(config).save_pretrained(dense)
        out = tmp_path / f"cut-{model_class.__name__}"
        prune_checkpoint(dense, out, make_plan(dense, width=20, align=1, criterion="ppm"))
        found = by_card(out)["model"]
        assert type(found) is model_class
        assert found.config.intermediate_size == 20
