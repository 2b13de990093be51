"""The fast scorer equals one forward pass an option, in every family."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from families import FAMILIES, tiny
from questions import oracle, prose, task, tokenizer

from widthwise.evaluate import Item
from widthwise.evaluate.likelihood import Run, context_length, log_likelihoods
from widthwise.evaluate.score import item_runs

# Sums of up to 40 float32 log-probabilities of size 6: 40 x 6 x 6e-8 = 1.4e-5, and as much again
# for the other order of additions inside the layers.
CLOSE = {"atol": 5e-5, "rtol": 0.0}


@pytest.fixture(scope="module")
def words() -> Any:
    return tokenizer()


def shots() -> str:
    """A preamble of some 60 tokens that ends where BPE would join it to the question."""
    import random

    return prose(random.Random(1), 40) + ".\n\n"


def model_of(family: str, **changes: Any) -> Any:
    return tiny(family, vocab_size=307, max_position_embeddings=512, **changes)


def fast(model: Any, words: Any, items: list[Item], length: int = 512) -> list[list[float]]:
    return log_likelihoods(model, [item_runs(words, item, length) for item in items])


@pytest.mark.parametrize("family", FAMILIES)
def test_likelihoods_equal_one_forward_an_option(family: str, words: Any) -> None:
    model = model_of(family)
    for preamble in ("", shots()):
        items = list(task("acc", (preamble,), items=3).items)
        for item, values in zip(items, fast(model, words, items), strict=True):
            torch.testing.assert_close(values, oracle(model, words, item), **CLOSE)


@pytest.mark.parametrize("changes", [{"sliding_window": 16}, {"tie_word_embeddings": True}])
@pytest.mark.parametrize("family", ["mistral", "gemma2", "gemma3_text"])
def test_likelihoods_with_a_short_window(family: str, changes: Any, words: Any) -> None:
    """A window shorter than the preamble: the shared cache holds only its end."""
    model = model_of(family, **changes)
    items = list(task("acc", (shots(),), items=3).items)
    for item, values in zip(items, fast(model, words, items), strict=True):
        torch.testing.assert_close(values, oracle(model, words, item), **CLOSE)


def test_logits_that_a_family_scales_are_scaled(words: Any) -> None:
    """cohere, granite and gemma2 change their logits after the projection."""
    items = list(task("acc").items)
    for family, low, high in (
        ("cohere", {"logit_scale": 0.1}, {"logit_scale": 3.0}),
        ("granite", {"logits_scaling": 9.0}, {"logits_scaling": 0.3}),
        ("gemma2", {"final_logit_softcapping": 0.05}, {"final_logit_softcapping": 30.0}),
    ):
        for changes in (low, high):
            model = model_of(family, **changes)
            torch.testing.assert_close(
                fast(model, words, items[:1])[0], oracle(model, words, items[0]), **CLOSE
            )
        first, second = (fast(model_of(family, **c), words, items[:1])[0] for c in (low, high))
        assert first != pytest.approx(second, abs=0.1)


def test_batches_do_not_change_the_values(words: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, items = model_of("llama"), list(task("acc", (shots(),), items=11).items)
    whole = fast(model, words, items)
    monkeypatch.setattr("widthwise.evaluate.likelihood._BATCH_TOKENS", 60)
    monkeypatch.setattr("widthwise.evaluate.likelihood._WORTH_SHARING", 10**6)
    done: list[int] = []
    runs = [item_runs(words, item, 512) for item in items]
    small = log_likelihoods(model, runs, on_groups=done.append)
    torch.testing.assert_close(small, whole, **CLOSE)
    assert done == sorted(done)
    assert done[-1] == len(items)
    assert len(done) > 3


def test_a_shared_beginning_is_read_once(words: Any) -> None:
    model, items = model_of("llama"), list(task("acc", (shots(),)).items)
    read: list[int] = []
    hook = model.get_input_embeddings().register_forward_hook(
        lambda module, inputs, output: read.append(inputs[0].shape[1])
    )
    fast(model, words, items)
    hook.remove()
    preamble = len(words.encode(shots()))
    assert preamble - 3 <= read[0] <= preamble
    assert max(read[1:]) < preamble


def test_options_of_one_token_share_a_row(words: Any) -> None:
    model = model_of("llama")
    item = Item(id="x", context="the width is", options=(" a", " b", " c", " d"), answer=0)
    lengths = {len(run.tokens) - run.scored for run in item_runs(words, item, 512)}
    assert len(lengths) == 1
    rows: list[int] = []
    hook = model.get_input_embeddings().register_forward_hook(
        lambda module, inputs, output: rows.append(inputs[0].shape[0])
    )
    single = [Run((5, 6, 7, last), 1) for last in (8, 9, 10)]
    values = log_likelihoods(model, [single])[0]
    hook.remove()
    assert rows == [1]
    logits = model(torch.tensor([[5, 6, 7]])).logits[0, -1].log_softmax(-1)
    torch.testing.assert_close(torch.tensor(values), logits[[8, 9, 10]].detach(), **CLOSE)


def test_a_long_prompt_loses_its_beginning(words: Any) -> None:
    model = tiny("llama", vocab_size=307, max_position_embeddings=64)
    length = context_length(model, words)
    assert length == 64
    for preamble in (shots(), shots() + shots()):
        items = list(task("acc", (preamble,)).items)
        for item, values in zip(items, fast(model, words, items, length), strict=True):
            torch.testing.assert_close(values, oracle(model, words, item, length), **CLOSE)


def test_trailing_spaces_of_the_context_move_to_the_option(words: Any) -> None:
    model = model_of("llama")
    item = Item(id="x", context="the width is  ", options=("cut", "kept here"), answer=0)
    torch.testing.assert_close(fast(model, words, [item])[0], oracle(model, words, item), **CLOSE)


def test_a_context_without_tokens_is_the_start_token(words: Any) -> None:
    model = model_of("llama")
    item = Item(id="x", context=" ", options=("a", "b"), answer=0)
    tokens = words.encode(" a")
    logits = model(torch.tensor([[1, *tokens[:-1]]])).logits[0].log_softmax(-1).detach()
    expected = sum(float(row[token]) for row, token in zip(logits, tokens, strict=True))
    assert fast(model, words, [item])[0][0] == pytest.approx(expected, abs=5e-5)


def test_bfloat16_models_are_projected_in_float32(words: Any) -> None:
    """The products of bfloat16 factors are exact, so only the order of additions differs."""
    model, items = model_of("llama").to(torch.bfloat16), list(task("acc").items)
    values = fast(model, words, items[:1])[0]
    runs = item_runs(words, items[0], 512)
    precision = torch.backends.mkldnn.matmul.fp32_precision
    for run, value in zip(runs, values, strict=True):
        batch = [run.tokens[:-1] for run in runs]
        width = max(map(len, batch))  # the same padded batch, since bfloat16 layers round
        ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in batch])
        row = runs.index(run)
        with torch.no_grad():
            hidden = model.model(ids).last_hidden_state[row, : len(run.tokens) - 1].float()
            logits = (hidden @ model.lm_head.weight.float().T).log_softmax(-1)[-run.scored :]
        expected = sum(float(r[t]) for r, t in zip(logits, run.tokens[-run.scored :], strict=True))
        assert value == pytest.approx(expected, abs=5e-5)
    assert torch.backends.mkldnn.matmul.fp32_precision == precision


def test_the_model_is_left_as_it_was(words: Any) -> None:
    model = model_of("llama").train()
    fast(model, words, list(task("acc", (shots(),)).items))
    assert model.training
    assert "forward" not in vars(model.lm_head)
