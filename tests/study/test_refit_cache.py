"""The cache of refits: also of a mixture; who waits says so, and takes what another one made."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import torch
from every_family import tiny_model
from family_trials import ids_of

from widthwise import refit, refits
from widthwise.prune import PruneSpec
from widthwise.prune.spec import Target
from widthwise.study.refit_cache import RefitCache


def test_who_waits_says_so_and_takes_what_the_other_made(tmp_path: Path) -> None:
    ours, theirs = RefitCache(tmp_path), RefitCache(tmp_path)
    order: list[str] = []

    def second() -> None:
        with theirs.held("x", lambda: order.append("waits")):
            order.append("second")

    with ours.held("x", lambda: order.append("first waits")):
        thread = threading.Thread(target=second)
        thread.start()
        while "waits" not in order:
            time.sleep(0.01)
        order.append("first")
    thread.join()
    assert [o for o in order if o != "waits"] == ["first", "second"]


def test_scales_come_back_as_they_were(tmp_path: Path) -> None:
    model = tiny_model("llama")
    batches = [{"input_ids": ids_of(seed, 4, 40)} for seed in range(6)]
    made = refit(model, remove="40%", align=1, text=batches)
    assert made.rows
    assert made.scales is not None
    cache, inputs = RefitCache(tmp_path), {"model": "x"}
    (tmp_path / "calibrated").mkdir()
    cache.write("activation+scales-31", inputs, [made])
    read = cache.read("activation+scales-31", inputs, [made.plan.kind_widths])
    assert read is not None
    (again,) = read
    assert (again.scales, again.sequential) == (made.scales, True)
    assert again.rows.keys() == made.rows.keys()
    assert all(torch.equal(again.rows[key], made.rows[key]) for key in made.rows)


def test_refits_of_a_mixture_come_back_as_they_were(tmp_path: Path) -> None:
    """Groups of different widths, and the tokens that each expert was sent."""
    batches = [{"input_ids": ids_of(seed, 4, 40)} for seed in range(6)]
    model = tiny_model("qwen2_moe")
    specs = [
        PruneSpec(target=Target("remove", share), align=8, criterion="ppm")
        for share in ("30%", "60%")
    ]
    made = refits(model, specs, batches)
    cache, inputs = RefitCache(tmp_path), {"model": "x"}
    (tmp_path / "calibrated").mkdir()
    cache.write("ppm", inputs, made)
    read = cache.read("ppm", inputs, [each.plan.kind_widths for each in made])
    assert read is not None
    for again, each in zip(read, made, strict=True):
        assert again.plan == each.plan
        assert again.layers == each.layers
        assert {fit.tokens is None for fit in again.layers} == {True, False}
        assert all(map(torch.equal, again.down, each.down))
    assert cache.read("ppm", inputs, [(16, 8)]) is None
