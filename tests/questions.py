"""A tiny tokenizer, multiple-choice items, and the slowest clear way to score them."""

from __future__ import annotations

import random
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from widthwise.evaluate import Item, Task

WORDS = "the width of a net is cut and what it knew is lost or kept as we see here".split()


def tokenizer() -> Any:
    """Byte-level BPE of 301 words: bytes, three special tokens and a few merges."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=301,
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator([" ".join(WORDS) + ".\n\nAnswer: a"] * 3, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def prose(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(WORDS, k=words))


def task(metric: Any, preambles: tuple[str, ...] = ("",), items: int = 7) -> Task:
    """Items of two to four options of one to five words, each preamble in turn."""
    chance = random.Random(5)
    built = []
    for number in range(items):
        options = tuple(f" {prose(chance, chance.randint(1, 5))}" for _ in range(2 + number % 3))
        built.append(
            Item(
                id=f"item {number}",
                preamble=preambles[number % len(preambles)],
                context=f"{prose(chance, chance.randint(1, 9))}.\nAnswer:",
                options=options,
                answer=number % 2,
            )
        )
    return Task(name="test", metric=metric, shots=0, items=tuple(built), source="test")


def oracle(model: Any, tokenizer: Any, item: Item, length: int = 10**6) -> list[float]:
    """lm-eval's way: one option at a time, the whole forward pass, log-softmax in float32."""
    values = []
    for option in item.options:
        context = item.preamble + item.context
        spaces = len(context) - len(context.rstrip())
        if spaces:
            context, option = context[:-spaces], context[-spaces:] + option
        whole, first = tokenizer.encode(context + option), tokenizer.encode(context)
        scored = whole[len(first) :]
        inputs = torch.tensor([whole[-(length + 1) :][:-1]], device=model.device)
        with torch.no_grad():
            logits = model(inputs).logits[0].float().log_softmax(-1)[-len(scored) :]
        values.append(sum(float(row[token]) for row, token in zip(logits, scored, strict=True)))
    return values
