"""A phone in the right trouser pocket and a watch on the right wrist, as CSV rows.

Axes are Android's: x to the right of the screen, y to its top, z out of it. The phone is upside
down, its screen to the leg, so that it reads -9.8 m/s^2 along y while its owner stands, as the
phones of MMAct do. Time stamps run as the real ones: a few are late by up to 55 ms and so out of
order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from pipeline.synthetic.body import Floats
from pipeline.synthetic.scene import Scene
from pipeline.synthetic.sensors import STANDARD_GRAVITY, read_inertial, spread_rows

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
