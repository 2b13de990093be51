"""Numbers with their nouns, in messages."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """A number of things; the noun takes an s but for one of them.

    >>> counted(1, "word"), counted(2000, "word")
    ('1 word', '2,000 words')
    """
    return f"{number:,} {noun}{'s' * (number != 1)}"
