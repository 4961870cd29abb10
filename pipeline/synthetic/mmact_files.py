"""Writes the files of one trial of a fabricated MMAct tree, and what is to be wrong with them.

Clips are H.264 .mp4, sensors CSV rows without a header, poses JSON. Faults of one sensor go to a
sensor drawn for the trial; everything done is noted, so that a reader of the tree can be held
against it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pipeline.synthetic.cameras import View
from pipeline.synthetic.irregular import (
    ORIENTATION_HZ,
    at_whole_seconds,
    doubled,
    littered,
    shuffled,
)
from pipeline.synthetic.mmact_trial import Clip, Form, MmactTrial, film, joints_of, scene_of
from pipeline.synthetic.sensors import RATES_HZ, SURROUNDINGS_HZ, csv_lines, read_sensor
from pipeline.synthetic.tree import Written, make_way

_ROW_FAULTS = ("clock", "no-fraction", "unsorted-rows", "duplicate-rows", "garbage")


def write_trial(out: Path, form: Form, trial: MmactTrial, faults: Sequence[str] = ()) -> Written:
    """Write one trial's files into a tree, with some irregularities, each done once."""
    draw = trial.draws.for_("faults")
    writer = _Writer(out=out, form=form, trial=trial, faults=faults, draw=draw)
    clips = writer.remaining_clips()
    if "rgb" in form.kinds:
        writer.write_films(clips)
    if "skeleton" in form.kinds:
        writer.write_poses(clips)
    writer.write_sensors()
    return writer.written


@dataclass(slots=True, kw_only=True)
class _Writer:
    """One trial on its way into the tree."""

    out: Path
    form: Form
    trial: MmactTrial
    faults: Sequence[str]
    draw: np.random.Generator
    """Draws what exactly goes wrong; the order of its calls decides the bytes."""
    written: Written = field(default_factory=Written)

    def film_path(self, camera: int, stem: str) -> str:
        return self.form.clip("trainval", self.trial, camera, f"{stem}.mp4")

    def remaining_clips(self) -> list[Clip]:
        """The clips that are there, with their names."""
        clips = list(self.trial.clips)
        lost, why = [], ""
        if "no-video" in self.faults:
            clips, lost, why = [], clips, "no-video"
        elif "missing-view" in self.faults and len(clips) > 1:
            lost, why = [clips.pop(int(self.draw.integers(len(clips))))], "missing-view"
        if "letter-case" in self.faults:
            clips = [(camera, stem.capitalize()) for camera, stem in clips]
            for clip in clips if "rgb" in self.form.kinds else ():
                self.written.note("letter-case", self.film_path(*clip), f"is {self.trial.action}")
        for clip in lost:
            self.written.note(why, self.film_path(*clip), "not written")
        return clips

    def write_films(self, clips: Sequence[Clip]) -> None:
        cameras = [camera for camera, _ in clips]
        shorter, cut = (
            int(self.draw.choice(cameras)) if fault in self.faults and cameras else None
            for fault in ("frame-count", "truncated-video")
        )
        for camera, stem in clips:
            path = self.film_path(camera, stem)
            if self.form.films and camera not in (shorter, cut):
                film_of_class = self.form.films / f"{self.trial.action}.mp4"
                make_way(self.out / path).hardlink_to(film_of_class)
                continue
            size = (self.form.width, self.form.height)
            content = film(self.trial, camera, *size, n_fewer=int(camera == shorter))
            if camera == shorter:
                self.written.note("frame-count", path, "one frame fewer")
            if camera == cut:
                kept = len(content) * 3 // 5
                self.written.note("truncated-video", path, f"{kept} of {len(content)} bytes")
                content = content[:kept]
            self.written.put(self.out, path, content)

    def write_poses(self, clips: Sequence[Clip]) -> None:
        for camera, stem in clips:
            view = View(number=camera, width=self.form.width, height=self.form.height)
            noise = self.trial.camera_draws(camera).for_("keypoints")
            seen = view.detect(joints_of(self.trial), noise)
            people = [[] if p is None else [{"keypoints": p.round(2).tolist()}] for p in seen]
            frames = [{"frame": index, "persons": p} for index, p in enumerate(people)]
            path = self.form.clip("pose", self.trial, camera, f"{stem}.json")
            content = json.dumps(frames, separators=(",", ":")).encode()
            self.written.put(self.out, path, content)

    def write_sensors(self) -> None:
        kinds, trial = self.form.kinds, self.trial
        sensors = dict(RATES_HZ) if "inertial" in kinds else {}
        sensors |= {name: rate for name, rate in SURROUNDINGS_HZ.items() if name in kinds}
        suffered = self._faults_by_sensor(list(sensors)) if sensors else {}
        subject = f"{'Subject' if 'letter-case' in self.faults else 'subject'}{trial.subject}"
        levels = f"{subject}/scene{trial.scene}/session{trial.session}"
        for sensor, rate_hz in sensors.items():
            folder = f"{sensor}_clip" if sensor in RATES_HZ else sensor
            path = f"{folder}/{levels}/{trial.action}.csv"
            drawn_rate = sensor == "orientation" and "orientation-rate" in self.form.wide
            if drawn_rate:
                rate_hz = float(self.draw.choice(ORIENTATION_HZ))
            if "missing-sensor" in suffered[sensor]:
                self.written.note("missing-sensor", path, "not written")
                continue
            if "letter-case" in self.faults:
                self.written.note("letter-case", path, subject)
            if drawn_rate:
                self.written.note("orientation-rate", path, f"{rate_hz:g} Hz")
            if "empty-sensor" in suffered[sensor]:
                self.written.note("empty-sensor", path, "0 bytes")
                self.written.put(self.out, path, b"")
            else:
                self._write_rows(path, sensor, rate_hz, suffered[sensor])

    def _faults_by_sensor(self, sensors: list[str]) -> dict[str, list[str]]:
        """What each sensor suffers: faults go to different ones while they last."""
        inertial = [name for name in sensors if name in RATES_HZ]
        order = self.draw.permutation(inertial or sensors).tolist()
        suffered: dict[str, list[str]] = {name: [] for name in sensors}
        for fault in ("missing-sensor", "empty-sensor", *_ROW_FAULTS):
            if fault in self.faults:
                suffered[order[0]].append(fault)
                # A file that is lost or empty can have nothing else wrong with it.
                order = order[1:] if fault.endswith("-sensor") else [*order[1:], order[0]]
        return suffered

    def _write_rows(self, path: str, sensor: str, rate_hz: float, faults: Sequence[str]) -> None:
        """A sensor file with what is wrong with it."""
        readings = read_sensor(scene_of(self.trial), sensor, self.trial.began, rate_hz)
        if "clock" in faults:
            hours = int(self.draw.choice([-9, -3, 5, 8]))
            readings = replace(readings, times=readings.times + np.timedelta64(hours, "h"))
            self.written.note("clock", path, f"{hours:+d} h")
        lines = csv_lines(readings)
        if "no-fraction" in faults:
            lines, n = at_whole_seconds(lines)
            self.written.note("no-fraction", path, f"{n} rows")
        spoilers = {"unsorted-rows": shuffled, "duplicate-rows": doubled, "garbage": littered}
        for name, spoil in spoilers.items():
            if name in faults:
                before, lines = lines, spoil(lines, self.draw)
                n = len(lines) - len(before)
                n = n or sum(a != b for a, b in zip(before, lines, strict=True))
                self.written.note(name, path, f"{n} rows")
        self.written.put(self.out, path, ("\n".join(lines) + "\n").encode())
