"""Generation settings of a checkpoint that greedy decoding leaves out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from healing_runs import save_dense

from widthwise.errors import RunError
from widthwise.evaluate import settings_not_applied


def test_generation_settings_that_are_not_applied_are_named(tmp_path: Path) -> None:
    save_dense(tmp_path / "a")
    assert settings_not_applied(tmp_path / "a") == {}
    told = {"repetition_penalty": 1.1, "eos_token_id": [0, 5], "do_sample": True, "top_p": 0.8}
    (tmp_path / "a" / "generation_config.json").write_text(json.dumps(told))
    named = {"do_sample": True, "repetition_penalty": 1.1, "top_p": 0.8}
    assert settings_not_applied(tmp_path / "a") == named
    mark = {"watermarking_config": {"bias": 2.5}}  # which transformers makes an object of
    (tmp_path / "a" / "generation_config.json").write_text(json.dumps(mark))
    found = settings_not_applied(tmp_path / "a")["watermarking_config"]
    assert json.loads(json.dumps(found))["bias"] == 2.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('{"pad_token_id": [0, 1]}', "transformers cannot read the settings"),
        ('{"eos_token_id": "</s>"}', "eos_token_id must be a token's number"),
        ("{", "not a valid JSON file"),
    ],
)
def test_generation_settings_that_cannot_be_read_are_named(
    settings: str, message: str, tmp_path: Path
) -> None:
    save_dense(tmp_path / "a")
    (tmp_path / "a" / "generation_config.json").write_text(settings)
    with pytest.raises(RunError, match=rf"generation_config\.json: .*{message}"):
        settings_not_applied(tmp_path / "a")
