"""Learning-rate transfer: planted optima, training on real text, records that go on, refusals."""

from __future__ import annotations

import gzip
from math import inf, log, log2
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from widthwise.errors import LimitError, RunError
from widthwise.experiments.lr_transfer import (
    OptimumShift,
    TokenRows,
    TrainingRun,
    TrainingSettings,
    check_grid,
    draw_transfer,
    optimum_shifts,
    read_rows,
    train_glu,
)
from widthwise.experiments.lr_transfer.train import _batches
from widthwise.mup import glu_config, glu_network

RATES = tuple(2.0**k for k in range(-8, -2))
SHORT = TrainingSettings(steps=3, rows=4, tokens=16, base=16)


def planted(
    power: float,
    *,
    noise: float = 0.0,
    middle: float = -5.3,
    rates: tuple[float, ...] = RATES,
    diverged: tuple[float, ...] = (),
) -> OptimumShift:
    """Parabolas over log2 of the rate whose lowest point goes as a power of the width."""
    random = np.random.default_rng(1)
    runs = []
    for seed in range(4):
        for width in (64, 128, 256):
            best = middle + power * log2(width / 64) + noise * random.standard_normal()
            for rate in rates:
                gone = rate in diverged
                runs.append(
                    TrainingRun(
                        kind="mup", width=width, lr=rate, seed=seed,
                        loss=None if gone else 2 + 0.1 * (log2(rate) - best) ** 2 + 0.3 * seed,
                        reason="training diverged" if gone else None, duration_sec=1.0,
                    )
                )  # fmt: skip
    (found,) = optimum_shifts(runs)
    return found


@pytest.mark.parametrize("rates", [RATES, (0.003, 0.011, 0.02, 0.05, 0.2)])
@pytest.mark.parametrize("power", [0.0, -0.5, 0.25])
def test_the_lowest_point_of_a_parabola_is_found(power: float, rates: tuple[float, ...]) -> None:
    """Exactly, whatever the rates: three points are a parabola."""
    found = planted(power, rates=rates)
    for curve in found.curves:
        assert curve.optima == pytest.approx([-5.3 + power * log2(curve.width / 64)] * 4)
        assert curve.best is not None
        assert curve.best.standard_error == pytest.approx(0, abs=1e-9)
    assert found.slope is not None
    assert found.slope.value == pytest.approx(power)


@pytest.mark.parametrize(
    ("power", "noise", "verdict", "said"),
    [
        (0.0, 0.05, "stays", "the best learning rate stays: "),
        (-0.5, 0.05, "shifts", "the best learning rate shifts: -0."),
        (-0.24, 0.1, "shifts", "the best learning rate shifts: -0."),  # not all within the margin
        (0.0, 0.6, "undecided", "it is not decided whether the best learning rate stays: "),
    ],
)
def test_nothing_is_claimed_that_the_interval_does_not_carry(
    power: float, noise: float, verdict: str, said: str
) -> None:
    found = planted(power, noise=noise)
    assert (found.verdict, found.sentence.startswith(f"muP: {said}")) == (verdict, True)
    assert found.slope is not None
    low, high = found.slope.interval()
    assert low <= power <= high
    # Student's quantile of three degrees of freedom
    assert (high - low) / 2 == pytest.approx(3.1824 * found.slope.standard_error, rel=1e-4)


@pytest.mark.parametrize("middle", [-8.4, -2.9, 0.0])
def test_an_optimum_at_an_end_of_the_rates_is_missing_with_its_reason(middle: float) -> None:
    found = planted(0.0, middle=middle)
    assert [curve.best for curve in found.curves] == [None] * 3
    assert (found.slope, found.verdict) == (None, None)
    assert "muP: whether the best learning rate stays is not known: at width 64" in found.sentence
    assert "of 4 of 4 seeds is at an end of --learning-rates, or beside" in found.sentence


def test_diverged_runs_are_worse_than_all_others() -> None:
    beside = planted(0.0, middle=-4.9, diverged=(2.0**-4, 2.0**-3))
    assert beside.curves[0].optima == (None,) * 4
    assert "beside it a run diverged" in beside.sentence
    far = planted(0.0, diverged=(2.0**-3,))
    assert far.curves[0].optima == pytest.approx([-5.3] * 4)
    assert far.curves[0].losses[0, -1] == inf
    nothing = planted(0.0, diverged=RATES)
    assert nothing.curves[0].optima == (None,) * 4
    draw_transfer([beside, nothing], "note")


def test_runs_that_are_missing_are_told() -> None:
    runs = [
        TrainingRun(kind="sp", width=w, lr=lr, seed=s, loss=1.0, reason=None, duration_sec=0.0)
        for w in (64, 128) for lr in (1, 2, 3) for s in (0, 1)
    ]  # fmt: skip
    with pytest.raises(LimitError, match="every width must have been trained with every"):
        optimum_shifts(runs[:-1])


@pytest.mark.parametrize(
    ("widths", "rates", "seeds", "said"),
    [
        ((64,), RATES, 2, "widths must be at least 2 different ones; got 64"),
        ((64, 64), RATES, 2, "widths must be at least 2 different ones; got 64, 64"),
        ((64, 128), (0.1, 0.2), 2, "learning rates must be at least 3"),
        ((64, 128), (0.0, 0.1, 0.2), 2, "must be finite numbers above 0; got 0"),
        ((64, 128), RATES, 1, "at least 2 seeds; got 1"),
    ],
)
def test_too_little_to_compare_is_refused(widths: Any, rates: Any, seeds: int, said: str) -> None:
    with pytest.raises(LimitError, match=said):
        check_grid(widths, rates, seeds)


