"""What a description may say against recordings that were read as something else than they are.

A recording in another unit, or one that begins before its sensor did, decodes like any other. What
real ones never do is refused with what was found, since nothing later would say more than that a
person moves strangely.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.contract import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What holds for some columns of every recording, in the unit wanted."""

    columns: tuple[str, ...] = ()
    """By their names in the cache; by default all."""
    what: str = "values"
    """What they are, for the error: ``an acceleration``."""
    unit: str = ""
    """What they are in, likewise; by default the stream's."""
    range: tuple[float, ...] = ()
    """Least and largest number that there can be."""
    still: tuple[float, ...] = ()
    """Between which the median magnitude of a row lies, as gravity's does of an accelerometer."""
    peak: float = 0.0
    """What the largest magnitude of every recording of a person who moves reaches."""

    def __post_init__(self) -> None:
        for what, two in (("range", self.range), ("still", self.still)):
            if two and not (len(two) == 2 and two[0] < two[1]):
                raise ConfigError(f"{what} is {list(two)}: wanted the least and the largest number")
        if self.peak < 0:
            raise ConfigError(f"peak is {self.peak}: wanted a magnitude, 0 for none")
        if not (self.range or self.still or self.peak):
            raise ConfigError("it checks nothing: wanted a range, still or a peak")
