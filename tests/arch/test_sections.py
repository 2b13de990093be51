"""Nested configs: where the language model is described, and what the file leaves to its class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from families import HIDDEN, LAYERS, WIDTH, tokens
from llava_models import TEXT, VISION, llava

from widthwise import make_plan, prune_checkpoint
from widthwise.arch import read_architecture, text_config, text_path, text_value
from widthwise.cut.checkpoint import Checkpoint
from widthwise.errors import CheckpointError, UnsupportedModelError
from widthwise.io import TensorSpec

KEPT = 29


def stored(llama: Any, root: str = "language_model.") -> dict[str, TensorSpec]:
    shapes = {name: tuple(p.shape) for name, p in llama.named_parameters()}
    return {f"{root}{name}": TensorSpec(shape, "F32") for name, shape in shapes.items()}


@pytest.mark.parametrize(
    "path",
    [
        *(("text_config",), ("language_config",), ("llm_config",), ("text_model",)),
        *(("thinker_config", "text_config"), ("language_model",), ("decoder",)),
    ],
)
def test_the_language_model_is_found_in_its_section(path: tuple[str, ...], llama: Any) -> None:
    config: dict[str, Any] = TEXT
    for key in reversed(path):
        config = {"model_type": "of_its_own", "vision_config": VISION, key: config}
    assert (text_path(config), text_config(config)) == (path, TEXT)
    found = read_architecture(config, stored(llama))
    assert (found.intermediate_size, found.layers, found.model_type) == (WIDTH, LAYERS, "llama")


def test_sizes_that_are_nowhere_stated_are_those_of_the_tensors(llama: Any) -> None:
    config = {"model_type": "of_its_own", "llm_config": {"model_type": "of_its_own_too"}}
    found = read_architecture(config, stored(llama))
    assert (found.hidden_size, found.intermediate_size, found.layers) == (HIDDEN, WIDTH, LAYERS)


def test_a_section_under_another_key_is_the_one_with_a_vocabulary(llama: Any) -> None:
    config = {"model_type": "of_its_own", "vision": VISION, "my_model": TEXT}
    assert text_path(config) == ("my_model",)
    assert read_architecture(config, stored(llama)).intermediate_size == WIDTH


def test_sections_that_could_both_be_the_language_model_are_named(llama: Any) -> None:
    config = {"model_type": "of_its_own", "fast_model": TEXT, "slow_model": TEXT}
    with pytest.raises(UnsupportedModelError, match="is in fast_model, slow_model, but widthwise"):
        read_architecture(config, stored(llama))


def test_a_width_that_equals_the_default_of_the_class_is_written_out(tmp_path: Path) -> None:
    default = hf.LlamaConfig().intermediate_size
    small = {"hidden_size": 8, "num_hidden_layers": 1, "head_dim": 2, "intermediate_size": default}
    llava(**small).save_pretrained(tmp_path / "parent")
    file = tmp_path / "parent" / "config.json"
    config = json.loads(file.read_text())
    del config["text_config"]["intermediate_size"]  # as files that hold differences alone
    file.write_text(json.dumps(config))
    plan = make_plan(tmp_path / "parent", width=999, align=1, criterion="ppm")
    assert plan.intermediate_size == default
    out = prune_checkpoint(tmp_path / "parent", tmp_path / "out", plan)
    assert json.loads((out / "config.json").read_text())["text_config"]["intermediate_size"] == 999
    model = hf.LlavaForConditionalGeneration.from_pretrained(out)
    assert model.model.language_model.layers[0].mlp.up_proj.weight.shape == (999, 8)


def test_a_width_that_is_stated_twice_is_changed_twice(tmp_path: Path) -> None:
    model = llava()
    model.save_pretrained(tmp_path / "parent")
    file = tmp_path / "parent" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "intermediate_size": WIDTH}))
    plan = make_plan(tmp_path / "parent", width=KEPT, align=1, criterion="ppm")
    out = prune_checkpoint(tmp_path / "parent", tmp_path / "out", plan)
    written = json.loads((out / "config.json").read_text())
    assert (written["intermediate_size"], written["text_config"]["intermediate_size"]) == (29, 29)
    assert written["vision_config"]["intermediate_size"] == VISION["intermediate_size"]
    cut = hf.LlavaForConditionalGeneration.from_pretrained(out)
    with torch.no_grad():
        for layer, keep in enumerate(plan.keep):
            gone = sorted(set(range(WIDTH)) - set(keep))
            model.model.language_model.layers[layer].mlp.down_proj.weight[:, gone] = 0
        # the same sums without terms that are 0, in another order: float32 rounding
        torch.testing.assert_close(
            cut(tokens()).logits, model(tokens()).logits, rtol=1e-4, atol=1e-5
        )


def test_a_width_under_another_name_is_changed_there(tmp_path: Path, saved: Path) -> None:
    """Custom code has other words for it; the one that it reads is not left at the old width."""
    file = saved / "config.json"
    config = {**json.loads(file.read_text()), "model_type": "of_its_own", "ffn_hidden_size": WIDTH}
    del config["intermediate_size"]
    file.write_text(json.dumps(config))
    out = prune_checkpoint(
        saved, tmp_path / "out", make_plan(saved, width=KEPT, align=1, criterion="ppm")
    )
    written = json.loads((out / "config.json").read_text())
    assert written == {**config, "ffn_hidden_size": KEPT}
    assert Checkpoint(out).architecture.intermediate_size == KEPT


def test_a_config_without_a_section_still_describes_a_model_with_towers(tmp_path: Path) -> None:
    """As Qwen2.5-VL on the hub: sizes at the top, and no text_config."""
    from vision_models import vision_language

    vision_language().save_pretrained(tmp_path / "parent")
    file = tmp_path / "parent" / "config.json"
    config = json.loads(file.read_text())
    flat = {**config.pop("text_config"), **config}
    file.write_text(json.dumps({**flat, "model_type": "qwen2_5_vl"}))
    plan = make_plan(tmp_path / "parent", width=KEPT, align=1, criterion="ppm")
    out = prune_checkpoint(tmp_path / "parent", tmp_path / "out", plan)
    cut = hf.Qwen2_5_VLForConditionalGeneration.from_pretrained(out)
    assert cut.config.text_config.intermediate_size == KEPT


@pytest.mark.parametrize("key", ["hidden_size", "intermediate_size", "num_hidden_layers"])
def test_a_default_that_no_layer_has_is_called_a_default(key: str, llama: Any) -> None:
    config = {name: value for name, value in TEXT.items() if name != key}
    with pytest.raises(CheckpointError, match=rf"config\.json: {key} is \d+ by default, as it is"):
        read_architecture(config, stored(llama, root=""))


def test_settings_that_the_class_refuses_are_a_fault_of_the_config(llama: Any) -> None:
    text = {key: value for key, value in TEXT.items() if key != "intermediate_size"}
    config = {"model_type": "llava", "text_config": {**text, "num_attention_heads": "many"}}
    with pytest.raises(CheckpointError, match=r"config\.json: transformers cannot read it as lla"):
        read_architecture(config, stored(llama))


def test_a_class_fills_in_a_config_once_for_all_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """And anew for a config that differs, also where it is the same object."""
    made: list[Any] = []
    own = hf.MistralConfig.from_dict.__func__

    def counted(kind: Any, config: Any) -> Any:
        made.append(config)
        return own(kind, config)

    monkeypatch.setattr(hf.MistralConfig, "from_dict", classmethod(counted))
    config = {"model_type": "mistral", "hidden_size": 24}
    stated = [text_value(config, key) for key in ("num_hidden_layers", "rms_norm_eps")]
    assert (stated, len(made)) == ([32, 1e-6], 1)
    config["hidden_size"] = 48
    assert text_value(config, "num_hidden_layers") == 32
    assert len(made) == 2
