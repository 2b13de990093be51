"""Costs of families that keep something else than keys and values, or keep nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from families import SHAPE, VOCAB, tiny
from special_families import CUT, crossing, special

from widthwise import measure
from widthwise.arch import counts_at
from widthwise.cut import ModelWeights
from widthwise.errors import RunError, UnsupportedModelError
from widthwise.measure.decoders import EagerDecoder
from widthwise.measure.static_cache import unsupported_reason
from widthwise.prune.calibration import activation_norms
from widthwise.study import CostSettings, CostStudy
from widthwise.study.work_estimate import Tokens, scoring, timing

CEILINGS = measure.PeakRates(
    flops_per_sec=1e9, bytes_per_sec=1e9, device="cpu", dtype="float32", name="a processor"
)


def steps(writer: Any, prompts: torch.Tensor, count: int) -> list[list[int]]:
    writer.ready()
    writer.start(prompts)
    found = [writer.token.clone()]
    for _ in range(count - 1):
        writer.step()
        found.append(writer.token.clone())
    written: list[list[int]] = torch.cat(found, 1).tolist()
    return written


@pytest.mark.parametrize("family", CUT)
def test_steps_write_what_each_row_writes_alone_also_the_second_time(family: str) -> None:
    """The prompt is longer than a window (24), and the text grows beyond it."""
    model = special(family)
    prompts = torch.randint(3, VOCAB, (2, 30), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = []
        for text in prompts.tolist():
            for _ in range(5):
                logits = model(input_ids=torch.tensor([text]), use_cache=False).logits
                text.append(int(logits[0, -1].argmax()))
            expected.append(text[30:])
        writer = EagerDecoder(model)
        assert [steps(writer, prompts, 5) for _ in range(2)] == [expected, expected]


def test_states_and_shared_keys_are_not_held_in_a_cache_of_fixed_size() -> None:
    """Only plain keys and values are at fixed addresses, so that steps may be replayed."""
    reasons = {family: unsupported_reason(special(family).config) for family in CUT}
    assert reasons["minicpm3"] is None
    for family in ("qwen3_5_text", "olmo_hybrid", "gemma4_shared"):
        assert "its cache has layers of type" in str(reasons[family])


def test_a_model_that_keeps_nothing_has_no_steps() -> None:
    model = special("qwen3_5_text")
    forward = model.forward
    model.forward = lambda *args, **kwargs: forward(*args, **{**kwargs, "use_cache": False})
    writer, prompts = EagerDecoder(model), torch.full((1, 4), 7)
    with torch.inference_mode():
        assert len(steps(writer, prompts, 1)) == 1
        with pytest.raises(RunError, match="qwen3_5_text keeps nothing of what it has read"):
            steps(writer, prompts, 2)


def test_times_are_measured_where_traffic_cannot_be_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Latent keys: how much a token caches is not known, so no limit is; times are."""
    monkeypatch.setattr(measure, "measure_peak_rates", lambda device, dtype: CEILINGS)
    special("minicpm3").save_pretrained(tmp_path / "model")
    settings = CostSettings(
        models=(str(tmp_path / "model"),),
        widths=(),
        workloads=("3x4",),
        dtype="float32",
        device="cpu",
        energy=False,
    )
    study = CostStudy(tmp_path / "out", settings)
    records = {record.quantity: record for record in study.run()}
    for quantity in ("3x4x1 ttft", "3x4x1 tpot"):
        assert records[quantity].value is not None
        told = records[quantity].settings
        assert [told[name] for name in ("flops", "of_limit", "bound")] == [None] * 3
        assert "must have k_proj and v_proj" in told["limit_reason"]
    assert any("is not known: model.layers.0.self_attn must have" in n for n in study.notes)


def test_the_work_ahead_is_estimated_without_the_cache_where_that_is_not_known() -> None:
    architecture = ModelWeights(special("minicpm3")).architecture
    counts = counts_at(architecture, context=512, dtype="F32")
    reading = scoring(architecture, 53, Tokens(read=100.0, written=0), "F32")
    assert reading.flops == pytest.approx(100 * counts.prefill_flops_per_token)
    writing = scoring(architecture, 53, Tokens(read=0.0, written=16), "F32")
    assert writing.moved_bytes == pytest.approx(counts.weight_bytes)
    timed = timing(architecture, [53], measure.workload("512x3x2"), 5, "F32")
    assert timed.moved_bytes == pytest.approx((1 + 2) * 6 * counts.weight_bytes)


def test_a_family_that_must_have_special_tokens_has_a_skeleton() -> None:
    shape = {name: value for name, value in SHAPE.items() if name != "head_dim"}
    model = hf.AutoModelForCausalLM.from_config(hf.CwmConfig(**shape)).eval()
    found = measure.host_time(model, measure.workload("4x3x2"))
    assert found.reason is None
    assert found.prefill_sec is not None


def test_norms_of_layers_that_text_does_not_reach_are_refused() -> None:
    given = [{"input_ids": torch.full((1, 9), 5)}]
    with pytest.raises(UnsupportedModelError, match=r"layers 1, 3 of mllama_text_model are not"):
        activation_norms(crossing(), given)
    assert set(activation_norms(tiny("llama"), given)) == {0, 1, 2}
