"""A family of attacks, and running one: each try has randomness and a folder of its own."""

from __future__ import annotations

import random
import shutil
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.attack.bench import Bench
from tests.attack.outcome import BROKEN, Outcome

Attack = Callable[[Bench, random.Random, Path], list[Outcome]]
"""Given what is attacked, a source of chance and an empty folder; one outcome or several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Attacks of one kind."""

    name: str
    attack: Attack
    n: int
    """How often it is called for ``make attack``."""
    n_short: int
    """How often for the tests."""
    needs: tuple[str, ...] = ()
    """Parts of the bench that are made beforehand."""
    heavy: bool = False
    """Whether its commands encode films, and so import torchvision."""


def attempt(family: Family, bench: Bench, seed: int, number: int, folder: Path) -> list[Outcome]:
    """Do one numbered attack; the same seed and number do the same."""
    chance = random.Random(f"{seed} {family.name} {number}")
    place = Path(tempfile.mkdtemp(prefix=f"{family.name}-{number}-", dir=folder))
    place.chmod(0o755)
    try:
        return family.attack(bench, chance, place)
    except Exception:  # an attack that fails itself must be seen, not end the others
        note = f"try {number} of seed {seed}: the attack itself: {traceback.format_exc()[-600:]}"
        return [Outcome(verdict=BROKEN, note=note)]
    finally:
        shutil.rmtree(place, ignore_errors=True)
