"""What may be said of a shrink."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from widthwise.shrink import Goal, Loss, ShrinkResult, SpeedRatio
from widthwise.shrink import result as module
from widthwise.shrink.deployed_file import DeployedFile
from widthwise.stats import Ratio


def speed(value: float, log_error: float) -> SpeedRatio:
    ratio = Ratio(value=value, standard_error=value * log_error, log_error=log_error, n=5)
    return SpeedRatio(metric="tpot", dense=1.0, narrow=1 / value, ratio=ratio)


def told(result: ShrinkResult, monkeypatch: pytest.MonkeyPatch, **known: Any) -> str:
    """The verdict where these are known of a result."""
    fresh = replace(result)
    for name, value in known.items():
        monkeypatch.setattr(module.ShrinkResult, name, value)
    return fresh.verdict


def test_the_verdict_tells_what_was_asked_and_what_it_cost(
    shrunk: tuple[ShrinkResult, list[str]],
) -> None:
    result, _ = shrunk
    assert result.verdict.startswith(
        "Asked: 40% of the neurons removed; reached, as 41.5 % of them are (width 31 of 53). "
    )
    assert " The checkpoint has " in result.verdict
    assert "piqa" in result.verdict
    assert "worse deal" not in result.verdict


def test_who_lost_and_gained_nothing_has_the_worse_deal(
    shrunk: tuple[ShrinkResult, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    result, _ = shrunk
    unknown = told(result, monkeypatch, degraded=("piqa",), speeds=(speed(1.2, 0.2),))
    assert "It is not shown to be faster on this machine" in unknown
    assert "Who needs speed" not in unknown
    lost = {"degraded": ("piqa",), "speeds": (speed(1.02, 0.01),)}
    said = told(result, monkeypatch, **lost)
    assert said.endswith("Who needs speed has the better deal in the model without a cut.")
    said = told(result, monkeypatch, **lost, is_kept=False)
    assert "; not reached, as 41.5 % of them are" in said
    assert said.endswith("is the worse deal: it lost, and is not what was asked.")
    said = told(result, monkeypatch, degraded=("piqa",), speeds=(speed(1.2, 0.01),), is_kept=True)
    assert said.endswith("On this machine writing a token is 1.20 [1.17, 1.23] times as fast.")


def test_the_tables_hold_both_scores_and_both_times(
    shrunk: tuple[ShrinkResult, list[str]],
) -> None:
    result, _ = shrunk
    (row,) = result.table.rows
    cells = dict(zip(result.table.header, row, strict=True))
    assert (cells["task"], cells["items"]) == ("piqa", "8")
    assert cells["measure"] == "accuracy"
    assert "[" in cells["change [95 %]"]
    (far,) = result.distance_table.rows
    cells = dict(zip(result.distance_table.header, far, strict=True))
    assert "[" in cells["KL [95 %]"]
    assert {"task", "same first choice", "accepted", "lost", "won"} == set(cells) - {"KL [95 %]"}
    assert [row[0] for row in result.speed_table.rows] == [
        "reading a prompt",
        "writing a token",
        "reading and writing together",
    ]


def test_a_goal_of_speed_is_reached_where_the_interval_is_beyond_it(
    shrunk: tuple[ShrinkResult, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    result, _ = shrunk
    whole = replace(speed(1.3, 0.01), metric="throughput")
    asked = replace(result.plan, goal=Goal("faster", "1.2x"))
    monkeypatch.setattr(module.ShrinkResult, "speeds", (whole,))
    reached = replace(result, plan=asked)
    assert reached.is_kept
    assert reached.verdict.startswith(
        "Asked: at least 1.2 times the speed; reached, as reading and writing together is 1.30 ["
    )
    assert "The checkpoint has " in reached.verdict
    more = replace(result.plan, goal=Goal("faster", "1.29x"))
    assert not replace(result, plan=more).is_kept


def test_a_goal_of_loss_is_judged_of_the_result_itself(
    shrunk: tuple[ShrinkResult, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    result, _ = shrunk
    loss = Loss(tasks=("prose",), value=0.01, low=0.005, high=0.015, others=(), limit=0.02)
    monkeypatch.setattr(module, "loss_of", lambda *_: loss)
    kept = replace(result, plan=replace(result.plan, goal=Goal("max_loss", "2%")))
    assert kept.is_kept
    assert kept.verdict.startswith(
        "Asked: a loss of at most 2%; reached, as there is a loss of 1.0 % [0.5 %, 1.5 %] on "
        "prose, within the 2.0 % that are allowed."
    )
    monkeypatch.setattr(module, "loss_of", lambda *_: replace(loss, high=0.03))
    missed = replace(result, plan=kept.plan)
    assert not missed.is_kept
    assert "; not reached, as there is a loss of" in missed.verdict


def test_a_machine_that_did_other_work_is_said_beside_its_times(
    shrunk: tuple[ShrinkResult, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    result, _ = shrunk
    for is_busy in (False, True):
        state = {"is_busy": is_busy, "load": 3.5}
        timed = tuple(replace(r, settings={**r.settings, **state}) for r in result._timed)
        monkeypatch.setattr(module.ShrinkResult, "_timed", timed)
        said = told(result, monkeypatch, speeds=(speed(1.02, 0.01),))
        assert ("this machine, which had other work meanwhile." in said) == is_busy
        notes = replace(result).speed_table.notes
        assert [note[:20] for note in notes] == ["The machine was busy"] * is_busy


def test_a_type_with_wide_blocks_is_the_reason_for_a_larger_cut(
    shrunk: tuple[ShrinkResult, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with K types, and 20 % asked: 1228 of 1536 become 1024."""
    result, _ = shrunk
    source = result.plan.source
    file = DeployedFile(source=source, gguf="q8_0", dtype=None)
    monkeypatch.setattr(DeployedFile, "alignment", 24)
    plan = replace(result.plan, file=file)
    settings = replace(result.settings, gguf="q8_0")
    said = replace(result, plan=plan, settings=settings)._removed_words
    assert said.endswith("(width 31 of 53; blocks of q8_0 need widths in steps of 24)")
    assert replace(result, plan=plan, settings=settings).table.about.endswith(
        "the q8_0 file; what that loses on top is not known"
    )
