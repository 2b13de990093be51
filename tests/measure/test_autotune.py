"""Attention and threads: the fastest is found, used, and put away again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from families import tiny
from power_fakes import Bench

from widthwise.measure import (
    RuntimeConfig,
    applied,
    current_config,
    faster_dtype,
    measure_costs,
    workload,
)
from widthwise.measure.autotune import fastest_config

GROUPED = "TRANSFORMERS_SDPA_FORCE_GQA"  # the switch that transformers documents
SECONDS = {"sdpa": 3.0, "sdpa, grouped": 2.0, "eager": 4.0}


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def attention_of(model: Any) -> str:
    name = str(model.config._attn_implementation)
    return f"{name}, grouped" if os.environ.get(GROUPED) else name


@pytest.fixture
def slowed(llama: Any, bench: Bench) -> Callable[[dict[str, float], dict[int, float]], Any]:
    """A model whose every call takes as long as its attention and its threads say."""

    def make(attention: dict[str, float], threads: dict[int, float]) -> Any:
        plain = llama.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            bench.run(attention[attention_of(llama)] * threads[torch.get_num_threads()])
            return plain(*args, **kwargs)

        llama.forward = forward
        return llama

    return make


@pytest.mark.parametrize("best", list(SECONDS))
@pytest.mark.parametrize("threads", [4, 2, 1])
def test_the_fastest_is_found(best: str, threads: int, slowed: Any, bench: Bench) -> None:
    model = slowed({**SECONDS, best: 1.0}, {n: 1.0 + abs(n - threads) for n in (4, 2, 1)})
    found = fastest_config([model], workload("3x5"), clock=bench.clock)
    assert found == RuntimeConfig(attention=best, threads=threads)
    assert current_config(model) == RuntimeConfig(attention="sdpa", threads=4)
    assert GROUPED not in os.environ


def test_many_new_tokens_weigh_more_than_the_prompt(llama: Any, bench: Bench) -> None:
    """Eager reads slowly here but writes fast: better for 40 new tokens, worse for 2."""
    plain = llama.forward

    def forward(ids: torch.Tensor, **kwargs: Any) -> Any:
        is_eager = attention_of(llama) == "eager"
        bench.run((10.0 if is_eager else 1.0) if ids.shape[1] > 1 else (1.0 if is_eager else 2.0))
        return plain(ids, **kwargs)

    llama.forward = forward
    assert fastest_config([llama], workload("3x40"), clock=bench.clock).attention == "eager"
    assert fastest_config([llama], workload("3x2"), clock=bench.clock).attention != "eager"


def test_eager_scores_that_would_fill_memory_are_not_tried(
    slowed: Any, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = slowed({**SECONDS, "eager": 1.0}, dict.fromkeys((4, 2, 1), 1.0))
    scores = 2 * 10**2 * model.config.num_attention_heads * 8
    for free, attention in ((4 * scores, "eager"), (4 * scores - 1, "sdpa, grouped")):
        monkeypatch.setattr("widthwise.measure.autotune.free_bytes", lambda device, f=free: f)
        found = fastest_config([model], workload("10x2x2"), clock=bench.clock)
        assert found.attention == attention


def test_what_one_model_lacks_none_runs_with(llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gemma 2 caps its scores, which sdpa cannot: whichever comes first, all run with eager."""
    gemma = tiny("gemma2")
    monkeypatch.setattr(type(gemma), "_supports_sdpa", False)  # as in most versions
    for models in ([llama, gemma], [gemma, llama]):
        assert fastest_config(models, workload("3x2")).attention == "eager"
        assert (attention_of(llama), attention_of(gemma)) == ("sdpa", "eager")
    costs = measure_costs({"llama": llama, "gemma": gemma}, [workload("3x2")])
    assert [(cost.setting.attention, len(cost.rounds)) for cost in costs] == [("eager", 5)] * 2


def test_all_models_run_with_the_setting(llama: Any) -> None:
    seen: list[tuple[str, int]] = []
    llama.register_forward_hook(
        lambda *_: seen.append((attention_of(llama), torch.get_num_threads()))
    )
    setting = RuntimeConfig(attention="eager", threads=1)
    (cost,) = measure_costs({"a": llama}, [workload("3x2")], setting=setting)
    assert set(seen) == {("eager", 1)}
    assert (cost.setting, cost.decoding, cost.decoding_reason) == (setting, "called", None)


def test_a_setting_is_put_away_after_an_error(llama: Any) -> None:
    def interrupted() -> None:
        with applied(RuntimeConfig(attention="sdpa, grouped", threads=1), [llama]):
            assert (attention_of(llama), torch.get_num_threads()) == ("sdpa, grouped", 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (attention_of(llama), torch.get_num_threads()) == ("sdpa", 4)


def test_faster_dtype_is_the_one_that_won() -> None:
    choice = faster_dtype()
    assert choice.name == ("bfloat16" if choice.speedup >= 1 else "float32")
