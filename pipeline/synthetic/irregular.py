"""The irregularities of MMAct trees, each by a name, and which trials suffer which.

Some concern a whole tree, the others a share of its trials, at least one. Garbage aside, the
functions on rows keep what was measured: a reader that goes by the time stamps and drops equal
rows finds all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.contract import ConfigError
from pipeline.synthetic.vocabulary import read_motions

_TABLES = read_motions("irregular")
TREE_WIDE = tuple(_TABLES["tree"])
"""Those that do not concern single trials."""
IRREGULARITIES: Mapping[str, str] = {
    name: entry["needs"] for part in ("tree", "trial") for name, entry in _TABLES[part].items()
}
"""Every irregularity, and the kind of files without which there can be none."""

ORIENTATION_HZ = (5.0, 10.0, 16.0, 50.0, 100.0)
"""What ``orientation-rate`` draws from."""
STRAY_FILES = {name: text.encode("latin-1") for name, text in _TABLES["stray"].items()}
_GARBAGE = ("time,x,y,z", "", "20181016_13:37:28.612000,-0.80516", "\x00\x00\x00", "nan,nan,nan")


def chosen(names: Sequence[str], kinds: Sequence[str], n_cameras: int) -> tuple[str, ...]:
    """Irregularities in their own order, ``all`` standing for every one that can be.

    Raises:
        ConfigError: a name is unknown, or nothing in the tree could be irregular in that way.
    """
    cannot = {name: need for name, need in IRREGULARITIES.items() if need and need not in kinds}
    if n_cameras < 2:
        cannot["missing-view"] = "a second camera"
    for name in names:
        if name != "all" and name not in IRREGULARITIES:
            raise ConfigError(
                f"irregularity {name!r}: wanted all or some of {', '.join(IRREGULARITIES)}"
            )
        if name in cannot:
            raise ConfigError(f"irregularity {name!r} needs {cannot[name]}, which the tree lacks")
    return tuple(
        name for name in IRREGULARITIES if name in names or ("all" in names and name not in cannot)
    )


def assign(names: Sequence[str], n_trials: int, share: float, seed: int) -> list[tuple[str, ...]]:
    """What each trial suffers: different trials for different irregularities while they last.

    A share of the trials, 0 to 1, suffers each one that :func:`chosen` names, one at least.

    Raises:
        ConfigError: there are fewer trials than irregularities, so that some would hide others.
    """
    single = [name for name in names if name not in TREE_WIDE]
    if n_trials < len(single):
        raise ConfigError(
            f"{n_trials} trials for {len(single)} irregularities of single trials: wanted at "
            "least as many; fabricate more trials, or name fewer irregularities"
        )
    order = np.random.default_rng([seed, n_trials]).permutation(n_trials).tolist()
    suffered: dict[int, tuple[str, ...]] = dict.fromkeys(range(n_trials), ())
    n_each = max(1, round(share * n_trials))
    for turn, name in enumerate(name for name in single for _ in range(n_each)):
        suffered[order[turn % n_trials]] += (name,)
    return list(suffered.values())


def at_whole_seconds(lines: Sequence[str]) -> tuple[list[str], int]:
    """Rows, the first after each whole second stamped with it alone, and how many those are."""
    seen: set[str] = set()
    changed = []
    for line in lines:
        stamp, rest = line.split(",", 1)
        second = stamp.split(".")[0]
        changed.append(line if second in seen else f"{second},{rest}")
        seen.add(second)
    return changed, len(seen)


def shuffled(lines: Sequence[str], draw: np.random.Generator) -> list[str]:
    """Rows of which a sixth have changed places."""
    changed = np.array(lines, dtype=object)
    moved = draw.choice(len(lines), size=max(2, len(lines) // 6), replace=False)
    changed[np.roll(moved, 1)] = changed[moved]
    return list(changed)


def doubled(lines: Sequence[str], draw: np.random.Generator) -> list[str]:
    """Rows of which a twentieth follow themselves."""
    again = set(draw.choice(len(lines), size=max(1, len(lines) // 20), replace=False).tolist())
    return [line for index, line in enumerate(lines) for _ in range(1 + (index in again))]


def littered(lines: Sequence[str], draw: np.random.Generator) -> list[str]:
    """Rows with a header, an empty line, half a row and other things between them."""
    changed = list(lines)
    for garbage in _GARBAGE:
        changed.insert(int(draw.integers(1, len(changed))), garbage)
    return changed
