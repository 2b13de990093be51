"""Nothing is half cut: what follows the width elsewhere is left out, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from command_line import prune_by_weights
from families import HIDDEN, LAYERS, SHAPE, VOCAB, WIDTH, tiny, tokens
from outside_blocks import KEPT, add, glu
from safetensors.torch import load_file, save_file
from transformers.models.llama import modeling_llama as llama_code
from vision_models import vision_language

from widthwise import make_plan, prune_checkpoint
from widthwise.arch import families as family_table
from widthwise.arch import read_architecture, refuse_half_cut
from widthwise.cut import ModelWeights
from widthwise.cut.checkpoint import writer as write
from widthwise.errors import OutputError, UnsupportedModelError
from widthwise.io import TensorSpec
from widthwise.notices import shown


def specs(tensors: Mapping[str, torch.Tensor]) -> dict[str, TensorSpec]:
    return {name: TensorSpec(tuple(tensor.shape), "F32") for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    "block",
    ["model.layers.1.audio_mlp", "model.gated_cross_attn_layers.0.mlp", "connector.projection"],
)
def test_other_blocks_of_the_width_are_refused_by_name(block: str, llama: Any) -> None:
    stored = {**specs(dict(llama.named_parameters())), **specs(glu(block))}
    with pytest.raises(UnsupportedModelError, match=f"{block}.* depends on intermediate_size"):
        read_architecture(llama.config.to_dict(), stored)


def test_two_blocks_in_a_layer_are_refused_by_name() -> None:
    """Higgs Audio 2, as transformers builds it: a block for text and one for sound."""
    shape = {**SHAPE, "num_codebooks": 2, "codebook_size": 8}
    model = hf.HiggsAudioV2ForConditionalGeneration(hf.HiggsAudioV2Config(**shape))
    with pytest.raises(UnsupportedModelError, match=r"layers\.0\.audio_mlp\.gate_proj\.weight"):
        make_plan(model, width=KEPT, criterion="ppm")


def test_layers_between_others_are_refused_by_name() -> None:
    """Idefics 1, as transformers builds it: layers for images that are as wide as the others."""
    tower = {"embed_dim": 16, "image_size": 28, "patch_size": 14, "num_hidden_layers": 1}
    tower |= {"intermediate_size": 24, "num_attention_heads": 2}
    how = {"cross_layer_interval": 1, "use_resampler": False, "additional_vocab_size": 0}
    config = hf.IdeficsConfig(**{**SHAPE, **how}, vision_config=tower)
    with pytest.raises(UnsupportedModelError, match=r"gated_cross_attn_layers\.0\.mlp\.gate_proj"):
        make_plan(hf.IdeficsForVisionText2Text(config), width=KEPT, criterion="ppm")


@pytest.mark.parametrize("name", ["medusa_head.0.linear.weight", "probe.weight"])
def test_a_part_of_the_old_width_that_nobody_uses_is_told(
    name: str, saved: Path, tmp_path: Path
) -> None:
    stored = load_file(saved / "model.safetensors")
    save_file({**stored, name: torch.ones(WIDTH, 7)}, saved / "model.safetensors")
    said: list[str] = []
    with shown(said.append):
        prune_checkpoint(
            saved, tmp_path / "out", make_plan(saved, width=KEPT, align=1, criterion="ppm")
        )
    assert said == [
        f"LlamaForCausalLM does not use {name}, which a cut copies as stored; a size of {WIDTH}, "
        "the old width, may tie it to blocks that are cut."
    ]


def test_a_connector_that_follows_the_width_is_refused(tmp_path: Path) -> None:
    """Idefics 2: `modality_projection` has rows of the text model's width, columns of the tower."""
    text = {"model_type": "mistral", "hidden_size": 32, "intermediate_size": 53, "head_dim": 8}
    text |= {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    vision = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 1, "image_size": 28}
    vision |= {"num_attention_heads": 2, "patch_size": 14}
    perceiver = {"resampler_n_latents": 2, "resampler_depth": 1, "num_key_value_heads": 2}
    perceiver |= {"resampler_n_heads": 4, "resampler_head_dim": 8, "hidden_size": 32}
    config = hf.Idefics2Config(
        text_config={**text, "vocab_size": 101},
        vision_config=vision,
        perceiver_config=perceiver,
        image_token_id=5,
    )
    model = hf.Idefics2ForConditionalGeneration(config)
    with pytest.raises(UnsupportedModelError, match=r"modality_projection\.\w+\.weight"):
        make_plan(model, width=KEPT, criterion="ppm")


