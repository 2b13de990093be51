"""Writers: whichever way a step is done, the same tokens come out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from decoded import KINDS, NEW, same_as_called, written
from families import tiny, tokens
from graph_tape import Tape, install

from widthwise.measure import run_pass, workload
from widthwise.measure.decoders import (
    CudaGraphDecoder,
    Decoders,
    EagerDecoder,
    _capture_fault,
)


@pytest.fixture
def tapes(monkeypatch: pytest.MonkeyPatch) -> list[Tape]:
    return install(monkeypatch)


@pytest.mark.parametrize(("family", "attention"), KINDS)
def test_a_replayed_step_changes_nothing(family: str, attention: str, tapes: list[Tape]) -> None:
    """It asks the host for nothing, and no number of the host is frozen in it."""
    same_as_called(CudaGraphDecoder, tiny(family), attention)
    assert [tape.replays for tape in tapes] == [2 * (NEW - 1)]


def test_rotations_that_are_chosen_on_the_device_are_replayed(tapes: list[Tape]) -> None:
    """By the length of the text, which passes 14 on the way."""
    factors = {"short_factor": [1.0] * 4, "long_factor": [3.0] * 4}
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "factor": 4.0, **factors}
    rope["original_max_position_embeddings"] = 14
    model = tiny("phi3", rope_parameters=rope)
    assert _capture_fault(model, workload("11x6")) is None
    same_as_called(CudaGraphDecoder, model, "sdpa")


def test_generate_writes_the_same() -> None:
    model, prompts = tiny("llama"), tokens()
    wanted = model.generate(
        prompts, do_sample=False, min_new_tokens=NEW, max_new_tokens=NEW, eos_token_id=None
    )
    assert written(EagerDecoder(model), prompts).equal(wanted[:, prompts.shape[1] :])


def test_there_is_a_writer_for_each_number_of_rows() -> None:
    decoders = Decoders(tiny("llama"), workload("5x3x2"))
    assert (decoders.decoding, decoders.reason) == ("called", None)  # a CPU has nothing to replay
    assert decoders(2) is decoders(2) is not decoders(1)


def test_a_step_that_cannot_be_captured_is_called(llama: Any) -> None:
    """Here because there is no CUDA; the work is done all the same, and the record says why."""
    if torch.cuda.is_available():
        pytest.skip("a step can be captured here")
    work = workload("5x3")
    decoders = Decoders(llama, work)
    decoders.decoding = "captured"  # as if the model were on CUDA
    assert run_pass(llama, work, decoders=decoders).next_sec is not None
    assert decoders.decoding == "called"
    assert decoders.reason is not None
    assert decoders.reason.startswith("a step cannot be captured: ")


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (
            "operation not permitted\nmore lines",
            "a step cannot be captured: operation not permitted",
        ),
        ("CUDA error: out of memory", None),
    ],
)
def test_what_broke_a_capture_is_told_and_not_what_that_broke(
    cause: str, reason: str | None, llama: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a capture that fails, the end of the capture fails too, and its error comes last."""

    def fails(*_: Any) -> Any:
        try:
            raise RuntimeError(cause)
        finally:
            raise RuntimeError("operation failed due to a previous error during capture")

    monkeypatch.setattr("widthwise.measure.decoders._captured", fails)
    decoders = Decoders(llama, workload("5x3"))
    decoders.decoding = "captured"  # as if the model were on CUDA
    if reason is None:
        with pytest.raises(RuntimeError, match=f"^{cause}$"):
            decoders(1)
    else:
        assert isinstance(decoders(1), EagerDecoder)
        assert decoders.reason == reason


def test_what_a_graph_would_freeze_is_named() -> None:
    assert _capture_fault(tiny("llama"), workload("5x3")) is None
    assert _capture_fault(tiny("llama"), workload("5x1")) == "a single new token needs no step"
    turning = tiny(
        "llama", rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
    )
    assert _capture_fault(turning, workload("5x3")) == (
        "its rotations are chosen on the host, by the length of the text"
    )
    assert _capture_fault(tiny("gemma2", sliding_window=4), workload("5x3")) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("family", ["llama", "qwen3", "phi3"])
def test_a_captured_step_writes_the_same(family: str) -> None:
    model = tiny(family).cuda()
    captured = CudaGraphDecoder(model, rows=2, length=11 + NEW)
    for seed in (1, 2):
        prompts = tokens(seed).cuda()
        assert written(captured, prompts).equal(written(EagerDecoder(model), prompts))
    assert Decoders(model, workload("5x3")).decoding == "captured"
