"""A body of 20 Kinect joints: bone lengths, and joints from where hands, feet and trunk are.

Coordinates are those of a mirroring Kinect, which form a right-handed frame: x to the person's
right, y up, z away from the camera, metres; a person at yaw 0 faces the camera, which is at the
origin. Arms and legs follow their ends by two-bone inverse kinematics, so bone lengths never
change. This module knows neither motions nor files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Point = tuple[float, float, float]

_ARM, _LEG = ("shoulder", "elbow", "wrist", "hand"), ("hip", "knee", "ankle", "foot")
JOINTS = (
    *("head", "shoulder_center", "spine", "hip_center"),
    *(f"{side}_{name}" for limb in (_ARM, _LEG) for side in ("left", "right") for name in limb),
)
"""The Kinect's 20 joints in UTD-MHAD's order; indices into every (T, 20, 3) array here."""

JOINT = {name: index for index, name in enumerate(JOINTS)}

TRACKS = {
    "right_hand": (0.12, -0.955, 0.1),
    "left_hand": (0.12, -0.955, 0.1),
    "right_foot": (0.0, 0.0, 0.0),
    "left_foot": (0.0, 0.0, 0.0),
    "pelvis": (0.0, 0.0, 0.0),
    "trunk": (0.0, 0.0, 0.0),
    "forearm_roll": (0.0, 0.0, 0.0),
}
"""What drives a body, with its value at rest.

Hands: wrist from its shoulder as (outward, up, forward) in arm lengths, in the trunk's frame.
Feet: ankle from where it stands as (outward, up, forward) in leg lengths. ``pelvis``: hip centre
from standing as (right, up, forward) in leg lengths. ``trunk``: (turn to the left, lean forward,
tilt to the right) in degrees. ``forearm_roll``: right forearm about itself, degrees, first only.
"""

_REACH = (0.28, 0.985)  # of a limb: never folded flat, never quite straight, so its plane exists
# Where a limb's middle joint points when its end is at a reference, as (outward, up, forward).
_ARM_AHEAD, _ARM_ASIDE = (0.0, -0.6, 0.8), (0.5, -0.69, -0.52)
_LEG_AHEAD, _LEG_ASIDE = (0.0, -1.0, 0.0), (0.08, 0.0, 0.997)
_RIGHT, _UP, _BACK = np.eye(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One person's proportions, in metres."""

    head: float = 0.186
    """Shoulder centre to head."""
    upper_trunk: float = 0.335
    """Spine to shoulder centre."""
    lower_trunk: float = 0.073
    """Hip centre to spine."""
    shoulder_half_width: float = 0.165
    shoulder_drop: float = 0.105
    """Shoulders below the shoulder centre."""
    upper_arm: float = 0.262
    forearm: float = 0.23
    hand: float = 0.07
    hip_half_width: float = 0.075
    hip_drop: float = 0.072
    """Hips below the hip centre."""
    thigh: float = 0.45
    shank: float = 0.355
    foot: float = 0.08
    girth: float = 1.0
    """Scale of limb and trunk radii where the body has a surface."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            assert value > 0, f"{name} is {value}: wanted a positive length"

    @property
    def arm(self) -> float:
        """Shoulder to wrist with a straight elbow, metres."""
        return self.upper_arm + self.forearm

    @property
    def leg(self) -> float:
        """Hip to ankle with a straight knee, metres."""
        return self.thigh + self.shank

    @property
    def hip_height(self) -> float:
        """Hip centre above the ankles when standing, metres."""
        return self.hip_drop + 0.975 * self.leg


@dataclass(frozen=True, slots=True, kw_only=True)
class Stance:
    """Where a person stands in front of the camera and which way they look."""

    yaw_deg: float = 0.0
    """Turn about the vertical; 0 faces the camera, positive turns to the person's left."""
    x_m: float = -0.09
    z_m: float = 2.88
    """Distance of the hip centre along the camera's axis."""
    ankle_y_m: float = -0.99
    """Height of the ankles below the camera's axis."""
    width: float = 0.0
    """Feet further apart by this, in leg lengths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """A body over time.

    Shapes: joints (T, 20, 3) metres; forearm, thigh (T, 3, 3), whose columns are the segment's
    axes in camera coordinates.
    """

    joints: Floats
    forearm: Floats
    """Right forearm: first axis from elbow to wrist, third along the elbow's hinge."""
    thigh: Floats
    """Right thigh: first axis from hip to knee, second backward, third to the left."""

    def joint(self, name: str) -> Floats:
        """Where one joint of :data:`JOINTS` is. Shapes: -> (T, 3) metres."""
        return self.joints[:, JOINT[name]]

    def on_thigh(self, share: float) -> Floats:
        """A point of the right thigh, from 0 at the hip to 1 at the knee. Shapes: -> (T, 3)."""
        return (1 - share) * self.joint("right_hip") + share * self.joint("right_knee")


