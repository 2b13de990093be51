"""The class of transformers that builds a checkpoint's model, or why there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import loaded, logits, save_untied, set_config, stored
from every_family import tiny_model

from widthwise import make_plan, prune_checkpoint
from widthwise.cut.checkpoint import Checkpoint, check_loadable
from widthwise.cut.checkpoint.model_class import model_class_of
from widthwise.errors import CheckpointError, UnsupportedModelError
from widthwise.notices import shown as notices

KEPT = 29


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    return save_untied(tmp_path / "dense")


CONFIGS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown type": (
        {"model_type": "foo9", "transformers_version": "99.1"},
        r"does not know the model type 'foo9' \(the checkpoint was written by 99.1\); install one",
    ),
    "no type": ({"model_type": None}, "names no model_type"),
    "code": (
        {"model_type": "foo9", "auto_map": {"AutoModelForCausalLM": "modeling_foo.Foo"}},
        r"needs its own code \(modeling_foo.py\), which widthwise does not run",
    ),
    "no language model": ({"model_type": "vitpose"}, "no class that reads text"),
    "heads": ({"num_attention_heads": 0}, r"transformers cannot read it as llama: .* by zero"),
    "heads in words": ({"num_attention_heads": "four"}, "transformers cannot read it"),
    "activation": ({"hidden_act": "swosh"}, "transformers cannot load it: KeyError: 'swosh'"),
    "dtype": ({"dtype": "float7"}, r"transformers cannot read it as llama: .*float7"),
    "vocabulary": ({"vocab_size": -5}, "negative dimension"),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_config_that_builds_nothing_is_an_error_that_says_why(kind: str, dense: Path) -> None:
    changes, message = CONFIGS[kind]
    set_config(dense, **changes)
    with pytest.raises((CheckpointError, UnsupportedModelError), match=message):
        loaded(dense)


def test_weights_of_a_class_that_is_not_known_are_cut_all_the_same(
    dense: Path, tmp_path: Path
) -> None:
    set_config(dense, model_type="foo9")
    said: list[str] = []
    with notices(said.append):
        out = prune_checkpoint(
            dense, tmp_path / "out", make_plan(dense, width=KEPT, criterion="ppm")
        )
    assert "does not know the model type 'foo9'" in said[0]
    assert "Only the tensors of GLU blocks were checked" in said[0]
    assert stored(out)["model.layers.0.mlp.gate_proj.weight"].shape == (KEPT, 32)


def test_code_that_a_config_names_is_not_run_where_transformers_has_the_class(dense: Path) -> None:
    whole = logits(loaded(dense))
    set_config(dense, auto_map={"AutoModelForCausalLM": "modeling_foo.Foo"})
    assert torch.equal(logits(loaded(dense)), whole)


@pytest.mark.parametrize(
    ("family", "auto_class"),
    [
        ("modernbert", "AutoModelForMaskedLM"),
        ("t5", "AutoModelForSeq2SeqLM"),
        ("t5-encoder", "AutoModelForTextEncoding"),
    ],
)
def test_the_card_of_an_encoder_names_the_class_that_loads_all_of_it(
    family: str, auto_class: str, tmp_path: Path
) -> None:
    tiny_model(family).save_pretrained(tmp_path / "dense")
    out = prune_checkpoint(
        tmp_path / "dense",
        tmp_path / "out",
        make_plan(tmp_path / "dense", width=KEPT, align=1, criterion="ppm"),
    )
    assert f"model = {auto_class}.from_pretrained" in (out / "README.md").read_text()
    with Checkpoint(out) as checkpoint:
        assert model_class_of(checkpoint).auto_class == auto_class


def test_a_bare_encoder_is_loaded_as_one_though_its_family_has_a_head(tmp_path: Path) -> None:
    tiny_model("eurobert").model.save_pretrained(tmp_path)
    with Checkpoint(tmp_path) as checkpoint:
        assert model_class_of(checkpoint).name == "EuroBertModel"
        with pytest.raises(UnsupportedModelError, match="EuroBertModel, which is not a causal"):
            check_loadable(checkpoint)
