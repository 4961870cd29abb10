"""What sensors on a moving body read: inertial units, a tracked skeleton, a phone and a watch.

All is derived from the motion alone, then disturbed as real sensors are: bias, noise, a mount that
is never straight, clipping and quantisation for inertial units; slow smooth drift of the joints
for the tracker. The phone is in the right trouser pocket, upside down, its screen to the leg, so
that it reads -9.8 m/s^2 along y while its owner stands, as the phones of MMAct do; the watch is on
the right wrist. Their axes are Android's: x to the right of the screen, y to its top, z out of it.
Time stamps run as the real ones: a few are late by up to 55 ms and so out of order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from pipeline.synthetic.body import JOINTS, Floats
from pipeline.synthetic.motion import GRID_HZ
from pipeline.synthetic.scene import Scene

STANDARD_GRAVITY = 9.80665
"""Metres per second squared that one g stands for."""

Times = NDArray[np.datetime64]

RATES_HZ = {"acc_phone": 100.0, "acc_watch": 100.0, "gyro": 50.0, "orientation": 50.0}
"""MMAct's four inertial streams; gyroscope and orientation are the phone's."""
SURROUNDINGS_HZ = {"wifi": 2.0, "pressure": 5.0}
"""Streams of one value a row: signal strength in dBm, air pressure in hPa."""

_LATE_SHARE, _LATE_MS = 0.007, (10.0, 55.0)
_STRETCH = 1.004
"""The real clock's step is 10.04 ms where 10 are named."""
# A device's axes by number and sign of its segment's: to the left, down the leg, to the back.
_PHONE_AXES = ((2, 1.0), (0, 1.0), (1, 1.0))
_WATCH_AXES = ((0, -1.0), (1, -1.0), (2, 1.0))

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """One sensor's rows.

    Shapes: times (T,) datetime64 microseconds, values (T, C).
    """

    times: Times
    values: Floats


def read_sensor(scene: Scene, sensor: str, began: np.datetime64, rate_hz: float) -> Readings:
    """What one sensor of :data:`RATES_HZ` or :data:`SURROUNDINGS_HZ` recorded of a performance.

    Shapes: -> three columns for the inertial sensors, one for those of the surroundings.
    """
    n_rows = max(2, round(scene.performance.duration_s * rate_hz))
    if sensor in SURROUNDINGS_HZ:
        values = _surroundings(scene, sensor, n_rows)
    elif sensor == "orientation":
        values = _orientation(scene, n_rows)
    else:
        values = _inertial(scene, sensor, n_rows)
    number = [*RATES_HZ, *SURROUNDINGS_HZ].index(sensor)
    clock = np.random.default_rng([*scene.draws.for_("clock").integers(2**31, size=2), number])
    milliseconds = np.arange(n_rows) * (1000.0 / rate_hz * _STRETCH) + clock.uniform(0, 8)
    late = clock.random(n_rows) < _LATE_SHARE
    milliseconds[late] += clock.uniform(*_LATE_MS, size=int(late.sum()))
    times = began + np.round(milliseconds).astype(np.int64) * np.timedelta64(1000, "us")
    return Readings(times=times, values=values)


def csv_lines(readings: Readings) -> list[str]:
    """MMAct's rows, ``20181016_13:37:28.612000,-0.8051605,-9.051605,-1.0894012``, no header."""
    stamps = np.char.replace(np.datetime_as_string(readings.times, unit="us"), "T", "_")
    values = readings.values.astype(np.float32).astype(str)
    return [
        f"{stamp.replace('-', '')},{','.join(row)}"
        for stamp, row in zip(stamps.tolist(), values.tolist(), strict=True)
    ]


def _device(scene: Scene, sensor: str) -> tuple[Floats, Floats]:
    """Where a device is, and its axes. Shapes: -> (G, 3) metres, (G, 3, 3)."""
    moving = scene.pose(scene.performance.grid_s)
    if sensor == "acc_watch":
        place, segment, axes = moving.joint("right_wrist"), moving.forearm, _WATCH_AXES
    else:
        place, segment, axes = moving.on_thigh(0.3), moving.thigh, _PHONE_AXES
    return place, np.stack([sign * segment[:, :, column] for column, sign in axes], axis=-1)


def _inertial(scene: Scene, sensor: str, n_rows: int) -> Floats:
    """Acceleration in m/s^2 or angular rate in rad/s. Shapes: -> (n_rows, 3)."""
    purpose = "watch" if sensor == "acc_watch" else "phone"
    rows = read_inertial(scene, *_device(scene, sensor), n_rows, purpose)
    return np.radians(rows[:, 3:]) if sensor == "gyro" else rows[:, :3] * STANDARD_GRAVITY


def _orientation(scene: Scene, n_rows: int) -> Floats:
    """Azimuth, pitch and roll as Android's getOrientation has them. Shapes: -> (n_rows, 3) rad."""
    _, frame = _device(scene, "orientation")
    noise = scene.draws.for_("phone")
    # East, north and up are to the right of the room, towards its end, and up.
    east, north, up = frame[:, 0], -frame[:, 2], frame[:, 1]
    azimuth = np.unwrap(np.arctan2(east[:, 1], north[:, 1]))
    pitch = np.arcsin(np.clip(-up[:, 1], -1, 1))
    roll = np.unwrap(np.arctan2(-up[:, 0], up[:, 2]))
    rows = spread_rows(np.stack([azimuth, pitch, roll], axis=1), n_rows)
    rows = rows + 0.05 * noise.standard_normal(3) + 0.006 * noise.standard_normal(rows.shape)
    rows[:, 1] = np.clip(rows[:, 1], -np.pi / 2, np.pi / 2)
    rows[:, ::2] = (rows[:, ::2] + np.pi) % (2 * np.pi) - np.pi
    return np.asarray(rows)


def _surroundings(scene: Scene, sensor: str, n_rows: int) -> Floats:
    """What the phone hears and feels around it. Shapes: -> (n_rows, 1)."""
    noise = scene.draws.for_("surroundings")
    at = np.linspace(0, scene.performance.duration_s, n_rows)
    hip = scene.pose(at).joint("hip_center")
    if sensor == "pressure":
        weather = 1013.0 + 6.0 * noise.standard_normal()
        return np.asarray(weather - 0.12 * hip[:, 1:2] + 0.01 * noise.standard_normal((n_rows, 1)))
    away = np.hypot(hip[:, :1] - 3.0, hip[:, 2:] - 6.0)
    fading = gaussian_filter1d(2.0 * noise.standard_normal((n_rows, 1)), 1.0, axis=0)
    return np.asarray(np.round(-38.0 - 20 * np.log10(np.maximum(away, 0.5)) + fading))