@pytest.fixture(scope="module")
def file(tmp_path_factory: Any) -> Path:
    path: Path = tmp_path_factory.mktemp("text") / "text.txt"
    words = ("king", "price", "river", "colour", "number", "wheat", "sand")
    lines = (f"In the year {i} the {words[i % 7]} was {words[i % 5]}er.\n" for i in range(400))
    path.write_text("".join(lines))
    return path


@pytest.fixture(scope="module")
def text(file: Path) -> TokenRows:
    return read_rows(file, tokens=16, most=500)


def test_text_is_cut_into_rows_some_of_them_held_out(file: Path, text: TokenRows) -> None:
    assert text.vocabulary == 256
    assert text.train.shape == (501, 16)  # as many as asked for, rounded up
    assert text.held_out.shape == (33, 16)  # every sixteenth
    whole = np.frombuffer(file.read_bytes(), dtype=np.uint8)[: 534 * 16].reshape(534, 16)
    seen = torch.cat([text.train, text.held_out]).numpy()
    order = np.lexsort(seen.T), np.lexsort(whole.T)
    assert (seen[order[0]] == whole[order[1]]).all()  # every row once, on one side


def test_folders_and_packed_files_are_read_in_order(
    file: Path, text: TokenRows, tmp_path: Path
) -> None:
    content = file.read_bytes()
    (tmp_path / "b.txt").write_bytes(content[5000:])
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(content[:5000]))
    (tmp_path / ".hidden").write_bytes(b"x" * 9999)
    assert read_rows(tmp_path, tokens=16, most=500).fingerprint == text.fingerprint


def test_a_tokenizer_counts_its_own_tokens(file: Path) -> None:
    class Words:
        def __len__(self) -> int:
            return 1000

        def __call__(self, piece: str, **_: Any) -> dict[str, list[int]]:
            return {"input_ids": [len(word) for word in piece.split()]}

    found = read_rows(file, tokens=8, most=100, tokenizer=Words())
    assert found.vocabulary == 1000
    assert len(found.train) == 101
    assert int(found.train.max()) < 20


def test_text_that_cannot_be_read_is_told(file: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such file or folder of text"):
        read_rows(tmp_path / "none", tokens=16, most=10)
    with pytest.raises(RunError, match="holds no file of text"):
        read_rows(tmp_path, tokens=16, most=10)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(file.read_bytes())[:200])
    with pytest.raises(RunError, match=r"cut\.gz: cannot be read as text"):
        read_rows(tmp_path / "cut.gz", tokens=16, most=10)
    (tmp_path / "short.txt").write_text("too short")
    with pytest.raises(RunError, match="holds 9 tokens, and 1,024 are the least"):
        read_rows(tmp_path / "short.txt", tokens=16, most=10)


def test_at_the_base_width_both_parametrizations_are_the_same_network(text: TokenRows) -> None:
    one, two = (train_glu(text, kind, 16, 0.02, 3, SHORT) for kind in ("sp", "mup"))
    assert one.loss == two.loss
    wide = [train_glu(text, kind, 32, 0.02, 3, SHORT).loss for kind in ("sp", "mup")]
    assert wide[0] != wide[1]
    assert train_glu(text, "mup", 32, 0.02, 3, SHORT).loss == wide[1]
    assert train_glu(text, "mup", 32, 0.02, 4, SHORT).loss != wide[1]


def test_twice_the_width_halves_the_rates_of_hidden_weights_and_heads_in_mup_only() -> None:
    config = glu_config(32, vocabulary=256, tokens=16)
    for kind, by in (("mup", 0.5), ("sp", 1.0)):
        model, optimizer = glu_network(config, 0, lr=0.1, base=16, kind=kind)
        rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        for name, parameter in model.named_parameters():
            scaled = parameter.ndim > 1 and "embed" not in name
            assert rates[id(parameter)] == pytest.approx(0.1 * by if scaled else 0.1), name


def test_networks_learn_from_what_they_read(text: TokenRows) -> None:
    """Below the loss of a guess among 256 bytes, and lower the longer."""
    losses = [
        train_glu(
            text, "mup", 16, 0.01, 0, TrainingSettings(steps=n, rows=8, tokens=16, base=16)
        ).loss
        for n in (1, 40)
    ]
    assert losses[0] is not None
    assert losses[1] is not None
    assert log(256) > losses[0] > losses[1] + 1


def test_batches_are_by_seed_and_go_through_the_text_before_they_repeat_it() -> None:
    rows = torch.arange(10)[:, None]
    training = TrainingSettings(steps=10, rows=4, tokens=2)
    batches = [batch[:, 0].tolist() for batch in _batches(rows, training, 1)]
    flat = [one for batch in batches for one in batch]
    assert [len(batch) for batch in batches] == [4] * 10
    assert all(sorted(flat[i : i + 10]) == list(range(10)) for i in (0, 10, 20, 30))
    assert [b[:, 0].tolist() for b in _batches(rows, training, 1)] == batches
    assert [b[:, 0].tolist() for b in _batches(rows, training, 2)] != batches


def test_a_run_that_diverges_has_its_reason(text: TokenRows) -> None:
    found = train_glu(text, "mup", 16, 1e30, 0, SHORT)
    assert found.loss is None
    assert found.reason is not None
    assert found.reason.startswith("training diverged: the loss before step ")


def test_nothing_is_read_from_rates_far_apart() -> None:
    """A parabola through losses 25 octaves off would have its lowest point anywhere."""
    found = planted(0.0, rates=(1e-9, 2.0**-5, 1e3))
    assert found.curves[0].optima == (None,) * 4
    assert found.verdict is None