def pose(body: Body, stance: Stance, tracks: Mapping[str, Floats]) -> Pose:
    """Joints and sensor frames of a body that follows its tracks, one a key of :data:`TRACKS`.

    Shapes: every track (T, 3) -> joints (T, 20, 3), frames (T, 3, 3).
    """
    n = len(tracks["pelvis"])
    heading = np.broadcast_to(_turn(_UP, np.array([stance.yaw_deg])), (n, 3, 3))
    turn, lean, tilt = np.moveaxis(tracks["trunk"], -1, 0)
    # The pelvis takes a third of the trunk's turn; leaning forward turns up towards -z.
    pelvis = heading @ _turn(_UP, turn / 3)
    trunk = heading @ _turn(_UP, turn) @ _turn(_RIGHT, -lean) @ _turn(_BACK, -tilt)

    floor = np.array([stance.x_m, stance.ankle_y_m, stance.z_m])
    hip = floor + body.leg * _outward(heading, tracks["pelvis"], 1.0)
    hip = hip + np.array([0.0, body.hip_height, 0.0])
    spine = hip + body.lower_trunk * trunk[:, :, 1]
    shoulder = spine + body.upper_trunk * trunk[:, :, 1]
    joints = np.empty((n, 20, 3))
    joints[:, JOINT["hip_center"]] = hip
    joints[:, JOINT["spine"]] = spine
    joints[:, JOINT["shoulder_center"]] = shoulder
    joints[:, JOINT["head"]] = shoulder + body.head * _outward(trunk, (0.0, 0.98, 0.199), 1.0)

    for side, sign in (("left", -1.0), ("right", 1.0)):
        shoulder_at = (body.shoulder_half_width, -body.shoulder_drop, 0.0)
        arm_root = shoulder + _outward(trunk, shoulder_at, sign)
        reach = body.arm * _outward(trunk, tracks[f"{side}_hand"], sign)
        bent = (_outward(trunk, _ARM_AHEAD, sign), _outward(trunk, _ARM_ASIDE, sign))
        bones = (body.upper_arm, body.forearm)
        elbow, wrist, forearm = _two_bones(arm_root, reach, bones, bent, give=0.02)
        hand = wrist + body.hand * forearm[:, :, 0]

        leg_root = hip + _outward(pelvis, (body.hip_half_width, -body.hip_drop, 0.0), sign)
        stand = floor + _outward(heading, (body.hip_half_width, 0.0, 0.0), sign)
        step = tracks[f"{side}_foot"] + np.array([stance.width, 0.0, 0.0])
        reach = stand + body.leg * _outward(heading, step, sign) - leg_root
        bent = (_outward(pelvis, _LEG_AHEAD, sign), _outward(pelvis, _LEG_ASIDE, sign))
        bones = (body.thigh, body.shank)
        knee, ankle, _ = _two_bones(leg_root, reach, bones, bent, give=0.006)
        foot = ankle + body.foot * _outward(heading, (0.25, -0.82, 0.52), sign)
        places = (arm_root, elbow, wrist, hand, leg_root, knee, ankle, foot)
        for name, place in zip((*_ARM, *_LEG), places, strict=True):
            joints[:, JOINT[f"{side}_{name}"]] = place

    # The right side comes last, and it is the one that wears the sensors.
    roll = _turn(_RIGHT, tracks["forearm_roll"][:, 0])
    along = unit(knee - leg_root)
    rightward = pelvis[:, :, 0]
    left = unit(np.sum(rightward * along, axis=-1, keepdims=True) * along - rightward)
    thigh = np.stack([along, np.cross(left, along), left], axis=-1)
    return Pose(joints=joints, forearm=forearm @ roll, thigh=thigh)


