"""A made-up language in which analogies hold, small enough to be learned in a second.

Each topic has a word for each role; it stands beside the topic's and the role's own words. So
`kaa` is to `kab` as `laa` is to `lab`: same topics, same change of role.
"""

from __future__ import annotations

import gzip
from itertools import permutations
from pathlib import Path

import numpy as np

TOPICS = [first + second for first in "klmn" for second in "aeiou"]
ROLES = "ab"


def text(lines: int = 6000, seed: int = 0) -> str:
    """Lines of five words, capitals and marks among them."""
    rng = np.random.default_rng(seed)
    written = []
    for _ in range(lines):
        topic, role = rng.choice(TOPICS), rng.choice(list(ROLES))
        words = [f"{topic}{role}", f"{topic}x", f"{topic}y", f"r{role}", f"s{role}"]
        rng.shuffle(words)
        written.append(f"{words[0].title()} {' '.join(words[1:])}.")
    return "\n".join(written) + "\n"


def questions() -> str:
    """All analogies of the language, with one whose words are not in it."""
    pairs = [f"{topic}a {topic.title()}b" for topic in TOPICS]
    lines = [f"{left} {right}" for left, right in permutations(pairs, 2)]
    return "\n".join([": roles", *lines, ": elsewhere", "Athens Greece Oslo Norway"]) + "\n"


def save(folder: Path) -> tuple[Path, Path]:
    """The text, packed, and the analogies."""
    paths = folder / "text.gz", folder / "analogies.txt"
    with gzip.open(paths[0], "wb") as file:
        file.write(text().encode())
    paths[1].write_text(questions())
    return paths
