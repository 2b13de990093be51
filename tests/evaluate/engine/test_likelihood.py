"""The fast scorer equals one forward pass a run, in every family and at every edge."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from families import FAMILIES
from likelihood_oracle import CLOSE, agree, oracle, runs_of, words
from sharp import sharp

from widthwise.errors import RunError
from widthwise.evaluate.engine import (
    ScoringRequest,
    TokenBudget,
    likelihood,
    log_likelihoods,
    prefixes,
    rope_limit,
)
from widthwise.evaluate.engine.lm_head import LmHead

# Sums of up to 29 float32 log-probabilities of size 6: 29 x 6 x 6e-8 = 1e-5, and as much again for
# the other order of additions inside each of three layers. A wrong layout is off by 0.01 and more.
# In float64, 29 x 6 x 1e-16 = 2e-14, and some more; but the softmax of gemma2 is always float32.
CLOSE_DOUBLE = {"gemma2": CLOSE}

SLIDING = ["mistral", "gemma2", "gemma3_text", "exaone4", "phi3"]


@pytest.fixture(autouse=True)
def _cheap_stems(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small rows must be worth a stem."""
    monkeypatch.setattr(prefixes, "_PREFIX_COST", 4)


def with_greedy(model: Any, runs: list[ScoringRequest]) -> list[ScoringRequest]:
    """The runs, and some that the model itself would write."""
    more = []
    for run in runs[:4]:
        tokens = list(run.tokens[: -run.scored])
        for _ in range(3):
            with torch.no_grad():
                tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
        more.append(ScoringRequest(tuple(tokens), 3))
    return [*runs, *more]


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """What the engine did: lengths of stems, and packed batches."""
    seen: dict[str, list[Any]] = {"stems": [], "packed": []}
    cache, mask_of = LmHead.cache, likelihood.mask_of

    def read(self: LmHead, tokens: Any) -> Any:
        seen["stems"].append(len(tokens))
        return cache(self, tokens)

    def laid(batch: Any, stem: int, dtype: Any) -> Any:
        seen["packed"].append(len(batch))
        return mask_of(batch, stem, dtype)

    monkeypatch.setattr(LmHead, "cache", read)
    monkeypatch.setattr(likelihood, "mask_of", laid)
    return seen


@pytest.mark.parametrize("family", FAMILIES)
def test_likelihoods_equal_one_forward_a_run(family: str, spied: dict[str, list[Any]]) -> None:
    model = sharp(family, max_position_embeddings=128)
    runs = with_greedy(model, runs_of())
    expected = oracle(model, runs)
    assert any(one.greedy for one in expected)
    agree(log_likelihoods(model, runs), expected)
    assert len(spied["stems"]) > 1
    assert spied["packed"]
    model.double()
    agree(log_likelihoods(model, runs), oracle(model, runs), CLOSE_DOUBLE.get(family, 1e-11))


@pytest.mark.parametrize("family", FAMILIES)
def test_without_packing_the_numbers_are_the_same(
    family: str, spied: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(likelihood, "longest_in_trees", lambda model: 0)
    model = sharp(family, max_position_embeddings=128)
    runs = runs_of(1)
    agree(log_likelihoods(model, runs), oracle(model, runs))
    assert spied["stems"]
    assert not spied["packed"]


@pytest.mark.parametrize("window", [5, 30])
@pytest.mark.parametrize("family", SLIDING)
def test_windows_shorter_than_a_row(family: str, window: int, spied: dict[str, list[Any]]) -> None:
    """A window shorter than a stem, too: its cache holds only the stem's end."""
    model = sharp(family, max_position_embeddings=128, sliding_window=window)
    runs = runs_of(2)
    expected = oracle(model, runs)
    agree(log_likelihoods(model, runs), expected)
    assert min(spied["stems"]) > 20
    assert bool(spied["packed"]) == (window > 20)
    wide = oracle(sharp(family, max_position_embeddings=128, sliding_window=99), runs)
    assert max(abs(a[0] - b[0]) for a, b in zip(wide, expected, strict=True)) > 0.01


def test_a_window_of_some_layers() -> None:
    layers = ["sliding_attention", "full_attention", "sliding_attention"]
    model = sharp("gemma2", max_position_embeddings=128, sliding_window=9, layer_types=layers)
    runs = runs_of(3)
    agree(log_likelihoods(model, runs), oracle(model, runs))


def test_logits_that_a_family_scales_are_scaled() -> None:
    """cohere, granite and gemma2 change their logits after the projection."""
    runs = runs_of(4)[:6]
    for family, name, low, high in (
        ("cohere", "logit_scale", 0.1, 3.0),
        ("granite", "logits_scaling", 9.0, 0.3),
        ("gemma2", "final_logit_softcapping", 0.5, 30.0),
    ):
        found = []
        for value in (low, high):
            model = sharp(family, **{name: value})
            found.append(log_likelihoods(model, runs))
            agree(found[-1], oracle(model, runs))
        assert found[0][0].log_likelihood != pytest.approx(found[1][0].log_likelihood, abs=0.1)


@pytest.mark.parametrize("lost", ["attention_mask", "position_ids"])
def test_a_model_that_ignores_the_layout_is_scored_all_the_same(
    lost: str, spied: dict[str, list[Any]]
) -> None:
    model, runs = sharp("llama", max_position_embeddings=128), runs_of(5)
    expected = oracle(model, runs)
    forward = model.forward
    model.forward = lambda *args, **kwargs: forward(*args, **{**kwargs, lost: None})
    agree(log_likelihoods(model, runs), expected)
    assert not spied["packed"]


def test_frequencies_that_turn_with_the_length() -> None:
    """Longrope: rows of more than 32 tokens are another model's, whatever stands beside them."""
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "factor": 4.0}
    rope |= {"short_factor": [1.0] * 4, "long_factor": [1.0, 2.0, 3.0, 4.0]}
    turn = {"original_max_position_embeddings": 32}
    for window in (None, 20):
        model = sharp("phi3", max_position_embeddings=128, rope_parameters=rope, **turn)
        assert rope_limit(model) == 32
        model.config.sliding_window = window
        runs = runs_of(6)
        longer = [
            ScoringRequest((*words(random.Random(1), 12), *run.tokens), run.scored) for run in runs
        ]
        agree(log_likelihoods(model, runs), oracle(model, runs))
        agree(log_likelihoods(model, [*runs, *longer]), oracle(model, [*runs, *longer]))


