"""Cut a language model from Python: by its weights in memory, and by calibration text on disk.

    python examples/prune_from_python.py FOLDER

Takes the embedded SmolLM2-135M-Instruct; the name of a checkpoint folder, a `.gguf` file or a hub
id does as well. FOLDER gets the second result, which plain transformers loads.
"""

from __future__ import annotations

import sys
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer

import widthwise

MODEL = "smollm2"


def main(folder: Path) -> None:
    # A plan says which neurons each layer keeps. It reads the weights and changes nothing.
    by_weights = widthwise.make_plan(MODEL, to="2.4x", criterion="ppm")
    print(by_weights)

    # By calibration text, of which 2,048 tokens are enough for an example, the cut keeps the
    # neurons that the text uses. `widthwise.refit` then also fits down_proj; it takes minutes.
    by_text = widthwise.make_plan(MODEL, to="2.4x", criterion="activation", tokens=2048)
    cut = widthwise.prune_checkpoint(MODEL, folder / "cut", by_text, refit=False)

    model = AutoModelForCausalLM.from_pretrained(cut)
    tokenizer = AutoTokenizer.from_pretrained(cut)
    prompt = tokenizer("The capital of France is", return_tensors="pt")
    text = model.generate(**prompt, max_new_tokens=12, do_sample=False)
    print(tokenizer.decode(text[0], skip_special_tokens=True))

    # A model in memory can be cut further; the first one stays as it is.
    plan = widthwise.make_plan(model, remove="40%")
    narrower = widthwise.apply(model, plan)
    print(model.config.intermediate_size, "->", narrower.config.intermediate_size)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
