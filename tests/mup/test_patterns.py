"""Multipliers for other trainers: by patterns, and as groups for the Trainer of transformers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from mup_models import llama, wide
from torch.utils.data import Dataset

from widthwise.errors import LimitError
from widthwise.mup import parametrize


def test_every_name_is_found_by_one_pattern_which_has_what_its_group_has() -> None:
    model = wide(num_hidden_layers=3, tie_word_embeddings=True)
    one = parametrize(model, llama(tie_word_embeddings=True))
    groups = {
        id(p): group
        for group in one.groups(model, lr=1.0, weight_decay=1.0)
        for p in group["params"]
    }
    patterns = one.patterns()
    assert len(patterns) == 11  # layers are alike
    for name, parameter in model.named_parameters():
        (found,) = [each for each in patterns if re.search(each["pattern"], name)]
        group = groups[id(parameter)]
        assert found["lr_multiplier"] == group["lr"]
        assert found["weight_decay_multiplier"] == pytest.approx(group["weight_decay"])
        assert found["eps_multiplier"] == pytest.approx(group["eps"] / 1e-8)


def test_patterns_with_muon_have_what_its_groups_have() -> None:
    model = wide(num_hidden_layers=4)
    one = parametrize(model, llama(num_hidden_layers=2))
    patterns = one.patterns(muon="match_rms_adamw")
    for groups, optimizer in (
        (one.muon_groups(model, lr=1.0, weight_decay=1.0, adjust_lr_fn="match_rms_adamw"), "Muon"),
        (one.groups(model, lr=1.0, weight_decay=1.0, beside_muon=True), "AdamW"),
    ):
        for group in groups:
            ids = {id(p) for p in group["params"]}
            for name in (n for n, p in model.named_parameters() if id(p) in ids):
                (found,) = [each for each in patterns if re.search(each["pattern"], name)]
                assert found["optimizer"] == optimizer
                assert found["lr_multiplier"] == pytest.approx(group["lr"])
                assert found["weight_decay_multiplier"] == pytest.approx(group["weight_decay"])


def test_where_no_matrix_grows_muon_is_refused_with_what_to_give() -> None:
    """Of a base of fewer layers alone nothing says which matrices are hidden."""
    model, base = llama(num_hidden_layers=4), llama(num_hidden_layers=2)
    one = parametrize(model, base)
    for ask in (
        lambda: one.muon_groups(model, lr=0.1),
        lambda: one.groups(model, lr=0.1, beside_muon=True),
        lambda: one.patterns(muon="original"),
    ):
        with pytest.raises(LimitError, match=r"Muon is for hidden matrices, .*: give parametrize"):
            ask()
    seen = parametrize(model, base, wide(num_hidden_layers=2))
    assert {group["lr"] for group in seen.muon_groups(model, lr=0.1)} == {0.1, 0.05}


def test_layers_that_differ_have_patterns_of_their_own() -> None:
    base = {f"layers.{i}.weight": (8, 8) for i in range(3)}
    found = parametrize({**base, "layers.1.weight": (8, 16)}, base).patterns()
    rates = {each["pattern"]: each["lr_multiplier"] for each in found}
    assert rates == {
        r"^layers\.0\.weight$": 1,
        r"^layers\.1\.weight$": 0.5,
        r"^layers\.2\.weight$": 1,
    }


class Rows(Dataset[dict[str, Any]]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = torch.arange(8) + index
        return {"input_ids": row, "labels": row}


def test_the_trainer_of_transformers_takes_the_groups(tmp_path: Path) -> None:
    """Rates of all groups follow its schedule in proportion."""
    from transformers import Trainer, TrainingArguments

    model = wide()
    groups = parametrize(model, llama()).groups(model, lr=0.01, weight_decay=0.1)
    optimizer = torch.optim.AdamW(groups)
    arguments = TrainingArguments(
        output_dir=str(tmp_path), max_steps=2, per_device_train_batch_size=2, report_to=[],
        use_cpu=True, save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=Rows(), optimizers=(optimizer, None))  # type: ignore[arg-type]
    seen = []
    step = optimizer.step

    def told(*given: Any) -> Any:
        seen.append([group["lr"] for group in optimizer.param_groups])
        return step(*given)

    optimizer.step = told  # type: ignore[method-assign]
    trainer.train()
    asked = [group["lr"] for group in groups]
    assert seen[0] == pytest.approx(asked)
    assert seen[1] == pytest.approx([lr / 2 for lr in asked])  # its schedule falls to 0
