"""How much of anything a recording may hold, checked before the memory for it is taken.

A small file can ask for much: a line a byte, an hour between two rows, one picture shown a thousand
times. The limits are far above any published recording; ``DMFT_MAX_ROWS`` and the other variables
of the environment, on every machine that encodes, set them otherwise.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from pipeline.contract import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one file of a recording may hold."""

    rows: int = 1_000_000
    """Lines of a CSV file: over two hours at 100 Hz."""
    seconds: float = 1800.0
    """From the first row to the last; rows are resampled over all of them."""
    pixels: int = 20_000_000_000
    """Pixels of all frames of a film: five minutes of 1920x1080 at 30 frames a second."""

    @classmethod
    def of_environment(cls) -> Limits:
        """The defaults, or what the environment says.

        Raises:
            ConfigError: a variable is no positive number.
        """
        limits = cls()
        for name in ("rows", "seconds", "pixels"):
            variable = f"DMFT_MAX_{name.upper()}"
            text = os.environ.get(variable)
            if text is None:
                continue
            try:
                value = float(text)
            except ValueError:
                value = 0.0
            if not 1 <= value < float("inf"):
                raise ConfigError(f"{variable} is {text!r}: wanted a positive number")
            limits = replace(limits, **{name: type(getattr(limits, name))(value)})
        return limits
