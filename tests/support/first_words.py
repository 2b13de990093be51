"""The tokenizer of the embedded model with its first words only: logits of 49,152 words are most
of the time that a tiny model takes."""

from __future__ import annotations

import json
from pathlib import Path

import transformers as hf

from widthwise.assets import embedded_model

WORDS = 4096  # a text has a third more tokens than by all of them


def save_first_words(folder: Path) -> None:
    """That tokenizer with its chat template; raises AssetError where it cannot be had."""
    hf.AutoTokenizer.from_pretrained(embedded_model()).save_pretrained(folder)
    file = folder / "tokenizer.json"
    stored = json.loads(file.read_text(encoding="utf8"))
    model = stored["model"]
    model["vocab"] = {word: at for word, at in model["vocab"].items() if at < WORDS}
    model["merges"] = [pair for pair in model["merges"] if "".join(pair) in model["vocab"]]
    file.write_text(json.dumps(stored, ensure_ascii=False), encoding="utf8")
