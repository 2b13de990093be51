"""Analogies: a is to b as c is to the word that is nearest to b - a + c in direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...errors import AssetError
from ...io import file_sha256
from ...stats import counted

if TYPE_CHECKING:
    from torch import Tensor

_QUESTION_BATCH = 1024  # questions: their scores of 20 000 words are 80 MB
_HUGE = 2**26  # bytes; the published file has 600 kB


@dataclass(frozen=True, kw_only=True, eq=False)
class Questions:
    """Questions whose four words are all in a vocabulary.

    Attributes:
        words: Numbers of a, b, c and the answer, int64 of shape (questions, 4).
        sections: Name and questions of each section, in order; those without any are left out.
        of: Questions of the whole file.
        digest: sha256 of the file.
    """

    words: NDArray[np.int64]
    sections: tuple[tuple[str, int], ...]
    of: int
    digest: str


def load_questions(path: Path, words: Sequence[str]) -> Questions:
    """Read a file of analogies: a line of four words a question, `: name` before each section.

    Args:
        path: File, such as word2vec's `questions-words.txt`.
        words: Vocabulary in lower case; capitals in the file do not matter.

    Raises:
        AssetError: The file is not there, a line is none of these, or no question has all its
            words in the vocabulary.
    """
    lines, digest = _lines(path), file_sha256(path)
    number = {word: i for i, word in enumerate(words)}
    questions: list[list[int]] = []
    sections: list[list[str | int]] = []
    missing: dict[str, None] = {}
    asked = 0
    for i, line in enumerate(lines, 1):
        parts = line.lower().split()
        if not parts:
            continue
        if parts[0].startswith(":"):
            sections.append([line.strip(": \t\r"), 0])
            continue
        if len(parts) != 4:
            raise AssetError(
                f"{path}:{i} must have four words, or a colon and a section's name; it has "
                f"{counted(len(parts), 'word')}"
            )
        asked += 1
        missing.update(dict.fromkeys(part for part in parts if part not in number))
        if all(part in number for part in parts):
            questions.append([number[part] for part in parts])
            if not sections:
                sections.append(["", 0])
            sections[-1][1] = int(sections[-1][1]) + 1
    if not questions:
        raise AssetError(_no_question(path, asked, list(missing), len(words)))
    nonempty = tuple((str(name), int(count)) for name, count in sections if count)
    return Questions(words=np.array(questions), sections=nonempty, of=asked, digest=digest)


def right_answers(embeddings: Tensor, questions: Questions) -> NDArray[np.bool_]:
    """Whether each question is answered correctly, shape (questions,).

    Rows are scaled to length 1; the answer is the word with the largest product with b - a + c,
    of all but a, b and c, and must have one above 0.

    Args:
        embeddings: Matrix with a row a word, shape (vocabulary, width).

    Cost: 2 V n numbers multiplied for each question.
    """
    import torch

    lengths = embeddings.norm(dim=1).clamp_min(torch.finfo(embeddings.dtype).tiny)
    correct = []
    words = torch.from_numpy(questions.words).to(embeddings.device)
    for part in torch.split(words, _QUESTION_BATCH):
        a, b, c = (embeddings[part[:, i]] / lengths[part[:, i], None] for i in range(3))
        scores = ((b - a + c) @ embeddings.T).div_(lengths)
        scores.scatter_(1, part[:, :3], -torch.inf)
        best = scores.max(dim=1)
        correct.append(((best.indices == part[:, 3]) & (best.values > 0)).cpu().numpy())
    return np.concatenate(correct)


def section_scores(
    right: NDArray[np.bool_], questions: Questions
) -> tuple[tuple[str, int, int], ...]:
    """Name, correct answers and questions of each section."""
    ends = np.cumsum([number for _, number in questions.sections])
    parts = zip(questions.sections, np.split(right, ends[:-1]), strict=True)
    return tuple((name, int(part.sum()), number) for (name, number), part in parts)


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise AssetError(f"there are no analogies at {path}; give word2vec's questions-words.txt")
    try:
        if path.stat().st_size > _HUGE:
            raise AssetError(f"{path} is no file of analogies: it is larger than {_HUGE:,} bytes")
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise AssetError(f"{path} is no text in UTF-8: {error}") from error
    except OSError as error:
        raise AssetError(f"{path} cannot be read: {error}") from error


def _no_question(path: Path, asked: int, missing: list[str], vocabulary: int) -> str:
    if not asked:
        return f"{path} has no question; give word2vec's questions-words.txt"
    some = ", ".join(missing[:3])
    none = f"none of the {asked:,} questions of {path} has"
    if asked == 1:
        none = f"the one question of {path} has not"
    return (
        f"{none} all four words in the vocabulary of {vocabulary:,}, which lacks "
        f"{counted(len(missing), 'word')}, such as {some}; give a larger --vocabulary, or a longer "
        "text"
    )
