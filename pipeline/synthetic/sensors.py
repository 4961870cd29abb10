"""What sensors on a moving body read: an inertial unit on a limb, and a tracked skeleton.

Both are derived from the motion alone, then disturbed as real ones are: bias, noise, a mount
that is never straight, clipping and quantisation for the inertial unit; slow smooth drift of the
joints for the tracker.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from pipeline.synthetic.body import JOINTS, Floats
from pipeline.synthetic.motion import GRID_HZ
from pipeline.synthetic.scene import Scene

STANDARD_GRAVITY = 9.80665
"""Metres per second squared that one g stands for."""


# Of an accelerometer and gyroscope in one housing, three axes each: g and deg/s.
_LIMITS = np.repeat([8.0, 1000.5], 3)
_STEPS = np.repeat([1 / 4096, 1 / 32.75], 3)
_NOISES = np.repeat([0.008, 0.7], 3)
_BIASES = np.repeat([0.012, 0.9], 3)
_MOUNT_DEG = 9.0
"""How far from straight it is strapped on, standard deviation of a turn about each axis."""


def ideal_inertial(place: Floats, frame: Floats, rate_hz: float) -> Floats:
    """Specific force and angular rate in the frame of a moving segment.

    The accelerometer reads R^T (p'' + g) in g, so +1 g upwards at rest; the gyroscope reads the
    rotation from one frame to the next in the segment's own axes.

    Shapes: place (G, 3) metres, frame (G, 3, 3) -> (G, 6): g and deg/s.
    """
    acceleration = np.gradient(np.gradient(place, axis=0), axis=0) * rate_hz**2
    force = acceleration / STANDARD_GRAVITY + np.array([0.0, 1.0, 0.0])
    felt = np.einsum("tji,tj->ti", frame, force)
    rotation = Rotation.from_matrix(frame)
    step = np.degrees((rotation[:-1].inv() * rotation[1:]).as_rotvec()) * rate_hz
    rate = np.concatenate([step[:1], (step[:-1] + step[1:]) / 2, step[-1:]])
    return np.concatenate([felt, rate], axis=1)


def measure_inertial(
    ideal: Floats, n_rows: int, *, mount: np.random.Generator, noise: np.random.Generator
) -> Floats:
    """An inertial unit's rows over the same span as what :func:`ideal_inertial` reads.

    ``mount`` draws how it is strapped on, the same for all trials of a person, and ``noise`` its
    bias and noise in this trial.

    Shapes: ideal (G, 6) -> (n_rows, 6): g and deg/s, quantised and clipped.
    """
    angles = _MOUNT_DEG * (mount.standard_normal(3) + 0.4 * noise.standard_normal(3))
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    turned = np.concatenate([ideal[:, :3] @ turn, ideal[:, 3:] @ turn], axis=1)
    # The unit averages over its own interval, as its low-pass filter does.
    spread = 0.25 * len(ideal) / n_rows
    rows = spread_rows(gaussian_filter1d(turned, spread, axis=0, mode="nearest"), n_rows)
    rows = rows + _BIASES * noise.standard_normal(6) + _NOISES * noise.standard_normal(rows.shape)
    return np.asarray(np.clip(np.round(rows / _STEPS) * _STEPS, -_LIMITS, _LIMITS))


def read_inertial(scene: Scene, place: Floats, frame: Floats, n_rows: int, purpose: str) -> Floats:
    """What an inertial unit records that is strapped to a frame, with the noise of a purpose.

    Shapes: place (G, 3) metres, frame (G, 3, 3) -> (n_rows, 6): g and deg/s.
    """
    ideal = ideal_inertial(place, frame, GRID_HZ)
    mount, noise = scene.draws.for_("mount"), scene.draws.for_(purpose)
    return measure_inertial(ideal, n_rows, mount=mount, noise=noise)


def spread_rows(rows: Floats, n_rows: int) -> Floats:
    """Rows read at evenly spread times over the same span. Shapes: (G, C) -> (n_rows, C)."""
    at = np.linspace(0, len(rows) - 1, n_rows)
    return np.stack([np.interp(at, np.arange(len(rows)), column) for column in rows.T], axis=1)


def track_joints(
    joints: Floats, rate_hz: float, drift_m: float, noise: np.random.Generator
) -> Floats:
    """The joints as a depth camera's tracker reports them: slowly and smoothly off.

    Hands and feet are off by twice as much as the rest.

    Shapes: (T, 20, 3) -> (T, 20, 3) metres.
    """
    ends = ("wrist", "hand", "foot", "ankle")
    share = np.array([2.0 if name.endswith(ends) else 1.0 for name in JOINTS])
    width = 0.12 * rate_hz
    white = noise.standard_normal(joints.shape)
    smooth = gaussian_filter1d(white, width, axis=0, mode="reflect") * np.sqrt(
        2 * np.sqrt(np.pi) * width
    )
    constant = noise.standard_normal((1, *joints.shape[1:]))
    return np.asarray(joints + drift_m * share[None, :, None] * (0.7 * smooth + 0.7 * constant))
