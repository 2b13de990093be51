"""What a calibrated cut takes: by hand, by counting a real one, and by laws."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from every_family import tiny_model
from families import HIDDEN, LAYERS, VOCAB, WIDTH, tiny
from torch.utils.flop_counter import FlopCounterMode

from widthwise.arch import Architecture
from widthwise.cut import ModelWeights
from widthwise.cut.checkpoint import by_layers
from widthwise.errors import TargetError
from widthwise.prune import CutEstimate, CutWork, PruneSpec, cut_estimate, per_layer, refit

KEPT, TOKENS = 20, 4096
SPEC = PruneSpec.of(width=KEPT, align=1)
ATTENTION = 2 * HIDDEN * HIDDEN + 2 * 16 * HIDDEN  # q and o; k and v of 2 heads of 8
LAYER, CUT_LAYER = (ATTENTION + 3 * width * HIDDEN for width in (WIDTH, KEPT))


def of(model: Any) -> Architecture:
    return ModelWeights(model).architecture


def estimate(model: Any, tokens: int = TOKENS, **how: Any) -> CutEstimate:
    return CutEstimate.of(of(model), how.pop("spec", SPEC), tokens, dtype="F32", **how)


def test_operations_by_hand(llama: Any) -> None:
    work = estimate(llama).work
    dense = TOKENS + 3 * 1024 + 2048  # for moments; to try the layers; to see what is lost
    cut = TOKENS + 2048
    head = 2 * VOCAB * HIDDEN
    assert work.passes == LAYERS * 2 * (dense * LAYER + cut * CUT_LAYER) + 1024 * head
    # 4 heads of 8, for scores and for what they weigh; a token sees 256.5 tokens in the mean
    assert work.attention == (dense + cut) * LAYERS * 4 * 32 * 256.5
    assert work.moments == LAYERS * TOKENS * 2 * WIDTH**2 + 2 * 2048 * head
    assert work.factors == pytest.approx(LAYERS * (4 * 26**3 + 2 * WIDTH**3) / 3)
    assert work.numbers == LAYERS * (LAYER + 2 * HIDDEN) + 3 * of(llama).parameters


def test_bytes_by_hand(llama: Any) -> None:
    found = estimate(llama)
    weights = 4 * (LAYERS * (LAYER + 2 * HIDDEN) + 2 * VOCAB * HIDDEN + HIDDEN)
    states = TOKENS * HIDDEN * 4
    assert found.memory_bytes == 700_000_000 + weights + states + 2 * states + 300_000_000
    assert found.least_bytes == weights + 16 * WIDTH**2
    assert found.state_bytes == 0
    assert found.kept_bytes == LAYERS * (KEPT * (4 * HIDDEN + 8) + 8 * WIDTH)
    assert found.result_bytes == weights - 4 * LAYERS * (LAYER - CUT_LAYER)


def test_states_beyond_the_bound_are_on_disk_and_not_in_memory(llama: Any) -> None:
    tokens = 2**24  # of 128 bytes each, which makes 2 GiB
    found, more = estimate(llama, tokens), estimate(llama, 2 * tokens)
    assert found.state_bytes == 2**30
    assert more.state_bytes == 3 * 2**30
    assert more.memory_bytes == found.memory_bytes


@pytest.mark.parametrize("sequential", [True, False])
def test_products_are_those_of_a_real_refit(sequential: bool) -> None:
    model = tiny("llama", max_position_embeddings=512)
    batches = [{"input_ids": torch.randint(3, VOCAB, (4, 512))} for _ in range(2)]
    with FlopCounterMode(display=False) as counter:
        refit(model, width=KEPT, align=1, text=batches, sequential=sequential, scales=False)
    counted = counter.get_flop_counts()["Global"][torch.ops.aten.mm]
    work = estimate(model, sequential=sequential).work
    # The counter sees some products of refits as well, half a percent of the whole here.
    assert work.passes + work.moments == pytest.approx(counted, rel=0.01)


def test_products_are_those_of_real_widths_by_layers() -> None:
    model = tiny("llama", max_position_embeddings=512)
    batches = [{"input_ids": torch.randint(3, VOCAB, (4, 512))} for _ in range(2)]
    with FlopCounterMode(display=False) as counter:
        per_layer(model, width=KEPT, align=1, text=batches)
    counted = counter.get_flop_counts()["Global"][torch.ops.aten.mm]
    found, alone = estimate(model, by_layers=True), estimate(model)
    more = [getattr(each.work, name) for each in (found, alone) for name in ("passes", "moments")]
    # The layer that is cut is counted as a whole one.
    assert more[0] + more[1] - more[2] - more[3] == pytest.approx(counted, rel=0.1)
    assert found.memory_bytes == alone.memory_bytes
    assert found.work.factors == 2 * alone.work.factors


@pytest.mark.long
@pytest.mark.parametrize("stays", [True, False])
def test_products_of_scales_are_those_of_real_ones(
    stays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (cut_estimate, by_layers):
        monkeypatch.setattr(module, "KEPT_BYTES", 2**29 if stays else 0)
    model = tiny("llama", max_position_embeddings=512)
    model.save_pretrained(tmp_path)
    batches = [{"input_ids": torch.randint(3, VOCAB, (8, 512))} for _ in range(8)]
    counted = []
    for scales in (False, True):
        with FlopCounterMode(display=False) as counter:
            refit(str(tmp_path), width=KEPT, align=1, text=batches, scales=scales)
        counted.append(counter.get_flop_counts()["Global"][torch.ops.aten.mm])
    tokens = 64 * 512
    plain, more = (estimate(model, tokens, scales=each).work for each in (False, True))
    found = more.passes + more.moments - plain.passes - plain.moments
    # One row in sixteen has no way back, which the estimate does not see.
    assert found == pytest.approx(counted[1] - counted[0], rel=0.1)


def test_more_tokens_take_no_less(llama: Any) -> None:
    counts = [estimate(llama, tokens) for tokens in (1024, 2048, 10_000, 10**7)]
    for few, many in pairwise(counts):
        for each in fields(CutWork):
            assert getattr(few.work, each.name) <= getattr(many.work, each.name)
        assert few.memory_bytes <= many.memory_bytes
        assert few.state_bytes <= many.state_bytes
        assert (few.kept_bytes, few.result_bytes) == (many.kept_bytes, many.result_bytes)


def test_layers_do_not_raise_memory_but_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut_estimate, "KEPT_BYTES", 0)  # so that none stays
    few, many = (estimate(tiny("llama", num_hidden_layers=count)) for count in (2, 6))
    assert few.memory_bytes == many.memory_bytes
    assert few.least_bytes == many.least_bytes
    assert many.kept_bytes == 3 * few.kept_bytes
    for name in ("attention", "factors", "products"):
        assert getattr(many.work, name) == pytest.approx(3 * getattr(few.work, name))


def test_a_plan_alone_and_one_pass_take_less(llama: Any) -> None:
    whole, one_pass = estimate(llama), estimate(llama, sequential=False)
    plan = estimate(llama, refitted=False)
    assert whole.work.passes > one_pass.work.passes > plan.work.passes
    assert (plan.kept_bytes, plan.result_bytes, plan.work.factors, plan.work.products) == (0,) * 4
    assert plan.memory_bytes < whole.memory_bytes
    obs = estimate(llama, spec=PruneSpec.of(width=KEPT, align=1, criterion="obs"))
    assert obs.work.factors > whole.work.factors


def test_experts_see_their_share_of_the_tokens_and_all_have_sums() -> None:
    model = tiny_model("mixtral")
    config = model.config
    experts, active = config.num_local_experts, config.num_experts_per_tok
    width, layers = config.intermediate_size, config.num_hidden_layers
    found = CutEstimate.of(of(model), PruneSpec.of(remove="50%", align=1), TOKENS, dtype="F32")
    logits = 2 * 2048 * 2 * config.vocab_size * config.hidden_size
    assert found.work.moments == layers * TOKENS * active * 2 * width**2 + logits
    weights = 4 * of(model).parameters
    assert found.least_bytes == weights + 8 * (experts + 1) * width**2
    # Few tokens are filled up, to as many in each half as an expert has neurons.
    few = CutEstimate.of(of(model), PruneSpec.of(remove="50%", align=1), 2 * width, dtype="F32")
    logits = logits * width // 2048
    assert few.work.moments == layers * experts * 2 * width * 2 * width**2 + logits


def test_a_pair_of_stacks_shares_the_tokens() -> None:
    model = tiny_model("t5")
    found = CutEstimate.of(of(model), PruneSpec.of(remove="50%", align=1), TOKENS, dtype="F32")
    widths = of(model).neurons()
    assert found.work.moments == sum(TOKENS / 2 * 2 * each**2 for each in widths)


def test_seconds_are_work_by_pace() -> None:
    names = [each.name for each in fields(CutWork)]
    work = CutWork(**{name: 10.0 * (number + 1) for number, name in enumerate(names)})
    pace = CutWork(**dict.fromkeys(names, 10.0))
    assert work.seconds(pace) == 1 + 2 + 3 + 4 + 5 + 6


def test_an_impossible_width_is_refused(llama: Any) -> None:
    with pytest.raises(TargetError, match="width must be in"):
        estimate(llama, spec=PruneSpec.of(width=WIDTH + 1, align=1))
