"""The motions that fabricated recordings know, by name, as plain keys.

Hands are (outward, up, forward) of the shoulder in arm lengths, feet and pelvis in leg lengths,
the trunk's (turn to the left, lean forward, tilt to the right) in degrees. The names are those of
UTD-MHAD's 27 classes; another data set may draw on the same list or add to it. The keys are
drawn by hand from what the names mean, not measured on anyone. ``daily`` draws MMAct's classes
with the same pencils.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pipeline.synthetic.motion import Key, Motion

Point = tuple[float, float, float]


def through(*points: Point) -> tuple[Key, ...]:
    """Keys at even times through points."""
    last = max(1, len(points) - 1)
    return tuple((index / last, point) for index, point in enumerate(points))


def _circle(centre: Point, radius: float, *, clockwise: bool) -> tuple[Key, ...]:
    """A circle in the frontal plane from its top, clockwise as its drawer sees it."""
    sign = 1.0 if clockwise else -1.0
    angles = [2 * math.pi * step / 12 for step in range(13)]
    return through(
        *(
            (
                centre[0] + sign * radius * math.sin(angle),
                centre[1] + radius * math.cos(angle),
                centre[2],
            )
            for angle in angles
        )
    )


def gait(stride: float, lift: float, swing: float, bend: float) -> Mapping[str, tuple[Key, ...]]:
    """Steps on the spot and the arms against them: one cycle is a step of each foot."""
    down, up = (0.0, 0.0, 0.0), (0.0, lift, -stride)
    front, rear = (-0.1, bend, swing), (0.15, bend - 0.15, -0.6 * swing)
    return {
        "right_foot": ((0.0, down), (0.25, up), (0.5, down), (0.98, down)),
        "left_foot": ((0.0, down), (0.5, down), (0.75, up), (0.98, down)),
        "right_hand": ((0.0, rear), (0.5, rear), (0.75, front), (0.98, rear)),
        "left_hand": ((0.0, rear), (0.25, front), (0.5, rear), (0.98, rear)),
        "pelvis": (
            (0.0, (0.0, -0.03, 0.0)),
            (0.25, (-0.03, 0.02, 0.0)),
            (0.5, (0.0, -0.03, 0.0)),
            (0.75, (0.03, 0.02, 0.0)),
            (0.98, (0.0, -0.03, 0.0)),
        ),
        "trunk": ((0.0, (0.0, 3.0, 0.0)), (0.25, (7.0, 4.0, 0.0)), (0.75, (-7.0, 4.0, 0.0))),
    }


SEAT: Mapping[str, Point] = {
    "pelvis": (0.0, -0.5, -0.44),
    "trunk": (0.0, 6.0, 0.0),
    "right_hand": (0.05, -0.62, 0.55),
    "left_hand": (0.05, -0.62, 0.55),
}
"""Where a person rests who sits, hands on the knees."""
RISE = {
    "pelvis": through((0.0, -0.47, -0.3), (0.0, -0.3, -0.14), (0.0, -0.06, -0.02)),
    "trunk": through((0.0, 32.0, 0.0), (0.0, 30.0, 0.0), (0.0, 8.0, 0.0)),
    "right_hand": through((0.06, -0.65, 0.6), (0.08, -0.8, 0.4), (0.1, -0.93, 0.15)),
    "left_hand": through((0.06, -0.65, 0.6), (0.08, -0.8, 0.4), (0.1, -0.93, 0.15)),
}
"""Standing up from the seat; :func:`backwards`, sitting down."""


def backwards(cycle: Mapping[str, Sequence[Key]]) -> dict[str, tuple[Key, ...]]:
    """The same way back."""
    return {
        name: tuple((1 - at, key) for at, key in reversed(keys)) for name, keys in cycle.items()
    }


def one_hand(name: str, *points: Point, s: float, repeats: tuple[int, int] = (1, 1)) -> Motion:
    """A motion of the right hand alone, ``s`` seconds long."""
    return Motion(name=name, cycle={"right_hand": through(*points)}, duration_s=s, repeats=repeats)


_MOTIONS = (
    one_hand("swipe_left", (0.65, -0.02, 0.55), (0.1, 0.0, 0.8), (-0.5, -0.04, 0.6), s=2.8),
    one_hand("swipe_right", (-0.5, -0.02, 0.6), (0.1, 0.0, 0.8), (0.75, -0.04, 0.5), s=3.0),
    Motion(
        name="wave",
        cycle={
            "right_hand": through((0.1, 0.4, 0.4), (0.6, 0.35, 0.35), (0.1, 0.4, 0.4)),
            "forearm_roll": through((-20.0, 0.0, 0.0), (35.0, 0.0, 0.0), (-20.0, 0.0, 0.0)),
        },
        duration_s=3.5,
        repeats=(2, 4),
    ),
    Motion(
        name="clap",
        cycle={
            f"{side}_hand": through((0.15, -0.2, 0.6), (-0.31, -0.15, 0.68), (0.15, -0.2, 0.6))
            for side in ("left", "right")
        },
        duration_s=3.2,
        repeats=(1, 3),
    ),
    Motion(
        name="throw",
        cycle={
            "right_hand": through(
                (0.4, -0.1, 0.0), (0.45, 0.5, -0.2), (0.2, 0.4, 0.75), (-0.15, -0.35, 0.75)
            ),
            "trunk": through((-15.0, 0.0, 0.0), (-22.0, -4.0, 4.0), (14.0, 8.0, 0.0)),
        },
        duration_s=3.3,
    ),
    Motion(
        name="arm_cross",
        cycle={
            "right_hand": through((0.1, -0.35, 0.6), (-0.55, -0.22, 0.42), (-0.55, -0.22, 0.42)),
            "left_hand": through((0.1, -0.35, 0.6), (-0.5, -0.32, 0.5), (-0.5, -0.32, 0.5)),
        },
        duration_s=3.3,
    ),
    Motion(
        name="basketball_shoot",
        cycle={
            "right_hand": through((-0.15, -0.5, 0.5), (-0.1, 0.2, 0.4), (-0.1, 0.75, 0.5)),
            "left_hand": through((-0.2, -0.5, 0.5), (-0.2, 0.2, 0.4), (-0.15, 0.65, 0.4)),
            "pelvis": through((0.0, -0.12, 0.0), (0.0, -0.03, 0.0), (0.0, 0.0, 0.0)),
        },
        duration_s=3.1,
    ),
    one_hand(
        "draw_x",
        *((0.5, 0.4, 0.6), (-0.3, -0.4, 0.65), (-0.3, 0.4, 0.65), (0.5, -0.4, 0.6)),
        s=3.2,
    ),
    Motion(
        name="draw_circle_cw",
        cycle={"right_hand": _circle((0.1, -0.02, 0.68), 0.42, clockwise=True)},
        duration_s=3.9,
    ),
    Motion(
        name="draw_circle_ccw",
        cycle={"right_hand": _circle((0.1, -0.02, 0.68), 0.42, clockwise=False)},
        duration_s=4.0,
    ),
    one_hand(
        "draw_triangle",
        *((0.1, 0.45, 0.65), (0.55, -0.35, 0.6), (-0.35, -0.35, 0.6), (0.1, 0.45, 0.65)),
        s=3.8,
    ),
    Motion(
        name="bowling",
        cycle={
            "right_hand": through(
                (0.0, -0.4, 0.5), (0.2, -0.7, -0.45), (0.05, -0.75, 0.5), (0.0, -0.05, 0.8)
            ),
            "trunk": through((0.0, 8.0, 0.0), (-14.0, 28.0, 8.0), (8.0, 30.0, 6.0)),
            "left_foot": through((0.0, 0.0, 0.0), (0.0, 0.06, 0.25), (0.0, 0.0, 0.45)),
            "pelvis": through((0.0, 0.0, 0.0), (0.0, -0.1, 0.12), (0.0, -0.15, 0.22)),
        },
        duration_s=4.2,
    ),
    Motion(
        name="boxing",
        cycle={
            "right_hand": through(
                (0.0, -0.1, 0.35), (-0.1, 0.0, 0.95), (0.0, -0.1, 0.35), (0.0, -0.1, 0.35)
            ),
            "left_hand": through(
                (0.0, -0.1, 0.35), (0.0, -0.1, 0.35), (-0.1, 0.0, 0.95), (0.0, -0.1, 0.35)
            ),
            "trunk": through((0.0, 5.0, 0.0), (16.0, 5.0, 0.0), (-16.0, 5.0, 0.0), (0.0, 5.0, 0.0)),
        },
        duration_s=3.8,
        repeats=(1, 3),
    ),
    Motion(
        name="baseball_swing",
        cycle={
            "right_hand": through((0.3, 0.0, 0.2), (0.0, -0.2, 0.75), (-0.65, 0.05, 0.5)),
            "left_hand": through((-0.75, 0.0, 0.35), (-0.2, -0.2, 0.75), (0.3, 0.05, 0.4)),
            "trunk": through((-28.0, 4.0, 0.0), (8.0, 8.0, 0.0), (36.0, 4.0, 0.0)),
        },
        duration_s=3.8,
    ),
    Motion(
        name="tennis_swing",
        cycle={
            "right_hand": through((0.8, -0.3, 0.05), (0.4, -0.25, 0.7), (-0.5, 0.25, 0.6)),
            "trunk": through((-24.0, 2.0, 0.0), (4.0, 6.0, 0.0), (26.0, 4.0, 0.0)),
        },
        duration_s=3.5,
    ),
    Motion(
        name="arm_curl",
        cycle={
            f"{side}_hand": through((0.1, -0.9, 0.2), (0.05, -0.2, 0.35), (0.1, -0.9, 0.2))
            for side in ("left", "right")
        },
        duration_s=3.1,
        repeats=(1, 2),
    ),
    Motion(
        name="tennis_serve",
        cycle={
            "right_hand": through(
                (0.35, -0.2, 0.0), (0.35, 0.45, -0.25), (0.1, 0.9, 0.25), (-0.3, -0.35, 0.65)
            ),
            "left_hand": through(
                (0.0, -0.3, 0.6), (0.1, 0.8, 0.4), (0.0, 0.1, 0.5), (0.0, -0.5, 0.3)
            ),
            "trunk": through((-10.0, -2.0, 6.0), (-16.0, -8.0, -6.0), (12.0, 14.0, 0.0)),
        },
        duration_s=3.3,
    ),
    Motion(
        name="push",
        cycle={
            f"{side}_hand": through((0.05, -0.2, 0.35), (0.0, -0.06, 0.96), (0.05, -0.2, 0.35))
            for side in ("left", "right")
        },
        duration_s=3.0,
    ),
    one_hand(
        "knock",
        *((0.1, 0.05, 0.5), (0.08, 0.08, 0.75), (0.1, 0.05, 0.5)),
        s=3.5,
        repeats=(2, 4),
    ),
    one_hand("catch", (0.15, 0.25, 0.85), (0.1, 0.05, 0.6), (0.05, -0.3, 0.35), s=3.0),
    Motion(
        name="pickup_throw",
        cycle={
            "right_hand": (
                (0.0, (0.1, -0.8, 0.4)),
                (0.2, (0.05, -0.6, 0.75)),
                (0.5, (0.4, 0.1, 0.0)),
                (0.65, (0.45, 0.5, -0.2)),
                (0.8, (0.2, 0.4, 0.75)),
                (1.0, (-0.15, -0.35, 0.75)),
            ),
            "trunk": (
                (0.0, (0.0, 30.0, 0.0)),
                (0.2, (0.0, 70.0, 0.0)),
                (0.55, (-18.0, 0.0, 0.0)),
                (1.0, (12.0, 10.0, 0.0)),
            ),
            "pelvis": (
                (0.0, (0.0, -0.1, -0.05)),
                (0.2, (0.0, -0.25, -0.15)),
                (0.5, (0.0, 0.0, 0.0)),
            ),
        },
        duration_s=4.2,
    ),
    Motion(name="jog", cycle=gait(0.26, 0.22, 0.5, -0.42), duration_s=3.8, repeats=(5, 7)),
    Motion(name="walk", cycle=gait(0.14, 0.11, 0.3, -0.86), duration_s=4.3, repeats=(3, 4)),
    Motion(name="sit2stand", cycle=RISE, duration_s=2.9, begin=SEAT),
    Motion(name="stand2sit", cycle=backwards(RISE), duration_s=3.1, finish=SEAT),
    Motion(
        name="lunge",
        cycle={
            "right_foot": through(
                (0.0, 0.08, 0.3), (0.0, 0.0, 0.7), (0.0, 0.0, 0.7), (0.0, 0.08, 0.3)
            ),
            "left_foot": through(
                (0.0, 0.0, 0.0), (0.0, 0.06, -0.08), (0.0, 0.06, -0.08), (0.0, 0.0, 0.0)
            ),
            "pelvis": through(
                (0.0, -0.06, 0.1), (0.0, -0.32, 0.36), (0.0, -0.32, 0.36), (0.0, -0.06, 0.1)
            ),
        },
        duration_s=3.9,
    ),
    Motion(
        name="squat",
        cycle={
            "pelvis": through(
                (0.0, -0.1, -0.06), (0.0, -0.5, -0.22), (0.0, -0.5, -0.22), (0.0, -0.1, -0.06)
            ),
            "trunk": through(
                (0.0, 10.0, 0.0), (0.0, 32.0, 0.0), (0.0, 32.0, 0.0), (0.0, 10.0, 0.0)
            ),
            "right_hand": through(
                (0.1, -0.6, 0.6), (0.05, -0.05, 0.9), (0.05, -0.05, 0.9), (0.1, -0.6, 0.6)
            ),
            "left_hand": through(
                (0.1, -0.6, 0.6), (0.05, -0.05, 0.9), (0.05, -0.05, 0.9), (0.1, -0.6, 0.6)
            ),
        },
        duration_s=4.6,
    ),
)

MOTIONS: Mapping[str, Motion] = MappingProxyType({motion.name: motion for motion in _MOTIONS})
"""Every motion by its name."""
