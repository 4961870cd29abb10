"""MMAct's sensors: four streams of time-stamped rows that all cameras of a trial share.

A phone in the right trouser pocket holds an accelerometer, a gyroscope and an orientation sensor;
a watch on the right wrist holds another accelerometer. Nominal rates are 100 Hz for the
accelerometers, 50 Hz for the gyroscope, and the orientation's varies by file, so streams come
with their time stamps and are resampled on them later. A file without rows is a stream that is
missing; not one row in any file is a recording that cannot be read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.contract import RecordingError, StreamRef
from pipeline.readers.timed_csv import read_rows
from pipeline.readers.units import Unit, check_unit
from pipeline.signals.recording import Signal, Streams

SENSORS = {
    "acc_phone": ("x", "y", "z"),
    "acc_watch": ("x", "y", "z"),
    "gyro": ("x", "y", "z"),
    "orientation": ("azimuth", "pitch", "roll"),
}
"""Stream to its columns: accelerometers in m/s^2, gyroscope in rad/s, orientation in rad."""
UNITS = {
    "acc_phone": Unit(name="m/s^2", limit=160.0, still=(3.0, 40.0)),
    "acc_watch": Unit(name="m/s^2", limit=160.0, still=(3.0, 40.0)),
    "gyro": Unit(name="radians a second", limit=35.0),
    "orientation": Unit(name="radians", limit=6.3),
}
"""What sensors of phones give at most: 16 g, 2000 degrees a second, a full turn."""
INERTIAL_COLUMNS = (
    *(f"{sensor}_{axis}" for sensor, axes in SENSORS.items() for axis in axes),
    *(f"has_{sensor}" for sensor in SENSORS),
)
"""The four streams side by side, then whether each is there: 1, or 0 and its columns are zero."""


def read_inertial(opened: Sequence[tuple[bytes, StreamRef]]) -> Streams:
    """The sensors that have rows; angles go on past a full turn, so that they can be averaged.

    Shapes: of each stream values (T, 3), times_s (T,) by the recorder's clock.

    Raises:
        RecordingError: a stream of no such name, a line that is not a time and three finite
            numbers, not ``n_frames`` rows, or no rows in any file.
    """
    signals: dict[str, Signal] = {}
    for content, ref in opened:
        if ref.name not in SENSORS:
            raise ref.refuse(f"is the stream {ref.name!r}: wanted one of {', '.join(SENSORS)}")
        signal = _read(content, ref, len(SENSORS[ref.name]))
        if signal is None:
            continue
        check_unit(signal.values, UNITS[ref.name], f"{ref.name} values", ref.path)
        if ref.name == "orientation":
            turned = np.unwrap(signal.values.astype(np.float64), axis=0).astype(np.float32)
            signal = Signal(values=turned, times_s=signal.times_s)
        signals[ref.name] = signal
    if not signals:
        names = ", ".join(ref.path for _, ref in opened)
        raise RecordingError(f"no rows in {names}: wanted some in one of them", stage="read")
    return Streams(widths={name: len(axes) for name, axes in SENSORS.items()}, signals=signals)


def _read(content: bytes, ref: StreamRef, n_values: int) -> Signal | None:
    times_s, values = read_rows(content, n_values, ref.path)
    if ref.n_frames is not None and len(times_s) != ref.n_frames:
        raise ref.refuse(
            f"holds {len(times_s)} rows of different times where the manifest lists {ref.n_frames}"
        )
    return Signal(values=values.astype(np.float32), times_s=times_s) if len(times_s) else None