def carry(body: Pose, stance: Stance, floor: Floats) -> Pose:
    """A pose taken along a way over the floor.

    Shapes: floor (T, 3): metres to the right and forward of where the person stands at first, and
    the turn to the left in degrees -> the same shapes as ``body``.
    """
    heading = _turn(_UP, np.array([stance.yaw_deg]))[0]
    place = np.array([stance.x_m, 0.0, stance.z_m])
    zero = np.zeros(len(floor))
    shift = place + np.stack([floor[:, 0], zero, -floor[:, 1]], axis=-1) @ heading.T
    turn = _turn(_UP, floor[:, 2])
    joints = np.einsum("tij,tnj->tni", turn, body.joints - place) + shift[:, None]
    return Pose(joints=joints, forearm=turn @ body.forearm, thigh=turn @ body.thigh)


def _two_bones(
    root: Floats,
    reach: Floats,
    bones: tuple[float, float],
    bent: tuple[Floats, Floats],
    give: float,
) -> tuple[Floats, Floats, Floats]:
    """Middle and end of a two-bone limb that reaches for a point, and its second bone's frame.

    ``bent`` says where the middle points when the end is straight ahead; elsewhere it follows by
    the shortest turn, so that a limb twists no more than it must. ``give`` says how softly the
    limb meets the limits of its reach; a kink would be a blow.
    """
    first, second = bones
    ahead, aside = bent
    distance = np.linalg.norm(reach, axis=-1, keepdims=True)
    direction = reach / np.maximum(distance, 1e-9)
    least, most = _REACH
    share = most - give * np.logaddexp(0.0, (most - distance / (first + second)) / give)
    share = np.maximum(least + give * np.logaddexp(0.0, (share - least) / give), least)
    distance = (first + second) * share
    cosine = np.sum(ahead * direction, axis=-1, keepdims=True)
    tilt = np.sum(aside * direction, axis=-1, keepdims=True)
    aside = aside - tilt / np.maximum(1 + cosine, 0.02) * (ahead + direction)
    aside = aside - np.sum(aside * direction, axis=-1, keepdims=True) * direction
    aside = unit(aside)
    along = (first**2 - second**2 + distance**2) / (2 * distance)
    middle = root + along * direction + np.sqrt(first**2 - along**2) * aside
    end = root + distance * direction
    axis = (end - middle) / second
    hinge = np.cross(direction, aside)
    return middle, end, np.stack([axis, np.cross(hinge, axis), hinge], axis=-1)


def unit(vectors: Floats) -> Floats:
    """Vectors scaled to length 1. Shapes: (..., 3) -> the same."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def _outward(rotation: Floats, values: Floats | Point, sign: float) -> Floats:
    """(outward, up, forward) of one side, turned. Shapes: (T, 3, 3), (T, 3) or (3,) -> (T, 3)."""
    backward = np.broadcast_to(values * np.array([sign, 1.0, -1.0]), (len(rotation), 3))
    return np.asarray(np.einsum("tij,tj->ti", rotation, backward))


def _turn(axis: Floats, degrees: Floats) -> Floats:
    """Rotations about one axis. Shapes: axis (3,), degrees (T,) -> (T, 3, 3)."""
    angle = np.radians(np.asarray(degrees, dtype=np.float64))[:, None, None]
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross))
