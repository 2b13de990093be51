"""A short text that the smallest transformers are trained on."""

from pathlib import Path


def save_short_text(path: Path) -> Path:
    words = ("king", "price", "river", "colour", "number", "wheat", "sand")
    lines = (f"In the year {i} the {words[i % 7]} was {words[i % 5]}er.\n" for i in range(400))
    path.write_text("".join(lines))
    return path
