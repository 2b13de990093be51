"""Costs: what is timed, in which order, and what becomes of a cell that cannot be measured."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from families import tiny
from graph_tape import install
from power_fakes import Bench, Load, gpu_meter

from widthwise.errors import RunError
from widthwise.measure import Workload, current_config, measure_costs, workload
from widthwise.measure.decoders import Decoders, EagerDecoder


@pytest.fixture
def models() -> dict[str, Any]:
    return {"wide": tiny("llama"), "narrow": tiny("llama", intermediate_size=16)}


def ticking(step: float = 1.0) -> Any:
    """A clock that goes on by a step at every look."""
    ticks = itertools.count()
    return lambda: step * next(ticks)


def test_cells_come_by_model_and_rounds_without_the_warm_up(models: dict[str, Any]) -> None:
    steps: list[int] = []
    works = [workload("3x2"), workload("5x2x2")]
    costs = measure_costs(models, works, rounds=5, on_step=steps.append)
    assert [(cost.model, cost.workload.name) for cost in costs] == [
        ("wide", "3x2x1"),
        ("wide", "5x2x2"),
        ("narrow", "3x2x1"),
        ("narrow", "5x2x2"),
    ]
    assert steps == list(range(1, 2 * 2 * 6 + 1))
    for cost in costs:
        assert (cost.device, cost.dtype, cost.reason) == ("cpu", "float32", None)
        assert len(cost.rounds) == 5
        assert all(r.tokens == cost.workload.tokens for r in cost.rounds)
        assert all(r.energy is None and r.conditions.cores >= 1 for r in cost.rounds)
    parameters = sum(p.numel() for p in models["narrow"].parameters())
    buffers = sum(b.numel() for b in models["narrow"].buffers())
    assert costs[-1].weight_bytes == 4 * (parameters + buffers)


def test_repeated_cells_agree_on_a_steady_clock(models: dict[str, Any]) -> None:
    for _ in range(2):
        cost = measure_costs(models, [workload("3x5")], clock=ticking())[0]
        assert {(r.first_sec, r.next_sec, r.tokens_per_sec) for r in cost.rounds} == {
            (1, 1 / 4, 5 / 2)
        }


def test_the_warm_up_is_not_counted(models: dict[str, Any]) -> None:
    """A clock that slows down: the first round would be the longest."""
    ticks = itertools.accumulate(1000.0 / number for number in range(1, 10**6))
    costs = measure_costs(
        models, [workload("2x1")], setting=current_config(models["wide"]), clock=lambda: next(ticks)
    )
    # each visit reads the clock three times, so the second round begins with the seventh reading
    assert all(r.first_sec <= 1000.0 / 8 for cost in costs for r in cost.rounds)


def test_order_is_shuffled_by_the_seed() -> None:
    visits: list[str] = []
    models = {name: tiny("llama", num_hidden_layers=1) for name in "abcd"}
    for name, model in models.items():
        model.get_input_embeddings().register_forward_hook(
            lambda module, inputs, output, name=name: visits.append(name)
        )
    for seed in (0, 0, 1):
        measure_costs(models, [workload("2x1")], seed=seed, setting=current_config(models["a"]))
    rounds = [tuple(visits[i : i + 4]) for i in range(0, len(visits), 4)]
    assert all(sorted(visit) == list("abcd") for visit in rounds)
    assert rounds[:6] == rounds[6:12] != rounds[12:]
    assert len(set(rounds[:6])) > 1


def test_a_prompt_beyond_the_context_is_a_reason(models: dict[str, Any]) -> None:
    context = models["wide"].config.max_position_embeddings
    works = [workload(f"{context}x2"), workload(f"{context}x1"), workload("2x1")]
    costs = measure_costs(models, works)
    too_long = f"{context}x2x1 needs a context of {context + 1} tokens"
    assert [cost.reason for cost in costs[:3]] == [f"{too_long}; wide has {context}", None, None]
    assert [cost.reason for cost in costs[3:]] == [f"{too_long}; narrow has {context}", None, None]


def test_the_setting_is_that_of_a_model_that_can_do_the_work(models: dict[str, Any]) -> None:
    models["wide"].config.max_position_embeddings = 8
    models["wide"].set_attn_implementation("eager")
    costs = measure_costs(models, [workload("9x2")])
    assert (costs[0].reason is None, costs[1].reason is None) == (False, True)
    assert models["wide"].config._attn_implementation == "eager"  # was not touched


def test_a_batch_that_does_not_fit_leaves_the_others(models: dict[str, Any]) -> None:
    plain = models["wide"].forward

    def forward(ids: torch.Tensor, **kwargs: Any) -> Any:
        if len(ids) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")
        return plain(ids, **kwargs)

    models["wide"].forward = forward
    costs = measure_costs(models, [workload("2x1x3"), workload("2x1x2")])
    assert [(cost.reason, len(cost.rounds)) for cost in costs] == [
        ("wide does not fit into memory on 2x1x3, beside the other models that are held", 0),
        (None, 5),
        (None, 5),
        (None, 5),
    ]


def test_other_errors_are_not_taken_for_memory(models: dict[str, Any]) -> None:
    def forward(ids: torch.Tensor, **kwargs: Any) -> Any:
        raise RuntimeError("shapes do not fit")

    models["wide"].forward = forward
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        measure_costs(models, [workload("2x1")])


def test_joules_are_of_the_tokens_of_the_window(models: dict[str, Any]) -> None:
    """120 W and two tokens each half second: 30 J a token, however many passes fill the window."""
    bench = Bench()
    plain = models["wide"].forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        bench.run(0.25)
        return plain(*args, **kwargs)

    models["wide"].forward = forward
    meter = gpu_meter(bench, Load(120.0))
    meter.idle(10)
    costs = measure_costs(
        {"wide": models["wide"]}, [workload("3x2")], meter=meter, clock=bench.clock
    )
    for visit in costs[0].rounds:
        assert visit.energy is not None
        assert visit.energy.reason is None
        assert visit.tokens == visit.energy.tokens == 2 * len(visit.passes) == 24
        # the fake counter is up to 0.1 s old at either end of the 6 s
        assert visit.energy.gross == pytest.approx(30, rel=0.1 / 6)
        assert visit.energy.net == pytest.approx(0, abs=2 * 30 * 0.1 / 6)


def test_no_cache_outlives_a_visit(models: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of all models together may be more than memory holds, those of one not."""
    made: weakref.WeakSet[EagerDecoder] = weakref.WeakSet()
    alive: list[int] = []
    plain = EagerDecoder.__init__

    def counted(self: EagerDecoder, model: Any) -> None:
        plain(self, model)
        made.add(self)
        alive.append(len(made))

    monkeypatch.setattr(EagerDecoder, "__init__", counted)
    setting = current_config(models["wide"])
    measure_costs(models, [workload("3x2"), workload("4x2")], setting=setting)
    assert alive == [1] * (2 * 2 * 6)


