"""Writes the files of one trial of a fabricated MMAct tree, and what is to be wrong with them.

Clips are H.264 .mp4, sensors CSV rows without a header, poses JSON. Faults of one sensor go to a
sensor drawn for the trial; everything done is returned as a list, so that a reader of the tree
can be held against it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pipeline.synthetic.cameras import FRAME_RATE, View
from pipeline.synthetic.irregular import (
    ORIENTATION_HZ,
    Irregular,
    at_whole_seconds,
    doubled,
    littered,
    off_by_hours,
    shuffled,
)
from pipeline.synthetic.mmact_trial import Form, Trial, film, view_of
from pipeline.synthetic.wearables import (
    RATES_HZ,
    SURROUNDINGS_HZ,
    Readings,
    csv_lines,
    read_sensor,
)


@dataclass(slots=True)
class Written:
    """What writing a trial came to."""

    n_bytes: int = 0
    irregular: list[Irregular] = field(default_factory=list)


def write_trial(out: Path, form: Form, trial: Trial, faults: Sequence[str] = ()) -> Written:
    """Write one trial's files.

    Args:
        out: The tree; folders are made.
        form: Of the tree.
        trial: Which one.
        faults: Names of irregularities of this trial, each done once.
    """
    written = Written()
    draw = trial.draws.for_("faults")
    clips = _without_lost_views(trial, form, faults, draw, written)
    if "rgb" in form.kinds:
        _write_films(out, form, replace(trial, clips=clips), faults, draw, written)
    if "skeleton" in form.kinds:
        _write_poses(out, form, replace(trial, clips=clips), written)
    sensors = dict(RATES_HZ) if "inertial" in form.kinds else {}
    sensors |= {name: rate for name, rate in SURROUNDINGS_HZ.items() if name in form.kinds}
    if sensors:
        _write_sensors(out, form, trial, sensors, faults, draw, written)
    return written


def _without_lost_views(
    trial: Trial, form: Form, faults: Sequence[str], draw: np.random.Generator, written: Written
) -> tuple[tuple[int, str], ...]:
    """The clips that are there, with their names."""
    clips = list(trial.clips)
    lost: list[tuple[str, int, str]] = []
    if "no-video" in faults:
        lost = [("no-video", camera, stem) for camera, stem in clips]
        clips = []
    elif "missing-view" in faults and len(clips) > 1:
        lost = [("missing-view", *clips.pop(int(draw.integers(len(clips)))))]
    if "letter-case" in faults:
        clips = [(camera, stem.capitalize()) for camera, stem in clips]
        for camera, stem in clips if "rgb" in form.kinds else ():
            path = form.clip("trainval", trial, camera, f"{stem}.mp4")
            written.irregular.append(
                Irregular(irregularity="letter-case", path=path, detail=f"is {trial.action}")
            )
    for name, camera, stem in lost:
        path = form.clip("trainval", trial, camera, f"{stem}.mp4")
        written.irregular.append(Irregular(irregularity=name, path=path, detail="not written"))
    return tuple(clips)


def _write_films(
    out: Path,
    form: Form,
    trial: Trial,
    faults: Sequence[str],
    draw: np.random.Generator,
    written: Written,
) -> None:
    cameras = [camera for camera, _ in trial.clips]
    shorter = int(draw.choice(cameras)) if "frame-count" in faults and cameras else None
    cut = int(draw.choice(cameras)) if "truncated-video" in faults and cameras else None
    for camera, stem in trial.clips:
        path = form.clip("trainval", trial, camera, f"{stem}.mp4")
        ready = form.films / f"{trial.action}.mp4" if form.films else None
        if ready and camera not in (shorter, cut):
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            (out / path).unlink(missing_ok=True)
            os.link(ready, out / path)
            continue
        content = film(trial, camera, form.width, form.height, n_fewer=int(camera == shorter))
        if camera == shorter:
            written.irregular.append(
                Irregular(irregularity="frame-count", path=path, detail="one frame fewer")
            )
        if camera == cut:
            kept = len(content) * 3 // 5
            detail = f"{kept} of {len(content)} bytes"
            written.irregular.append(
                Irregular(irregularity="truncated-video", path=path, detail=detail)
            )
            content = content[:kept]
        _put(out, path, content, written)


def _write_poses(out: Path, form: Form, trial: Trial, written: Written) -> None:
    view = view_of(trial)
    joints = view.pose(view.frame_times_s(float(FRAME_RATE))).joints
    for camera, stem in trial.clips:
        draws = replace(trial.draws, trial=10 * trial.draws.trial + camera)
        seen = View(number=camera, width=form.width, height=form.height).detect(
            joints, draws.for_("keypoints")
        )
        frames = [
            {
                "frame": index,
                "persons": [] if person is None else [{"keypoints": person.round(2).tolist()}],
            }
            for index, person in enumerate(seen)
        ]
        path = form.clip("pose", trial, camera, f"{stem}.json")
        _put(out, path, json.dumps(frames, separators=(",", ":")).encode(), written)


def _write_sensors(
    out: Path,
    form: Form,
    trial: Trial,
    sensors: dict[str, float],
    faults: Sequence[str],
    draw: np.random.Generator,
    written: Written,
) -> None:
    """A trial's sensor files; faults of one sensor each go to different ones while they last."""
    view = view_of(trial)
    order = draw.permutation([name for name in sensors if name in RATES_HZ] or [*sensors]).tolist()
    hit: dict[str, list[str]] = {name: [] for name in sensors}
    row_faults = ("clock", "no-fraction", "unsorted-rows", "duplicate-rows", "garbage")
    for fault in ("missing-sensor", "empty-sensor", *row_faults):
        if fault in faults:
            hit[order[0]].append(fault)
            # A file that is lost or empty can have nothing else wrong with it.
            order = order[1:] if fault.endswith("-sensor") else [*order[1:], order[0]]
    for sensor, rate in sensors.items():
        folder = f"{sensor}_clip" if sensor in RATES_HZ else sensor
        subject = "Subject" if "letter-case" in faults else "subject"
        path = (
            f"{folder}/{subject}{trial.subject}/scene{trial.scene}/session{trial.session}/"
            f"{trial.action}.csv"
        )
        rate_hz = rate
        notes = [("letter-case", f"{subject}{trial.subject}")] if "letter-case" in faults else []
        if sensor == "orientation" and "orientation-rate" in form.wide:
            rate_hz = float(draw.choice(ORIENTATION_HZ))
            notes.append(("orientation-rate", f"{rate_hz:g} Hz"))
        if "missing-sensor" in hit[sensor]:
            notes = [("missing-sensor", "not written")]
        elif "empty-sensor" in hit[sensor]:
            notes = [*notes, ("empty-sensor", "0 bytes")]
            _put(out, path, b"", written)
        else:
            readings = read_sensor(view, sensor, trial.began, rate_hz)
            content, done = _spoilt(readings, hit[sensor], draw)
            notes += done
            _put(out, path, content, written)
        written.irregular += [
            Irregular(irregularity=name, path=path, detail=detail) for name, detail in notes
        ]


def _spoilt(
    readings: Readings, faults: Sequence[str], draw: np.random.Generator
) -> tuple[bytes, list[tuple[str, str]]]:
    """A sensor file with what is wrong with it, and a note of each."""
    notes: list[tuple[str, str]] = []
    if "clock" in faults:
        hours = int(draw.choice([-9, -3, 5, 8]))
        readings = off_by_hours(readings, hours)
        notes.append(("clock", f"{hours:+d} h"))
    lines = csv_lines(readings)
    if "no-fraction" in faults:
        lines, n = at_whole_seconds(lines)
        notes.append(("no-fraction", f"{n} rows"))
    spoilers: dict[str, Callable[[Sequence[str], np.random.Generator], list[str]]] = {
        "unsorted-rows": shuffled,
        "duplicate-rows": doubled,
        "garbage": littered,
    }
    for name, spoil in spoilers.items():
        if name in faults:
            before, lines = lines, spoil(lines, draw)
            n = len(lines) - len(before) or sum(a != b for a, b in zip(before, lines, strict=True))
            notes.append((name, f"{n} rows"))
    return ("\n".join(lines) + "\n").encode(), notes


def _put(out: Path, path: str, content: bytes, written: Written) -> None:
    target = out / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    written.n_bytes += len(content)
