"""Facts out of paths: ``{label}/{subject}_t{trial:d}_{modality}.csv`` and what a path says by it.

``{name}`` is any text within a folder's or file's name, ``{name:d}`` a whole number, ``{name:a}``
letters and digits, ``{name:w}`` these and underscores; ``{_}`` is passed over, and ``**`` is any
number of folders. A name that is there twice says the same both times, letter case apart. A path
that a pattern reads in two ways is refused rather than guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.contract import ConfigError, ContractError

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pgm", ".ppm")
"""How names of pictures end."""
MAX_TEXTS = 6
"""Fields of any text in a pattern; with more, there are too many ways to read a path."""
MAX_OPTIONS = 3
"""Ways to write a pattern that an error names."""
MAX_MARKS = 30
"""Of one separator in a path; one with more is no recording's."""
FRAME = "frame"
"""The field that numbers the frames of one recording."""
_FIELD = re.compile(r"\{([^{}]*)\}|(\*\*/?)")
_FIELD_NAME = re.compile(r"_|[a-z][a-z0-9_]*")
_KINDS = {"": "[^/]+", "d": "[0-9]{1,9}", "a": "[a-zA-Z0-9]+", "w": "[a-zA-Z0-9_]+"}


class TwoReadingsError(ContractError):
    """A path can be read in two ways."""

    def __init__(self, message: str, at: tuple[str, str]) -> None:
        """``at`` is the pattern and the first field of which it is not clear what it says."""
        super().__init__(message)
        self.at = at


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A pattern of one stream's paths."""

    text: str
    names: tuple[str, ...]
    """Fields, without those that are passed over, each once."""
    _fixed: Mapping[str, str] = field(repr=False)
    _choices: Mapping[str, Sequence[str]] = field(repr=False)
    _lazy: re.Pattern[str] = field(repr=False)
    _greedy: re.Pattern[str] = field(repr=False)

    @classmethod
    def of(
        cls, text: str, fixed: Mapping[str, str], choices: Mapping[str, Sequence[str]]
    ) -> Pattern:
        """Read a pattern.

        Args:
            text: As a description has it.
            fixed: Fields whose text is known: the modality and the stream.
            choices: Fields that have one of some texts; of no texts, any.

        Example:
            >>> Pattern.of("{label}/{subject:w}-{_}.csv", {}, {}).find("drum/anna-1.csv")
            {'label': 'drum', 'subject': 'anna'}

        Raises:
            ConfigError: it cannot be read; says what at.
        """
        if text.startswith("/") or ".." in text.split("/") or "\\" in text:
            raise ConfigError(f"pattern {text!r}: wanted a path within the raw tree, parts by '/'")
        lazy, greedy, names, at = "", "", list[str](), 0
        for match in _FIELD.finditer(text):
            literal, at = _literal(text[at : match.start()], text), match.end()
            if match[2]:
                folders = r"(?:[^/]+/)*" if match[2].endswith("/") else ".*"
                lazy, greedy = lazy + literal + folders, greedy + literal + folders
                continue
            name, _, kind = match[1].partition(":")
            if kind not in _KINDS or not _FIELD_NAME.fullmatch(name):
                raise ConfigError(
                    f"pattern {text!r} has {match[0]}: wanted {{name}}, {{name:d}}, {{name:a}} or "
                    "{{name:w}}, the name in lower-case letters, digits and underscores"
                )
            if name in fixed:
                lazier = wanted = re.escape(fixed[name])
            elif name in names:
                lazier = wanted = f"(?P={name})"
            else:
                options = sorted(choices.get(name, ()), key=len, reverse=True)
                wanted = "|".join(map(re.escape, options)) or _KINDS[kind]
                lazier = wanted if options or kind == "d" else f"{wanted}?"
                group = "(?:" if name == "_" else f"(?P<{name}>"
                zeros = "0*" if kind == "d" else ""
                lazier, wanted = f"{zeros}{group}{lazier})", f"{zeros}{group}{wanted})"
                names += [name] if name != "_" else []
            lazy, greedy = lazy + literal + lazier, greedy + literal + wanted
        end = _literal(text[at:], text)
        n_texts = lazy.count("[^/]+?")
        if n_texts > MAX_TEXTS or re.search(r"\}\{", re.sub(r"\{\w+:d\}", "", text)):
            raise ConfigError(
                f"pattern {text!r} has {n_texts} fields of any text, or two with nothing between "
                f"them: wanted at most {MAX_TEXTS}; give others a kind, such as {{name:a}}"
            )
        return cls(
            text=text,
            names=tuple(names),
            _fixed=fixed,
            _choices=choices,
            _lazy=re.compile(lazy + end, re.IGNORECASE),
            _greedy=re.compile(greedy + end, re.IGNORECASE),
        )

    @property
    def is_of_frames(self) -> bool:
        """Whether each file is a frame of a recording: ``{frame:d}`` is in it."""
        return FRAME in self.names

    def find(self, path: str) -> dict[str, str] | None:
        """What a path says, name to text, numbers without leading zeros; None if not of the form.

        Raises:
            ContractError: it can be read in two ways.
        """
        if any(path.count(mark) > MAX_MARKS for mark in "-_ ."):
            return None
        lazy, greedy = self._lazy.fullmatch(path), self._greedy.fullmatch(path)
        if lazy is None or greedy is None:
            return None
        one, other = lazy.groupdict(), greedy.groupdict()
        if one != other:
            name = next(name for name in self.names if one[name] != other[name])
            options = self.clearer(path)
            shown = " or ".join(
                f"{text!r}, by which {says}" for text, says in list(options.items())[:MAX_OPTIONS]
            )
            kinds = f"{{{name}:d}} for a number, {{{name}:a}} for letters and digits, {{{name}:w}}"
            raise TwoReadingsError(
                f"{path} says {name} {one[name]!r} or {other[name]!r} by the pattern "
                f"{self.text!r}: list the classes, or write "
                + (shown or f"{kinds} for these and underscores"),
                (self.text, name),
            )
        return one

    def clearer(self, path: str) -> dict[str, str]:
        """Patterns like this one that read a path in one way, to what it says by them.

        One field of any text is given a kind; of those by which it says the same, the first counts.

        Example:
            >>> Pattern.of("{taken}-{label}-{who:a}.csv", {}, {}).clearer("a-4-clap-f1.csv")
            {'{taken:a}-{label}-{who:a}.csv': "taken is 'a', label is '4-clap'", \
'{taken}-{label:a}-{who:a}.csv': "taken is 'a-4', label is 'clap'"}
        """
        clearer: dict[str, str] = {}
        for name in re.findall(r"\{([a-z][a-z0-9_]*)\}", self.text):
            for kind in ("d", "a", "w") if name not in self._fixed else ():
                text = self.text.replace(f"{{{name}}}", f"{{{name}:{kind}}}")
                option = Pattern.of(text, self._fixed, self._choices)
                lazy, greedy = option._lazy.fullmatch(path), option._greedy.fullmatch(path)
                if lazy and greedy and lazy.groupdict() == greedy.groupdict():
                    says = [f"{n} is {t!r}" for n, t in lazy.groupdict().items()]
                    plain = [each for each in says if f"{{{each.split()[0]}}}" in self.text]
                    clearer.setdefault(", ".join(plain), text)
                    break
        return {text: says for says, text in clearer.items()}


def frame_stream(stream: str, number: int) -> str:
    """The name of one frame's file among those of its recording; names sort as their numbers.

    >>> frame_stream("depth", 7)
    'depth_000007'
    """
    return f"{stream}_{number:06d}"


def is_picture(path: str) -> bool:
    """Whether a file's name is that of a picture, and of none that a system hides."""
    name = path.rsplit("/", 1)[-1]
    return name.lower().endswith(PICTURES) and not name.startswith(".")


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key to sort names by, in which numbers count as numbers."""
    parts = re.split(r"([0-9]+)", name)
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts if p]


def _literal(literal: str, text: str) -> str:
    if "{" in literal or "}" in literal or "*" in literal:
        raise ConfigError(f"pattern {text!r} has {literal!r}: wanted fields such as {{name}}")
    return re.escape(literal)
