"""Phone and watch of fabricated trials: units, axes, rates, clocks and rows."""

from __future__ import annotations

import csv
from datetime import datetime

import numpy as np
import pytest

from pipeline.synthetic.mmact_trial import CLASSES, MOTIONS, MmactTrial, scene_of
from pipeline.synthetic.sensors import (
    RATES_HZ,
    SURROUNDINGS_HZ,
    Readings,
    csv_lines,
    read_sensor,
)
from tests.real_recordings import MMACT_CLIP


def trial(action: str, *, subject: int = 1, session: int = 1, seconds: float = 4.0) -> MmactTrial:
    return MmactTrial(
        seed=0,
        subject=subject,
        scene=1,
        session=session,
        action=action,
        seconds=seconds,
        clips=((1, action),),
    )


def readings(of: MmactTrial, sensor: str, rate_hz: float | None = None) -> Readings:
    rate = rate_hz or {**RATES_HZ, **SURROUNDINGS_HZ}[sensor]
    return read_sensor(scene_of(of), sensor, of.began, rate)


def test_a_phone_upside_down_in_the_pocket_reads_gravity_along_minus_y() -> None:
    for subject in (1, 2, 3):
        rest = readings(trial("standing", subject=subject), "acc_phone").values
        length = np.linalg.norm(rest, axis=1)
        assert length.mean() == pytest.approx(9.81, abs=0.3)
        assert length.std() < 0.3
        assert rest[:, 1].mean() < -8.0


def test_a_watch_on_a_hanging_arm_reads_gravity_towards_the_elbow() -> None:
    rest = readings(trial("standing"), "acc_watch").values
    assert np.linalg.norm(rest, axis=1).mean() == pytest.approx(9.81, abs=0.3)
    assert rest[:, 0].mean() > 7.0


def test_a_seated_thigh_turns_the_phone_on_its_back() -> None:
    rest = readings(trial("sitting"), "acc_phone").values
    assert abs(rest[:, 1]).mean() < 4.0
    assert np.linalg.norm(rest, axis=1).mean() == pytest.approx(9.81, abs=0.3)


def test_the_gyroscope_integrates_to_the_turn_of_somebody_who_turns_round() -> None:
    """Exiting turns by about 180 degrees about the vertical, which the phone's y axis is near."""
    turned = readings(trial("exiting", seconds=7.0), "gyro")
    angle = np.degrees(turned.values[:, 1].sum() / RATES_HZ["gyro"])
    assert 120 < abs(angle) < 240


def test_running_shakes_the_phone_more_than_walking_and_walking_more_than_standing() -> None:
    spread = [
        readings(trial(name), "acc_phone").values.std() for name in ("standing", "walking")
    ] + [readings(trial("running"), "gyro").values.std()]
    assert spread[0] < spread[1]
    assert spread[2] > readings(trial("walking"), "gyro").values.std()


def test_orientation_is_within_the_ranges_of_its_angles() -> None:
    for name in ("fall", "exiting", "sitting"):
        values = readings(trial(name), "orientation").values
        assert np.abs(values[:, [0, 2]]).max() <= np.pi
        assert np.abs(values[:, 1]).max() <= np.pi / 2
    # Upside down in the pocket, the top of the screen points to the floor.
    assert readings(trial("standing"), "orientation").values[:, 1].mean() > 1.0


def test_values_stay_within_what_the_instruments_can_read() -> None:
    for name in CLASSES:
        assert np.abs(readings(trial(name), "acc_watch").values).max() <= 8 * 9.80665 + 1e-6
        assert np.abs(readings(trial(name), "gyro").values).max() <= np.radians(1000.5)


