"""Lists and numbers as people read them, alike in every message."""

from __future__ import annotations

from collections.abc import Sequence


def first_of(texts: Sequence[str], most: int) -> str:
    """The first texts with commas between them, and dots where there are more.

    >>> first_of(["clap", "wave", "jog"], 2)
    'clap, wave, ...'
    """
    return ", ".join(texts[:most]) + (", ..." if len(texts) > most else "")


def text_of(number: int, texts: Sequence[str]) -> str:
    """What the number of an attribute stands for; itself where it stands for nothing.

    >>> text_of(1, ["anna", "bert"]), text_of(-1, ["anna"])
    ('bert', '-1')
    """
    return texts[number] if 0 <= number < len(texts) else str(number)