def test_one_run_and_none() -> None:
    model = sharp("llama")
    assert log_likelihoods(model, []) == []
    for run in (
        ScoringRequest((3, 4), 1),
        ScoringRequest((3, 4, 5, 6), 3),
        ScoringRequest((3,) * 30, 2),
    ):
        agree(log_likelihoods(model, [run]), oracle(model, [run]))
        agree(log_likelihoods(model, [run] * 3), oracle(model, [run] * 3))


@pytest.mark.parametrize("packs", [True, False])
def test_budgets_do_not_change_the_numbers_and_progress_is_told(
    packs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not packs:
        monkeypatch.setattr(likelihood, "longest_in_trees", lambda model: 0)
    model, runs = sharp("llama", max_position_embeddings=128), runs_of(7)
    expected = oracle(model, runs)
    for tokens in (1, 30, 300, 1 << 20):
        done: list[int] = []
        agree(
            log_likelihoods(model, runs, budget=TokenBudget(tokens), on_runs=done.append), expected
        )
        assert done == sorted(set(done))
        assert done[-1] == len(runs)


def watched(model: Any, look: Callable[[Any], None]) -> Any:
    """The model; `look` is called with the token ids of each forward pass."""
    forward = model.forward

    def watching(input_ids: Any, **kwargs: Any) -> Any:
        look(input_ids)
        return forward(input_ids, **kwargs)

    model.forward = watching
    return model


def test_what_is_shared_is_read_once() -> None:
    draw = random.Random(8)
    preamble, read = words(draw, 60), []
    questions = [(*preamble, 10 + n, *words(draw, 8)) for n in range(5)]
    runs = [
        ScoringRequest((*question, 20 + n, 7, 8), 3) for question in questions for n in range(4)
    ]
    model = watched(sharp("llama", max_position_embeddings=128), lambda ids: read.append(ids.shape))
    log_likelihoods(model, runs)
    trial = 1 + 2 + (4 + 2) + 5  # passes with which the model is tried
    assert read[trial] == (1, 60)
    # Each question once, and of each of its four options all but the last token.
    assert [rows * width for rows, width in read[trial + 1 :]] == [5 * (9 + 4 * 2)]


def test_options_of_one_token_are_one_row() -> None:
    read: list[Any] = []
    model = watched(sharp("llama"), lambda ids: read.append(ids.shape))
    runs = [ScoringRequest((5, 6, 7, last), 1) for last in (8, 9, 10)]
    agree(log_likelihoods(model, runs), oracle(sharp("llama"), runs))
    assert read[-1] == (1, 3)


def test_rows_that_repeat_a_long_stem_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row of a batch holds the stem's keys and values: 16 times the budget at most."""
    monkeypatch.setattr(likelihood, "longest_in_trees", lambda model: 0)
    draw, read = random.Random(9), []
    stem = words(draw, 100)
    model = watched(sharp("llama", max_position_embeddings=128), lambda ids: read.append(ids.shape))
    log_likelihoods(
        model,
        [ScoringRequest((*stem, *words(draw, 3)), 1) for _ in range(40)],
        budget=TokenBudget(64),
    )
    trial = 1 + 2 + 5  # passes with which the model is tried
    assert read[trial] == (1, 100)
    assert max(rows * (100 + width) for rows, width in read[trial + 1 :]) <= 16 * 64
    assert len(read) - trial - 1 == 4  # 10 rows a pass


def limited(model: Any, most: int) -> Any:
    """A model in whose memory no more than `most` tokens have room."""

    def look(ids: Any) -> None:
        if ids.numel() > most:
            raise torch.OutOfMemoryError(f"{ids.numel()} tokens")

    return watched(model, look)


@pytest.mark.parametrize("packs", [True, False])
def test_out_of_memory_halves_the_budget(packs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not packs:
        monkeypatch.setattr(likelihood, "longest_in_trees", lambda model: 0)
    model, runs = sharp("llama", max_position_embeddings=128), runs_of(10)
    draw = random.Random(10)
    runs += [ScoringRequest(words(draw, 40), 3) for _ in range(20)]  # 780 tokens: packed, 4 rows
    expected, budget, done = oracle(model, runs), TokenBudget(4096), []
    got = log_likelihoods(limited(model, 300), runs, budget=budget, on_runs=done.append)
    agree(got, expected)
    assert budget.halved > 0
    assert budget.tokens == 4096 >> budget.halved
    assert done[-1] == len(runs)


def test_a_row_or_a_stem_that_does_not_fit_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(11)
    model = limited(sharp("llama", max_position_embeddings=128), 40)
    with pytest.raises(RunError, match="a row of 49 tokens does not fit into memory"):
        log_likelihoods(model, [ScoringRequest(words(draw, 50), 3)])
    stem = words(draw, 60)
    with pytest.raises(RunError, match="a row of 60 tokens does not fit into memory"):
        log_likelihoods(model, [ScoringRequest((*stem, *words(draw, 4)), 2) for _ in range(4)])
    rests = words(draw, 30)
    monkeypatch.setattr(likelihood, "longest_in_trees", lambda model: 0)
    with pytest.raises(RunError, match="a row of 80 tokens does not fit into memory"):
        log_likelihoods(model, [ScoringRequest((*rests, *words(draw, 51)), 2) for _ in range(4)])


def test_memory_that_a_processor_lacks_is_known_by_its_words() -> None:
    def look(ids: Any) -> None:
        if ids.shape[1] > 20:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")

    with pytest.raises(RunError, match="does not fit"):
        log_likelihoods(watched(sharp("llama"), look), [ScoringRequest((5,) * 30, 1)])


def test_other_errors_are_not_taken_for_memory() -> None:
    def look(ids: Any) -> None:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        log_likelihoods(watched(sharp("llama"), look), [ScoringRequest((5,) * 9, 1)])


def test_bfloat16_models_are_projected_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """The products of bfloat16 factors are exact, so only the order of additions differs."""
    model = sharp("llama").to(torch.bfloat16)
    rows = [words(random.Random(n), 12) for n in range(3)]
    monkeypatch.setattr(likelihood, "longest_in_trees", lambda model: 0)
    precision = torch.backends.mkldnn.matmul.fp32_precision
    got = log_likelihoods(model, [ScoringRequest(row, 4) for row in rows])
    with torch.no_grad():  # the same batch, since bfloat16 layers round
        hidden = model.model(torch.tensor([row[:-1] for row in sorted(rows)])).last_hidden_state
        rounded = [model(torch.tensor([row[:-1]])).logits[0].log_softmax(-1) for row in rows]
        logits = (hidden.float() @ model.lm_head.weight.float().T).log_softmax(-1)
    assert torch.backends.mkldnn.matmul.fp32_precision == precision
    for row, scored, own in zip(rows, got, rounded, strict=True):
        values = logits[sorted(rows).index(row)][range(7, 11), row[-4:]]
        assert scored.log_likelihood == pytest.approx(float(values.sum()), abs=CLOSE)
        # What the model's own bfloat16 logits would have given.
        assert abs(float(own[range(7, 11), row[-4:]].sum()) - scored.log_likelihood) > 10 * CLOSE


def test_likelihoods_that_are_not_finite_are_not_hidden() -> None:
    model = sharp("llama")
    with torch.no_grad():
        model.lm_head.weight[7] = torch.nan
    value, greedy, _ = log_likelihoods(model, [ScoringRequest((5, 6, 8, 9), 2)])[0]
    assert value != value
    assert not greedy


def test_the_model_is_left_as_it_was() -> None:
    model = sharp("llama", max_position_embeddings=128).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    log_likelihoods(model, runs_of(12))
    with pytest.raises(RunError):
        log_likelihoods(limited(model, 3), runs_of(12))
    assert model.training
    assert "forward" not in vars(model.lm_head)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
