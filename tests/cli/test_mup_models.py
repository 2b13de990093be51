"""Models of `widthwise mup`: configs from files and checkpoints, and options of small networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers as hf
from every_family import config_of

from widthwise.cli.mup_models import model_config, take_family
from widthwise.errors import CheckpointError, LimitError


def test_a_config_is_read_from_a_folder_or_a_file_without_any_weights(tmp_path: Path) -> None:
    config = hf.Qwen3Config(hidden_size=96)
    config.save_pretrained(tmp_path)
    for name in (tmp_path, tmp_path / "config.json"):
        found = model_config(str(name))
        assert (type(found), found.hidden_size) == (hf.Qwen3Config, 96)


def test_of_a_model_with_a_tower_it_is_the_language_model(tmp_path: Path) -> None:
    config_of("gemma3").save_pretrained(tmp_path)
    assert model_config(str(tmp_path)).model_type == "gemma3_text"


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("{", CheckpointError, "cannot be read as JSON"),
        ("{}", LimitError, "no class for model_type None"),
        ('{"model_type": "llama", "hidden_size": "x"}', CheckpointError, "cannot read it as llama"),
    ],
)
def test_other_files_are_one_sentence(text: str, error: Any, said: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(error, match=said):
        model_config(str(tmp_path / "config.json"))


def test_options_make_a_family_whose_widths_are_checked_first(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps(hf.LlamaConfig().to_dict()))
    options = {"layers": 3, "stated": {"head_dim": 4}, "roles": {}, "lr": 1.0}
    asked = {"model": str(tmp_path / "c.json"), **options}
    family = take_family(asked, (32,))
    assert family is not None
    assert asked == {"lr": 1.0}
    assert (family.at(32).num_hidden_layers, family.at(32).head_dim) == (3, 4)
    assert take_family({"model": None, **options}, (32,)) is None
    for model in (None, str(tmp_path / "c.json")):
        with pytest.raises(LimitError, match="multiple of 16; got 40"):
            take_family({"model": model, **options}, (32, 40))
