"""The irregularities of MMAct trees, each by a name, and which trials suffer which.

Some concern a whole tree, the others a share of its trials, at least one. Garbage aside, the
functions on rows keep what was measured: a reader that goes by the time stamps and drops equal
rows finds all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.contract import ConfigError

IRREGULARITIES: Mapping[str, str] = {
    "zero-padded": "Numbers in the folders of videos and poses have two digits: subject01.",
    "level-order": "Videos and poses lie under camN/sceneN/subjectN/sessionN.",
    "orientation-rate": "The orientation's rate is drawn for every file.",
    "tar-gz": "Each sensor is one .tar.gz in place of a folder.",
    "stray-files": "Files lie about that belong to no trial.",
    "letter-case": "Videos are named as Carrying_light.mp4, sensors lie under SubjectN.",
    "missing-view": "A trial lacks one of its cameras.",
    "no-video": "A trial has sensors and no video.",
    "frame-count": "One camera's video is a frame shorter than the others'.",
    "truncated-video": "A video ends after three fifths of its bytes.",
    "missing-sensor": "A sensor's file is not there.",
    "empty-sensor": "A sensor's file has no bytes.",
    "clock": "A sensor's clock is hours off.",
    "no-fraction": "Rows at whole seconds are stamped without a fraction.",
    "unsorted-rows": "A sixth of a file's rows are out of order.",
    "duplicate-rows": "A twentieth of a file's rows stand there twice.",
    "garbage": "Lines that are no rows stand between a file's rows.",
}
"""Every irregularity and what it is."""

TREE_WIDE = ("zero-padded", "level-order", "orientation-rate", "tar-gz", "stray-files")
"""Those that do not concern single trials."""

ORIENTATION_HZ = (5.0, 10.0, 16.0, 50.0, 100.0)
"""What ``orientation-rate`` draws from."""

STRAY_FILES: Mapping[str, bytes] = {
    ".DS_Store": b"\x00\x00\x00\x01Bud1\x00",
    "README.txt": b"Not a recording.\n",
    "trainval/Thumbs.db": b"\xd0\xcf\x11\xe0",
    "trainval/._walking.mp4": b"\x00\x05\x16\x07",
}

_OF_FILMS = frozenset(
    {"zero-padded", "level-order", "missing-view", "no-video", "frame-count", "truncated-video"}
)
_OF_ANY = frozenset({"stray-files", "letter-case"})
_GARBAGE = ("time,x,y,z", "", "20181016_13:37:28.612000,-0.80516", "\x00\x00\x00", "nan,nan,nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Irregular:
    """One thing that was done to one file, or to what lies under one folder."""

    irregularity: str
    path: str
    """Relative to the tree."""
    detail: str


def chosen(names: Sequence[str], kinds: Sequence[str], n_cameras: int) -> tuple[str, ...]:
    """Irregularities in their own order, ``all`` standing for every one that can be.

    Args:
        names: As asked for.
        kinds: What the tree holds.
        n_cameras: How many views a trial has.

    Raises:
        ConfigError: a name is unknown, or nothing in the tree could be irregular in that way.
    """
    unknown = [name for name in names if name != "all" and name not in IRREGULARITIES]
    if unknown:
        raise ConfigError(
            f"irregularity {unknown[0]!r}: wanted all or some of {', '.join(IRREGULARITIES)}"
        )
    needs = {name: "rgb" if name in _OF_FILMS else "inertial" for name in IRREGULARITIES}
    cannot = {n: need for n, need in needs.items() if n not in _OF_ANY and need not in kinds}
    if n_cameras < 2:
        cannot["missing-view"] = "a second camera"
    for name in names:
        if name in cannot:
            raise ConfigError(f"irregularity {name!r} needs {cannot[name]}, which the tree lacks")
    return tuple(
        name for name in IRREGULARITIES if name in names or ("all" in names and name not in cannot)
    )


def assign(names: Sequence[str], n_trials: int, share: float, seed: int) -> list[tuple[str, ...]]:
    """What each trial suffers: different trials for different irregularities while they last.

    Args:
        names: From :func:`chosen`.
        n_trials: Of the tree.
        share: Of the trials that suffer each one, 0 to 1; always one at least.
        seed: Of the tree.

    Raises:
        ConfigError: there are fewer trials than irregularities, so that some would hide others.
    """
    single = [name for name in names if name not in TREE_WIDE]
    if n_trials < len(single):
        raise ConfigError(
            f"{n_trials} trials for {len(single)} irregularities of single trials: wanted at "
            "least as many; fabricate more trials, or name fewer irregularities"
        )
    suffered: list[list[str]] = [[] for _ in range(n_trials)]
    order = np.random.default_rng([seed, n_trials]).permutation(n_trials).tolist()
    turn = 0
    for name in single:
        for _ in range(max(1, round(share * n_trials))):
            suffered[order[turn % n_trials]].append(name)
            turn += 1
    return [tuple(each) for each in suffered]


def at_whole_seconds(lines: Sequence[str]) -> tuple[list[str], int]:
    """Rows, the first after each whole second stamped with it and nothing after it.

    Returns:
        The rows, and how many lost their fraction.
    """
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
    changed = list(lines)
    moved = draw.choice(len(lines), size=max(2, len(lines) // 6), replace=False)
    for source, target in zip(moved.tolist(), np.roll(moved, 1).tolist(), strict=True):
        changed[target] = lines[source]
    return changed


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
