"""Texts of networks: greedy, written once, taken up again, and told where there are none."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from sweep_runs import settings_of

from widthwise.errors import RunError
from widthwise.study import Continuation, Evaluation
from widthwise.study.continuations import NEW_TOKENS, TEXTS, check_prompts, continuations_in
from widthwise.study.scorer import Scorer

pytestmark = pytest.mark.demo

PROMPTS = ("The capital of France is", "Dear Anna,")


def run(folder: Path, model: Path, *prompts: str) -> Evaluation:
    study = Evaluation(folder, settings_of(model, tasks=("embedded:piqa",), prompts=prompts))
    study.run()
    return study


@pytest.fixture(scope="module")
def done(tiny_checkpoint: Path, tmp_path_factory: Any) -> Evaluation:
    return run(tmp_path_factory.mktemp("texts"), tiny_checkpoint, *PROMPTS)


def test_every_network_writes_after_every_prompt(done: Evaluation) -> None:
    found = {(t.criterion, t.asked, t.prompt): t for t in done.texts}
    assert len(found) == len(done.texts) == len(done.networks) * len(PROMPTS)
    assert all(t.text for t in done.texts)
    cut = {t.text for t in done.texts if t.prompt == PROMPTS[0]}
    assert len(cut) == len(done.networks)  # weights are drawn wide: no two write the same


def test_dense_texts_are_those_of_transformers(done: Evaluation, tiny_checkpoint: Path) -> None:
    model = hf.AutoModelForCausalLM.from_pretrained(tiny_checkpoint, dtype=torch.float32)
    tokenizer = hf.AutoTokenizer.from_pretrained(tiny_checkpoint)
    for prompt in PROMPTS:
        given = tokenizer(prompt, return_tensors="pt")
        new = model.generate(**given, do_sample=False, max_new_tokens=NEW_TOKENS)
        text = tokenizer.decode(new[0, given["input_ids"].shape[1] :], skip_special_tokens=True)
        (found,) = (t for t in done.texts if t.criterion is None and t.prompt == prompt)
        assert found.text == text


def test_a_prompt_that_the_model_cannot_read_whole_is_refused_first(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    most = hf.AutoConfig.from_pretrained(tiny_checkpoint).max_position_embeddings - NEW_TOKENS
    tokenizer = hf.AutoTokenizer.from_pretrained(tiny_checkpoint)
    longest = "a" + " a" * (most - 1)
    assert len(tokenizer(longest)["input_ids"]) == most
    said = f"has {most + 1:,} tokens; {tiny_checkpoint} reads "
    with pytest.raises(RunError, match=re.escape(said)):
        run(tmp_path / "out", tiny_checkpoint, longest + " a")
    assert not (tmp_path / "out" / "records.jsonl").exists()
    check_prompts(Evaluation(tmp_path, settings_of(tiny_checkpoint)).parent, [longest])


def test_prompts_change_no_number_and_may_be_added(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(tmp_path, tiny_checkpoint)
    assert not first.texts
    assert not (tmp_path / TEXTS).exists()
    before = (tmp_path / "records.jsonl").read_bytes()
    second = run(tmp_path, tiny_checkpoint, PROMPTS[0])
    assert len(second.texts) == len(second.networks)
    lines = (tmp_path / TEXTS).read_bytes()

    def refuse(*_: Any) -> None:
        raise AssertionError("a network was loaded again")

    monkeypatch.setattr(Scorer, "opened", refuse)
    assert run(tmp_path, tiny_checkpoint, PROMPTS[0]).texts == second.texts
    assert (tmp_path / TEXTS).read_bytes() == lines
    assert (tmp_path / "records.jsonl").read_bytes() == before
    assert run(tmp_path, tiny_checkpoint).texts == ()  # those that are asked for now


def test_a_network_that_cannot_write_says_why_and_is_tried_again(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Scorer.opened

    def failing(self: Scorer, network: Any) -> Any:
        if network.criterion == "random":
            raise RunError("no room")
        return real(self, network)

    run(tmp_path, tiny_checkpoint)
    with monkeypatch.context() as broken:
        broken.setattr(Scorer, "opened", failing)
        found = run(tmp_path, tiny_checkpoint, *PROMPTS).texts
    assert {t.reason for t in found if t.criterion == "random"} == {"no room"}
    assert all(t.text is None for t in found if t.criterion == "random")
    again = run(tmp_path, tiny_checkpoint, *PROMPTS).texts
    assert len(again) == len(found)
    assert all(t.text and t.reason is None for t in again)


def test_a_torn_line_is_left_out_and_another_thing_is_named(tmp_path: Path) -> None:
    text = Continuation(
        model="m", criterion=None, asked="dense", width=4, expansion_ratio=1.0, prompt="a", text="b"
    )
    (tmp_path / TEXTS).write_text(text.to_json() + "\n" + '{"model": "half')
    assert continuations_in(tmp_path) == (text,)
    (tmp_path / TEXTS).write_text("{}\n")
    with pytest.raises(RunError, match=r"texts\.jsonl:1"):
        continuations_in(tmp_path)


def test_an_empty_prompt_and_another_backend_are_refused(tiny_checkpoint: Path) -> None:
    with pytest.raises(RunError, match="a prompt must hold a word"):
        settings_of(tiny_checkpoint, prompts=(" ",))
    with pytest.raises(RunError, match="backend hf goes on with no prompts"):
        settings_of(tiny_checkpoint, prompts=("a",), backend="hf")


def test_a_line_that_is_no_text_is_told_before_the_work(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    asked = settings_of(tiny_checkpoint, tasks=("embedded:piqa",))
    run(tmp_path, tiny_checkpoint)
    (tmp_path / TEXTS).write_text('{"a": 1}\n')
    told: list[str] = []
    again = Evaluation(tmp_path, asked, on_progress=lambda _, label: told.append(label))
    with pytest.raises(RunError, match=r"texts\.jsonl:1: a continuation has unknown"):
        again.run()
    assert told == []
