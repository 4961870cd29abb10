"""Everyday motions that go somewhere: the ten of MMAct's classes in which a person walks.

Units as in :mod:`pipeline.synthetic.daily`, which has the classes that stay on the spot. Steps
are steps on the spot carried along a way over the floor, so that feet slide a little.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.synthetic.motion import Key, Motion
from pipeline.synthetic.vocabulary import Point, gait, through

DOOR: dict[str, tuple[Key, ...]] = {
    "right_hand": through(
        (0.05, -0.4, 0.85),
        (0.08, -0.38, 0.9),
        (0.4, -0.42, 0.6),
        (0.75, -0.5, 0.25),
    ),
    "trunk": through((6.0, 6.0, 0.0), (6.0, 6.0, 0.0), (-12.0, 2.0, 0.0), (-26.0, 0.0, 0.0)),
    "forearm_roll": through((0.0, 0.0, 0.0), (45.0, 0.0, 0.0), (20.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
}
_THERE_AND_BACK: tuple[Key, ...] = (
    (0.1, (0.0, 0.0, 0.0)),
    (0.42, (0.0, 1.3, 0.0)),
    (0.56, (0.2, 1.4, 178.0)),
    (0.9, (0.1, 0.1, 180.0)),
)


def _steps(
    name: str,
    walk: Mapping[str, tuple[Key, ...]],
    travel: tuple[Key, ...],
    *,
    s: float,
    repeats: tuple[int, int],
    hold: Mapping[str, Point] | None = None,
) -> Motion:
    """Steps along a way, with some tracks held instead."""
    held = {track: ((0.25, point), (0.75, point)) for track, point in (hold or {}).items()}
    return Motion(
        name=name,
        cycle={**walk, **held},
        duration_s=s,
        repeats=repeats,
        approach=0.1,
        travel=travel,
    )


_STROLL = gait(0.13, 0.1, 0.28, -0.86)
_TRUDGE = gait(0.09, 0.06, 0.1, -0.9)

GOING = (
    _steps(
        "carrying",
        _STROLL,
        _THERE_AND_BACK,
        s=13.3,
        repeats=(10, 12),
        hold={"right_hand": (-0.02, -0.5, 0.5), "left_hand": (-0.02, -0.5, 0.5)},
    ),
    _steps(
        "carrying_heavy",
        _TRUDGE,
        _THERE_AND_BACK,
        s=18.7,
        repeats=(12, 14),
        hold={
            "right_hand": (0.0, -0.74, 0.42),
            "left_hand": (0.0, -0.74, 0.42),
            "trunk": (0.0, -9.0, 0.0),
        },
    ),
    _steps(
        "carrying_light",
        _STROLL,
        _THERE_AND_BACK,
        s=16.9,
        repeats=(13, 15),
        hold={"right_hand": (0.14, -0.8, 0.18), "trunk": (0.0, 2.0, 5.0)},
    ),
    Motion(
        name="entering",
        cycle={**_STROLL, "right_hand": DOOR["right_hand"]},
        duration_s=6.4,
        repeats=(4, 5),
        approach=0.12,
        travel=((0.3, (0.0, -1.5, 0.0)), (0.9, (0.0, 0.9, 0.0))),
    ),
    Motion(
        name="exiting",
        cycle={**_STROLL, "right_hand": DOOR["right_hand"]},
        duration_s=6.8,
        repeats=(4, 5),
        approach=0.12,
        travel=((0.12, (0.0, 0.4, 0.0)), (0.3, (0.0, 0.4, 175.0)), (0.9, (0.0, -1.7, 180.0))),
    ),
    _steps(
        "loitering",
        _TRUDGE,
        (
            (0.1, (0.0, 0.0, 0.0)),
            (0.35, (0.4, 0.3, 70.0)),
            (0.65, (-0.3, 0.2, -80.0)),
            (0.9, (0.1, -0.2, 30.0)),
        ),
        s=7.9,
        repeats=(4, 6),
    ),
    _steps(
        "pulling",
        _TRUDGE,
        ((0.15, (0.0, 0.7, 0.0)), (0.9, (0.0, -1.1, 0.0))),
        s=12.5,
        repeats=(8, 10),
        hold={
            "right_hand": (0.0, -0.5, 0.75),
            "left_hand": (0.0, -0.5, 0.75),
            "trunk": (0.0, -16.0, 0.0),
        },
    ),
    _steps(
        "pushing",
        _TRUDGE,
        ((0.15, (0.0, -0.9, 0.0)), (0.9, (0.0, 1.1, 0.0))),
        s=10.4,
        repeats=(7, 9),
        hold={
            "right_hand": (0.0, -0.3, 0.75),
            "left_hand": (0.0, -0.3, 0.75),
            "trunk": (0.0, 24.0, 0.0),
        },
    ),
    _steps("running", gait(0.3, 0.26, 0.36, -0.5), _THERE_AND_BACK, s=6.1, repeats=(9, 11)),
    _steps("walking", _STROLL, _THERE_AND_BACK, s=5.8, repeats=(5, 6)),
)
"""The motions, for :data:`pipeline.synthetic.daily.DAILY`."""
