"""One opened model for all that is done with it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from families import tiny

from widthwise import PruneSpec, allowed_widths, make_plan
from widthwise.cut import ModelWeights
from widthwise.cut.checkpoint import resolve_model
from widthwise.errors import RunError
from widthwise.prune import OpenedModel, open_model, opened_model


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    tiny("llama").save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_model_on_disk_is_loaded_at_first_need_and_once(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: Counter[str] = Counter()
    load = opened_model.load_model

    def counted(*given: Any, **options: Any) -> Any:
        loads["load"] += 1
        return load(*given, **options)

    monkeypatch.setattr(opened_model, "load_model", counted)
    with open_model(saved) as model:
        widths = allowed_widths(model, PruneSpec.of(width=9, align=1, criterion="ppm"))
        assert (widths[-1], loads) == (model.weights.architecture.intermediate_size, {})
        first = model.module
        with open_model(model) as same:
            assert same is model
            assert same.module is first
    assert loads == {"load": 1}
    assert first.dtype == torch.float32


def test_a_source_that_was_resolved_is_a_model(saved: Path) -> None:
    source = resolve_model(saved)
    assert resolve_model(source) is source
    assert source.checkpoint is source.checkpoint
    assert make_plan(source, width=9, align=1, criterion="ppm") == make_plan(
        saved, width=9, align=1, criterion="ppm"
    )


def test_a_model_in_memory_is_its_own(saved: Path) -> None:
    model = tiny("llama")
    opened = OpenedModel(model)
    assert opened.module is model
    assert isinstance(opened.weights, ModelWeights)
    assert opened.embedding_rows == model.config.vocab_size
    with pytest.raises(RunError, match="because the model does not say where it is stored"):
        opened.tokenizer  # noqa: B018
    with open_model(saved) as on_disk, pytest.raises(RunError, match="there is no tokenizer"):
        on_disk.tokenizer  # noqa: B018


@pytest.mark.parametrize("units", ["_is_amx_tile_supported", "_is_avx512_bf16_supported", None])
def test_units_for_bfloat16_are_tiles_or_vectors(
    units: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name == units)
    assert opened_model.has_bfloat16("cpu") == (units is not None)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_gpu_that_only_emulates_bfloat16_has_no_units_for_it(
    is_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Volta and Turing do; torch counts emulation in unless asked."""
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: including_emulation or is_there,
    )
    assert opened_model.has_bfloat16("cuda") == is_there