@pytest.mark.parametrize(("sensor", "rate_hz"), [*RATES_HZ.items(), *SURROUNDINGS_HZ.items()])
def test_rows_come_at_the_sensors_rate_for_as_long_as_the_trial(
    sensor: str, rate_hz: float
) -> None:
    of = trial("talking")
    found = readings(of, sensor)
    duration = scene_of(of).performance.duration_s
    assert len(found.times) == round(duration * rate_hz)
    step = np.median(np.diff(found.times).astype(np.int64)) / 1e6
    assert step == pytest.approx(1 / rate_hz, rel=0.12)
    assert np.abs(found.times[0] - of.began) < np.timedelta64(70, "ms")


def test_signal_strength_and_air_pressure_are_plausible() -> None:
    wifi = readings(trial("walking"), "wifi").values
    assert wifi.shape[1] == 1
    assert -95 < wifi.min() <= wifi.max() < -30
    pressure = readings(trial("walking"), "pressure").values
    assert 980 < pressure.min() <= pressure.max() < 1045


def test_a_few_rows_in_a_hundred_are_late_and_out_of_order_as_in_a_real_file() -> None:
    steps = np.concatenate(
        [
            np.diff(readings(trial(name, seconds=7.0), "acc_phone").times).astype(np.int64) / 1000
            for name in ("carrying", "talking", "pulling", "using_pc")
        ]
    )
    assert 0.002 < (steps < 0).mean() < 0.02
    assert steps.min() >= -46
    assert steps.max() <= 77
    assert np.mean((steps == 10) | (steps == 11)) > 0.97


def test_rows_are_written_as_in_the_real_file() -> None:
    lines = csv_lines(readings(trial("walking"), "acc_phone"))
    stamp, *values = lines[0].split(",")
    datetime.strptime(stamp, "%Y%m%d_%H:%M:%S.%f")
    assert [float(value) for value in values] == pytest.approx(
        readings(trial("walking"), "acc_phone").values[0], abs=1e-5
    )
    assert all(len(value) <= 14 for value in values)
    assert len(csv_lines(readings(trial("walking"), "wifi"))[0].split(",")) == 2


def test_a_real_file_has_the_gravity_step_and_format_that_fabricated_ones_have() -> None:
    path = MMACT_CLIP.with_suffix(".csv")
    if not path.is_file():
        pytest.skip(f"no MMAct sensor file at {path}")
    with path.open(newline="") as file:
        real = np.array([[float(value) for value in row[1:]] for row in csv.reader(file)])
    made = readings(trial("carrying", seconds=5.0), "acc_phone").values
    assert len(real) == 890
    assert np.argmax(np.abs(real.mean(axis=0))) == np.argmax(np.abs(made.mean(axis=0))) == 1
    assert np.sign(real[:, 1].mean()) == np.sign(made[:, 1].mean())
    assert 0.4 < np.linalg.norm(made, axis=1).std() / np.linalg.norm(real, axis=1).std() < 2.5


def test_every_class_has_a_motion_of_its_own() -> None:
    assert len(MOTIONS) == 35
    keys = {repr((m.cycle, m.begin, m.finish, m.travel)) for m in MOTIONS.values()}
    assert len(keys) == 35


def test_classes_can_be_told_apart_from_the_sensors_of_other_people() -> None:
    def summary(of: MmactTrial) -> np.ndarray:
        values = [
            readings(of, sensor).values / scale
            for sensor, scale in (("acc_phone", 9.81), ("acc_watch", 9.81), ("gyro", 2.0))
        ]
        halves = [half for value in values for half in np.array_split(value, 2)]
        return np.concatenate([f for h in halves for f in (h.mean(axis=0), h.std(axis=0))])

    known = np.stack([summary(trial(c, subject=s)) for s in (1, 2, 3) for c in CLASSES])
    asked = np.stack([summary(trial(c, subject=4)) for c in CLASSES])
    nearest = np.linalg.norm(asked[:, None] - known[None], axis=-1).argmin(axis=1) % len(CLASSES)
    right = float(np.mean(nearest == np.arange(len(CLASSES))))
    # Far above chance (0.03), and not so easy that nothing could be learned.
    assert 0.35 < right < 0.95
