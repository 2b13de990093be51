"""Writers: whichever way a step is done, the same tokens come out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from families import FAMILIES, tiny, tokens
from graph_tape import Tape, install

from widthwise.measure import run_pass, workload
from widthwise.measure.decoders import (
    CudaGraphDecoder,
    Decoder,
    Decoders,
    EagerDecoder,
    StaticCacheDecoder,
    _obstacle,
)

NEW = 6


def written(writer: Decoder, prompts: torch.Tensor) -> torch.Tensor:
    """All new tokens, shape (rows, NEW)."""
    with torch.inference_mode():
        writer.ready()
        writer.start(prompts)
        found = [writer.token.clone()]
        for _ in range(NEW - 1):
            writer.step()
            found.append(writer.token.clone())
    return torch.cat(found, dim=1)


KINDS = [(f, a) for f in FAMILIES for a in ("sdpa", "eager") if (f, a) != ("gemma2", "sdpa")]


@pytest.fixture
def tapes(monkeypatch: pytest.MonkeyPatch) -> list[Tape]:
    return install(monkeypatch)


@pytest.mark.parametrize("length", [11 + NEW, 40])
@pytest.mark.parametrize(("family", "attention"), KINDS)
def test_a_cache_of_final_size_changes_nothing(family: str, attention: str, length: int) -> None:
    """In float32, for one batch after the other, and for a cache that is longer than need be."""
    same_as_called(StaticCacheDecoder, tiny(family), attention, length)


@pytest.mark.parametrize(("family", "attention"), KINDS)
def test_a_replayed_step_changes_nothing(family: str, attention: str, tapes: list[Tape]) -> None:
    """It asks the host for nothing, and no number of the host is frozen in it."""
    same_as_called(CudaGraphDecoder, tiny(family), attention)
    assert [tape.replays for tape in tapes] == [2 * (NEW - 1)]


@pytest.mark.parametrize("window", [2, 3, 11, 12, 15, 50])
@pytest.mark.parametrize("family", ["mistral", "gemma2", "gemma3_text", "exaone4"])
def test_windows_are_replayed_before_they_are_full_and_after(
    family: str, window: int, tapes: list[Tape]
) -> None:
    """The prompt has 11 tokens, the text 17: the window is full before it, in it, or never."""
    attention = "eager" if family == "gemma2" else "sdpa"
    same_as_called(CudaGraphDecoder, tiny(family, sliding_window=window), attention)


def test_rotations_that_are_chosen_on_the_device_are_replayed(tapes: list[Tape]) -> None:
    """By the length of the text, which passes 14 on the way."""
    factors = {"short_factor": [1.0] * 4, "long_factor": [3.0] * 4}
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "factor": 4.0, **factors}
    rope["original_max_position_embeddings"] = 14
    model = tiny("phi3", rope_parameters=rope)
    assert _obstacle(model, workload("11x6")) is None
    same_as_called(CudaGraphDecoder, model, "sdpa")


def same_as_called(
    kind: type[StaticCacheDecoder], model: Any, attention: str, length: int = 11 + NEW
) -> None:
    """Two batches, one after the other, give the tokens that a growing cache gives."""
    model.set_attn_implementation(attention)
    writer, called = kind(model, rows=2, length=length), EagerDecoder(model)
    for seed in (1, 2):
        prompts = tokens(seed)
        assert written(writer, prompts).equal(written(called, prompts))


def test_generate_writes_the_same() -> None:
    model, prompts = tiny("llama"), tokens()
    wanted = model.generate(
        prompts, do_sample=False, min_new_tokens=NEW, max_new_tokens=NEW, eos_token_id=None
    )
    assert written(EagerDecoder(model), prompts).equal(wanted[:, prompts.shape[1] :])


def test_there_is_a_writer_for_each_number_of_rows() -> None:
    writers = Decoders(tiny("llama"), workload("5x3x2"))
    assert (writers.decoding, writers.reason) == ("called", None)  # a CPU has nothing to replay
    assert writers(2) is writers(2) is not writers(1)


def test_a_step_that_cannot_be_captured_is_called(llama: Any) -> None:
    """Here because there is no CUDA; the work is done all the same, and the record says why."""
    if torch.cuda.is_available():
        pytest.skip("a step can be captured here")
    work = workload("5x3")
    writers = Decoders(llama, work)
    writers.decoding = "captured"  # as if the model were on CUDA
    assert run_pass(llama, work, writers=writers).next_sec is not None
    assert writers.decoding == "called"
    assert writers.reason is not None
    assert writers.reason.startswith("a step cannot be captured: ")


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
    writers = Decoders(llama, workload("5x3"))
    writers.decoding = "captured"  # as if the model were on CUDA
    if reason is None:
        with pytest.raises(RuntimeError, match=f"^{cause}$"):
            writers(1)
    else:
        assert isinstance(writers(1), EagerDecoder)
        assert writers.reason == reason


def test_what_a_graph_would_freeze_is_named() -> None:
    assert _obstacle(tiny("llama"), workload("5x3")) is None
    assert _obstacle(tiny("llama"), workload("5x1")) == "a single new token needs no step"
    turning = tiny(
        "llama", rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
    )
    assert _obstacle(turning, workload("5x3")) == (
        "its rotations are chosen on the host, by the length of the text"
    )
    assert _obstacle(tiny("gemma2", sliding_window=4), workload("5x3")) is None


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
