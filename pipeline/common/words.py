"""Lists and numbers as people read them, alike in every message."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence


def first_of(texts: Sequence[str], most: int) -> str:
    """The first texts with commas between them, and dots where there are more.

    >>> first_of(["clap", "wave", "jog"], 2)
    'clap, wave, ...'
    """
    return ", ".join(texts[:most]) + (", ..." if len(texts) > most else "")


def listed(text: str) -> tuple[str, ...]:
    """The parts of a list with commas, without spaces and empty parts.

    >>> listed("skeleton, inertial,")
    ('skeleton', 'inertial')
    """
    return tuple(part.strip() for part in text.split(",") if part.strip())


def text_of(number: int, texts: Sequence[str]) -> str:
    """What the number of an attribute stands for; itself where it stands for nothing.

    >>> text_of(1, ["anna", "bert"]), text_of(-1, ["anna"])
    ('bert', '-1')
    """
    return texts[number] if 0 <= number < len(texts) else str(number)


def meant(name: str, known: Iterable[str]) -> str:
    """The known name that is nearest to a wrong one, as a question; nothing where none is near.

    >>> meant("trian", ["train", "distill"]), meant("fly", ["train"])
    (" (did you mean 'train'?)", '')
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def usual_spellings(texts: Iterable[str]) -> dict[str, str]:
    """Texts with their letters' case folded to the spelling that is the most frequent.

    >>> usual_spellings(["walk", "Walk", "walk", "JOG"])
    {'walk': 'walk', 'jog': 'JOG'}
    """
    spelt: dict[str, str] = {}
    for text, _ in Counter(texts).most_common():
        spelt.setdefault(text.casefold(), text)
    return spelt
