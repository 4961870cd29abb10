"""The everyday motions that fabricated recordings know: MMAct's 35 classes, as plain keys.

Units are those of :mod:`pipeline.synthetic.vocabulary`; ``travel`` is in metres and degrees. Each
lasts as long as the class's clips do on average (frame counts of the published clips at 29.97
frames/s); what happens meanwhile is drawn from what the name means, not measured on anyone.

Some differ by little on purpose: the three ways of carrying by how the hands hold and how fast
the legs go, opening and closing by direction, as are pocket_in and pocket_out, picking_up and
setting_down, pushing and pulling; using_phone, checking_time and talking_on_phone by where the
right hand stays and how long.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pipeline.synthetic.going import DOOR, GOING
from pipeline.synthetic.motion import Key, Motion
from pipeline.synthetic.vocabulary import RISE, SEAT, Point, backwards, through

_SEATED: dict[str, tuple[Key, ...]] = {name: ((0.5, point),) for name, point in SEAT.items()}

_POCKET: dict[str, tuple[Key, ...]] = {
    "right_hand": through(
        (-0.1, -0.35, 0.5),
        (-0.05, -0.45, 0.4),
        (0.2, -0.62, 0.0),
        (0.1, -0.8, 0.1),
        (0.08, -0.78, 0.12),
    ),
    "trunk": through((0.0, 4.0, 0.0), (0.0, 3.0, 2.0), (-4.0, 2.0, 8.0), (-4.0, 2.0, 9.0)),
}
_LIFT: dict[str, tuple[Key, ...]] = {
    "right_hand": through((0.0, -0.7, 0.6), (0.0, -0.8, 0.55), (0.0, -0.55, 0.5), (0.0, -0.3, 0.5)),
    "left_hand": through((0.0, -0.7, 0.6), (0.0, -0.8, 0.55), (0.0, -0.55, 0.5), (0.0, -0.3, 0.5)),
    "pelvis": through((0.0, -0.12, -0.06), (0.0, -0.42, -0.2), (0.0, -0.1, -0.05), (0.0, 0.0, 0.0)),
    "trunk": through((0.0, 30.0, 0.0), (0.0, 62.0, 0.0), (0.0, 22.0, 0.0), (0.0, 0.0, 0.0)),
}


def _held(name: str, hold: Mapping[str, Point], *, s: float) -> Motion:
    """A posture that is taken and kept, with small moves within it."""
    nudge = (0.02, 0.03, -0.02)
    cycle = {
        track: (
            (0.0, point),
            (0.35, point if track in ("pelvis", "trunk") else _moved(point, nudge)),
            (0.7, point),
            (1.0, point),
        )
        for track, point in hold.items()
    }
    return Motion(name=name, cycle=cycle, duration_s=s, approach=0.16, repeats=(1, 2))


def _moved(point: Point, by: Point) -> Point:
    return (point[0] + by[0], point[1] + by[1], point[2] + by[2])


def _seated(name: str, cycle: Mapping[str, tuple[Key, ...]], *, s: float, n: int = 1) -> Motion:
    """Something done on a chair."""
    return Motion(
        name=name,
        cycle={**_SEATED, **cycle},
        duration_s=s,
        repeats=(n, n + 1),
        begin=SEAT,
        finish=SEAT,
    )


_STAYING = (
    _held(
        "checking_time",
        {"right_hand": (-0.25, -0.1, 0.45), "trunk": (0.0, 9.0, 0.0), "forearm_roll": (38, 0, 0)},
        s=5.0,
    ),
    Motion(name="closing", cycle=backwards(DOOR), duration_s=6.7),
    _held(
        "crouching",
        {
            "pelvis": (0.0, -0.62, -0.1),
            "trunk": (0.0, 24.0, 0.0),
            "right_hand": (0.0, -0.55, 0.55),
            "left_hand": (0.0, -0.55, 0.55),
        },
        s=4.6,
    ),
    _seated(
        "drinking",
        {
            "right_hand": through(
                (0.05, -0.5, 0.7),
                (-0.1, 0.0, 0.5),
                (-0.22, 0.3, 0.32),
                (-0.22, 0.32, 0.32),
                (0.05, -0.5, 0.7),
            ),
            "forearm_roll": through((0, 0, 0), (-10, 0, 0), (-45, 0, 0), (-50, 0, 0), (0, 0, 0)),
        },
        s=8.8,
    ),
    Motion(
        name="fall",
        cycle={
            "pelvis": ((0.0, (0.0, -0.08, 0.05)), (0.3, (0.0, -0.8, 0.2)), (1.0, (0, -0.81, 0.2))),
            "trunk": ((0.0, (4.0, 14.0, 4.0)), (0.3, (10.0, 82.0, 6.0)), (1.0, (8.0, 84.0, 6.0))),
            "right_foot": ((0.1, (0.0, 0.0, 0.0)), (0.35, (0.05, 0.02, -0.5))),
            "left_foot": ((0.1, (0.0, 0.0, 0.0)), (0.35, (0.1, 0.02, -0.55))),
            "right_hand": through((0.3, -0.3, 0.5), (0.35, 0.2, 0.4), (0.45, 0.8, -0.1)),
            "left_hand": through((0.3, -0.3, 0.5), (0.4, 0.2, 0.4), (0.5, 0.75, -0.1)),
        },
        duration_s=4.7,
        approach=0.12,
        finish={
            "pelvis": (0.0, -0.81, 0.2),
            "trunk": (8.0, 84.0, 6.0),
            "right_foot": (0.05, 0.02, -0.5),
            "left_foot": (0.1, 0.02, -0.55),
            "right_hand": (0.45, 0.8, -0.1),
            "left_hand": (0.5, 0.75, -0.1),
        },
    ),
    Motion(
        name="jumping",
        cycle={
            "pelvis": (
                (0.0, (0, -0.2, 0)),
                (0.3, (0, 0.3, 0)),
                (0.6, (0, -0.2, 0)),
                (0.98, (0, -0.1, 0)),
            ),
            "right_foot": ((0.1, (0, 0, 0)), (0.3, (0, 0.26, 0)), (0.5, (0, 0, 0))),
            "left_foot": ((0.1, (0, 0, 0)), (0.3, (0, 0.26, 0)), (0.5, (0, 0, 0))),
            "right_hand": (
                (0.0, (0.2, -0.85, 0.0)),
                (0.3, (0.2, -0.55, 0.55)),
                (0.7, (0.2, -0.9, 0.1)),
            ),
            "left_hand": (
                (0.0, (0.2, -0.85, 0.0)),
                (0.3, (0.2, -0.55, 0.55)),
                (0.7, (0.2, -0.9, 0.1)),
            ),
        },
        duration_s=3.8,
        repeats=(1, 2),
    ),
    Motion(
        name="kicking",
        cycle={
            "right_foot": through((0.0, 0.12, -0.4), (0.0, 0.42, 0.6), (0.0, 0.12, 0.1), (0, 0, 0)),
            "trunk": through((-8.0, 6.0, 0.0), (6.0, -12.0, 0.0), (0.0, 0.0, 0.0)),
            "left_hand": through((0.3, -0.6, 0.5), (0.5, -0.6, -0.2), (0.2, -0.9, 0.1)),
        },
        duration_s=3.8,
    ),
    Motion(
        name="looking_around",
        cycle={
            "trunk": through((48.0, 0.0, 0.0), (40.0, -4.0, 0.0), (-48.0, 0.0, 0.0), (-40, 3, 0))
        },
        duration_s=6.7,
    ),
    Motion(name="opening", cycle=DOOR, duration_s=7.5),
    Motion(name="picking_up", cycle=_LIFT, duration_s=6.2),
    Motion(name="pocket_in", cycle=_POCKET, duration_s=6.5),
    Motion(name="pocket_out", cycle=backwards(_POCKET), duration_s=6.4),
    _held("pointing", {"right_hand": (0.2, 0.05, 0.95), "trunk": (-8.0, 0.0, 0.0)}, s=4.1),
    Motion(name="setting_down", cycle=backwards(_LIFT), duration_s=5.7),
    _seated("sitting", {}, s=5.8),
    Motion(name="sitting_down", cycle=backwards(RISE), duration_s=4.7, finish=SEAT),
    Motion(name="standing", cycle={}, duration_s=4.4),
    Motion(name="standing_up", cycle=RISE, duration_s=4.9, begin=SEAT),
    Motion(
        name="talking",
        cycle={
            "right_hand": through((0.15, -0.5, 0.5), (0.3, -0.35, 0.5), (0.1, -0.55, 0.45)),
            "left_hand": through((0.1, -0.6, 0.4), (0.15, -0.55, 0.45), (0.3, -0.35, 0.5)),
            "trunk": through((4.0, 2.0, 0.0), (-5.0, 3.0, 0.0), (3.0, 1.0, 0.0)),
        },
        duration_s=9.5,
        repeats=(3, 5),
    ),
    _held("talking_on_phone", {"right_hand": (0.05, 0.3, 0.26), "trunk": (0.0, 2.0, 4.0)}, s=8.8),
    Motion(
        name="throwing",
        cycle={
            "right_hand": through(
                (0.4, -0.1, 0.0), (0.45, 0.5, -0.2), (0.2, 0.4, 0.75), (-0.15, -0.35, 0.75)
            ),
            "left_foot": through((0.0, 0.0, 0.0), (0.0, 0.05, 0.2), (0.0, 0.0, 0.3)),
            "trunk": through((-15.0, 0.0, 0.0), (-22.0, -4.0, 4.0), (14.0, 8.0, 0.0)),
        },
        duration_s=4.3,
    ),
    Motion(
        name="transferring_object",
        cycle={
            "right_hand": through(
                (0.0, -0.5, 0.5), (0.05, -0.25, 0.9), (0.05, -0.25, 0.92), (0, -0.5, 0.5)
            ),
            "left_hand": through((-0.05, -0.5, 0.5), (0.1, -0.4, 0.6), (0.1, -0.7, 0.3)),
            "trunk": through(
                (0.0, 2.0, 0.0), (14.0, 12.0, 0.0), (14.0, 12.0, 0.0), (0.0, 2.0, 0.0)
            ),
        },
        duration_s=5.1,
    ),
    _seated(
        "using_pc",
        {
            "right_hand": through((-0.02, -0.4, 0.66), (0.04, -0.36, 0.7), (-0.02, -0.42, 0.66)),
            "left_hand": through((-0.02, -0.42, 0.66), (-0.05, -0.37, 0.69), (-0.02, -0.4, 0.66)),
            "trunk": ((0.5, (0.0, 12.0, 0.0)),),
        },
        s=11.3,
        n=8,
    ),
    _held("using_phone", {"right_hand": (-0.22, -0.28, 0.5), "trunk": (0.0, 13.0, 0.0)}, s=8.2),
    Motion(
        name="waving_hand",
        cycle={
            "right_hand": through((0.1, 0.4, 0.4), (0.6, 0.35, 0.35), (0.1, 0.4, 0.4)),
            "forearm_roll": through((-20.0, 0.0, 0.0), (35.0, 0.0, 0.0), (-20.0, 0.0, 0.0)),
        },
        duration_s=5.1,
        repeats=(3, 5),
    ),
)

DAILY: Mapping[str, Motion] = MappingProxyType(
    {motion.name: motion for motion in (*GOING, *_STAYING)}
)
"""Every motion by its name."""