def test_energy_is_not_that_of_a_capture(
    models: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a step that is captured for full batches, and for the smaller last one."""
    tapes, bench, within = install(monkeypatch), Bench(), []
    plain = Decoders.__init__

    def on_cuda(self: Decoders, model: Any, work: Workload) -> None:
        plain(self, model, work)
        self.decoding = "captured"

    monkeypatch.setattr(Decoders, "__init__", on_cuda)
    models["wide"].register_forward_hook(lambda *_: bench.run(0.5))
    meter = gpu_meter(bench, Load(120.0))
    window = meter.window

    @contextmanager
    def watched() -> Iterator[Any]:
        before = len(tapes)
        with window() as energy:
            yield energy
        within.append(len(tapes) - before)

    monkeypatch.setattr(meter, "window", watched)
    work = Workload(name="three", prompt_tokens=(7, 5, 4), new_tokens=3, batch=2)
    wide, setting = models["wide"], current_config(models["wide"])
    costs = measure_costs({"wide": wide}, [work], setting=setting, meter=meter, clock=bench.clock)
    assert costs[0].decoding == "captured"
    assert within == [0] * 5
    assert len(tapes) == 2 * 6  # in every visit anew, as no cache outlives it
    assert all(visit.energy and visit.energy.gross for visit in costs[0].rounds)


@pytest.mark.parametrize("case", ["rounds", "models", "workloads", "names"])
def test_a_comparison_that_makes_no_sense_is_refused(case: str, models: dict[str, Any]) -> None:
    works = {"workloads": [], "names": [workload("2x1"), workload("2x1x1")]}
    with pytest.raises(RunError, match="at least 5 rounds, a model, and workloads of different"):
        measure_costs(
            {} if case == "models" else models,
            works.get(case, [workload("2x1")]),
            rounds=4 if case == "rounds" else 5,
        )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_costs_on_cuda(models: dict[str, Any]) -> None:
    on_device = {name: model.cuda() for name, model in models.items()}
    for cost in measure_costs(on_device, [workload("7x3x2")]):
        assert cost.device.startswith("cuda")
        assert cost.working.allocated_bytes is not None
        assert cost.working.allocated_bytes > 0