@pytest.mark.parametrize("vision", [{}, {"hidden_size": 32, "intermediate_size": 53}])
def test_a_gated_vision_tower_is_copied_also_where_its_sizes_are_the_same(
    vision: dict[str, int], tmp_path: Path
) -> None:
    model = vision_language(**vision)
    model.save_pretrained(tmp_path / "parent")
    plan = make_plan(tmp_path / "parent", width=KEPT, align=1, criterion="ppm")
    out = prune_checkpoint(tmp_path / "parent", tmp_path / "out", plan)
    before, after = (load_file(path / "model.safetensors") for path in (tmp_path / "parent", out))
    assert all(torch.equal(after[n], before[n]) for n in before if n.startswith("visual."))
    cut = hf.Qwen2_5_VLForConditionalGeneration.from_pretrained(out)
    assert cut.config.text_config.intermediate_size == KEPT
    with torch.no_grad():
        for layer, keep in enumerate(plan.keep):
            gone = sorted(set(range(WIDTH)) - set(keep))
            model.model.language_model.layers[layer].mlp.down_proj.weight[:, gone] = 0
        # the same sums without terms that are 0, in another order: float32 rounding
        torch.testing.assert_close(
            cut(tokens()).logits, model(tokens()).logits, rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("rows", [WIDTH, 2 * WIDTH])
def test_a_block_under_other_names_is_refused_and_half_of_one_is_not(
    rows: int, saved: Path, tmp_path: Path
) -> None:
    """Matrices to the width and back are a block whatever they are called; to it alone is none."""
    there, back = "connector.opening.weight", "connector.closing.weight"
    out = tmp_path / "out"
    add(saved, {there: torch.ones(rows, HIDDEN), back: torch.ones(HIDDEN, WIDTH)})
    run = prune_by_weights(saved, out, "--width", KEPT, "--exact")
    assert run.exit_code == 1
    assert f"{back} [32, 53] depends on intermediate_size as well" in run.output
    assert not out.exists()
    tensors = load_file(saved / "model.safetensors")
    save_file({n: t for n, t in tensors.items() if n != back}, saved / "model.safetensors")
    assert prune_by_weights(saved, out, "--width", KEPT, "--exact").exit_code == 0
    assert torch.equal(load_file(tmp_path / "out/model.safetensors")[there], tensors[there])


@pytest.fixture
def gained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Llama whose layers have a vector as long as the width beside their block."""
    layer_class = llama_code.LlamaDecoderLayer
    begin = layer_class.__init__

    def with_gain(layer: Any, config: Any, *rest: Any, **named: Any) -> None:
        begin(layer, config, *rest, **named)
        layer.gain = torch.nn.Parameter(torch.ones(config.intermediate_size))

    monkeypatch.setattr(layer_class, "__init__", with_gain)
    folder = tmp_path / "gained"
    # A vocabulary of its own, as shapes that transformers builds are remembered by the config.
    tiny("llama", vocab_size=103).save_pretrained(folder)
    return folder


def test_what_only_the_built_model_shows_to_follow_the_width_is_refused(
    gained: Path, tmp_path: Path
) -> None:
    """By name and shape nothing tells such a vector from others."""
    plan = make_plan(gained, width=KEPT, align=1, criterion="ppm")
    message = r"model\.layers\.0\.gain depends on intermediate_size as well, as transformers"
    with pytest.raises(UnsupportedModelError, match=message):
        prune_checkpoint(gained, tmp_path / "out", plan)
    assert not (tmp_path / "out").exists()


def test_a_result_that_is_not_as_planned_gets_no_name(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The written headers and config are read again before the folder is renamed."""
    plan = make_plan(saved, width=KEPT, align=1, criterion="ppm")
    stale = json.loads((saved / "config.json").read_text())
    monkeypatch.setattr(write, "_config", lambda *_: stale)
    with pytest.raises(OutputError, match=rf"intermediate_size would be {WIDTH} in the result"):
        prune_checkpoint(saved, tmp_path / "out", plan)
    assert not (tmp_path / "out").exists()


def test_a_tensor_that_is_not_written_as_planned_leaves_nothing(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole by itself, and of a config that says nothing of it: only the plan tells."""
    write_shard, name = write._write_shard, "model.norm.weight"

    def longer(path: Path, *rest: Any) -> None:
        write_shard(path, *rest)
        save_file({**load_file(path), name: torch.ones(HIDDEN + 1)}, path, {"format": "pt"})

    monkeypatch.setattr(write, "_write_shard", longer)
    with pytest.raises(OutputError, match=f"not written as planned: tensor {name} differs"):
        prune_checkpoint(
            saved, tmp_path / "out", make_plan(saved, width=KEPT, align=1, criterion="ppm")
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": LAYERS + 1}, rf"num_hidden_layers is {LAYERS + 1}, but {LAYERS}"),
        ({"num_hidden_layers": LAYERS - 1}, rf"is beyond the {LAYERS - 1} layers"),
        ({"hidden_size": 64}, "hidden_size is 64, but every layer"),
    ],
)
def test_a_result_that_contradicts_its_own_config_leaves_nothing(
    changes: dict[str, int],
    message: str,
    saved: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = make_plan(saved, width=KEPT, align=1, criterion="ppm")
    wrong = json.loads((saved / "config.json").read_text())
    wrong |= {"intermediate_size": KEPT, **changes}
    monkeypatch.setattr(write, "_config", lambda *_: wrong)
    with pytest.raises(
        OutputError, match=f"the result would not be a whole checkpoint: .*{message}"
    ):
        prune_checkpoint(saved, tmp_path / "out", plan)
    assert not (tmp_path / "out").exists()


def test_a_width_that_no_setting_moves_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of Dinov2, if it were not known to be so."""
    monkeypatch.setattr(family_table, "_REFUSED", {})
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = hf.Dinov2Config(**sizes, use_swiglu_ffn=True, architectures=["Dinov2Model"])
    found = ModelWeights(hf.Dinov2Model(config)).architecture
    with pytest.raises(UnsupportedModelError, match="dinov2 at the same width whatever intermedi"):
        refuse_half_cut(found.config, found)


def test_a_cut_to_the_width_of_another_stack_leaves_nothing(saved: Path, tmp_path: Path) -> None:
    """Of the parent only one stack has the width of the config, of the result both would."""
    other = {f"model.reader.{name}": tensor for name, tensor in glu("layers.0.mlp", KEPT).items()}
    add(saved, {**other, "model.reader.embed_tokens.weight": torch.ones(VOCAB, HIDDEN)})
    for width, is_written in ((KEPT + 1, True), (KEPT, False)):
        out = tmp_path / str(width)
        run = prune_by_weights(saved, out, "--width", width, "--exact")
        assert (run.exit_code == 0, out.exists()) == (is_written, is_written), run.output
    assert "would not be a whole checkpoint: all GLU blocks of one width must be in" in run.output
