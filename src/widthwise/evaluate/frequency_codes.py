"""Codes that know frequencies and nothing else, and none of those that they are to score."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

_HALF = 0.5  # added to each count of bytes, so that none is impossible (Krichevsky and Trofimov)
_BYTES = 256
_END = _BYTES  # of a word that is spelled


def byte_log_likelihoods(texts: Sequence[bytes]) -> list[float]:
    """Log-likelihood of each text in nats, by the frequency of each byte in the other texts."""
    counts = Counter(byte for text in texts for byte in text)
    results = []
    for text in texts:
        text_counts = Counter(text)
        total = counts.total() - text_counts.total() + _HALF * _BYTES
        results.append(
            math.fsum(n * math.log((counts[b] - n + _HALF) / total) for b, n in text_counts.items())
        )
    return results


def word_log_likelihoods(
    texts: Sequence[Sequence[str]], *, given: Sequence[int] | None = None
) -> list[float]:
    """Log-likelihood of each text in nats, by each word's frequency in other texts and before it.

    A word that is in neither is spelled byte by byte, by how often each byte occurs in the distinct
    words of the other texts. That a new word comes is as likely as distinct words are among the
    words so far (method C of Witten and Bell 1991).

    Args:
        texts: Words of each text, in order.
        given: Number of first words of each text that are known and not scored; None for none.
    """
    counts = Counter(word for text in texts for word in text)
    letters = Counter(letter for word in counts for letter in _spelled(word))
    results = []
    for text, known in zip(texts, given or [0] * len(texts), strict=True):
        text_counts = Counter(text)
        seen = {word: counts[word] - n for word, n in text_counts.items()}
        alone = [word for word, n in seen.items() if n == 0]
        missing = Counter(letter for word in alone for letter in _spelled(word))
        spelling = letters.total() - missing.total() + _HALF * (_BYTES + 1)
        distinct = len(counts) - len(alone) + 1
        total = counts.total() - len(text)
        nats = []
        for number, word in enumerate(text):
            if number >= known:
                nats.append(math.log((seen[word] or distinct) / (total + distinct)))
                if not seen[word]:
                    nats += [
                        math.log((letters[letter] - missing[letter] + _HALF) / spelling)
                        for letter in _spelled(word)
                    ]
            distinct += not seen[word]
            seen[word] += 1
            total += 1
        results.append(math.fsum(nats))
    return results


def _spelled(word: str) -> list[int]:
    return [*word.encode("utf8", "surrogatepass"), _END]
